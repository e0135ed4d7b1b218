"""A real guest that gets a NIC while it runs, and lets go of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.netns.ends import place
from tests.support.guest import GUEST_IP, bridge_with_address, guest_argv, pings, started
from tests.support.lab import Lab
from tests.support.monitor import killing, monitor_argv, wait_listening

PORT = ["-device", "pcie-root-port,id=rp0,slot=1"]


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_nic_comes_and_goes_and_comes_again(lab: Lab, tmp_path: Path, machine: str) -> None:
    bridge_with_address(lab)
    console, socket = tmp_path / "console", tmp_path / "q"
    argv = guest_argv(console, GUEST_IP, smp=2)
    argv[argv.index("pc")] = machine
    argv += [*monitor_argv(socket), *(PORT if machine == "q35" else [])]
    words = ["vm1", "--qmp", str(socket), "--json"]
    with started(argv, console) as vm:
        wait_listening(vm, socket)
        vm.wait_ready()
        for _ in range(2):
            done = lab.vmnet("attach", *words, "--queues", "2", "--mtu", "1400").json
            assert done["plugged"]["bus"] == ("rp0" if machine == "q35" else None)
            assert pings(GUEST_IP)
            assert lab.vmnet("attach", *words, "--queues", "2", "--mtu", "1400").json["steps"] == []
            lab.vmnet("detach", *words)
            assert list(lab.links()) == ["br0"]
            assert lab.vmnet("detach", *words).json["links"] == []
        assert vm.console().count("rxqueues=2 driver=virtio_net") == 2, vm.console()
        assert vm.console().count("mtu=1400") == 2


def test_a_detach_killed_while_the_guest_lets_go_is_finished_by_the_next(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    console, socket = tmp_path / "console", tmp_path / "q"
    words = ["vm1", "--qmp", str(socket), "--json"]
    with started([*guest_argv(console, GUEST_IP), *monitor_argv(socket)], console) as vm:
        wait_listening(vm, socket)
        vm.wait_ready()
        lab.vmnet("attach", *words)
        assert pings(GUEST_IP)
        with pytest.MonkeyPatch.context() as patch:
            killing(patch, "sent", 1)
            assert lab.vmnet("detach", *words, status=None).status == -9
        lab.vmnet("detach", *words)
        assert list(lab.links()) == ["br0"]
        lab.vmnet("attach", *words)
        assert pings(GUEST_IP)


def test_a_macvtap_is_plugged_in_and_goes_with_the_device(lab: Lab, tmp_path: Path) -> None:
    console, socket = tmp_path / "console", tmp_path / "q"
    words = ["vm1", "--qmp", str(socket), "--json"]
    with place() as lan:
        lab.sh(f"ip link add eth1 type veth peer name eth0 netns {lan.pid}; ip link set eth1 up")
        lan.sh("ip link set eth0 up; ip address add 10.99.0.2/24 dev eth0")
        argv = [*guest_argv(console, GUEST_IP), *monitor_argv(socket)]
        with started(argv, console) as vm:
            wait_listening(vm, socket)
            vm.wait_ready()
            for _ in range(2):
                lab.vmnet("attach", *words, "--direct", "eth1")
                vm.wait_for(lambda: lan.pings(GUEST_IP, count=1))
                assert lab.vmnet("attach", *words).json["steps"] == []
                lab.vmnet("detach", *words)
                assert set(lab.links()) == {"eth1"}
