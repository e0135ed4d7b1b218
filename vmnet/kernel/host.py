"""What tells this host and this moment from others: machine id, network namespace, clock.

Job: the few facts that are neither links nor processes, and the users of this host.
Leaves to others: what to make of them.
Privilege: none.
"""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmnet.errors import NotFound, Unsupported, of_errno

_MACHINE_ID = Path("/etc/machine-id")
_CAP_NET_ADMIN = 12  # linux/capability.h
#: linux/proc_ns.h PROC_PID_INIT_INO: the first PID namespace of the kernel has this inode.
_INIT_PID_NS = 0xEFFFFFFC


def machine_id() -> str:
    """Return this host's machine id (machine-id(5)).

    Raises:
        NotFound: there is none, or it is not yet set.
    """
    try:
        text = _MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise of_errno(f"read {_MACHINE_ID}", error.errno or 0) from error
    if not re.fullmatch(r"[0-9a-f]{32}", text):
        raise NotFound(
            f"{_MACHINE_ID} has no machine id, from which stable MACs are made",
            code="no-machine-id",
            remedy="`systemd-machine-id-setup` makes one; or give --mac",
        )
    return text


def boot_id() -> str:
    """Return what tells this boot from others (random(4))."""
    with _proc():
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def netns_inode() -> int:
    """Return the inode of this thread's network namespace."""
    with _proc():
        return Path("/proc/thread-self/ns/net").stat().st_ino


def in_first_pid_namespace() -> bool:
    """Say whether all processes of the kernel can have a pid here."""
    with _proc():
        return Path("/proc/self/ns/pid").stat().st_ino == _INIT_PID_NS


def may_make_links() -> bool:
    """Say whether this process has CAP_NET_ADMIN (capabilities(7)), in whatever user namespace."""
    with _proc():
        status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_NET_ADMIN & 1)


@contextmanager
def _proc() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unsupported(
            f"cannot read {error.filename}: {error.strerror}",
            code="no-proc",
            remedy="`mount -t proc proc /proc`; in a chroot or container have it mounted there",
        ) from error


def boottime() -> int:
    """Return the seconds since boot, suspended time included."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def new_generation() -> str:
    """Return eight hexadecimal digits that tell a link from an earlier one of its name."""
    return os.urandom(4).hex()


def user_id(text: str) -> int:
    """Return the uid of a user's name or of a number.

    Raises:
        NotFound: no such user.
    """
    if text.isascii() and text.isdigit():
        if len(text) <= 10 and int(text) < 2**32 - 1:
            return int(text)
    else:
        try:
            return pwd.getpwnam(text).pw_uid
        except (KeyError, ValueError):
            pass
    raise NotFound(
        f"no user {text[:60]!r} here",
        code="no-user",
        remedy="`getent passwd` lists users; a number is taken as a uid",
    ) from None


def user_name(uid: int) -> str:
    """Return the name of a uid, or the number as text if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def kernel_release() -> str:
    """Return `uname -r`."""
    return os.uname().release
