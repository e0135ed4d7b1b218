"""A patch: making a pair of links, mending it, taking it away.

Job: the plans of `vmnet patch` and `unpatch`.
Leaves to others: looking and doing (`vmnet.kernel`).
Privilege: none.

Both links are made in one message, the one of a namespace right there; with one of them goes the
other. Tag and settings come before either is up, so that no frame passes before all is in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from vmnet.errors import Conflict, NotFound
from vmnet.model.host import Link
from vmnet.model.hoststep import AddAddress, DropAddress
from vmnet.model.mac import tap_mac
from vmnet.model.patch import (
    End,
    EndView,
    PatchView,
    PatchWish,
    format_patch,
    other_link,
    parse_patch,
    tag_of,
)
from vmnet.model.step import (
    CreateVeth,
    DeleteLink,
    InPlace,
    Move,
    NetlinkStep,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMaster,
    SetMtu,
    SetUp,
)
from vmnet.model.wirestep import SetTxChecksum
from vmnet.plan.ovs import own_link
from vmnet.plan.ovspatch import checksum_moves, gone_first, port_moves

_SILENT = "Open vSwitch does not answer: what it has of it is for `vmnet gc`, when it does"
#: What a new pair has, in bytes.
_USUAL_MTU = 1500


@dataclass(frozen=True)
class _Side:
    """One end with what is wished and seen there."""

    end: End
    name: str
    seen: EndView

    def move(self, do: NetlinkStep, undo: NetlinkStep | None = None) -> Move:
        """Return a step that is carried out where this end is."""
        return self.placed(Move(do, undo))

    def placed(self, move: Move) -> Move:
        """Return a move of this end's link, carried out where this end is."""
        path, do, undo = self.seen.path, move.do, move.undo
        if not path or not isinstance(do, NetlinkStep | SetTxChecksum):
            return move
        back = InPlace(path, undo) if isinstance(undo, NetlinkStep | SetTxChecksum) else None
        return Move(InPlace(path, do), back)


def plan_patch(wish: PatchWish, view: PatchView, generation: str) -> Plan:
    """Return the steps that join two ends, or mend what joins them.

    Args:
        wish: what it is to be.
        view: the host.
        generation: eight hexadecimal digits for one made now.

    Raises:
        NotFound: there is no such bridge.
        Conflict: an end is no bridge, a name is taken there, or a loop would come to be.
    """
    first, second = _sides(wish, view)
    cut_short = _is_half_made(first, second)
    for side in (first, second):
        _check_side(side, view, cut_short=cut_short)
    joined = _is_joined(first, second)
    if not joined:
        _check_loop(wish, view)
    known = first.seen.link.alias if joined and first.seen.link is not None else ""
    alias = known or format_patch(tag_of(wish, generation))
    mtu = wish.mtu or _narrowest(first, second)
    moves = [] if joined else [*_stale(first, second), _create(first, second)]
    for side, other in ((first, second), (second, first)):
        moves += _settings(side, wish, view, mtu, alias, fresh=not joined)
        checksums = checksum_moves(side.name, side.seen, other.seen, fresh=not joined)
        moves += map(side.placed, checksums)
    for side in (first, second):
        moves += _plugged(side, fresh=not joined)
    for side in (first, second):
        seen = side.seen if joined else replace(side.seen, port=None)
        moves += port_moves(side.end.name, side.name, seen, alias)
    return Plan(tuple(moves), tuple(_notes(first, second, mtu)))


def _sides(wish: PatchWish, view: PatchView) -> tuple[_Side, _Side]:
    a, b = wish.ends
    return (
        _Side(a, wish.link_name(a), view.first),
        _Side(b, wish.link_name(b), view.second),
    )


def _check_side(side: _Side, view: PatchView, *, cut_short: bool) -> None:
    if not side.end.place:
        _check_bridge(side, view)
    link = side.seen.link
    if link is None or cut_short or _is_ours(link):
        return
    raise _foreign(side, link)


def _foreign(side: _Side, link: Link) -> Conflict:
    return Conflict(
        f"a link {link.name!r} is already there"
        + (f" in {side.end}" if side.end.place else "")
        + " and vmnet did not make it",
        code="patch-foreign",
        remedy="call the new one otherwise with --as"
        if side.end.place
        else f"`ip -d link show {link.name}` shows it; rename or remove it",
    )


