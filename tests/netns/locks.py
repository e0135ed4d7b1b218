"""vmnet's lock files as flock(2) sees them, held by processes that are not vmnet."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path("/run/vmnet")


def path_of(name: str) -> Path:
    """Return the file of a lock such as `vm=3Avm1` in this network namespace."""
    namespace = os.stat("/proc/self/ns/net").st_ino
    return FOLDER / f"{namespace}.{name}.lock"


@contextmanager
def locked(name: str) -> Iterator[int]:
    """Let a process `sleep 1000` hold a lock, and yield its pid."""
    path = path_of(name)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    holder = subprocess.Popen(
        ["sleep", "1000"],
        pass_fds=[fd],
        preexec_fn=lambda: fcntl.flock(fd, fcntl.LOCK_EX),  # noqa: PLW1509 - no threads here
    )
    os.close(fd)
    try:
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()
