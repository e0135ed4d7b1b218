"""Files that root's programs obey: look at one and at the way to it, write it whole, take it away.

Job: the hands of `vmnet hook` and `vmnet host`. Where another user could change the way to a file,
it is neither read nor written.
Leaves to others: what is in the files, and whether one may be written (`vmnet.plan`).
Privilege: root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vmnet.errors import Conflict, of_errno
from vmnet.kernel.trust import weakness

_SIZE_MAX = 64 << 10
_DIR_MODE = 0o755


@dataclass(frozen=True)
class Content:
    """What is at a path.

    Attributes:
        there: something is, of whatever kind.
        text: of the file; None if it is no regular one, or over 64 KiB.
        proper: it is root's, and of the mode that was asked about.
    """

    there: bool
    text: str | None
    proper: bool


def missing(folders: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that have to be made first.

    Args:
        folders: the way to a file, the outer one first.

    Raises:
        Conflict: others than root can change what is on the way.
        VmnetError: it cannot be looked at.
    """
    absent = []
    for folder in folders:
        try:
            check_way(folder)
        except FileNotFoundError as error:
            if os.path.lexists(folder):
                raise _no_way(f"{folder} leads to nothing", folder) from error
            absent.append(folder)
        except OSError as error:
            raise of_errno(f"look at {folder}", error.errno or 0) from error
    return tuple(absent)


def check_way(folder: str) -> None:
    """Refuse a folder that others than root can change, or the way to it.

    Raises:
        Conflict: they can, or it is no folder.
        OSError: something on the way is not there or cannot be looked at.
    """
    weak = weakness(folder, shared=False)
    if not weak and not Path(folder).is_dir():
        weak = f"{folder} is no folder"
    if weak:
        raise _no_way(
            f"{weak}: root's programs obey what stands there, and it has to be root's alone", folder
        )


def _no_way(why: str, folder: str) -> Conflict:
    remedy = f"`namei -l {folder}` shows the way; mend its owners and modes"
    return Conflict(why, code="unsafe-path", remedy=remedy)


def content(path: str, mode: int) -> Content:
    """Return what is at a path; a symbolic link is not followed.

    Raises:
        VmnetError: it may not be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Content(there=False, text=None, proper=False)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise of_errno(f"read {path}", error.errno) from error
        return Content(there=True, text=None, proper=False)  # a link, a socket
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_MAX:
            return Content(there=True, text=None, proper=False)
        proper = status.st_uid == 0 and stat.S_IMODE(status.st_mode) == mode
        text = os.read(fd, _SIZE_MAX).decode("utf-8", "replace")
        return Content(there=True, text=text, proper=proper)
    finally:
        os.close(fd)


def write(
    path: str,
    text: str,
    mode: int,
    *,
    folders: Iterable[str],
    new: Path | None = None,
    before_sync: Callable[[int], None] = lambda _: None,
) -> None:
    """Put a file to its place, whole or not at all.

    Args:
        path: its place.
        text: what is in it.
        mode: its mode.
        folders: those to make first, the outer one first; one that is there stays as it is.
        new: where it is until it is whole; left out, beside its place (`_beside`).
        before_sync: called with the descriptor before the file is moved to its place.

    Raises:
        VmnetError: it could not be written; folders that were made for it are gone again.
    """
    made: list[Path] = []
    try:
        for folder in map(Path, folders):
            with suppress(FileExistsError):
                folder.mkdir()
                made.append(folder)
                folder.chmod(_DIR_MODE)  # whatever the umask
        _write_whole(new or _beside(path), Path(path), text, mode, before_sync)
    except OSError as error:
        remove_empty(map(str, made))
        raise of_errno(f"write {path}", error.errno or 0) from error


def _write_whole(
    new: Path, path: Path, text: str, mode: int, before_sync: Callable[[int], None]
) -> None:
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fchmod(fd, mode)
            before_sync(fd)
            os.fsync(fd)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _beside(path: str) -> Path:
    """Return the name under which a file is written: one that no program looks at."""
    return Path(path).parent / f".{Path(path).name}.new"


def remove(path: str) -> None:
    """Take a file away, and what a write of it that was killed left beside it.

    Raises:
        VmnetError: it could not be.
    """
    try:
        for each in (Path(path), _beside(path)):
            with suppress(FileNotFoundError, NotADirectoryError):
                each.unlink()
    except OSError as error:
        raise of_errno(f"remove {path}", error.errno or 0) from error


def remove_empty(folders: Iterable[str]) -> None:
    """Take folders away, the inner ones first; what is in use or not empty stays."""
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):
            os.rmdir(folder)