def _check_bridge(side: _Side, view: PatchView) -> None:
    bridge = side.seen.bridge
    if side.seen.switch is not None:
        own_link(side.end.name, side.seen.switch, bridge)
        return
    if bridge is None:
        raise NotFound(
            f"no bridge {side.end.name!r} here (bridges: {', '.join(view.bridges) or 'none'})",
            code="bridge-missing",
            remedy=f"make it with `vmnet bridge create {side.end.name}`",
        )
    if bridge.kind != "bridge":
        raise Conflict(
            f"link {bridge.name!r} is not a Linux bridge but of kind {bridge.kind or 'hardware'}",
            code="not-a-bridge",
            remedy="name a bridge: `ip -br link show type bridge` lists them; one of Open "
            "vSwitch's is known while its database runs",
        )
    if side.seen.strict and not side.seen.trusted:
        raise Conflict(
            f"bridge {bridge.name!r} is strict: vmnet's filter drops what comes from a port that "
            "it does not know",
            code="bridge-strict",
            remedy=f"`nft add element bridge vmnet trusted '{{ \"{side.name}\" }}'`, and "
            f'uplinks = ["{side.name}"] in that network of /etc/vmnet/vmnet.toml',
        )


def _is_ours(link: Link) -> bool:
    return link.kind == "veth" and parse_patch(link.alias) is not None


def is_bare(link: Link) -> bool:
    """Say whether a link of a patch's name is as new: its making was cut short."""
    return link.kind == "veth" and not (link.alias or link.up or link.master)


def is_unfinished(link: Link) -> bool:
    """Say whether a link is of a pair whose making was cut short: it has never been up."""
    ours = not link.alias or parse_patch(link.alias) is not None
    never = not (link.up or link.master or link.carrier_ups)
    return link.kind == "veth" and bool(other_link(link.name)) and ours and never


def _is_half_made(first: _Side, second: _Side) -> bool:
    """Say whether the pair is one whose making was cut short.

    By the name of the link that is here: a bare link in a namespace may be anybody's.
    """
    a, b = first.seen.link, second.seen.link
    if a is None or b is None or first.end.place:
        return False
    one_pair = first.seen.other == b.index and second.seen.other == a.index
    return one_pair and all(is_bare(link) or _is_ours(link) for link in (a, b))


def _is_joined(first: _Side, second: _Side) -> bool:
    """Say whether both links are there, and are ends of one pair."""
    a, b = first.seen.link, second.seen.link
    if a is None or b is None or not (_is_ours(a) and _is_ours(b)):
        return False
    same = parse_patch(a.alias) == parse_patch(b.alias)
    return same and first.seen.other == b.index and second.seen.other == a.index


def _stale(first: _Side, second: _Side) -> Iterator[Move]:
    """Return what takes away a pair whose other end is elsewhere, or was never finished."""
    a, b = first.seen.link, second.seen.link
    for side in (first, second):
        yield from gone_first(side.seen)
    if a is not None:
        yield first.move(DeleteLink(Ref(a.name, a.index)))
    together = a is not None and b is not None and first.seen.other == b.index
    if b is not None and not (together and second.seen.other == (a.index if a else 0)):
        yield second.move(DeleteLink(Ref(b.name, b.index)))


def _create(first: _Side, second: _Side) -> Move:
    made = CreateVeth(first.name, second.name, first.seen.path, second.seen.path)
    return Move(made, first.move(DeleteLink(Ref(first.name))).do)


def _settings(
    side: _Side, wish: PatchWish, view: PatchView, mtu: int, alias: str, *, fresh: bool
) -> Iterator[Move]:
    """Return tag, address and MTU of one end, before it is up."""
    link = None if fresh else side.seen.link
    ref = Ref(side.name, 0 if link is None else link.index)
    if link is None:
        yield side.move(SetAlias(ref, alias))
        yield side.move(SetMac(ref, view.mac if side.end.place else _port_mac(side, wish, view)))
        if not side.end.place:
            yield side.move(QuietIpv6(ref))
    if mtu != (_USUAL_MTU if link is None else link.mtu):
        yield side.move(SetMtu(ref, mtu), None if link is None else SetMtu(ref, link.mtu))
    if not side.end.place or wish.addresses is None:
        return
    there = () if link is None else side.seen.addresses
    keys = {each.key for each in wish.addresses}
    for address in reversed(there):
        if address.key not in keys:
            yield side.move(DropAddress(ref, address), AddAddress(ref, address))
    has = {each.key for each in there}
    for address in wish.addresses:
        if address.key not in has:
            yield side.move(AddAddress(ref, address), DropAddress(ref, address))


