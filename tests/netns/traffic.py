"""What the guest of these tests sends, good and bad, by name; and who it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.netns.frames import (
    ADVERT,
    ARP,
    FRAGMENT,
    ICMP6,
    IP,
    IP6,
    NO_NEXT,
    OPTIONS,
    RARP,
    ROUTER_SOLICIT,
    ROUTING,
    SOLICIT,
    UDP,
    UNSET,
    about,
    arp,
    ether,
    extension,
    fragment,
    fragments,
    icmp6,
    igmp,
    ipv4,
    ipv6,
    mld,
    routing,
    snap,
    tag,
    udp,
)
from tests.netns.wire import End, attach, end, passed, uplink
from tests.support.lab import Lab

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"
OWN4, OWN6, LOCAL = "10.0.0.5", "2001:db8::5", "fe80::5054:ff:fe00:1"
ALIEN4, ALIEN6 = "10.0.0.6", "2001:db8::6"
LISTED = ("--address", f"{OWN4},{OWN6}")
#: What passes with every policy: how QEMU announces a guest.
GOOD = ether(MAC, RARP, arp(MAC, UNSET, UNSET, 3))


@contextmanager
def guest(lab: Lab, *options: str) -> Iterator[tuple[End, End]]:
    """Be a guest on br0, and what is at the bridge's far end."""
    with uplink() as far, end(attach(lab, "vm1", MAC, *options)) as near:
        yield near, far


def judge(ends: tuple[End, End], good: dict[str, bytes], bad: dict[str, bytes]) -> None:
    """Expect the good frames to arrive, each once, and the bad ones not to."""
    assert not set(good) & set(bad)
    got = passed(*ends, {**bad, **good}, GOOD)
    assert (set(good) - got, set(bad) & got) == (set(), set())


def v4(source: str, payload: bytes = udp(4000, 4001), protocol: int = UDP) -> bytes:
    """Return an IPv4 frame of the guest's."""
    return ether(MAC, IP, ipv4(source, payload, protocol))


def v6(payload: bytes, following: int = UDP, source: str = LOCAL) -> bytes:
    """Return an IPv6 frame of the guest's."""
    return ether(MAC, IP6, ipv6(source, payload, following))


def nd(kind: int, target: str, source: str = OWN6) -> bytes:
    """Return a frame of neighbour discovery."""
    return v6(icmp6(source, kind, about(target)), ICMP6, source)


def own() -> dict[str, bytes]:
    """Return what an honest guest sends."""
    long = extension(UDP, 64) + udp(4000, 4001, bytes(100))
    return {
        "IPv4": v4(OWN4),
        "IPv6": v6(udp(4000, 4001), UDP, OWN6),
        "its link-local address": v6(udp(4000, 4001)),
        "IPv6 in fragments, 1": first(OWN6, udp(4000, 4001, bytes(100)), UDP, 64),
        "IPv6 in fragments, 2": second(OWN6, udp(4000, 4001, bytes(100)), UDP, 64),
        "IPv6 in fragments behind options, 1": first(OWN6, long, OPTIONS, 72),
        "IPv6 in fragments behind options, 2": second(OWN6, long, OPTIONS, 72),
        "IPv6 of nothing": v6(b"", NO_NEXT, OWN6),
        "ARP request": ether(MAC, ARP, arp(MAC, OWN4, "10.0.0.1")),
        "ARP reply": ether(MAC, ARP, arp(MAC, OWN4, "10.0.0.1", 2)),
        "ARP announcement": ether(MAC, ARP, arp(MAC, OWN4, OWN4)),
        "ARP probe": ether(MAC, ARP, arp(MAC, UNSET, OWN4)),
        "DHCP client": v4(UNSET, udp(68, 67)),
        "DHCPv6 client": v6(udp(546, 547)),
        "IGMP": v4(OWN4, igmp(), 2),
        "IGMP before there is an address": v4(UNSET, igmp(), 2),
        "MLD": ether(MAC, IP6, mld(LOCAL)),
        "MLD before there is an address": ether(MAC, IP6, mld("::")),
        "DAD": nd(SOLICIT, OWN6, "::"),
        "DAD of the link-local address": nd(SOLICIT, LOCAL, "::"),
        "solicitation": nd(SOLICIT, ALIEN6),
        "advertisement": nd(ADVERT, OWN6),
        "router solicitation": v6(icmp6(LOCAL, ROUTER_SOLICIT, bytes(4)), ICMP6),
        "router solicitation of nobody": v6(icmp6("::", ROUTER_SOLICIT, bytes(4)), ICMP6, "::"),
    }


