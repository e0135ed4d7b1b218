"""vmnet's filter: the rules, in nft's own language, and what goes in and out as libnftables' JSON.

Job: the text of table `bridge vmnet`; steps as commands; a listing as values.
Leaves to others: running them (`vmnet.kernel.nft`), which entries a port has (`vmnet.plan.port`).
Privilege: none.

Why so: a frame from a guest is looked at in the bridge family's prerouting hook. A netdev hook on
the TAP would not see a frame that tc redirects for shaping. The rules are the same for one guest
and for a thousand; what differs stands in sets, and each of these is keyed by the link's index,
which the kernel does not give to another link: what a dead TAP has left can never match the next
one of its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address
from typing import Any

from vmnet.errors import VmnetError
from vmnet.model.portfacts import Entry, Filter, Table

FAMILY, TABLE = "bridge", "vmnet"
_WHERE = f"{FAMILY} {TABLE}"
_ROW = {"family": FAMILY, "table": TABLE}
#: IEEE 802.1Q, table 8-1: what no bridge forwards (spanning tree, LACP, 802.1X, LLDP).
_CONTROL = "ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00"
_DROP = "counter drop"
_ARP = "meta protocol arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4"
#: What a SNAP header may lead to that is looked at here.
_WRAPPED = "{ 0x0800, 0x0806, 0x8100, 0x86dd, 0x88a8 }"
#: Links of whose IPv6 packets more has to be read than the address.
_READING = ("dhcp_guard", "ra_guard", "listed")
_IGMP_REPORTS = "{ membership-report-v1, membership-report-v2, membership-report-v3 }"
_UNNAMED = "meta protocol ip6 ip6 saddr :: icmpv6 type"
_ADVERT = "meta protocol ip6 icmpv6 type nd-neighbor-advert"
#: What a message of neighbour discovery is about (RFC 4861, 4.3 and 4.4), and its first half.
_TARGET, _TARGET_HALF = "iif . @th,64,128", "iif . @th,64,64"
#: The first half of a source (RFC 8200, 3).
_SOURCE_HALF = "iif . @nh,64,64"
#: Sets whose values are numbers to nft.
_NUMBERS = ("half6", "target6", "target_half6")
#: The sets, and the types of their elements.
_SETS = {
    "port": "type iface_index;",
    "mac": "type iface_index . ether_addr;",
    "trunk": "type iface_index;",
    "listed": "type iface_index;",
    "addr4": "type iface_index . ipv4_addr;",
    "addr6": "type iface_index . ipv6_addr;",
    # By the first half of an address: no intervals, whose elements nft 1.0.6 cannot delete where a
    # link's index stands before them (it forgets to turn its bytes round).
    "half6": f"typeof {_SOURCE_HALF};",
    # What neighbour discovery is about; nft 1.0.6 has no name for it.
    "target6": f"typeof {_TARGET};",
    "target_half6": f"typeof {_TARGET_HALF};",
    "dhcp_guard": "type iface_index;",
    "ra_guard": "type iface_index;",
    "trusted": "type iface_index;",
    "strict": "type ifname;",
}
_RULES = {
    # Where a bridge has no spanning tree it forwards these frames, else it takes them in itself.
    # (Spanning tree's and LLDP's own it takes in past all hooks; on the former acts the port's flag
    # `guard`, which switches it off.)
    "control": [f"iif @port {_CONTROL} {_DROP}"],
    "guest": [
        f"iif . ether saddr != @mac {_DROP}",
        f"{_CONTROL} {_DROP}",
        f"ether daddr 01:00:0c:cc:cc:cd {_DROP}",  # per-VLAN spanning tree
        # Tags: none without a trunk, also none of VLAN 0; one with it.
        f"ether type {{ 8021ad, 0x9100 }} {_DROP}",
        f"ether type 8021q iif != @trunk {_DROP}",
        f"ether type 8021q vlan type {{ 8021q, 8021ad }} {_DROP}",
        # Packets behind a length and a SNAP header (RFC 1042): some systems take them, and no rule
        # below would know them. Nothing today sends such; AppleTalk stays. (With the protocol in
        # front nft 1.0.6 cannot list the rule: an assertion ends the process.)
        f"@nh,0,16 0xaaaa @nh,48,16 {_WRAPPED} meta protocol 0x0004 {_DROP}",
        # `meta protocol` is what is inside of a tag; `ether type` is the tag.
        f"meta protocol arp iif . arp saddr ether != @mac {_DROP}",
        *(f"meta protocol ip6 iif @{name} jump told" for name in _READING),
        f"meta protocol ip udp sport 67 iif @dhcp_guard {_DROP}",
        f"meta protocol ip6 udp sport 547 iif @dhcp_guard {_DROP}",
        "meta protocol ip6 icmpv6 type { nd-router-advert, nd-redirect } iif @ra_guard " + _DROP,
        # In fragments they could not be told (RFC 7113), and nobody honest sends such.
        f"meta protocol ip6 ip6 saddr fe80::/10 exthdr frag exists iif @ra_guard {_DROP}",
        "iif @listed goto address",
    ],
    # What says what a packet is has to be in its first fragment (RFC 7112); later ones are nothing
    # without that. Where it is not, the kernel names no protocol, or shows nothing of its header.
    "told": [
        "meta protocol ip6 frag frag-off != 0 return",
        # ICMPv6 and UDP by number: for their names nft asks /etc/protocols, which may be missing.
        "meta l4proto != { 58, 17 } return",
        "@th,0,16 & 0 == 0 return",
        _DROP,
    ],
    # All that is not named here is dropped in the end.
    "address": [
        f"{_ARP} iif . arp saddr ip @addr4 accept",
        f"{_ARP} arp saddr ip 0.0.0.0 accept",  # is the address free? (RFC 5227)
        "meta protocol 0x8035 accept",  # RARP, by which QEMU announces a guest that has moved
        "meta protocol ip iif . ip saddr @addr4 accept",
        "meta protocol ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
        # A guest that has no address yet (RFC 3376, 4.2.13; RFC 3590; RFC 4861, 4.1).
        f"meta protocol ip ip saddr 0.0.0.0 igmp type {_IGMP_REPORTS} accept",
        f"{_UNNAMED} {{ mld-listener-report, mld2-listener-report, nd-router-solicit }} accept",
        f"{_UNNAMED} nd-neighbor-solicit {_TARGET} @target6 accept",
        f"{_UNNAMED} nd-neighbor-solicit {_TARGET_HALF} @target_half6 accept",
        f"{_ADVERT} {_TARGET} @target6 accept",
        f"{_ADVERT} {_TARGET_HALF} @target_half6 accept",
        f"{_ADVERT} {_DROP}",
        "meta protocol ip6 iif . ip6 saddr @addr6 accept",
        f"meta protocol ip6 {_SOURCE_HALF} @half6 accept",
        _DROP,
    ],
}
_HOOKS = {"ingress": "prerouting", "control": "input"}
_GOTO = "iif @port goto guest"
_STRICT = f"meta ibrname @strict iif != @trusted {_DROP}"
_PRIORITY = -350


def _mark(*, strict: bool) -> str:
    """Return what each rule says: another version's are known by it, and one put in its place."""
    text = json.dumps([_SETS, _RULES, _GOTO, _STRICT if strict else ""])
    kind = "strict" if strict else "plain"
    return f"vmnet/1 {kind} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def install_text(*, strict: bool) -> str:
    """Return what makes the table, or brings its rules to this version; all at once.

    Args:
        strict: with the rule for strict bridges, which wants a kernel with NFT_BRIDGE_META.
    """
    chains = ["ingress", *_RULES]
    lines = [f"add table {_WHERE}"]
    lines += [f"add set {_WHERE} {name} {{ {kind} }}" for name, kind in _SETS.items()]
    for chain in chains:
        hook = f"type filter hook {_HOOKS[chain]} priority {_PRIORITY};" if chain in _HOOKS else ""
        lines.append(f"add chain {_WHERE} {chain} {{ {hook} }}" if hook else _chain(chain))
    lines += [f"flush chain {_WHERE} {chain}" for chain in chains]
    rules = {"ingress": [_GOTO, _STRICT] if strict else [_GOTO], **_RULES}
    mark = f'comment "{_mark(strict=strict)}"'
    lines += [f"add rule {_WHERE} {c} {rule} {mark}" for c in chains for rule in rules[c]]
    return "\n".join(lines) + "\n"


