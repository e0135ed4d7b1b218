"""Sockets with a path (unix(7)).

Job: say what is at a path, without connecting: a program that waits for one peer would take this
one for it.
Leaves to others: what it means (`vmnet.plan.sockets`).
Privilege: to search the folder.
"""

from __future__ import annotations

import stat
from pathlib import Path

from vmnet.errors import of_errno
from vmnet.model.unixsocket import Meeting

#: linux/net.h __SO_ACCEPTCON, in the flags of proc(5)'s table.
_LISTENS = 0x10000
_COLUMNS = 8


def meeting_at(path: str) -> Meeting:
    """Return what is at a path.

    Raises:
        NotPermitted: this process may not look.
    """
    place = Path(path)
    try:
        if not place.parent.is_dir():
            return Meeting.NO_FOLDER
        mode = place.stat().st_mode
    except FileNotFoundError:
        return Meeting.NOTHING
    except OSError as error:
        raise of_errno(f"look at {path}", error.errno or 0) from error
    if not stat.S_ISSOCK(mode):
        return Meeting.OTHER
    return Meeting.LISTENING if path in _listening() else Meeting.SILENT


def _listening() -> set[str]:
    """Return the paths at which something in this network namespace listens, as it wrote them."""
    try:
        lines = Path("/proc/net/unix").read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        raise of_errno("read /proc/net/unix", error.errno or 0) from error
    rows = [line.split(None, _COLUMNS - 1) for line in lines[1:]]
    return {row[7] for row in rows if len(row) == _COLUMNS and int(row[3], 16) & _LISTENS}
