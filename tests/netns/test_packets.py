"""What a guest may send: each kind of frame, good and bad, and what of it comes out."""

from __future__ import annotations

import json

import pytest

from tests.netns.frames import (
    ARP,
    BROADCAST,
    ICMP6,
    IP,
    QINQ,
    UDP,
    arp,
    ether,
    ipv4,
    llc,
    redirect,
    router_advert,
    snap,
    tag,
    udp,
)
from tests.netns.traffic import (
    ALIEN4,
    ALIEN6,
    GOOD,
    LISTED,
    LOCAL,
    MAC,
    OTHER,
    OWN4,
    OWN6,
    alien,
    guest,
    hidden,
    judge,
    nd,
    own,
    second,
    v4,
    v6,
)
from tests.netns.wire import (
    FAR_MAC,
    End,
    attach,
    bare_bridges,
    end,
    far_frame,
    passed,
    uplink,
)
from tests.support.lab import Lab

DATA = ipv4(OWN4, udp(4000, 4001))


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    bare_bridges()
    lab.vmnet("bridge", "create", "br0")


def _impostors(lab: Lab) -> dict[str, bytes]:
    """Return good packets from MACs that are not the guest's."""
    br0 = lab.link("br0")["address"]
    sources = {"another": OTHER, "multicast": "01:00:5e:00:00:01", "zero": "00:00:00:00:00:00"}
    sources |= {"the bridge's": br0, "the TAP's": "fe:54:00:00:00:01"}
    return {f"from {name} MAC": ether(mac, IP, DATA) for name, mac in sources.items()}


def test_a_guarded_guest_sends_as_itself_and_as_nobody_else(lab: Lab) -> None:
    with guest(lab) as ends:
        arp_bad = ether(MAC, ARP, arp(OTHER, OWN4, "10.0.0.1"))
        judge(ends, own() | {"any IPv4": v4(ALIEN4)}, _impostors(lab) | {"ARP": arp_bad})
        assert ends[0].arrived() == []


def test_without_a_guard_all_of_it_passes(lab: Lab) -> None:
    bad = _impostors(lab)
    with guest(lab, "--no-guard") as ends:
        # What no bridge ever forwards: it is from a group, from nobody, or from the bridge itself.
        never = {f"from {name} MAC" for name in ("multicast", "zero", "the bridge's", "the TAP's")}
        good = {name: frame for name, frame in bad.items() if name not in never}
        judge(ends, own() | alien() | good, {})
    assert lab.sh("nft list ruleset").out == ""


def test_without_any_filter_the_bridge_itself_still_knows_the_guest(lab: Lab) -> None:
    with guest(lab) as ends:
        lab.sh("nft flush ruleset")
        assert passed(*ends, _impostors(lab) | {"good": v4(OWN4)}, GOOD) == {"good"}
        judge(ends, own(), _impostors(lab))


def test_where_the_bridge_does_not_look_the_filter_does(lab: Lab) -> None:
    # So it is before Linux 5.18, which has no `locked`.
    with guest(lab) as ends:
        lab.sh(f"ip link set {ends[0].name} type bridge_slave locked off")
        judge(ends, own(), _impostors(lab))


def test_control_frames_are_dropped_and_no_others(lab: Lab) -> None:
    bpdu = b"\x42\x42\x03" + bytes(35)
    with guest(lab) as ends:
        good = {
            "LLC": llc(MAC, bpdu),
            "AppleTalk": llc(MAC, b"\xaa\xaa\x03\x08\0\x07\x80\x9b" + bytes(40)),
        }
        bad = {
            "BPDU": llc(MAC, bpdu, "01:80:c2:00:00:00"),
            "LACP": ether(MAC, 0x8809, bytes(46), "01:80:c2:00:00:02"),
            "802.1X": ether(MAC, 0x888E, bytes(46), "01:80:c2:00:00:03"),
            "LLDP": ether(MAC, 0x88CC, bytes(46), "01:80:c2:00:00:0e"),
            "PVST": llc(MAC, b"\xaa\xaa\x03\0\0\x0c\x01\x0b" + bytes(40), "01:00:0c:cc:cc:cd"),
        }
        judge(ends, good, bad)


def test_a_guest_says_nothing_to_a_spanning_tree(lab: Lab) -> None:
    lab.sh("ip link set br0 type bridge stp_state 1")
    # It would be the root: the best of all priorities.
    bpdu = bytes.fromhex("424203 0000 00 00 00 0000525400000001 00000000 0000525400000001 8001")
    bpdu += bytes.fromhex("0000 1400 0200 0f00")
    with guest(lab) as (near, far):
        assert _way_to_root(lab) == (0, 0)
        near.send(llc(MAC, bpdu, "01:80:c2:00:00:00"))
        assert _way_to_root(lab) == (0, 0)
        # No filter sees these where there is a spanning tree: the bridge switches the port off.
        assert _state(lab, near) == "disabled"
        # To one that is nobody's NIC it listens.
        far.send(llc(FAR_MAC, bpdu, "01:80:c2:00:00:00"))
        port, cost = _way_to_root(lab)
        assert (port, cost > 0) == (1, True)
    # The next QEMU finds it on.
    with end(near.name):
        assert _state(lab, near) in ("listening", "learning", "forwarding")


