"""Files that come with vmnet: the scripts for QEMU and libvirt.

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


def libvirt_hook() -> str:
    """Return the text of libvirt's hook, before anything is filled in."""
    return (hooks_dir() / "libvirt-qemu").read_text(encoding="utf-8")
