"""A real guest, emulated: it boots on what vmnet made, and pings."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.support.guest import (
    GUEST_IP,
    bridge_with_address,
    guest_argv,
    pings,
    started,
    vmnet_run,
)
from tests.support.lab import REPO, Lab


def test_run_gives_a_guest_that_pings_and_a_tap_that_goes_with_qemu(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    with started(vmnet_run("vm1", "bridge=br0") + guest_argv(console, GUEST_IP), console) as vm:
        nic = vm.wait_ready()["eth0"]
        assert nic["driver"] == "virtio_net"
        assert pings(GUEST_IP)
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert row["life"] == "process"
        assert [holder["pid"] for holder in row["holders"]] == [vm.pid]
        assert row["mac"] == nic["mac"]
        assert vm.kill() == -9
    assert list(lab.links()) == ["br0"]


def test_the_printed_arguments_start_a_guest_and_gc_before_it_does_no_harm(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    args = shlex.split(lab.vmnet("attach", "vm1", "--vhost").out)
    lab.vmnet("gc")
    with started(guest_argv(console, GUEST_IP) + args, console) as vm:
        vm.wait_ready()
        assert pings(GUEST_IP)
        refused = lab.vmnet("detach", "vm1", status=6)
        assert f"pid {vm.pid}" in refused.err
        lab.vmnet("bridge", "delete", "br0", status=5)
        assert lab.vmnet("attach", "vm1", "--json").json["steps"] == []
        assert pings(GUEST_IP)
        vm.kill()
    lab.vmnet("detach", "vm1")
    assert list(lab.links()) == ["br0"]


def test_an_emulated_nic_pings_and_says_that_it_is_emulated(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    argv = vmnet_run("vm1", "bridge=br0,model=e1000") + guest_argv(console, GUEST_IP)
    with started(argv, console) as vm:
        assert vm.wait_ready()["eth0"]["driver"] == "e1000"
        assert pings(GUEST_IP)
        vm.kill()
        _, err = vm.end()
    assert "data path: emulated (model-not-virtio" in err


def test_two_queues_and_the_mtu_reach_the_guest(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    argv = vmnet_run("vm1", "bridge=br0,queues=2,mtu=1400") + guest_argv(console, GUEST_IP, smp=2)
    with started(argv, console) as vm:
        nic = vm.wait_ready()["eth0"]
        assert nic["rxqueues"] == "2"
        assert nic["mtu"] == "1400"
        assert pings(GUEST_IP)
        (link,) = [link for name, link in lab.links().items() if name != "br0"]
        assert link["linkinfo"]["info_data"]["numqueues"] == 2
        assert link["mtu"] == 1400


def test_two_nics_on_two_bridges_as_an_ordinary_user(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab, "br0", "10.99.0.1")
    bridge_with_address(lab, "br1", "10.99.1.1")
    tmp_path.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    console = tmp_path / "console"
    console.touch()
    console.chmod(0o666)
    argv = vmnet_run("vm1", "bridge=br0", "bridge=br1", options=("--user", "nobody"))
    with started(argv + guest_argv(console, "10.99.0.11", "10.99.1.11"), console) as vm:
        vm.wait_ready()
        assert pings("10.99.0.11")
        assert pings("10.99.1.11")
        status = Path(f"/proc/{vm.pid}/status").read_text()
        words = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert words["Uid"].split() == ["65534"] * 4
        assert {int(words[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


@pytest.mark.parametrize("known_by", ["environment", "default"])
def test_a_qemu_that_somebody_else_starts_is_plugged_in_by_its_scripts(
    lab: Lab, tmp_path: Path, known_by: str
) -> None:
    bridge_with_address(lab, "br7" if known_by == "environment" else "br0")
    env = {"VMNET_BRIDGE": "br7", "VMNET_VM": "web"} if known_by == "environment" else {}
    console = tmp_path / "console"
    hooks = REPO / "hooks"
    netdev = f"tap,id=n0,ifname=tapx,script={hooks}/qemu-ifup,downscript={hooks}/qemu-ifdown"
    argv = guest_argv(console, GUEST_IP)
    argv += ["-netdev", netdev, "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:99:00:11"]
    with started(argv, console, env) as vm:
        vm.wait_ready()
        assert pings(GUEST_IP)
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert (row["own"], row["tap"]) == ("managed", "tapx")
        assert row["vm"] == ("web" if env else "tapx")
        vm.kill(15)
    assert "tapx" not in lab.links()
