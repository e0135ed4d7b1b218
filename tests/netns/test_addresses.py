"""Addresses and sizes: the guest's MAC, silence in IPv6, MTU before the bridge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.netns import taps
from tests.netns.places import other_network, put_over
from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _mac_of(lab: Lab, vm: str) -> str:
    mac = lab.vmnet("attach", vm, "--dry-run", "--json").json["mac"]
    assert isinstance(mac, str)
    return mac


def test_the_guests_mac_is_local_unicast_and_stays(lab: Lab) -> None:
    mac = lab.vmnet("attach", "vm1", "--json").json["mac"]
    assert mac.startswith("52:")
    lab.vmnet("detach", "vm1")
    assert _mac_of(lab, "vm1") == mac


def test_the_guests_mac_is_the_same_in_every_network_namespace(lab: Lab) -> None:
    mac = _mac_of(lab, "vm1")
    with other_network():
        lab.vmnet("bridge", "create", "br0")
        assert _mac_of(lab, "vm1") == mac


def test_vms_and_nics_have_macs_of_their_own(lab: Lab) -> None:
    attached = [("vm1", "0"), ("vm1", "1"), ("vm2", "0"), ("vm11", "0"), ("vm1-1", "0")]
    macs = [lab.vmnet("attach", vm, "--nic", nic, "--json").json["mac"] for vm, nic in attached]
    assert len(set(macs)) == len(macs)


def test_another_host_gives_another_mac(lab: Lab, tmp_path: Path) -> None:
    mac = _mac_of(lab, "vm1")
    put_over("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", tmp_path)
    other = _mac_of(lab, "vm1")
    assert other != mac
    assert other.startswith("52:")


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0123\n", "g" * 32])
def test_without_a_machine_id_a_mac_has_to_be_given(lab: Lab, tmp_path: Path, text: str) -> None:
    put_over("/etc/machine-id", text, tmp_path)
    done = lab.vmnet("attach", "vm1", status=4)
    assert "/etc/machine-id has no machine id" in done.err
    assert "--mac" in done.err
    assert set(lab.links()) == {"br0"}
    name = lab.vmnet("attach", "vm1", "--mac", "52:54:00:00:00:01", "--json").json["tap"]
    assert lab.link(name)["address"] == "fe:54:00:00:00:01"
    # What is there is known by its tag: nothing is derived any more.
    lab.vmnet("attach", "vm1")
    lab.vmnet("detach", "vm1")
    lab.vmnet("bridge", "delete", "br0")
    assert lab.links() == {}


def test_gc_needs_no_machine_id(lab: Lab, tmp_path: Path) -> None:
    lab.sh("ip link add br9 type bridge")
    put_over("/etc/machine-id", "", tmp_path)
    lab.vmnet("gc")
    assert set(lab.links()) == {"br0", "br9"}


@pytest.mark.parametrize(
    "mac", ["01:00:5e:00:00:01", "00:00:00:00:00:00", "fe:54:00:00:00:01", "52:54:00", "x" * 300]
)
def test_a_mac_that_no_guest_may_have_is_refused(lab: Lab, mac: str) -> None:
    done = lab.vmnet("attach", "vm1", "--mac", mac, status=2)
    assert "MAC" in done.err
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == ["br0"]


def test_a_mac_of_another_nic_here_is_refused_and_its_nic_named(lab: Lab) -> None:
    mac = lab.vmnet("attach", "vm1", "--json").json["mac"]
    done = lab.vmnet("attach", "vm2", "--mac", mac.upper(), status=5)
    assert f"MAC {mac} is already used" in done.err
    assert "VM 'vm1', NIC 0" in done.err
    assert len(lab.links()) == 2


def test_a_mac_may_be_used_again_in_another_namespace(lab: Lab) -> None:
    lab.vmnet("attach", "vm1", "--mac", "52:54:00:00:00:01")
    with other_network():
        lab.vmnet("bridge", "create", "br0")
        lab.vmnet("attach", "vm2", "--mac", "52:54:00:00:00:01")


def test_the_host_says_nothing_in_ipv6_through_the_tap(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    lab.sh("ip tuntap add dev plain mode tap vnet_hdr; ip link set plain master br0 up")
    with taps.opened(name) as quiet, taps.opened("plain") as talking:
        # The other one shows that half a second is long enough to hear a host that talks.
        heard = taps.frames(talking, 0.5)
        also = taps.frames(quiet, 0.0)
    assert _ipv6(heard)
    assert _ipv6(also) == []
    assert lab.ip("address", "show", "dev", name)[0]["addr_info"] == []


def _ipv6(frames: list[bytes]) -> list[bytes]:
    virtio_header, addresses = 10, 12
    return [frame for frame in frames if frame[virtio_header + addresses :][:2] == b"\x86\xdd"]


def test_an_mtu_that_rises_to_what_ipv6_needs_wakes_no_ipv6(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--mtu", "1279", "--json").json["tap"]
    assert "inet6_addr_gen_mode" not in lab.link(name)
    lab.vmnet("attach", "vm1", "--mtu", "1280")
    assert lab.link(name)["inet6_addr_gen_mode"] == "none"
    with taps.opened(name) as fd:
        assert _ipv6(taps.frames(fd, 0.3)) == []
    lab.vmnet("bridge", "create", "br1", "--mtu", "1000")
    lab.vmnet("bridge", "create", "br1", "--mtu", "1500")
    assert lab.link("br1")["inet6_addr_gen_mode"] == "none"


def test_a_bridge_that_follows_its_ports_is_not_pulled_down(lab: Lab) -> None:
    lab.sh(
        "ip link add bra type bridge; ip link add p0 mtu 9000 type veth peer name p1;"
        "ip link set p0 master bra up; ip link set bra up"
    )
    assert lab.link("bra")["mtu"] == 9000
    name = lab.vmnet("attach", "vm1", "--bridge", "bra", "--json").json["tap"]
    assert lab.link(name)["mtu"] == 9000
    assert lab.link("bra")["mtu"] == 9000


def test_an_mtu_below_the_bridges_is_warned_about_where_it_would_shrink(lab: Lab) -> None:
    lab.sh("ip link add bra type bridge; ip link set bra up")
    assert "it shrinks" in lab.vmnet("attach", "vm1", "--bridge", "bra", "--mtu", "1400").err
    assert "it shrinks" not in lab.vmnet("attach", "vm2", "--bridge", "br0", "--mtu", "1400").err
    assert lab.link("bra")["mtu"] == 1400
    assert lab.link("br0")["mtu"] == 1500


@pytest.mark.parametrize("mtu", ["1501", "9000", "65521"])
def test_an_mtu_over_the_bridges_is_refused(lab: Lab, mtu: str) -> None:
    done = lab.vmnet("attach", "vm1", "--mtu", mtu, status=2)
    assert f"MTU {mtu} is larger than the 1500 of bridge 'br0'" in done.err
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("mtu", ["67", "65522", "0", "-1", "99999999999999999999"])
def test_an_mtu_that_no_tap_can_have_is_refused(lab: Lab, mtu: str) -> None:
    done = lab.vmnet("attach", "vm1", "--mtu", mtu, status=2)
    assert "68..65521" in done.err
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("mtu", ["68", "65521"])
def test_the_kernel_takes_the_least_and_the_largest_mtu(lab: Lab, mtu: str) -> None:
    lab.vmnet("bridge", "create", "brx", "--mtu", "65521")
    name = lab.vmnet("attach", "vm1", "--bridge", "brx", "--mtu", mtu, "--json").json["tap"]
    assert lab.link(name)["mtu"] == int(mtu)
