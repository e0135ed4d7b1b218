"""Becoming another user, or a process that ends with its parent.

Job: give up uid, gids and every capability in the right order.
Leaves to others: when (`vmnet.service` before QEMU, `vmnet.kernel.devices` in a child).
Privilege: CAP_SETUID and CAP_SETGID, which `become` gives up for good.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal

from vmnet.errors import of_errno

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
#: linux/capability.h has 41; the kernel answers EINVAL past its own last.
_CAP_END = 64
_CAPABILITY_VERSION_3 = 0x20080522
#: asm/unistd.h; the C library has no keyctl(2).
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "s390x": 280}
_KEYCTL_JOIN_SESSION_KEYRING = 1


def become(uid: int) -> None:
    """Turn this process into the user: uid, its gid and groups, no capability, none to come.

    `no_new_privs` is set too, so that no setuid program gives anything back (prctl(2)).

    Raises:
        NotPermitted: this process may not change its user.
    """
    try:
        if not uid == os.geteuid() == os.getuid() != 0:
            gid, groups = _groups_of(uid)
            _drop_bounding_set()
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            _join_new_keyring()
        _drop_capabilities()
    except OSError as error:
        raise of_errno(f"become uid {uid}", error.errno or 0) from error


def act_as(uid: int) -> None:
    """Do from now on what the user could do, yet stay a process that the user cannot touch.

    Only the effective ids change, and all capabilities go. The real and saved ones, by which
    kill(2) and ptrace(2) judge who may stop this process, stay.

    Raises:
        NotPermitted: this process may not change its user.
    """
    try:
        gid, groups = _groups_of(uid)
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        _drop_capabilities()
    except OSError as error:
        raise of_errno(f"act as uid {uid}", error.errno or 0) from error


def environment_of(uid: int) -> dict[str, str]:
    """Return the variables that tell a program whose it is: those of the user, not of root."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return {"HOME": "/", "USER": str(uid), "LOGNAME": str(uid)}
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


def _join_new_keyring() -> None:
    """Leave the session keyring of whoever started this: whoever is in it may use its keys.

    As far as it can be done: a kernel without keys, or a container that refuses keyctl(2), has none
    to leave.
    """
    number = _SYS_KEYCTL.get(os.uname().machine)
    if number is not None:
        _libc().syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def _groups_of(uid: int) -> tuple[int, list[int]]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return uid, []
    return user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid)


def end_with(parent: int) -> None:
    """Be killed when the parent ends, or the thread of it that forked (prctl(2)); now, if it has.

    Args:
        parent: its pid, as it found it before it forked.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: int) -> bool:
    values = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    return bool(_libc().prctl(option, *values) == 0)


def _drop_bounding_set() -> None:
    """Take away what an exec of a root program could give back."""
    for capability in range(_CAP_END):
        _prctl(_PR_CAPBSET_DROP, capability)


def _drop_capabilities() -> None:
    """Empty the ambient, inheritable, permitted and effective sets (capset(2)); none may come back.

    Changing the uid empties all but the inheritable one; that one is emptied for programs with
    inheritable file capabilities.
    """
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    empty = (ctypes.c_uint32 * 6)()
    if _libc().capset(header, empty) != 0 or not _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        raise OSError(ctypes.get_errno(), "capabilities could not be dropped")
