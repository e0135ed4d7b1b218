"""What the private libvirtd promises to the tests that use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.domains import address, bridge_nic, mac, network_nic, network_xml
from tests.support.lab import checked
from tests.support.libvirtd import Host, timed
from tests.support.place import wait_for

pytestmark = pytest.mark.long


def test_a_host_starts_at_once_and_leaves_nothing() -> None:
    with timed("a host with libvirtd"), Host() as host:
        host.virsh("list")
        folder = host.folder
        assert folder.exists()
    assert not folder.exists()


def test_a_host_sees_nothing_of_the_machines_and_the_machine_nothing_of_it(host: Host) -> None:
    assert set(host.links()) == {"br0"}
    assert "br0" not in checked(["ip", "-o", "link", "show"]).out
    host.config('[network.lan]\nbridge = "br0"\n')
    assert "lan" in host.vmnet("config", "check").out
    assert host.cold("config", "check").out == host.vmnet("config", "check").out
    host.sh("touch /run/vmnet-was-here /etc/vmnet/was-here /etc/libvirt/was-here")
    for path in ("/run/vmnet-was-here", "/etc/vmnet/was-here", "/etc/libvirt/was-here"):
        assert not Path(path).exists()
    # The rest of /etc is the machine's: nobody there may change it.
    assert host.run("touch", "/etc/passwd", status=None).status != 0


def test_what_a_guest_leaves_is_seen(host: Host) -> None:
    wait_for(lambda: host.leftovers() == [])  # what libvirtd asked at its start has ended
    host.sh("ip tuntap add dev tap7 mode tap; mkdir /run/vmnet; touch /run/vmnet/7")
    host.sh("sleep 60 >/dev/null 2>&1 &")
    left = host.leftovers()
    assert [line.split()[0] for line in left] == ["link", "file", "process"]
    assert left[0] == "link tap7"
    assert left[1].endswith("/run/vmnet/7")
    assert left[2].endswith("sleep 60")


def test_a_guest_on_a_bridge_of_libvirts_pings(host: Host) -> None:
    host.virsh("net-create", str(host.file("net.xml", network_xml("lan", "br0"))))
    nics = (bridge_nic(mac(1)), network_nic(mac(1, 1), "lan"))
    ips = (address(1), address(1, 1))
    with timed("start and boot"):
        seen = host.boot(host.domain("vm1", *nics, addresses=ips))
    assert [nic["mac"] for nic in seen.values()] == [mac(1), mac(1, 1)]
    assert {nic["driver"] for nic in seen.values()} == {"virtio_net"}
    host.sh("ip address add 10.99.1.1/24 dev br0")
    assert host.ping(address(1))
    assert host.ping(address(1, 1))
    assert host.ports("br0") == ["vnet0", "vnet1"]
    host.virsh("destroy", "vm1")
    assert host.leftovers() == []


def test_lost_and_late_pings_are_counted(host: Host) -> None:
    host.boot(host.domain("vm1", bridge_nic(mac(1)), addresses=(address(1),)))
    with host.pinging(address(1)) as pings:
        host.sh("sleep 0.3; ip link set vnet0 down; sleep 0.4; ip link set vnet0 up; sleep 0.3")
        found = pings()
    assert found.sent > 80
    # Many wait for the guest's address to be found again: late, but not lost.
    assert len(found.lost) + len(found.late) > 25
    assert 0.3 < found.gap < 2
