"""The host after a reboot: as its configuration wishes, on a kernel that starts from nothing."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.support.lab import REPO, checked

_CONFIG = """
default = "lan"
[bridge.br0]
vlan-filtering = true
uplinks = ["eth1"]
[network.lan]
bridge = "br0"
vlan = 10
rate-in = "50mbit"
rate-out = "100mbit"
[[vm.web]]
address = "10.9.0.5"
[[vm.web]]
isolated = true
[[vm.db]]
queues = 2
"""
_PARTS = ["bridge br0", "uplink eth1 of bridge br0", "vm web nic 0", "vm web nic 1", "vm db nic 0"]


def _boot() -> Any:
    """Boot the test host, and return what it found."""
    command = [sys.executable, "-m", "tests.guest.boot", _CONFIG]
    return checked([str(REPO / "tests" / "lab" / "testhost.sh"), *command], timeout=300).json


@pytest.mark.long
@pytest.mark.timeout(700)  # it boots two emulated hosts
def test_after_a_reboot_all_is_as_it_was_and_nothing_is_doubled() -> None:
    before, after = _boot(), _boot()
    assert before["first"] == after["first"] == _PARTS
    assert before["again"] == after["again"] == []
    assert before["after"] == before["host"]
    assert after["after"] == after["host"]
    assert after["host"] == before["host"]
    taps = [link for name, link in after["host"]["links"].items() if name.startswith("vmn")]
    assert len(taps) == 3
    assert all("10" in tap["vlans"] and "1" not in tap["vlans"] for tap in taps)
    assert any(
        line.startswith("default via 10.9.0.254 dev br0") for line in after["host"]["routes"]
    )