def test_the_host_takes_in_no_control_frames_of_a_guests(lab: Lab) -> None:
    with guest(lab) as (near, _):
        for last in ("02", "03"):  # LACP, 802.1X
            near.send(ether(MAC, 0x8809, bytes(46), f"01:80:c2:00:00:{last}"))
        rows = json.loads(lab.sh("nft -j list chain bridge vmnet control").out)["nftables"]
        (rule,) = [row["rule"]["expr"] for row in rows if "rule" in row]
        assert [each["counter"]["packets"] for each in rule if "counter" in each] == [2]


def _state(lab: Lab, near: End) -> str:
    """Return the state of a port in the spanning tree."""
    return str(lab.link(near.name)["linkinfo"]["info_slave_data"]["state"])


def _way_to_root(lab: Lab) -> tuple[int, int]:
    """Return br0's port towards the root of the spanning tree and the cost; it may be the root."""
    data = lab.link("br0")["linkinfo"]["info_data"]
    return data["root_port"], data["root_path_cost"]


@pytest.mark.parametrize("options", [(), LISTED], ids=["guard", "listed"])
def test_a_port_without_a_trunk_takes_no_tags(lab: Lab, options: tuple[str, ...]) -> None:
    kinds = {
        "VLAN": tag(10),
        "VLAN 0": tag(0),
        "a priority": tag(0, priority=5),
        "VLAN 1": tag(1),
        "VLAN 4095": tag(4095),
        "two": tag(10) + tag(20),
        "VLAN 0 twice": tag(0) + tag(0),
        "802.1ad": tag(10, QINQ),
        "802.1ad and 802.1Q": tag(10, QINQ) + tag(20),
        "802.1Q and 802.1ad": tag(10) + tag(20, QINQ),
        "0x9100": tag(10, 0x9100),
    }
    with guest(lab, *options) as ends:
        judge(ends, own(), {name: ether(MAC, IP, DATA, tags=it) for name, it in kinds.items()})


def test_a_guest_with_a_list_of_addresses_sends_from_these_alone(lab: Lab) -> None:
    with guest(lab, *LISTED) as ends:
        judge(ends, own(), alien())


def test_a_prefix_is_all_of_its_addresses_and_none_beside(lab: Lab) -> None:
    with guest(lab, "--address", "10.0.0.5,10.0.0.7,2001:db8::/64") as ends:
        good = {
            "second IPv4": v4("10.0.0.7"),
            "IPv6 within": v6(udp(1, 2), UDP, ALIEN6),
            "DAD within": nd(135, ALIEN6, "::"),
            "advertisement within": nd(136, ALIEN6),
        }
        bad = {
            "IPv6 beside": v6(udp(1, 2), UDP, "2001:db8:0:1::5"),
            "DAD beside": nd(135, "2001:db8:0:1::5", "::"),
            "advertisement beside": nd(136, "2001:db8:0:1::5"),
            "IPv4 beside": v4(ALIEN4),
        }
        judge(ends, own() | good, bad)


def test_of_ipv4_addresses_alone_no_ipv6_passes(lab: Lab) -> None:
    with guest(lab, "--address", OWN4) as ends:
        bad = {"IPv6": v6(udp(1, 2), UDP, OWN6), "link-local": v6(udp(1, 2)), "DAD": nd(135, OWN6)}
        judge(ends, {"IPv4": v4(OWN4)}, bad)


@pytest.mark.parametrize("options", [(), LISTED], ids=["guard", "listed"])
def test_a_guest_is_no_router(lab: Lab, options: tuple[str, ...]) -> None:
    # Behind an authentication header they pass: nobody takes these without the sender's key.
    advert, redirection = router_advert(LOCAL), redirect(LOCAL)
    bad = {"RA": v6(advert, ICMP6), "redirect": v6(redirection, ICMP6)}
    bad["RA, in a second fragment"] = second(LOCAL, advert, ICMP6, 8)
    bad |= hidden("RA of another address", OWN6, router_advert(OWN6), ICMP6)
    bad |= hidden("RA", LOCAL, advert, ICMP6) | hidden("redirect", LOCAL, redirection, ICMP6)
    with guest(lab, "--ra-guard", *options) as ends:
        judge(ends, own(), bad)


def test_without_the_guard_a_guest_may_be_a_router(lab: Lab) -> None:
    advert = router_advert(LOCAL)
    with guest(lab) as ends:
        known = hidden("RA", LOCAL, advert, ICMP6)
        bad = {name: f for name, f in known.items() if "SNAP" in name or "VLAN" in name}
        good = {name: frame for name, frame in known.items() if name not in bad}
        judge(ends, good | {"RA": v6(advert, ICMP6)}, bad)


