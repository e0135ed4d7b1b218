"""What a guest's packets go over: each kind answers pings and moves ten megabytes by TCP."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.commands import until
from tests.netns.places import put_tmpfs
from tests.support.guest import GUEST_IP, HOST_IP, echoes, guest_argv, pings, started, vmnet_run
from tests.support.lab import Lab
from tests.support.ovs import Switch, switch


@pytest.fixture
def ovs(lab: Lab) -> Iterator[Switch]:
    """A switch whose bridge has this namespace's address."""
    put_tmpfs("/run")
    with switch() as running:
        running.bridge("ovs0")
        lab.sh(f"ip address add {HOST_IP}/24 dev ovs0; ip link set lo up")
        yield running


def test_tcp_works_through_a_datapath_that_finishes_no_checksums(
    lab: Lab, ovs: Switch, tmp_path: Path
) -> None:
    """Without the arguments that vmnet prints a guest pings there, and does no more."""
    args = shlex.split(lab.vmnet("attach", "vm1", "--bridge", "ovs0").out)
    console = tmp_path / "console"
    with started(guest_argv(console, GUEST_IP) + args, console) as guest:
        guest.wait_ready()
        assert pings(GUEST_IP)
        assert echoes(GUEST_IP)
        assert lab.vmnet("attach", "vm1", "--json").json["steps"] == []
        lab.vmnet("detach", "vm1", status=6)
        ovs.kill_daemon()
        ovs.start_daemon()
        lab.vmnet("attach", "vm1")
        assert pings(GUEST_IP)
    lab.vmnet("detach", "vm1")
    assert ovs.ports("ovs0") == []


@pytest.mark.parametrize("model", ["virtio-net-pci", "e1000"])
def test_so_it_does_for_a_qemu_that_inherits_its_queues(
    lab: Lab, ovs: Switch, tmp_path: Path, model: str
) -> None:
    console = tmp_path / "console"
    words = vmnet_run("vm1", f"bridge=ovs0,model={model}") + guest_argv(console, GUEST_IP)
    with started(words, console) as guest:
        guest.wait_ready()
        assert pings(GUEST_IP)
        assert echoes(GUEST_IP)
        guest.kill()
    until(lambda: ovs.ports("ovs0") == [])
    assert set(lab.links()) == {"ovs-netdev", "ovs0"}
