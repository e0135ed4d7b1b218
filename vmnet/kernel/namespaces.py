"""Namespaces: a network of one's own to try things in.

Job: move this process into a fresh network namespace, by way of a user namespace if need be.
Leaves to others: forking first (`vmnet.kernel.child`); there is no way back.
Privilege: CAP_SYS_ADMIN, or a host that lets ordinary users have user namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from vmnet.errors import NotPermitted, VmnetError, of_errno

# linux/sched.h
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000


def enter_own_network() -> None:
    """Move this process into a network namespace that nobody else is in.

    Raises:
        NotPermitted: this user may not have one.
    """
    if _unshare(_CLONE_NEWNET) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    number = _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    if number:
        raise _refused(number)
    # user_namespaces(7): the group map is only written once setgroups is denied.
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")


def _unshare(flags: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.unshare(flags) == 0 else ctypes.get_errno()


def _refused(number: int) -> VmnetError:
    doing = "make a network namespace to try things in"
    if number in (errno.EPERM, errno.EACCES, errno.ENOSPC):
        return NotPermitted(
            f"cannot {doing}: {os.strerror(number)}",
            code="no-namespace",
            remedy="run as root; or allow user namespaces (sysctl user.max_user_namespaces, "
            "kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
        )
    return of_errno(doing, number)
