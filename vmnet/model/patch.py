"""A patch: a pair of links that joins two bridges, or a bridge and a network namespace.

Job: the wish for one, its ends, its tag as a value and as text; what is seen of one.
Leaves to others: deciding (`vmnet.plan.patch`), looking (`vmnet.kernel.patches`).
Privilege: none.

The tag stands in the alias of both links:

    vmnet/1 patch a=br0 b=netns=3Aweb gen=5f3a0c11
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmnet.errors import InvalidInput
from vmnet.model.host import Link
from vmnet.model.hostaddress import HostAddress
from vmnet.model.names import check_link_name, decode, encode, shorten
from vmnet.model.ovs import OvsBridge, OvsPort

#: What the links of a patch begin with, where a bridge takes them.
PREFIX = "vmp"
#: How a link is called inside a namespace, if nobody says.
USUAL_INSIDE = "eth0"
#: The kinds of place that are not this one, by what is written before the colon.
PLACES = ("netns", "pid", "lxc")

_HEAD = "vmnet/1 patch "
_NAME_IN_TAG = 80
_HASH_CHARS = 10
_PLACE_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}", re.ASCII)
_LINK_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{{_HASH_CHARS}}}-[ab]", re.ASCII)
_GENERATION = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, order=True)
class End:
    """Where one end of a patch is.

    Attributes:
        name: the bridge's name; of a place what stands after the colon.
        place: `netns`, `pid` or `lxc`; empty for a bridge of this namespace.
    """

    name: str
    place: str = ""

    def __str__(self) -> str:
        """Return it as it is written: `br0`, `netns:web`, `pid:4711`."""
        return f"{self.place}:{self.name}" if self.place else self.name


@dataclass(frozen=True)
class PatchWish:
    """What a patch is to be.

    Attributes:
        a: one end.
        b: the other end.
        inside: the link's name in a namespace.
        addresses: what it has there; None leaves them as they are.
        mtu: in bytes; None for the narrower bridge's.
    """

    a: End
    b: End
    inside: str = USUAL_INSIDE
    addresses: tuple[HostAddress, ...] | None = None
    mtu: int | None = None

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends in the order in which the pair is made: what is here first."""
        first, second = sorted((self.a, self.b), key=lambda end: (bool(end.place), str(end)))
        return first, second

    def link_name(self, end: End) -> str:
        """Return how the link at this end is called."""
        if end.place:
            return self.inside
        digest = hashlib.sha256(" ".join(map(str, self.ends)).encode()).hexdigest()
        return f"{PREFIX}{digest[:_HASH_CHARS]}-{'a' if end == self.ends[0] else 'b'}"


@dataclass(frozen=True)
class PatchTag:
    """What vmnet wrote about a link of a patch.

    Attributes:
        a: one end, as it is written.
        b: the other one.
        generation: tells this patch from an earlier one of the same ends.
    """

    a: str
    b: str
    generation: str


@dataclass(frozen=True)
class EndView:
    """What is seen at one end.

    Attributes:
        link: the link that has the name there, or None.
        path: of a place: the file of its network namespace.
        bridge: the bridge, or None; of a place always None.
        addresses: of a place: the link's, but for IPv6's own of each link.
        other: index of the link's other end, in its own namespace; 0 if it has none.
        strict: vmnet's filter drops what comes from a port that it does not know.
        trusted: it knows this one.
        switch: the bridge, if it is one of Open vSwitch's.
        port: the port of the link's name there, or None.
        finishes: the link is trusted to finish checksums of what is sent at it.
    """

    link: Link | None = None
    path: str = ""
    bridge: Link | None = None
    addresses: tuple[HostAddress, ...] = ()
    other: int = 0
    strict: bool = False
    trusted: bool = False
    switch: OvsBridge | None = None
    port: OvsPort | None = None
    finishes: bool = True


@dataclass(frozen=True)
class PatchView:
    """All a planner needs to know of the host for one patch.

    Attributes:
        first: what is seen at the first of `PatchWish.ends`.
        second: at the other one.
        ways: for each bridge of this namespace the bridges that a pair of links joins it to.
        silent: Open vSwitch may have a part in it, and does not answer.
        bridges: names of the bridges there are, for a message.
        mac: the address of the link inside a namespace.
    """

    first: EndView
    second: EndView
    ways: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bridges: tuple[str, ...] = ()
    mac: str = ""
    silent: bool = False


def other_link(name: str) -> str:
    """Return the name of the other link of a patch between two bridges; empty for other links."""
    if not _LINK_NAME.fullmatch(name):
        return ""
    return name[:-1] + ("b" if name.endswith("a") else "a")


def parse_end(text: str) -> End:
    """Return an end: a bridge's name, `netns:NAME`, `pid:NUMBER` or `lxc:NAME`.

    Raises:
        InvalidInput: it is none of these.
    """
    place, colon, name = text.partition(":")
    if not colon:
        return End(check_link_name(text, "bridge"))
    number = place == "pid"
    fits = name.isascii() and name.isdigit() and len(name) <= 10 and int(name) > 0
    known = _PLACE_NAME.fullmatch(name) is not None and name not in (".", "..")
    if place not in PLACES or not (fits if number else known):
        raise InvalidInput(
            f"{shorten(text)!r} is neither a bridge nor a namespace",
            code="bad-end",
            remedy="write br0, netns:NAME (see `ip netns`), pid:NUMBER or lxc:NAME",
        )
    return End(str(int(name)) if number else name, place)


def check_patch(wish: PatchWish) -> PatchWish:
    """Return the wish if it can be.

    Raises:
        InvalidInput: a part of it can never be.
    """
    check_link_name(wish.inside, "link")
    if wish.a == wish.b:
        raise InvalidInput(
            f"{wish.a} is to be joined with itself",
            code="patch-itself",
            remedy="name two places; what is in one bridge is joined already",
        )
    if wish.addresses and not (wish.a.place or wish.b.place):
        raise InvalidInput(
            "an address is given, and no end is a namespace: bridges have no use for one here",
            code="bad-patch",
            remedy="give addresses to the bridges themselves: `ip address add ... dev br0`",
        )
    if wish.mtu is not None and not 68 <= wish.mtu <= 65535:
        raise InvalidInput(
            f"MTU {wish.mtu} is not in 68..65535",
            code="bad-mtu",
            remedy="leave --mtu out to get the bridge's",
        )
    return wish


def format_patch(tag: PatchTag) -> str:
    """Return the alias text of a tag."""
    a, b = encode(tag.a, _NAME_IN_TAG), encode(tag.b, _NAME_IN_TAG)
    return f"{_HEAD}a={a} b={b} gen={tag.generation}"


def parse_patch(alias: str) -> PatchTag | None:
    """Return the tag that an alias holds, or None if it is not a patch's.

    An alias is anybody's to write: what does not parse is foreign, never an error.
    """
    if not alias.startswith(_HEAD):
        return None
    fields = dict(word.partition("=")[::2] for word in alias.removeprefix(_HEAD).split(" "))
    if not all(fields.get(key) for key in ("a", "b")):
        return None
    if not _GENERATION.fullmatch(fields.get("gen", "")):
        return None
    return PatchTag(decode(fields["a"]), decode(fields["b"]), fields["gen"])


def tag_of(wish: PatchWish, generation: str) -> PatchTag:
    """Return the tag of a patch made now."""
    first, second = wish.ends
    return PatchTag(str(first), str(second), generation)
