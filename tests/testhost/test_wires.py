"""Wires that are on no bridge, with real vhost-net: pings, and ten megabytes by TCP."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.commands import until
from tests.netns.ends import Place, echoed, place
from tests.support.guest import GUEST_IP, echoes, pings, started, told
from tests.support.lab import Lab


@pytest.fixture
def lan(lab: Lab) -> Iterator[Place]:
    """A neighbour behind eth1."""
    with place() as far:
        lab.sh(
            f"ip link set lo up; ip link add eth1 type veth peer name eth0 netns {far.pid};"
            "ip link set eth1 up; ip address add 10.99.0.1/24 dev eth1;"
            "sysctl -q -w net.ipv4.ip_forward=1"
        )
        far.sh("ip link set eth0 up; ip address add 10.99.0.2/24 dev eth0")
        yield far


def test_a_macvtap_on_vhost(lab: Lab, lan: Place, tmp_path: Path) -> None:
    done = lab.vmnet("attach", "vm1", "--direct", "eth1", "--require-vhost", "--json").json
    assert done["data_path"]["reason"] == "vhost-ok"
    node = f"/dev/tap{lab.link(done['tap'])['ifindex']}"
    assert any(f"3<>{node}" in note for note in done["notes"])
    console = tmp_path / "console"
    argv = told(console, "vmip0=10.99.0.11/24", accel="kvm") + done["qemu"]["args"]
    # As the note says: the shell opens the node.
    with started(["sh", "-c", f"exec {shlex.join(argv)} 3<>{node}"], console) as guest:
        guest.wait_ready(400)
        assert lan.pings(GUEST_IP)
        assert echoed(lan.argv(), GUEST_IP)
        (holder,) = lab.vmnet("who", done["tap"], "--json").json["holders"]
        assert (holder["pid"], holder["queues"], holder["vhost_fds"]) == (guest.pid, 1, 1)
        (worker,) = holder["workers"]
        assert worker["cpu_seconds"] > 0
        lab.vmnet("detach", "vm1", status=6)
        guest.kill()
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"eth1"}


def test_a_routed_tap_on_vhost(lab: Lab, lan: Place, tmp_path: Path) -> None:
    words = ("--routed", "--address", GUEST_IP, "--proxy", "eth1", "--require-vhost")
    done = lab.vmnet("attach", "vm1", *words, "--json").json
    assert done["data_path"]["reason"] == "vhost-ok"
    console = tmp_path / "console"
    argv = told(console, "vmip0=10.99.0.11/32", "vmgw0=169.254.1.1", accel="kvm")
    with started(argv + done["qemu"]["args"], console) as guest:
        guest.wait_ready(400)
        assert pings(GUEST_IP)
        assert lan.pings(GUEST_IP)
        assert echoes(GUEST_IP)
        assert echoed(lan.argv(), GUEST_IP)
        (holder,) = lab.vmnet("who", done["tap"], "--json").json["holders"]
        assert holder["vhost_fds"] == 1
        guest.kill()
    lab.vmnet("detach", "vm1")
    until(lambda: set(lab.links()) == {"eth1"})
