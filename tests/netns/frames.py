"""Ethernet frames as a guest may send them, good and bad, byte by byte.

Values are written as in the RFCs that they come from; checksums are right, lengths are unless a
test says otherwise.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

BROADCAST = "ff:ff:ff:ff:ff:ff"
#: The source of who has no address yet.
UNSET = "0.0.0.0"  # noqa: S104 - nobody listens there
IP, ARP, RARP, VLAN, IP6, QINQ = 0x0800, 0x0806, 0x8035, 0x8100, 0x86DD, 0x88A8
#: Next headers (RFC 8200, 4).
HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, ICMP6, NO_NEXT, OPTIONS = 0, 6, 17, 43, 44, 58, 59, 60
#: ICMPv6 types (RFC 4861, 4; RFC 3810, 5).
ROUTER_SOLICIT, ROUTER_ADVERT, SOLICIT, ADVERT, REDIRECT = 133, 134, 135, 136, 137
MLD2_REPORT = 143


def mac(text: str) -> bytes:
    """Return the six bytes of a MAC."""
    return bytes.fromhex(text.replace(":", ""))


def ether(source: str, kind: int, payload: bytes, to: str = BROADCAST, tags: bytes = b"") -> bytes:
    """Return a frame; `tags` stand before its type, see `tag`."""
    return mac(to) + mac(source) + tags + struct.pack("!H", kind) + payload


def tag(vid: int, kind: int = VLAN, priority: int = 0) -> bytes:
    """Return an 802.1Q tag, or with `QINQ` an 802.1ad one."""
    return struct.pack("!HH", kind, priority << 13 | vid)


def llc(source: str, payload: bytes, to: str = BROADCAST) -> bytes:
    """Return a frame of IEEE 802.3: with a length in place of a type."""
    return ether(source, len(payload), payload, to)


def snap(source: str, kind: int, payload: bytes, to: str = BROADCAST) -> bytes:
    """Return a frame whose type stands behind LLC and SNAP headers (RFC 1042)."""
    return llc(source, b"\xaa\xaa\x03\0\0\0" + struct.pack("!H", kind) + payload, to)


def arp(
    sender_mac: str, sender: str, target: str, operation: int = 1, kinds: tuple[int, int] = (1, IP)
) -> bytes:
    """Return what stands in an ARP frame (RFC 826)."""
    head = struct.pack("!HHBBH", *kinds, 6, 4, operation)
    return head + mac(sender_mac) + _v4(sender) + bytes(6) + _v4(target)


def ipv4(source: str, payload: bytes, protocol: int = UDP, to: str = "10.0.0.200") -> bytes:
    """Return an IPv4 packet."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    head += _v4(source) + _v4(to)
    return head[:10] + _sum(head) + head[12:] + payload


def ipv6(
    source: str, payload: bytes, following: int = UDP, to: str = "ff02::1", hops: int = 255
) -> bytes:
    """Return an IPv6 packet; `following` is the kind of the header that the payload begins with."""
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, hops)
    return head + _v6(source) + _v6(to) + payload


def udp(source: int, to: int, payload: bytes = b"vmnet---") -> bytes:
    """Return a UDP datagram, without a checksum: the bridge does not look at it."""
    return struct.pack("!HHHH", source, to, 8 + len(payload), 0) + payload


def icmp6(source: str, kind: int, body: bytes, to: str = "ff02::1") -> bytes:
    """Return an ICMPv6 message with its checksum (RFC 4443, 2.3)."""
    length = 4 + len(body)
    pseudo = _v6(source) + _v6(to) + struct.pack("!II", length, ICMP6)
    message = struct.pack("!BBH", kind, 0, 0) + body
    return message[:2] + _sum(pseudo + message) + message[4:]


def about(target: str) -> bytes:
    """Return the body of a neighbour solicitation or advertisement (RFC 4861, 4.3 and 4.4)."""
    return bytes(4) + _v6(target)


def router_advert(source: str) -> bytes:
    """Return a router advertisement with a prefix, as one that wants to be the router sends."""
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + _v6("2001:db8:bad::")
    return icmp6(source, ROUTER_ADVERT, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + prefix)


def redirect(source: str) -> bytes:
    """Return a redirect: 2001:db8::9 is to be reached by the sender (RFC 4861, 4.5)."""
    return icmp6(source, REDIRECT, bytes(4) + _v6(source) + _v6("2001:db8::9"))


def extension(following: int, size: int = 8) -> bytes:
    """Return a header of hop-by-hop or destination options: padding alone (RFC 8200, 4.2)."""
    return struct.pack("!BBBB", following, size // 8 - 1, 1, size - 4) + bytes(size - 4)


def routing(following: int) -> bytes:
    """Return a routing header that has no more way to go."""
    return struct.pack("!BBBBI", following, 0, 0, 0, 0)


def fragments(source: str, payload: bytes, following: int, first: int, ident: int) -> list[bytes]:
    """Return two IPv6 packets, the first of which has so many bytes of a payload."""
    assert first % 8 == 0
    return [
        ipv6(source, fragment(following, 0, payload[:first], ident, more=True), FRAGMENT),
        ipv6(source, fragment(following, first, payload[first:], ident, more=False), FRAGMENT),
    ]


def fragment(following: int, offset: int, part: bytes, ident: int, *, more: bool) -> bytes:
    """Return a fragment header with its part (RFC 8200, 4.5)."""
    return struct.pack("!BBHI", following, 0, offset | more, ident) + part


def igmp() -> bytes:
    """Return an IGMPv2 report of one group (RFC 2236, 2)."""
    message = struct.pack("!BBH", 0x16, 0, 0) + _v4("239.1.2.3")
    return message[:2] + _sum(message) + message[4:]


def mld(source: str) -> bytes:
    """Return a packet that reports one group, with its router alert (RFC 3810, 5.2)."""
    report = struct.pack("!HHBBH", 0, 1, 4, 0, 0) + _v6("ff02::1:ff00:5")
    alert = struct.pack("!BBBBHBB", ICMP6, 0, 5, 2, 0, 1, 0)
    return ipv6(source, alert + icmp6(source, MLD2_REPORT, report, "ff02::16"), 0, "ff02::16", 1)


def _v4(text: str) -> bytes:
    return IPv4Address(text).packed


def _v6(text: str) -> bytes:
    return IPv6Address(text).packed


def _sum(data: bytes) -> bytes:
    """Return the checksum of the Internet protocols (RFC 1071)."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", 0xFFFF - total)
