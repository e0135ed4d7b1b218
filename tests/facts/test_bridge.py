"""Linux bridges: whose ports, whose address, whose MTU (net/bridge)."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

import pytest

from tests.facts import links, tun
from tests.facts.links import IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_MTU, attr
from tests.facts.processes import refused, wait_for

# linux/sockios.h, linux/veth.h
SIOCBRADDIF = 0x89A2
IFLA_INFO_DATA = 2
VETH_INFO_PEER = 1

LOW, HIGH = "02:00:00:00:00:01", "fe:00:00:00:00:01"


def make_bridge(name: str, *attrs: bytes) -> None:
    links.do(links.new_link(name, "bridge", *attrs))


def make_tap(name: str, mac: str = HIGH, mtu: int = 1500) -> None:
    tun.keep(name)
    links.do(links.set_link(name, address(mac), attr(IFLA_MTU, mtu)))


def address(mac: str) -> bytes:
    return attr(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def plug(port: str, bridge: str | None) -> None:
    links.do(links.set_link(port, attr(IFLA_MASTER, links.index(bridge) if bridge else 0)))


def mac(link: str) -> str:
    return str(links.show(link)["address"])


def mtu(link: str) -> int:
    return int(links.show(link)["mtu"])


def test_fresh_bridge_has_stp_off_snooping_on_and_no_querier() -> None:
    """`CreateBridge` sets no option: a port forwards at once."""
    make_bridge("br0")
    data = links.show("br0")["linkinfo"]["info_data"]
    assert (data["stp_state"], data["mcast_snooping"], data["mcast_querier"]) == (0, 1, 0)
    assert data["vlan_filtering"] == 0


def test_fresh_bridge_is_down() -> None:
    """`is_leftover`: a bridge whose making was cut short is not up."""
    make_bridge("br0")
    assert "UP" not in links.show("br0")["flags"]


def test_port_of_an_up_bridge_forwards_as_soon_as_a_process_holds_it() -> None:
    """A kept TAP waits as a disabled port and needs nobody when QEMU comes.

    The bridge hears of the carrier by linkwatch, up to a second after netlink shows it.
    """
    make_bridge("br0")
    make_tap("t0")
    plug("t0", "br0")
    links.do(links.set_link("br0", up=True), links.set_link("t0", up=True))
    _wait_for_state("t0", "disabled")
    with tun.tap("t0"):
        _wait_for_state("t0", "forwarding")
    _wait_for_state("t0", "disabled")


def _wait_for_state(port: str, state: str) -> None:
    wait_for(lambda: links.port(port)["state"] == state)


def test_master_moves_a_port_to_another_bridge_without_a_word() -> None:
    """`stolen`: vmnet refuses by itself what the kernel would do."""
    make_bridge("br0")
    make_bridge("br1")
    make_tap("t0")
    plug("t0", "br0")
    plug("t0", "br1")
    assert links.show("t0")["master"] == "br1"


def test_old_ioctl_for_a_port_of_another_bridge_is_ebusy() -> None:
    """So plug brctl and libvirt: they do not take a TAP from vmnet's bridge."""
    make_bridge("br0")
    make_bridge("br1")
    make_tap("t0")
    plug("t0", "br0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, refused(errno.EBUSY):
        fcntl.ioctl(sock, SIOCBRADDIF, struct.pack("16si20x", b"br1", links.index("t0")))


def test_plugging_in_where_it_is_already_changes_nothing() -> None:
    """`SetMaster` twice is a success."""
    make_bridge("br0")
    make_tap("t0")
    plug("t0", "br0")
    before = links.port("t0")
    plug("t0", "br0")
    assert links.port("t0") == before


def test_bridge_in_a_bridge_is_eloop() -> None:
    """`SetMaster` of what is no TAP."""
    make_bridge("br0")
    make_bridge("br1")
    with refused(errno.ELOOP):
        plug("br1", "br0")


def test_1024th_port_is_exfull() -> None:
    """The message for a full bridge: EXFULL says little by itself."""
    make_bridge("br0")
    master = attr(IFLA_MASTER, links.index("br0"))
    # A veth is the cheapest port; 64 fit a message well.
    for start in range(1, 1024, 64):
        links.do(*(_veth(number, master) for number in range(start, min(start + 64, 1024))))
    make_tap("t0")
    with refused(errno.EXFULL):
        links.do(links.set_link("t0", master))


def _veth(number: int, master: bytes) -> bytes:
    peer = links.nest(VETH_INFO_PEER, bytes(16) + attr(IFLA_IFNAME, f"b{number}"))
    info = links.nest(
        links.IFLA_LINKINFO,
        attr(links.IFLA_INFO_KIND, "veth"),
        links.nest(IFLA_INFO_DATA, peer),
    )
    flags = links.NLM_F_CREATE | links.NLM_F_EXCL
    return links.request(
        links.RTM_NEWLINK, attr(IFLA_IFNAME, f"a{number}"), info, master, flags=flags
    )


def test_address_of_an_unpinned_bridge_follows_its_lowest_port() -> None:
    """`tap_mac` begins with fe: a TAP never is the lowest beside an uplink.

    In a bridge of TAPs only it is, and the address changes with every VM; an empty one has none.
    """
    make_bridge("br0")
    make_tap("high", HIGH)
    make_tap("low", LOW)
    seen = []
    for port, bridge in (("high", "br0"), ("low", "br0"), ("low", None), ("high", None)):
        plug(port, bridge)
        seen.append(mac("br0"))
    assert seen == [HIGH, LOW, HIGH, "00:00:00:00:00:00"]


@pytest.mark.parametrize("when", ["in the message that made it", "later, even to what it was"])
def test_address_that_was_set_stays(when: str) -> None:
    """`CreateBridge` gives one in its only message, so vmnet's bridges are pinned."""
    if when.startswith("in"):
        make_bridge("br0", address("06:00:00:00:00:01"))
    else:
        make_bridge("br0")
        links.do(links.set_link("br0", address(mac("br0"))))
    before = mac("br0")
    make_tap("low", LOW)
    plug("low", "br0")
    plug("low", None)
    assert mac("br0") == before


def test_mtu_of_a_bridge_that_was_never_set_is_its_smallest_port_s() -> None:
    """`_check_mtu` and `_notes`; `SetMtu` comes before `SetMaster`."""
    make_bridge("br0")
    make_tap("big", mtu=9000)
    make_tap("small", mtu=1400)
    seen = []
    for port, bridge in (("big", "br0"), ("small", "br0"), ("small", None), ("big", None)):
        plug(port, bridge)
        seen.append(mtu("br0"))
    assert seen == [9000, 1400, 9000, 1500]


def test_mtu_of_a_bridge_that_was_never_set_follows_a_port_s_change() -> None:
    """`attach` that lowers the MTU of a plugged TAP lowers it for all."""
    make_bridge("br0")
    make_tap("t0", mtu=9000)
    plug("t0", "br0")
    links.do(links.set_link("t0", attr(IFLA_MTU, 1300)))
    assert mtu("br0") == 1300


def test_mtu_that_was_set_stays_whatever_the_ports_have() -> None:
    """`_notes`: on such a bridge a smaller port loses long packets instead."""
    make_bridge("br0")
    links.do(links.set_link("br0", attr(IFLA_MTU, 9000)))
    make_tap("t0", mtu=1400)
    plug("t0", "br0")
    assert mtu("br0") == 9000


def test_mtu_in_the_message_that_made_the_bridge_does_not_count_as_set() -> None:
    """`CreateBridge` has no MTU: it would be lost with the first port."""
    make_bridge("br0", attr(IFLA_MTU, 9000))
    assert mtu("br0") == 9000
    make_tap("t0")
    plug("t0", "br0")
    assert mtu("br0") == 1500


def test_mtu_set_to_what_it_is_does_not_count_as_set() -> None:
    """`SetMtu` to 1500 pins nothing on a fresh bridge: it takes the detour below."""
    make_bridge("br0")
    links.do(links.set_link("br0", attr(IFLA_MTU, 1500)))
    make_tap("t0", mtu=1400)
    plug("t0", "br0")
    assert mtu("br0") == 1400


def test_mtu_set_away_and_back_counts_as_set() -> None:
    """How a bridge is pinned to 1500."""
    make_bridge("br0")
    links.do(links.set_link("br0", attr(IFLA_MTU, 1499)))
    links.do(links.set_link("br0", attr(IFLA_MTU, 1500)))
    make_tap("t0", mtu=1400)
    plug("t0", "br0")
    assert mtu("br0") == 1500


def test_deleted_bridge_leaves_its_ports_without_master_and_up() -> None:
    """`DeleteLink` with `--force`, and what a restart of the network does to a running VM."""
    make_bridge("br0")
    make_tap("t0")
    plug("t0", "br0")
    links.do(links.set_link("t0", up=True))
    links.do(links.request(links.RTM_DELLINK, index=links.index("br0")))
    shown = links.show("t0")
    assert "master" not in shown
    assert "UP" in shown["flags"]
