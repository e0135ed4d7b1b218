"""Every error vmnet raises, and the exit code of each.

Job: name failures so that a caller can tell them apart without reading text.
Leaves to others: printing and exiting (`vmnet.entry`), finding the facts (`vmnet.kernel`).
Privilege: none.

The tree; a number is the command's exit status:

    VmnetError ................... 1  something failed
     +-- InvalidInput ............ 2  the call is wrong: send another
     +-- ConfigError ............. 3  the configuration file is wrong: mend it
     +-- NotFound ................ 4  something that has to be there is not
     +-- Conflict ................ 5  it is there, but in a way the wish cannot be joined to
     +-- Busy .................... 6  somebody uses it now: wait, or stop them
     +-- NotPermitted ............ 7  the kernel or this host refuses it to this user
     +-- Unsupported ............. 8  this host cannot do it
     +-- VhostUnavailable ........ 9  vhost-net was required and cannot be had
     +-- KernelError ............ 10  the kernel refused a step; `errno` says with what
     +-- VerificationError ...... 11  done, but the kernel shows something else
     +-- SeveralErrors .......... 12  more than one; each is in `errors`
     +-- PeerError .............. 13  libvirt or QEMU refused what it was asked

A command that could not become QEMU exits with 127 (no such program) or 126 (cannot be run), as a
shell does, and one ended by a signal ends by that signal.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import ClassVar


class VmnetError(Exception):
    """A failure with a remedy.

    Attributes:
        message: what was being done, to which link, and what was answered; one line.
        code: a stable word for this very failure, e.g. `bridge-missing`.
        remedy: what to do next; one line, a command where there is one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, code: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy
        #: Failures of the undo that followed; they never replace the first one.
        self.undo_errors: list[VmnetError] = []
        #: What to write for the remedy, where that takes more than a line.
        self.paste = ""


class InvalidInput(VmnetError):
    """The call names something that cannot be."""

    exit_code = 2


class ConfigError(VmnetError):
    """The configuration file cannot be used."""

    exit_code = 3


class NotFound(VmnetError):
    """A link, user or program that has to be there is not."""

    exit_code = 4


class Conflict(VmnetError):
    """What is there contradicts the wish, and vmnet may not change it."""

    exit_code = 5


class Busy(VmnetError):
    """A process uses the link, or holds the lock."""

    exit_code = 6


class NotPermitted(VmnetError):
    """This user may not."""

    exit_code = 7


class Unsupported(VmnetError):
    """This host has not got what it takes."""

    exit_code = 8


class VhostUnavailable(VmnetError):
    """vhost-net was required and cannot be had; `code` is the reason code."""

    exit_code = 9


class KernelError(VmnetError):
    """The kernel refused a step.

    Attributes:
        errno: the kernel's error number.
    """

    exit_code = 10

    def __init__(self, message: str, *, errno: int, code: str = "", remedy: str = "") -> None:
        super().__init__(
            message,
            code=code or f"kernel-{_errno.errorcode.get(errno, str(errno)).lower()}",
            remedy=remedy
            or "the kernel's own words are above; `vmnet probe` shows what works here",
        )
        self.errno = errno


class VerificationError(VmnetError):
    """Every step was accepted, yet the kernel does not show what was wished."""

    exit_code = 11


class SeveralErrors(VmnetError):
    """More than one failure, none of which stopped the others.

    Attributes:
        errors: all of them, in the order they happened.
    """

    exit_code = 12

    def __init__(self, errors: list[VmnetError]) -> None:
        super().__init__(
            "; ".join(error.message for error in errors),
            code="several",
            remedy="; ".join(dict.fromkeys(error.remedy for error in errors)),
        )
        self.errors = errors


class PeerError(VmnetError):
    """Another program, libvirt or a QEMU, refused what it was asked; its words are in `message`."""

    exit_code = 13


class Interrupted(VmnetError):
    """A signal asked to stop; what had been done was undone.

    Attributes:
        signum: the signal's number; the command ends by it again.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(
            f"stopped by signal {signum}; what was done so far was undone",
            code="interrupted",
            remedy="run it again",
        )
        self.signum = signum


def of_errno(doing: str, number: int, said: str = "") -> VmnetError:
    """Turn a kernel refusal into the typed error that says what to do next.

    Args:
        doing: what was being done and to which link, e.g. `put tap 'a' into bridge 'br0'`.
        number: the errno.
        said: the kernel's own message (extended ack), if it gave one.
    """
    answer = said or os.strerror(number)
    message = f"cannot {doing}: {answer} ({_errno.errorcode.get(number, number)})"
    if number in (_errno.EPERM, _errno.EACCES):
        return NotPermitted(
            message,
            code="no-net-admin",
            remedy="run as root, or give the process CAP_NET_ADMIN in this network namespace",
        )
    if number == _errno.EXFULL:
        return Conflict(
            message,
            code="bridge-full",
            remedy="a bridge takes 1023 ports: `vmnet gc` frees unused ones, or use a second one",
        )
    if number in (_errno.ENODEV, _errno.ENOENT):
        return NotFound(
            message,
            code="link-gone",
            remedy="it vanished meanwhile: look with `ip link`, try again",
        )
    if number in (_errno.EMFILE, _errno.ENFILE):
        limit = "`ulimit -n`" if number == _errno.EMFILE else "sysctl fs.file-max"
        return Unsupported(message, code="fd-limit", remedy=f"raise {limit}")
    if number in (_errno.ENOMEM, _errno.ENOBUFS):
        return KernelError(
            message, errno=number, remedy="the host is out of memory: free some, try again"
        )
    return KernelError(message, errno=number)
