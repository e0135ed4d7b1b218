"""What a guest's packets go over: each kind answers pings and moves ten megabytes by TCP."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.commands import until
from tests.netns.ends import echoed, place
from tests.netns.places import put_tmpfs
from tests.support.dpdk import serving
from tests.support.guest import (
    GUEST_IP,
    HOST_IP,
    echoes,
    guest_argv,
    pings,
    shared_memory,
    started,
    told,
    vmnet_run,
)
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


def test_a_routed_guest_is_reached_through_this_host(lab: Lab, tmp_path: Path) -> None:
    """And by a neighbour that takes it for one on its own network, for the host answers for it."""
    console = tmp_path / "console"
    words = ("vmip0=10.99.0.11/32", "vmgw0=169.254.1.1", "vmip60=fd00:99::11/128", "vmgw60=fe80::1")
    with place() as lan:
        lab.sh(
            f"ip link set lo up; ip link add eth1 type veth peer name eth0 netns {lan.pid};"
            "ip link set eth1 up; ip address add 10.99.0.1/24 dev eth1;"
            "ip address add fd00:99::1/64 dev eth1 nodad;"
            "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
            " net.ipv6.conf.eth1.proxy_ndp=1"
        )
        lan.sh("ip link set eth0 up; ip address add 10.99.0.2/24 dev eth0;"
               "ip address add fd00:99::2/64 dev eth0 nodad")  # fmt: skip
        spec = "routed=on,address=10.99.0.11+fd00:99::11,proxy=eth1"
        with started(vmnet_run("vm1", spec) + told(console, *words), console) as guest:
            guest.wait_ready()
            assert pings(GUEST_IP)
            assert echoes(GUEST_IP)
            for address in (GUEST_IP, "fd00:99::11"):
                assert lan.pings(address)
                assert echoed(lan.argv(), address)
            guest.kill()
        until(lambda: set(lab.links()) == {"eth1"})
        until(lambda: lab.sh("ip neighbour show proxy; ip -6 neighbour show proxy").out == "")


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """A folder in which anybody may write: pytest's own are its user's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def test_a_guest_of_user_mode_goes_out_and_is_reached_by_its_forwarded_port(
    lab: Lab, everybodys: Path
) -> None:
    """By a vmnet without any privilege: all it needs is passt."""
    console = everybodys / "console"
    words = ("vmip0=10.99.0.11/24", "vmgw0=10.99.0.1", "vmping=10.98.0.2:3")
    with place() as beyond:
        lab.sh(
            f"ip link set lo up; ip link add eth1 type veth peer name eth0 netns {beyond.pid};"
            "ip link set eth1 up; ip address add 10.99.0.11/24 dev eth1;"
            "ip route add default via 10.99.0.1;"
            "sysctl -q -w net.ipv4.ping_group_range='0 65535'"
        )
        beyond.sh("ip link set eth0 up; ip address add 10.99.0.1/24 dev eth0;"
                  "ip address add 10.98.0.2/32 dev lo")  # fmt: skip
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        run = vmnet_run("vm1", "user=on,forward=7007:7")
        argv = [*nobody, "--inh-caps=-all", *run, *told(console, *words)]
        with started(argv, console) as guest:
            facts = guest.wait_ready()
            assert facts["eth0"]["mtu"] == "65520"
            guest.wait_for(lambda: "ping=10.98.0.2" in guest.console(), 20)
            assert "3 packets received" in guest.console()
            assert echoed([], "127.0.0.1", 7007)
            guest.kill()
        assert set(lab.links()) == {"eth1"}


@pytest.mark.parametrize("maker", ["program", "qemu"])
def test_a_guest_whose_rings_another_program_serves(lab: Lab, tmp_path: Path, maker: str) -> None:
    console, socket = tmp_path / "console", tmp_path / "vm1.sock"
    lab.sh("ip link set lo up")
    nic = f"vhost-user={socket},server={'on' if maker == 'qemu' else 'off'}"
    argv = vmnet_run("vm1", nic) + guest_argv(console, GUEST_IP) + shared_memory()
    argv += ["-global", "virtio-net-pci.vectors=0"]  # with MSI-X an emulating QEMU 7.2 ends there
    with serving(socket, "served0", client=maker == "qemu"):
        until(lambda: "served0" in lab.links())
        lab.sh(f"ip address add {HOST_IP}/24 dev served0; ip link set served0 up")
        if maker == "program":
            until(socket.exists)
        with started(argv, console) as guest:
            guest.wait_ready()
            assert pings(GUEST_IP)
            assert echoes(GUEST_IP)
            guest.kill()
    until(lambda: lab.links() == {})


@pytest.mark.parametrize("queues", [1, 2])
def test_a_guest_straight_on_a_nic_meets_the_network_behind_it(
    lab: Lab, tmp_path: Path, queues: int
) -> None:
    console = tmp_path / "console"
    words = ("vmip0=10.99.0.11/24", "vmip60=fd00:99::11/64")
    with place() as lan:
        lab.sh(
            f"ip link set lo up; ip link add eth1 type veth peer name eth0 netns {lan.pid};"
            "ip link set eth1 up; ip address add 10.99.0.1/24 dev eth1"
        )
        lan.sh("ip link set eth0 up; ip address add 10.99.0.2/24 dev eth0;"
               "ip address add fd00:99::2/64 dev eth0 nodad")  # fmt: skip
        run = vmnet_run("vm1", f"direct=eth1,queues={queues}")
        with started(run + told(console, *words, smp=queues), console) as guest:
            facts = guest.wait_ready()
            assert facts["eth0"]["rxqueues"] == str(queues)
            for address in (GUEST_IP, "fd00:99::11"):
                assert lan.pings(address)
                assert echoed(lan.argv(), address)
            # What vmnet told: the host itself does not meet it.
            assert not pings(GUEST_IP, tries=2)
            guest.kill()
        until(lambda: set(lab.links()) == {"eth1"})
