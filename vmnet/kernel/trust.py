"""Who can change what a path leads to: each folder and link on the way, and the file itself.

Job: follow a path as the kernel does and look at everything it passes.
Leaves to others: what to refuse for it.
Privilege: search permission on the way.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

_LINKS_MAX = 40  # as the kernel: path_resolution(7)


def weakness(path: str, *, shared: bool) -> str:
    """Return where another user than root can change what a path leads to; empty if nowhere.

    Args:
        path: a full path.
        shared: a folder like /tmp may be on the way: everybody can write there, but nobody can
            replace what is root's in it.

    Raises:
        OSError: something on the way is not there or cannot be looked at.
    """
    for place, status in _passed(path):
        mode = stat.S_IMODE(status.st_mode)
        sticky = shared and stat.S_ISDIR(status.st_mode) and mode & stat.S_ISVTX
        if status.st_uid != 0:
            return f"{place} belongs to uid {status.st_uid}"
        if mode & 0o022 and not sticky and not stat.S_ISLNK(status.st_mode):
            return f"{place} may be written by others than root (mode {mode:04o})"
    return ""


def weakness_below(path: str, top: str) -> str:
    """Return where others than root or the caller can change a path in a tree; empty if nowhere.

    A symbolic link counts as such a place: in the tree's own host it leads elsewhere than here.

    Args:
        path: a full path in the tree.
        top: the tree's first folder.

    Raises:
        OSError: something on the way is not there or cannot be looked at.
    """
    here = Path(top)
    for part in ("", *Path(path).relative_to(top).parts):
        here /= part
        status = here.lstat()
        if stat.S_ISLNK(status.st_mode):
            return f"{here} is a symbolic link"
        if status.st_uid not in (0, os.geteuid()):
            return f"{here} belongs to uid {status.st_uid}"
        if stat.S_IMODE(status.st_mode) & 0o022:
            return f"{here} may be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return ""


def _passed(path: str) -> Iterator[tuple[Path, os.stat_result]]:
    """Return all that is on the way of a path, with what is known of it."""
    here, parts, links = Path("/"), [*Path(path).parts[1:]], 0
    yield here, here.lstat()
    while parts:
        part = parts.pop(0)
        if part == "..":
            here = here.parent
            continue
        there = here / part
        status = there.lstat()
        yield there, status
        if not stat.S_ISLNK(status.st_mode):
            here = there
            continue
        links += 1
        if links > _LINKS_MAX:
            raise OSError(40, os.strerror(40), path)
        target = there.readlink()
        if target.is_absolute():
            here = Path("/")
            parts = [*target.parts[1:], *parts]
        else:
            parts = [*target.parts, *parts]
