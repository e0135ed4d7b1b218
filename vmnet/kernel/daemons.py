"""libvirt's daemons: which run here, since when, and under which confinement.

Job: facts about processes for `vmnet hook`.
Leaves to others: what follows from them (`vmnet.plan.hookfile`).
Privilege: root; others do not see where a daemon's /etc is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vmnet.model.hookfile import HOOKS_DIR, Daemon

_PROC = Path("/proc")
_NAMES = ("libvirtd", "virtqemud")
#: Where a process that AppArmor does not confine says so.
_FREE = ("", "unconfined")


def daemons() -> list[Daemon]:
    """Return the daemons of root's that find their hooks in the same folder as this process.

    One in a container has a folder of its own.
    """
    return sorted(_found(), key=lambda daemon: daemon.pid)


def _found() -> Iterator[Daemon]:
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):  # it ended while being looked at
            folder = _PROC / entry.name
            name = (folder / "comm").read_text(errors="replace").strip()
            if name in _NAMES and entry.stat().st_uid == 0 and _has_our_hooks(folder):
                yield Daemon(int(entry.name), name, _started(folder), label(int(entry.name)))


def _has_our_hooks(process: Path) -> bool:
    folder = Path(HOOKS_DIR).parent
    ours, its = folder.stat(), (process / "root" / folder.relative_to("/")).stat()
    return (ours.st_dev, ours.st_ino) == (its.st_dev, its.st_ino)


def _started(process: Path) -> float:
    """Return when a process began, to a hundredth of a second (btime is in whole ones)."""
    after_name = (process / "stat").read_text(errors="replace").rpartition(")")[2]
    ticks = int(after_name.split()[19])  # proc(5): starttime, the 22nd field
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return booted + ticks / os.sysconf("SC_CLK_TCK")


def label(pid: int) -> str:
    """Return the AppArmor profile that a process is enforced to keep; empty for none."""
    for file in ("apparmor/current", "current"):
        try:
            text = (_PROC / str(pid) / "attr" / file).read_text(errors="replace")
        except OSError:
            continue
        name, _, mode = text.strip().rstrip("\0").rpartition(" ")
        return name if mode == "(enforce)" and name not in _FREE else ""
    return ""
