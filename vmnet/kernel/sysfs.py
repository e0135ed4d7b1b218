"""sysfs of this network namespace, wherever this process is.

Job: a small file of it as text. What is mounted at `/sys` shows the namespace it was mounted in,
which another one's program may still have there; the new mount calls give one that is nowhere in
the file tree, and of the namespace of who asks.
Leaves to others: what the files mean.
Privilege: CAP_SYS_ADMIN; without it `/sys` is read.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

#: One number for all architectures (include/uapi/asm-generic/unistd.h), since Linux 5.2.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
# linux/mount.h
_FSOPEN_CLOEXEC, _FSMOUNT_CLOEXEC, _FSCONFIG_CMD_CREATE = 1, 1, 6
_UNABLE = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL)
_USUAL = "/sys"
_FILE_MAX = 4096


def read(path: str) -> str:
    """Return what a file says, without the newline at its end.

    Args:
        path: relative to sysfs, e.g. `class/net/lo/ifindex`.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    with _opened() as root:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root)
        try:
            return os.read(fd, _FILE_MAX).decode("ascii", "replace").rstrip("\n")
        finally:
            os.close(fd)


@contextmanager
def _opened() -> Iterator[int]:
    """Open this namespace's own, or the usual one where that may not be."""
    try:
        fd = _mounted()
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        fd = os.open(_USUAL, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _mounted() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    context = _call(libc, _FSOPEN, ctypes.c_char_p(b"sysfs"), _FSOPEN_CLOEXEC)
    try:
        none = ctypes.c_void_p()
        _call(libc, _FSCONFIG, context, _FSCONFIG_CMD_CREATE, none, none, 0)
        return _call(libc, _FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    answer: int = libc.syscall(number, *arguments)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer
