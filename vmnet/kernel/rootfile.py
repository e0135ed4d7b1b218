"""Files that root's programs obey: look at one and at the way to it, write it whole, take it away.

Job: the hands of `vmnet hook` and `vmnet host`. Where another user could change the way to a file,
it is neither read nor written.
Leaves to others: what is in the files, and whether one may be written (`vmnet.plan`).
Privilege: root; in a tree that is a host's to be (`top`) its owner.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from vmnet.errors import Conflict, NotPermitted, Unsupported, VmnetError, of_errno
from vmnet.kernel.trust import weakness, weakness_below
from vmnet.model.filestep import FileStep, MakeFolder, RemoveFile, RemoveFolder, WriteFile
from vmnet.model.words import describe_file

_SIZE_MAX = 64 << 10
_DIR_MODE, _FILE_MODE = 0o755, 0o644
#: What open(2) answers for a symbolic link, a socket, a node without a driver.
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.ENODEV)


@dataclass(frozen=True)
class Content:
    """What is at a path.

    Attributes:
        there: something is, of whatever kind.
        text: of the file; None if it is no regular one, or over 64 KiB.
        proper: it is root's (below a `top`: or the caller's), and of the mode that was asked about.
        since: when it was last changed, in seconds of the epoch.
    """

    there: bool
    text: str | None = None
    proper: bool = False
    since: float = 0.0


def missing(folders: Iterable[str], top: str = "/") -> tuple[str, ...]:
    """Return the folders that have to be made first.

    Args:
        folders: the way to a file, the outer one first.
        top: where the tree begins that they are in.

    Raises:
        Conflict: others than root can change what is on the way.
        VmnetError: it cannot be looked at.
    """
    absent = []
    for folder in folders:
        try:
            check_way(folder, top)
        except FileNotFoundError as error:
            if os.path.lexists(folder):
                raise _no_way(f"{folder} leads to nothing", folder) from error
            absent.append(folder)
        except OSError as error:
            raise _refused(f"look at {folder}", error) from error
    return tuple(absent)


def check_way(folder: str, top: str = "/") -> None:
    """Refuse a folder that others than root can change, or the way to it.

    Args:
        folder: a full path.
        top: where the tree begins that it is in. How this process comes there is the caller's
            affair; below it no link is followed, for it may lead out.

    Raises:
        Conflict: they can, or it is no folder.
        OSError: something on the way is not there or cannot be looked at.
    """
    weak = weakness(folder, shared=False) if top == "/" else weakness_below(folder, top)
    if not weak and not Path(folder).is_dir():
        weak = f"{folder} is no folder"
    if weak:
        raise _no_way(
            f"{weak}: root's programs obey what stands there, and it has to be root's alone", folder
        )


def _no_way(why: str, folder: str) -> Conflict:
    remedy = f"`namei -l {folder}` shows the way; mend its owners and modes"
    return Conflict(why, code="unsafe-path", remedy=remedy)


def _refused(doing: str, error: OSError) -> VmnetError:
    """Return the typed error for what the kernel answered about a file."""
    number = error.errno or 0
    said = f"cannot {doing}: {os.strerror(number)}"
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(said, code="file-permission", remedy="run as root")
    if number == errno.EROFS:
        remedy = "`--dry-run` shows what is missing: put it into the image this file system is of"
        return Unsupported(said, code="read-only", remedy=remedy)
    return of_errno(doing, number)


def content(path: str, mode: int = _FILE_MODE, top: str = "/") -> Content:
    """Return what is at a path; a symbolic link is not followed.

    Raises:
        VmnetError: it may not be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Content(there=False)
    except OSError as error:
        if error.errno in _NO_FILE:
            return Content(there=True)
        raise _refused(f"read {path}", error) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_MAX:
            return Content(there=True)
        owners = (0,) if top == "/" else (0, os.geteuid())
        proper = status.st_uid in owners and stat.S_IMODE(status.st_mode) == mode
        text = os.read(fd, _SIZE_MAX).decode("utf-8", "replace")
        return Content(there=True, text=text, proper=proper, since=status.st_mtime)
    finally:
        os.close(fd)


def rest_of(path: str) -> str:
    """Return the path of what a write of this file that was killed left; empty if nothing."""
    beside = _beside(path)
    return str(beside) if beside.is_file() and not beside.is_symlink() else ""


def carry_out(step: FileStep) -> None:
    """Carry out a step.

    Raises:
        VmnetError: it could not be.
    """
    try:
        match step:
            case MakeFolder(path):
                _make_folder(Path(path))
            case RemoveFolder(path):
                _remove_folder(path)
            case WriteFile(path, text):
                _write_whole(_beside(path), Path(path), text, _FILE_MODE)
            case RemoveFile(path):
                Path(path).unlink(missing_ok=True)
            case _:
                assert_never(step)
    except OSError as error:
        raise _refused(describe_file(step), error) from error


def _make_folder(folder: Path) -> bool:
    """Make a folder; say whether it was not there."""
    # Not chmod(2) afterwards: killed before it, a strict umask's folder would stay, in which other
    # users' daemons see no files.
    umask = os.umask(~_DIR_MODE & 0o777)
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    finally:
        os.umask(umask)
    return True


def _remove_folder(path: str) -> None:
    try:
        os.rmdir(path)  # noqa: PTH106 - beside os.open and the like
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
            raise


def write(
    path: str,
    text: str,
    mode: int,
    *,
    folders: Iterable[str],
    new: Path,
    before_sync: Callable[[int], None],
) -> None:
    """Put a file to its place, whole or not at all.

    Args:
        path: its place.
        text: what is in it.
        mode: its mode.
        folders: those to make first, the outer one first; one that is there stays as it is.
        new: where it is until it is whole.
        before_sync: called with the descriptor before the file is moved to its place.

    Raises:
        VmnetError: it could not be written; folders that were made for it are gone again.
    """
    made: list[Path] = []
    try:
        made += filter(_make_folder, map(Path, folders))
        _write_whole(new, Path(path), text, mode, before_sync)
    except OSError as error:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise _refused(f"write {path}", error) from error


def _write_whole(
    new: Path,
    path: Path,
    text: str,
    mode: int,
    before_sync: Callable[[int], None] = lambda _: None,
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
    """Take a file away.

    Raises:
        VmnetError: it could not be.
    """
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise _refused(f"remove {path}", error) from error
