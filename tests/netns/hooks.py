"""An /etc/libvirt of the test's own, and what vmnet finds there."""

from __future__ import annotations

from pathlib import Path

from tests.netns.places import put_tmpfs
from tests.support.lab import Lab

HOOKS = Path("/etc/libvirt/hooks")
FOLDER = HOOKS / "qemu.d"
HOOK = FOLDER / "50-vmnet"


def fresh_libvirt() -> None:
    """Let /etc/libvirt be as a libvirt that was just installed has it."""
    put_tmpfs("/etc/libvirt")
    HOOKS.mkdir(0o755)


def codes(lab: Lab) -> set[str]:
    """Return the codes of what `status` finds; its exit status has to fit them."""
    status = lab.vmnet("hook", "status", "--json", status=None)
    data = status.json
    assert data["well"] == (status.status == 0)
    assert data["well"] == (not any(each["certain"] for each in data["findings"]))
    return {each["code"] for each in data["findings"]}
