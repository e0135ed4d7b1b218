"""Files that come with vmnet: the scripts for QEMU.

Job: say where they are, in a checkout and in an installed wheel.
Leaves to others: what is in them.
Privilege: none.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def hooks_dir() -> Path:
    """Return the folder with `qemu-ifup` and `qemu-ifdown`."""
    installed = _PACKAGE / "hooks"
    return installed if installed.is_dir() else _PACKAGE.parent / "hooks"
