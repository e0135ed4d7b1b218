"""An uplink: a NIC of the host's that is a port of a bridge, and what the bridge got from it.

Job: the tag of an uplink as a value and as text; all a planner needs to know of the host for one.
Leaves to others: reading and writing the alias (`vmnet.kernel.links`), deciding (`vmnet.plan`).
Privilege: none.

The text stands in the NIC's alias, at most 255 bytes (linux/if.h IFALIASZ less the NUL):

    vmnet/1 uplink br=br0 gen=5f3a0c11 until=1234 was=down ipv6=0 mac=52.. moved=<4 characters each>

`until` is there while nobody has confirmed. `moved` has a mark for each address and route that
went to the bridge: these, and no others, go back. A TAP's tag is never read from it: that has a VM.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

from vmnet.model.host import Link
from vmnet.model.hostaddress import HostAddress, Route
from vmnet.model.names import decode, encode

_HEAD = "vmnet/1 uplink "
_MARK = 4
_ALIAS_MAX = 255
_BRIDGE_MAX = 60
_MARKS = re.compile(rf"(?:[A-Za-z0-9_-]{{{_MARK}}})*", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_GENERATION = re.compile(r"[0-9a-f]{8}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{12}|", re.ASCII)


@dataclass(frozen=True)
class UplinkTag:
    """What vmnet wrote about an uplink.

    Attributes:
        bridge: the bridge it was put into.
        generation: tells this uplink from an earlier one of the same NIC.
        until: when all is put back unless somebody confirms, in seconds of CLOCK_BOOTTIME; None
            once that is settled.
        was_down: the NIC was down before.
        ipv6: how the NIC made its own IPv6 addresses before (IN6_ADDR_GEN_MODE_*); None if it has
            no IPv6.
        mac: the bridge's address before it took the NIC's; empty if it has kept its own.
        moved: marks of what went to the bridge.
    """

    bridge: str
    generation: str
    until: int | None = None
    was_down: bool = False
    ipv6: int | None = None
    mac: str = ""
    moved: tuple[str, ...] = ()

    def has(self, what: HostAddress | Route) -> bool:
        """Say whether this went from the NIC to the bridge."""
        return mark(what) in self.moved


@dataclass(frozen=True)
class Manager:
    """Another program that sees to a NIC.

    Attributes:
        kind: `networkd`, `NetworkManager`, `netplan`, `ifupdown` or `dhcp`.
        why: who it is and how that was found out; one line.
        program: which DHCP client it is; empty if that is not known.
    """

    kind: str
    why: str
    program: str = ""


@dataclass(frozen=True)
class End:
    """A link with all that the host says and reaches through it.

    Attributes:
        link: the link.
        addresses: in the order in which giving them to another link leads to the same order there.
        routes: those that somebody made, not the kernel for an address.
    """

    link: Link
    addresses: tuple[HostAddress, ...] = ()
    routes: tuple[Route, ...] = ()

    @property
    def all(self) -> tuple[HostAddress | Route, ...]:
        """Its addresses, then its routes."""
        return (*self.addresses, *self.routes)


@dataclass(frozen=True)
class NicFacts:
    """What decides whether a link can be an uplink.

    Attributes:
        ethernet: it carries Ethernet frames (ARPHRD_ETHER) and is not the loopback.
        wireless: it is Wi-Fi.
        master: what it is a port or member of, or None.
        lowers: what it sits on, and what that sits on, by index.
        other_end: the other end of a veth pair, if that is in this namespace too.
        uppers: the links that sit on it.
        ipv6: IN6_ADDR_GEN_MODE_* of it, or None without IPv6.
        hears_routers: it makes use of routers' advertisements.
        manager: who sees to it.
        rules: routing rules that name it, as one line each.
        neighbours: addresses of neighbours that somebody set for good.
    """

    ethernet: bool = True
    wireless: bool = False
    master: Link | None = None
    lowers: tuple[int, ...] = ()
    other_end: Link | None = None
    uppers: tuple[Link, ...] = ()
    ipv6: int | None = None
    hears_routers: bool = False
    manager: Manager | None = None
    rules: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True)
class BridgeFacts:
    """What decides whether the host can be reached through a bridge.

    Attributes:
        delays: it keeps a new port silent at first, by spanning tree.
        has_ipv6: it can have IPv6 addresses.
        hears_routers: it makes use of routers' advertisements.
        takes_untagged: the host's own frames go untagged to and from a new port of it.
        distrusts: vmnet's filter drops what comes from the NIC there.
        ports: how many ports it has.
    """

    delays: bool = False
    has_ipv6: bool = True
    hears_routers: bool = False
    takes_untagged: bool = True
    distrusts: bool = False
    ports: int = 0


@dataclass(frozen=True)
class UplinkView:
    """All a planner needs to know of the host for one uplink.

    Attributes:
        bridge: the link that has the bridge's name, or None.
        nic: the link that has the NIC's name, or None.
        nic_facts: what else is known of the NIC.
        bridge_facts: what else is known of the bridge.
        bridges: names of the bridges there are, for the message when `bridge` is None.
    """

    bridge: End | None
    nic: End | None
    nic_facts: NicFacts = field(default_factory=NicFacts)
    bridge_facts: BridgeFacts = field(default_factory=BridgeFacts)
    bridges: tuple[str, ...] = ()


def mark(what: HostAddress | Route) -> str:
    """Return four characters that stand for an address or a route in a tag."""
    digest = hashlib.sha256(f"{type(what).__name__} {what.key}".encode()).digest()
    return urlsafe_b64encode(digest[:3]).decode()


def format_uplink(tag: UplinkTag) -> str:
    """Return the alias text of a tag; longer than an alias can be if too much was moved."""
    fields = [f"br={encode(tag.bridge, _BRIDGE_MAX)}", f"gen={tag.generation}"]
    fields += [] if tag.until is None else [f"until={tag.until}"]
    fields += ["was=down"] if tag.was_down else []
    fields += [] if tag.ipv6 is None else [f"ipv6={tag.ipv6}"]
    fields += [f"mac={tag.mac.replace(':', '')}"] if tag.mac else []
    fields += [f"moved={''.join(tag.moved)}"] if tag.moved else []
    return _HEAD + " ".join(fields)


def fits(tag: UplinkTag) -> bool:
    """Say whether an alias has room for a tag."""
    return len(format_uplink(tag)) <= _ALIAS_MAX


def parse_uplink(alias: str) -> UplinkTag | None:
    """Return the tag that an alias holds, or None if it is not an uplink's.

    An alias is anybody's to write: what does not parse is foreign, never an error.
    """
    if not alias.startswith(_HEAD):
        return None
    fields = dict(word.partition("=")[::2] for word in alias.removeprefix(_HEAD).split(" "))
    until, ipv6, moved = fields.get("until"), fields.get("ipv6"), fields.get("moved", "")
    mac = fields.get("mac", "")
    numbers = [number for number in (until, ipv6) if number is not None]
    if (
        not fields.get("br")
        or not _GENERATION.fullmatch(fields.get("gen", ""))
        or not all(map(_NUMBER.fullmatch, numbers))
        or not _MARKS.fullmatch(moved)
        or not _MAC.fullmatch(mac)
    ):
        return None
    return UplinkTag(
        bridge=decode(fields["br"]),
        generation=fields["gen"],
        until=None if until is None else int(until),
        was_down=fields.get("was") == "down",
        ipv6=None if ipv6 is None else int(ipv6),
        mac=bytes.fromhex(mac).hex(":") if mac else "",
        moved=tuple(moved[at : at + _MARK] for at in range(0, len(moved), _MARK)),
    )
