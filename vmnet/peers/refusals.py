"""What can go wrong with a QEMU's monitor, in words.

Job: the errors of `vmnet.peers.qmp`, each with its remedy; what QEMU said is cut.
Leaves to others: when (`vmnet.peers.qmp`), harmless printing (`vmnet.entry.report`).
Privilege: none.
"""

from __future__ import annotations

import errno
import os

from vmnet.errors import (
    Busy,
    InvalidInput,
    NotFound,
    NotPermitted,
    PeerError,
    Unsupported,
    VmnetError,
)
from vmnet.model.names import shorten
from vmnet.model.step import AddDevice, PeerStep, RemoveDevice
from vmnet.model.words import describe

WORDS_MAX = 200
_CAUSES_MAX = 8


def unreachable(path: str, error: OSError | ValueError) -> VmnetError:
    """Return the error for a socket that could not be connected to."""
    where = repr(shorten(path))
    number = error.errno if isinstance(error, OSError) else None
    if number is None and not isinstance(error, TimeoutError):
        return InvalidInput(
            f"{where} cannot be the path of a socket: {error}",
            code="bad-socket",
            remedy="give the path of QEMU's -qmp unix:PATH, of at most 107 bytes",
        )
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"may not talk to QEMU at {where}: {os.strerror(number)}",
            code="qmp-permission",
            remedy=f"run as root or as QEMU's user; `ls -l {path}` shows whose it is",
        )
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.EPROTOTYPE):
        return NotFound(
            f"no QEMU listens at {where}: {os.strerror(number)}",
            code="qmp-missing",
            remedy="start QEMU with `-qmp unix:PATH,server=on,wait=off` and give that PATH; of one "
            "that has ended, nothing is left to detach",
        )
    # A full backlog: one is being served, one is waiting.
    return taken(path, 0)


def refusal(step: PeerStep, words: str) -> VmnetError:
    """Return the error for a step that QEMU refused, with its words."""
    if isinstance(step, AddDevice) and "does not support hotplug" in words:
        return Unsupported(
            f"cannot {describe(step)}: {words}, and no port that does is free",
            code="no-hotplug",
            remedy="start QEMU with a free port for each such NIC, `-device "
            "pcie-root-port,id=rp0,slot=1`, or with -M pc",
        )
    return PeerError(
        f"cannot {describe(step)}: QEMU answers: {words}",
        code="qemu-refused",
        remedy="the words are QEMU's; where they speak of vhost, --no-vhost does without",
    )


def taken(path: str, seconds: float) -> Busy:
    """Return the error for a monitor that does not greet within so many seconds."""
    return Busy(
        f"QEMU at {shorten(path)!r} gave no greeting within {seconds:g} s: another client has "
        "its monitor, or it hangs",
        code="qmp-busy",
        remedy="end the other client (`ss -xp` shows it), or give QEMU a second -qmp socket",
    )


def silence(path: str, doing: str, seconds: float) -> Busy:
    """Return the error for an answer that did not come within so many seconds."""
    return Busy(
        f"cannot {doing}: QEMU at {shorten(path)!r} did not answer within {seconds:g} s",
        code="qmp-silent",
        remedy="see whether QEMU hangs; attach or detach the NIC again, which clears up in QEMU",
    )


def kept(step: RemoveDevice, seconds: float) -> Busy:
    """Return the error for a guest that did not let go within so many seconds."""
    return Busy(
        f"the guest did not let go of device {step.device!r} within {seconds:g} s; nothing else "
        "was changed",
        code="guest-keeps",
        remedy="its kernel has to be up and to know PCI hot-plug (acpiphp, pciehp): try again "
        "then, or stop the VM",
    )


def gone(path: str) -> NotFound:
    """Return the error for a QEMU that hung up."""
    return NotFound(
        f"QEMU at {shorten(path)!r} went away in the middle of it",
        code="qemu-gone",
        remedy="if it ended, so did its TAPs; else attach or detach the NIC again",
    )


def nonsense(path: str, what: str) -> Unsupported:
    """Return the error for an answer that no QEMU gives."""
    return Unsupported(
        f"what answers at {shorten(path)!r} does not speak QMP as QEMU does: "
        f"{shorten(what, WORDS_MAX)}",
        code="qmp-nonsense",
        remedy="give the socket of `-qmp`, not that of -monitor, -serial or the guest agent",
    )


def broken(path: str, doing: str, error: BaseException) -> VmnetError:
    """Return the typed error for a talk that broke off."""
    causes = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < _CAUSES_MAX:
        causes.append(cause)
    if any(isinstance(each, EOFError | ConnectionError | BrokenPipeError) for each in causes):
        return gone(path)
    why = f"{type(causes[-1]).__name__} while vmnet was to {doing}"
    return nonsense(path, why)
