"""Open vSwitch with its datapath in the kernel: vhost-net and KVM on it, and a missing datapath."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.netns.commands import until
from tests.support.guest import GUEST_IP, HOST_IP, echoes, guest_argv, pings, started
from tests.support.lab import Lab
from tests.support.ovs import Switch, switch
from tests.testhost.test_vhost import _running, _workers_move_with_packets

_LOADER = Path("/proc/sys/kernel/modprobe")


@pytest.fixture
def ovs(lab: Lab) -> Iterator[Switch]:
    """A switch whose bridge, in the kernel's datapath, has this namespace's address."""
    lab.sh("modprobe openvswitch")
    with switch() as running:
        running.bridge("ovs0", "system")
        lab.sh(f"ip address add {HOST_IP}/24 dev ovs0; ip link set lo up")
        yield running


@contextmanager
def _without_the_module(lab: Lab) -> Iterator[None]:
    """Let the kernel find no module for who asks for the datapath."""
    lab.sh("modprobe -r openvswitch")
    loader = _LOADER.read_text()
    _LOADER.write_text("/bin/false\n")
    try:
        yield
    finally:
        _LOADER.write_text(loader)


def test_a_bridge_whose_datapath_is_missing_is_an_error_and_nothing_is_made(lab: Lab) -> None:
    """`ovs-vsctl add-br` reports success for it."""
    with _without_the_module(lab), switch() as ovs:
        ovs.vsctl("add-br", "ovs0")
        assert ovs.vsctl("list-br").split() == ["ovs0"]
        for words in (["attach", "vm1", "--bridge", "ovs0"], ["plan", "vm1", "--bridge", "ovs0"]):
            failed = json.loads(lab.vmnet(*words, "--json", status=8).err)["error"]
            assert failed["code"] == "ovs-no-datapath"
            assert "modprobe openvswitch" in failed["remedy"]
        assert ovs.ports("ovs0") == []
        assert lab.links() == {}


def test_two_queues_on_vhost_move_ten_megabytes_through_the_kernels_datapath(
    lab: Lab, ovs: Switch, tmp_path: Path
) -> None:
    words = ("attach", "vm1", "--bridge", "ovs0", "--json")
    done = lab.vmnet(*words, "--require-vhost", "--queues", "2").json
    assert done["data_path"]["reason"] == "vhost-ok"
    # This datapath finishes checksums, so that a guest may leave them to it.
    assert "vnet_hdr=off" not in done["qemu"]["netdev"]
    console = tmp_path / "console"
    argv = guest_argv(console, GUEST_IP, accel="kvm", smp=2) + done["qemu"]["args"]
    with started(argv, console) as guest:
        assert guest.wait_ready(400)["eth0"]["rxqueues"] == "2"
        assert pings(GUEST_IP)
        _workers_move_with_packets(lab, done["tap"], guest.pid, 2)
        assert echoes(GUEST_IP)
        assert lab.vmnet(*words).json["steps"] == []
        lab.vmnet("detach", "vm1", status=6)
        assert ovs.ports("ovs0") == [done["tap"]]
    lab.vmnet("detach", "vm1")
    _nothing_left(lab, ovs)


def test_so_does_a_guest_that_inherits_its_descriptors_in_a_vlan(
    lab: Lab, ovs: Switch, tmp_path: Path
) -> None:
    ovs.vsctl("set", "port", "ovs0", "tag=10")
    nic = "bridge=ovs0,vhost=require,vlan=10,rate-in=1gbit"
    console = tmp_path / "console"
    argv = guest_argv(console, GUEST_IP, accel="kvm")
    with _running(lab, console, "run", "vm1", "--nic", nic, "--", *argv) as guest:
        guest.wait_ready(400)
        assert pings(GUEST_IP)
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert [holder["vhost_fds"] for holder in row["holders"]] == [1]
        assert echoes(GUEST_IP)
        port = ovs.row("port", row["tap"])
        assert (port["tag"], port["vlan_mode"]) == (10, "access")
        ovs.vsctl("set", "port", "ovs0", "tag=11")
        assert not pings(GUEST_IP, tries=1)
    until(lambda: ovs.ports("ovs0") == [], 200)
    _nothing_left(lab, ovs)


def _nothing_left(lab: Lab, ovs: Switch) -> None:
    assert ovs.ports("ovs0") == []
    assert ovs.vsctl("list", "qos") == ""
    assert set(lab.links()) == {"ovs-system", "ovs0"}