def _chain(name: str) -> str:
    return f"add chain {_WHERE} {name}"


def remove_text() -> str:
    """Return what removes the table."""
    return f"delete table {_WHERE}\n"


def list_text() -> str:
    """Return what lists the table, as JSON."""
    return _json([{"list": {"table": {"family": FAMILY, "name": TABLE}}}])


def change_text(link: str, add: Iterable[Entry], drop: Iterable[Entry]) -> str:
    """Return what adds and takes away entries about one link, all at once.

    Args:
        link: its name; its index, in digits, if it is gone.
        add: what it is to have; what it has already is no error.
        drop: what it has and is to lose.
    """
    commands = [_element("delete", link, entry) for entry in sorted(drop)]
    commands += [_element("add", link, entry) for entry in sorted(add)]
    return _json(commands)


def forget_text(links: Iterable[tuple[str, Iterable[Entry]]]) -> str:
    """Return what takes away entries about many links, all at once."""
    return _json(
        [_element("delete", link, entry) for link, drop in links for entry in sorted(drop)]
    )


def strict_text(bridge: str, *, strict: bool) -> str:
    """Return what makes a bridge strict, or not."""
    element = {**_ROW, "name": "strict", "elem": [bridge]}
    return _json([{"add" if strict else "delete": {"element": element}}])