def _port_mac(side: _Side, wish: PatchWish, view: PatchView) -> str:
    """Return the address of a bridge's port: a bridge without one of its own takes the lowest."""
    first = side.end == wish.ends[0]
    return tap_mac(f"{view.mac[:-2]}{int(view.mac[-2:], 16) ^ (not first):02x}")


def _plugged(side: _Side, *, fresh: bool) -> Iterator[Move]:
    """Return what brings one end to its bridge, and up."""
    link = None if fresh else side.seen.link
    ref = Ref(side.name, 0 if link is None else link.index)
    bridge = side.seen.bridge if side.seen.switch is None else None
    if bridge is not None and (link is None or link.master != bridge.index):
        back = None if link is None else SetMaster(ref, None)
        yield side.move(SetMaster(ref, Ref(bridge.name, bridge.index)), back)
    if link is None or not link.up:
        yield side.move(SetUp(ref), None if link is None else SetUp(ref, up=False))


def _narrowest(first: _Side, second: _Side) -> int:
    """Return the MTU, in bytes, that loses nothing: Open vSwitch has none of its own."""
    linux = (side.seen.bridge for side in (first, second) if side.seen.switch is None)
    return min((bridge.mtu for bridge in linux if bridge is not None), default=_USUAL_MTU)


def _check_loop(wish: PatchWish, view: PatchView) -> None:
    """Raise if frames could come back by another way: nothing here would stop them."""
    a, b = wish.ends
    if a.place or b.place:
        return
    way = _way(a.name, b.name, view.ways)
    if way:
        raise Conflict(
            f"{a} and {b} are joined already ({' - '.join(way)}): another way makes a loop, in "
            "which frames go round for ever",
            code="patch-loop",
            remedy="take the other way away first: `vmnet list`, `ip -d link show type veth`",
        )


def _way(start: str, goal: str, ways: Mapping[str, frozenset[str]]) -> list[str]:
    """Return the bridges from one to another, both included; empty if no way leads there."""
    before = {start: ""}
    queue = [start]
    while queue:
        here = queue.pop(0)
        if here == goal:
            way = [here]
            while before[way[0]]:
                way.insert(0, before[way[0]])
            return way
        for there in sorted(ways.get(here, frozenset()) - before.keys()):
            before[there] = here
            queue.append(there)
    return []


def _notes(first: _Side, second: _Side, mtu: int) -> Iterator[str]:
    for side in (first, second):
        bridge = side.seen.bridge
        if bridge is not None and side.seen.switch is None and bridge.mtu > mtu:
            yield f"bridge {bridge.name!r} has MTU {bridge.mtu}, the patch only {mtu}"


def plan_unpatch(wish: PatchWish, view: PatchView) -> Plan:
    """Return the step that takes a pair away; with one link goes the other.

    Raises:
        NotFound: there is none.
        Conflict: vmnet did not make it.
    """
    sides = _sides(wish, view)
    there = [(side, side.seen.link) for side in sides if side.seen.link is not None]
    ports = [move for side in sides for move in gone_first(side.seen)]
    if not there and ports:
        return Plan(tuple(ports))
    if not there:
        raise NotFound(
            f"{wish.a} and {wish.b} are not joined by vmnet",
            code="patch-missing",
            remedy="`vmnet list` shows patches",
        )
    cut_short = _is_half_made(*sides)
    ours = [(side, link) for side, link in there if cut_short or _is_ours(link)]
    if not ours:
        raise _foreign(*there[0])
    side, link = ours[0]
    notes = (_SILENT,) if view.silent else ()
    return Plan((*ports, side.move(DeleteLink(Ref(link.name, link.index)))), notes)
