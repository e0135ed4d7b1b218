"""Marks: short-lived hints from one call of libvirt's hook to the next.

Job: leave one, look for it, take it away.
Leaves to others: what it means; losing one loses nothing but speed.
Privilege: write access to `/run/vmnet`, root's.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from vmnet.errors import NotPermitted
from vmnet.kernel.host import netns_inode
from vmnet.kernel.locks import RUN_DIR, check_folder
from vmnet.model.names import encode

#: How old a mark may be, in seconds: the next call comes within a second, on a slow host in ten.
_FRESH_SECONDS = 120.0
_NAME_MAX = 200


def _path(name: str) -> Path:
    return RUN_DIR / f"{netns_inode()}.{encode(name, _NAME_MAX)}.mark"


def leave(name: str) -> None:
    """Leave a mark; where that cannot be, there is none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with suppress(OSError, NotPermitted):
        RUN_DIR.mkdir(mode=0o700, exist_ok=True)
        check_folder()
        fd = os.open(_path(name), flags, 0o600)
        try:
            os.utime(fd)
        finally:
            os.close(fd)


def is_there(name: str) -> bool:
    """Say whether a mark was left a moment ago."""
    try:
        age = time.time() - os.lstat(_path(name)).st_mtime
    except OSError:
        return False
    return 0 <= age < _FRESH_SECONDS


def remove(name: str) -> None:
    """Take a mark away, if there is one."""
    with suppress(OSError):
        os.unlink(_path(name))