def alien() -> dict[str, bytes]:
    """Return what a guest with a list of addresses sends in others' names."""
    data = udp(4000, 4001)
    advert = icmp6(OWN6, ADVERT, about(ALIEN6))
    return {
        "alien IPv4": v4(ALIEN4),
        "alien IPv6": v6(data, UDP, ALIEN6),
        "alien link-local address": v6(data, UDP, "fe80::6"),
        "IPv4 of nobody": v4(UNSET),
        "IPv6 of nobody": v6(data, UDP, "::"),
        "IPv4 of nobody to a DHCP client": v4(UNSET, udp(67, 68)),
        "alien ARP request": ether(MAC, ARP, arp(MAC, ALIEN4, "10.0.0.1")),
        "alien ARP reply": ether(MAC, ARP, arp(MAC, ALIEN4, "10.0.0.1", 2)),
        "alien ARP announcement": ether(MAC, ARP, arp(MAC, ALIEN4, ALIEN4)),
        "alien ARP as of IEEE 802": ether(MAC, ARP, arp(MAC, ALIEN4, "10.0.0.1", 2, (6, IP))),
        "ARP with an alien MAC": ether(MAC, ARP, arp(OTHER, OWN4, "10.0.0.1", 2)),
        "alien IPv4 in a tag": ether(MAC, IP, ipv4(ALIEN4, data), tags=tag(10)),
        "alien IPv4 in a tag of VLAN 0": ether(MAC, IP, ipv4(ALIEN4, data), tags=tag(0)),
        "alien IPv4 behind SNAP": snap(MAC, IP, ipv4(ALIEN4, data)),
        "another protocol": ether(MAC, 0x88B5, bytes(46)),
        "alien DAD": nd(SOLICIT, ALIEN6, "::"),
        "advertisement of an alien address": nd(ADVERT, ALIEN6),
        "advertisement by an alien": nd(ADVERT, ALIEN6, ALIEN6),
        **hidden("advertisement of an alien address", OWN6, advert, ICMP6),
    }


def hidden(name: str, source: str, message: bytes, kind: int) -> dict[str, bytes]:
    """Return ways in which a message has been hidden from a filter (RFC 7113, 2), and by name."""
    ident = sum(message)
    long = extension(kind, 64) + message
    return {
        f"{name}, behind hop-by-hop": v6(extension(kind) + message, 0, source),
        f"{name}, behind options": v6(extension(kind) + message, OPTIONS, source),
        f"{name}, behind options of 384 bytes": v6(
            extension(OPTIONS, 128) + extension(kind, 256) + message, OPTIONS, source
        ),
        f"{name}, behind 40 headers": v6(
            extension(OPTIONS) * 39 + extension(kind) + message, OPTIONS, source
        ),
        f"{name}, behind three kinds of headers": v6(
            extension(ROUTING) + routing(OPTIONS) + extension(kind) + message, 0, source
        ),
        f"{name}, behind a late hop-by-hop": v6(
            extension(0) + extension(kind) + message, OPTIONS, source
        ),
        f"{name}, in a fragment alone": v6(
            fragment(kind, 0, message, ident, more=False), FRAGMENT, source
        ),
        f"{name}, in a fragment alone behind options": v6(
            extension(FRAGMENT) + fragment(kind, 0, message, ident, more=False), OPTIONS, source
        ),
        f"{name}, in a first fragment": first(source, message, kind, 8),
        f"{name}, behind a first fragment's options": first(source, long, OPTIONS, 64),
        f"{name}, behind options that are cut": first(source, long, OPTIONS, 32),
        f"{name}, behind SNAP": snap(MAC, IP6, ipv6(source, message, kind)),
        f"{name}, in a tag of VLAN 0": ether(
            MAC, IP6, ipv6(source, message, kind), tags=tag(0, priority=7)
        ),
    }


def first(source: str, message: bytes, kind: int, cut: int) -> bytes:
    """Return the first of two fragments of the guest's."""
    return ether(MAC, IP6, fragments(source, message, kind, cut, sum(message))[0])


def second(source: str, message: bytes, kind: int, cut: int) -> bytes:
    """Return the second of two fragments of the guest's."""
    return ether(MAC, IP6, fragments(source, message, kind, cut, sum(message))[1])
