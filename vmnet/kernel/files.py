"""Files that are trusted: read them only if nobody but root could have written them.

Job: read the configuration, checking what was opened rather than what a path said before; read
templates that come with vmnet.
Leaves to others: parsing (`vmnet.formats.config`).
Privilege: read permission.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vmnet.errors import ConfigError

_SIZE_MAX = 1 << 20
_PACKAGE = Path(__file__).parents[1]


def template(name: str) -> str:
    """Return the text of one of vmnet's own templates, in a checkout or an installed wheel.

    Args:
        name: its path in `templates`.
    """
    installed = _PACKAGE / "templates"
    folder = installed if installed.is_dir() else _PACKAGE.parent / "templates"
    return (folder / name).read_text(encoding="utf-8")


def read_trusted(path: str) -> str | None:
    """Return the text of a file that only root (or this very user) can change.

    Args:
        path: the file; a symbolic link is followed, and what it leads to is checked.

    Returns:
        The text, or None if there is no such file.

    Raises:
        ConfigError: unreadable, no regular file, over 1 MiB, not UTF-8, or somebody else can write
            it or its folder.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}", "run as root") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_MAX:
            raise _bad(path, "is no regular file of at most 1 MiB", "put a TOML file there")
        _check_owner(path, status)
        # A link's folder is where another link could be put in its place.
        for folder in (Path(path).parent, Path(path).resolve().parent):
            _check_owner(str(folder), folder.stat())
        with open(fd, "rb", closefd=False) as file:
            raw = file.read(_SIZE_MAX)
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}", "look at it with `cat`") from error
    finally:
        os.close(fd)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad(path, "is not UTF-8", "save it as UTF-8") from error


def _check_owner(path: str, status: os.stat_result) -> None:
    writable = stat.S_IMODE(status.st_mode) & 0o022
    # A folder like /tmp is everybody's, but nobody can replace another's file in it.
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        writable = 0
    if status.st_uid in (0, os.geteuid()) and not writable:
        return
    raise _bad(
        path,
        f"may be written by others than root (owner uid {status.st_uid}, "
        f"mode {stat.S_IMODE(status.st_mode):04o})",
        f"`chown root {path} && chmod go-w {path}`",
    )


def _bad(path: str, why: str, remedy: str) -> ConfigError:
    return ConfigError(f"{path} {why}", code="config", remedy=remedy)
