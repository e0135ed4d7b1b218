"""The processes that put an uplink back, as the kernel shows them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def guardians() -> list[int]:
    """Return the guardians of this network namespace."""
    here, found = os.readlink("/proc/self/ns/net"), []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (path / "comm").read_text().strip()
            if name == "vmnet-guardian" and os.readlink(path / "ns/net") == here:
                found.append(int(path.name))
    return found