@pytest.mark.parametrize("options", [(), LISTED], ids=["guard", "listed"])
def test_a_guest_is_no_dhcp_server(lab: Lab, options: tuple[str, ...]) -> None:
    server, server6 = udp(67, 68, b"offer"), udp(547, 546, b"advertise")
    bad = {
        "DHCP": v4(OWN4, server),
        "DHCP, with options in its header": ether(MAC, IP, _with_options(ipv4(OWN4, server))),
        "DHCP in a tag of VLAN 0": ether(MAC, IP, ipv4(OWN4, server), tags=tag(0)),
        "DHCP behind SNAP": snap(MAC, IP, ipv4(OWN4, server)),
        "DHCP to a relay": v4(OWN4, udp(67, 67)),
        "DHCPv6": v6(server6),
        "DHCPv6 of a routed address": v6(server6, UDP, OWN6),
        **hidden("DHCPv6", LOCAL, server6, UDP),
    }
    with guest(lab, "--dhcp-guard", *options) as ends:
        judge(ends, own(), bad)


def _with_options(packet: bytes) -> bytes:
    """Return an IPv4 packet with eight bytes of options that say nothing (RFC 791, 3.1)."""
    length = len(packet) + 8
    return (
        b"\x47" + packet[1:2] + length.to_bytes(2, "big") + packet[4:20] + b"\1" * 8 + packet[20:]
    )


def test_isolated_guests_do_not_hear_each_other(lab: Lab) -> None:
    names = [attach(lab, f"vm{n}", f"52:54:00:00:00:0{n}", "--isolated") for n in (1, 2)]
    open_one = attach(lab, "vm3", "52:54:00:00:00:03")
    with uplink() as far, end(names[0]) as one, end(names[1]) as two, end(open_one) as three:
        bad = {"to all": v4(OWN4), "to it": ether(MAC, IP, DATA, OTHER)}
        assert passed(one, two, bad, far_frame(OTHER), via=far) == set()
        assert passed(one, far, {"to all": v4(OWN4)}, GOOD) == {"to all"}
        assert passed(one, three, {"to all": v4(OWN4)}, GOOD) == {"to all"}
        # Another that is not isolated is heard by both.
        third = ether("52:54:00:00:00:03", IP, DATA)
        assert passed(three, two, {"third": third}, far_frame(OTHER), via=far) == {"third"}


def test_frames_to_unknown_addresses_stay_away_without_flood(lab: Lab) -> None:
    unknown = far_frame("52:54:00:00:00:99")
    with guest(lab) as (near, far):
        assert passed(far, near, {"unknown": unknown}, far_frame(MAC)) == {"unknown"}
        lab.vmnet("attach", "vm1", "--no-flood")
        assert passed(far, near, {"unknown": unknown}, far_frame(MAC)) == set()
        # To all it is still sent: there is no ARP without that.
        to_all = ether(FAR_MAC, ARP, arp(FAR_MAC, "10.0.0.254", OWN4))
        assert passed(far, near, {"all": to_all}, far_frame(MAC)) == {"all"}


def test_the_guests_mac_stays_where_the_guest_is(lab: Lab) -> None:
    neighbour = attach(lab, "vm2", OTHER)
    to_all, to_it = far_frame(BROADCAST), far_frame(MAC)
    with guest(lab) as (near, far), end(neighbour) as other:
        for thief in (far, other):  # behind the uplink: also a loop that brings frames back
            thief.send(ether(MAC, ARP, arp(MAC, OWN4, OWN4)))
            thief.send(ether(MAC, IP, DATA, OTHER))
            assert passed(far, near, {"to it": to_it}, to_all) == {"to it"}
            assert passed(far, other, {"to it": to_it}, to_all) == set()
            judge((near, far), own(), _impostors(lab))
        assert _ports_of(lab, MAC) == {near.name}
        assert lab.vmnet("attach", "vm1", "--json").json["steps"] == []


@pytest.mark.parametrize("left", ["here", "elsewhere"])
def test_an_entry_that_could_move_is_made_one_that_cannot(lab: Lab, left: str) -> None:
    with guest(lab) as (near, far):
        lab.sh(f"bridge fdb replace {MAC} dev {near.name} master static")
        if left == "elsewhere":
            far.send(ether(MAC, IP, DATA))
            assert _ports_of(lab, MAC) == {"up0"}
        assert len(lab.vmnet("attach", "vm1", "--json").json["steps"]) == 1
        far.send(ether(MAC, IP, DATA))
        assert _ports_of(lab, MAC) == {near.name}
        judge((near, far), own(), _impostors(lab))


def _ports_of(lab: Lab, mac: str) -> set[str]:
    """Return the ports at which a bridge has a MAC, as `bridge` says."""
    rows = json.loads(lab.sh("bridge -j fdb show br br0").out)
    return {row["ifname"] for row in rows if row["mac"] == mac}
