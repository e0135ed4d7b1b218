"""`vmnet status` of libvirt's domains: what `vmnet sync` would do is its drift."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.libvirt.wished import By, ready, tap, wished
from tests.support.libvirtd import Host


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _status(host: Host, *words: str, status: int = 0) -> list[dict[str, Any]]:
    done = host.vmnet("status", "vm1", "--sample", "0", "--json", *words, status=status)
    nics: list[dict[str, Any]] = json.loads(done.out)["nics"]
    return nics


def test_a_port_that_went_astray_is_shown_and_repaired(host: Host) -> None:
    host.boot(wished(host, kinds=(By.VMNET,)))
    (nic,) = _status(host)
    assert (nic["tap"], nic["place"], nic["troubles"]) == (tap(1), "bridge br0", [])
    assert nic["asked"]["source"] == "libvirt"
    assert nic["asked"]["command_line"]["model"].startswith("virtio-net")
    (holder,) = nic["holders"]
    assert holder["queues"] == nic["queues"]["open"]
    host.sh(f"ip link set {tap(1)} nomaster")
    (nic,) = _status(host, status=11)
    assert [trouble["code"] for trouble in nic["troubles"]] == ["drift"]
    assert nic["drift"]["steps"] != []
    _status(host, "--repair")
    assert host.links()[tap(1)]["master"] == "br0"
    assert _status(host)[0]["troubles"] == []
