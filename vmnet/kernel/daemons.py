"""Daemons: which run here, since when, and under which confinement.

Job: facts about processes for `vmnet hook` and `vmnet host`.
Leaves to others: what follows from them (`vmnet.plan.hookfile`, `vmnet.plan.hostfiles`).
Privilege: root; others do not see where a daemon's /etc is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from vmnet.kernel.host import user_name
from vmnet.model.found import Daemon
from vmnet.model.hookfile import HOOKS_DIR

_PROC = Path("/proc")
_NAMES = ("libvirtd", "virtqemud")
#: Where a process that AppArmor does not confine says so.
_FREE = ("", "unconfined")


def daemons() -> list[Daemon]:
    """Return libvirt's daemons that find their hooks in the same folder as this process."""
    return running(_NAMES, str(Path(HOOKS_DIR).parent))


def running(
    names: Collection[str], folder: str, *, users: Collection[str] = ("root",)
) -> list[Daemon]:
    """Return the daemons of these names that have the same folder in view as this process.

    One in a container has a folder of its own.

    Args:
        names: of processes, as the kernel cuts them: at most 15 bytes.
        folder: where their files are.
        users: as which they may run; anybody can give a process such a name.
    """
    return sorted(_found(names, folder, users), key=lambda daemon: daemon.pid)


def _found(names: Collection[str], folder: str, users: Collection[str]) -> Iterator[Daemon]:
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):  # it ended while being looked at
            process = _PROC / entry.name
            name = (process / "comm").read_text(errors="replace").strip()
            if (
                name in names
                and user_name(entry.stat().st_uid) in users
                and _has_in_view(process, folder)
            ):
                yield Daemon(int(entry.name), name, _started(process), label(int(entry.name)))


def _has_in_view(process: Path, folder: str) -> bool:
    ours, its = os.stat(folder), (process / "root" / folder.lstrip("/")).stat()
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