def _json(commands: list[dict[str, Any]]) -> str:
    return json.dumps({"nftables": commands})


def _element(verb: str, link: str, entry: Entry) -> dict[str, Any]:
    value = {"concat": [link, entry.value]} if entry.value else link
    return {verb: {"element": {**_ROW, "name": entry.set, "elem": [value]}}}


def parse_listing(text: str) -> Filter:
    """Return what a listing says of the table.

    Raises:
        VmnetError: it is not what libnftables writes.
    """
    try:
        rows = json.loads(text)["nftables"]
        sets = {row["set"]["name"]: row["set"].get("elem", []) for row in rows if "set" in row}
        marks = [row["rule"].get("comment", "") for row in rows if "rule" in row]
        # Of flags a table may have `dormant`: it filters nothing.
        flagged = any(row["table"].get("flags") for row in rows if "table" in row)
        entries = _entries(sets)
        strict = frozenset(str(name) for name in sets.get("strict", []))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VmnetError(
            f"libnftables lists table {_WHERE!r} in a way that vmnet does not know: {error}",
            code="nft-listing",
            remedy=f"`nft -j list table {_WHERE}` shows it",
        ) from error
    table, strict_rules = _judge(marks, set(sets), strict)
    if flagged and table is Table.OURS:
        table = Table.OUTDATED
    return Filter(table, entries, strict, strict_rules)


def _judge(marks: list[str], sets: set[str], bridges: frozenset[str]) -> tuple[Table, bool]:
    ours = [mark for mark in marks if mark.startswith("vmnet/1 ")]
    if not ours:
        # Whoever flushes the table (`nft flush table bridge vmnet`) leaves its sets.
        return (Table.OUTDATED, bool(bridges)) if sets >= set(_SETS) else (Table.FOREIGN, False)
    strict = ours[0] == _mark(strict=True)
    wanted = sum(map(len, _RULES.values())) + (2 if strict else 1)
    as_made = marks == [_mark(strict=strict)] * wanted and sets >= set(_SETS)
    return (Table.OURS if as_made else Table.OUTDATED), strict


def _entries(sets: Mapping[str, list[Any]]) -> dict[str, frozenset[Entry]]:
    found: dict[str, set[Entry]] = {}
    for name in set(_SETS) - {"strict"}:
        for element in sets.get(name, []):
            link, value = _read(name, element)
            found.setdefault(link, set()).add(Entry(name, value))
    return {link: frozenset(entries) for link, entries in found.items()}


def _read(name: str, element: Any) -> tuple[str, str]:
    if not isinstance(element, dict):
        return str(element), ""
    link, value = element["concat"]
    if name in _NUMBERS:
        number = int(str(value), 0)
        # JSON's numbers have a sign to libnftables: half an address from 8000:: on is below zero.
        return str(link), hexadecimal(number + (1 << 64) if number < 0 else number)
    if name == "addr6":
        return str(link), str(IPv6Address(value))  # ::10.0.0.5 is ::a00:5 here
    return str(link), str(value)


def hexadecimal(value: int) -> str:
    """Return a number as libnftables takes it."""
    return f"{value:#x}"
