"""A NIC of the host's as a port of a bridge, and the host's own network through that bridge.

Job: the plans of `vmnet bridge add-uplink`, `confirm` and `remove-uplink`, and of the way back.
Leaves to others: looking and doing (`vmnet.kernel`), refusals (`vmnet.plan.uplinkrefusals`).
Privilege: none.

All steps are rtnetlink messages, so that they travel in one system call: nothing can part them,
and there is no moment without an address. What the bridge gets comes before what the NIC loses.
The bridge takes the NIC's address, so that no host and no switch on the network notices.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from vmnet.errors import Conflict, NotFound, Unsupported
from vmnet.model.host import Link
from vmnet.model.hostaddress import NODAD, HostAddress
from vmnet.model.hoststep import (
    AddAddress,
    AddRoute,
    DropAddress,
    DropRoute,
    RestoreIpv6,
    SettleAddress,
    StartGuardian,
)
from vmnet.model.names import LINK_NAME_MAX
from vmnet.model.step import Move, Plan, QuietIpv6, Ref, SetAlias, SetMac, SetMaster, SetUp
from vmnet.model.uplink import End, UplinkTag, UplinkView, fits, format_uplink, mark, parse_uplink
from vmnet.plan.uplinkrefusals import check_managed, check_movable, check_place, check_uplink


@dataclass(frozen=True)
class Timer:
    """What a plan needs to know of this moment.

    Attributes:
        generation: eight hexadecimal digits for an uplink made now.
        now: CLOCK_BOOTTIME, in seconds.
        seconds: how long to wait for a confirmation; None if none is needed.
    """

    generation: str
    now: int
    seconds: int | None

    @property
    def until(self) -> int | None:
        """When all is put back, in seconds of CLOCK_BOOTTIME."""
        # A second more, since `now` may be nearly over: never too early.
        return None if self.seconds is None else self.now + self.seconds + 1


def plan_uplink(view: UplinkView, bridge: str, nic: str, timer: Timer) -> Plan:
    """Return the steps that make a NIC a port of a bridge, with all the host says through it.

    Args:
        view: the host.
        bridge: the bridge's name.
        nic: the NIC's name.
        timer: this moment.

    Raises:
        VmnetError: it cannot be; `vmnet.plan.uplinkrefusals` says what stands in the way.
    """
    whole, end = check_uplink(view, bridge, nic)
    tag = tag_in_force(view)
    if tag is not None:
        return _again(tag, whole.link, end, timer)
    if parse_uplink(end.link.alias) is not None:
        end = replace(end, link=replace(end.link, alias=""))
    check_place(view, whole, end)
    check_managed(view.nic_facts, end.link, bridge)
    check_movable(view, whole, end)
    moved = _to_move(view, end)
    tag = _tag(view, moved, timer)
    if not fits(tag):
        raise Unsupported(
            f"{nic!r} has {len(tag.moved)} addresses and routes: more than fit into its alias, "
            "where vmnet keeps what has to go back",
            code="uplink-too-many",
            remedy="take some away first and give them to the bridge by hand afterwards",
        )
    moves = [*_guard(end.link, timer), *_join(whole.link, end.link, tag)]
    moves += _transfer(moved, whole.link)
    if tag.was_down:
        moves.append(Move(SetUp(_ref(end.link)), SetUp(_ref(end.link), up=False)))
    return Plan(tuple(moves), tuple(_notes(view, whole, moved)))


def tag_in_force(view: UplinkView) -> UplinkTag | None:
    """Return a NIC's tag, or None if all but the tag was put back: its guardian was killed."""
    nic, whole = view.nic, view.bridge
    tag = None if nic is None else parse_uplink(nic.link.alias)
    if tag is None or nic is None or whole is None or nic.link.master:
        return tag
    of_this_one = tag.bridge == whole.link.name
    return None if of_this_one and len(plan_put_back(view, tag).moves) == 1 else tag


def _again(tag: UplinkTag, bridge: Link, nic: End, timer: Timer) -> Plan:
    """Return what is left to do for a NIC that vmnet has made an uplink already."""
    link = nic.link
    if link.master != bridge.index:
        raise Conflict(
            f"{link.name!r} was made an uplink of {tag.bridge!r}, and is not a port of "
            f"{bridge.name!r}",
            code="uplink-unfinished",
            remedy=f"`vmnet bridge remove-uplink {tag.bridge} {link.name}`, then try again",
        )
    own = [address.key for address in nic.addresses if not address.is_link_local]
    notes = [f"{link.name!r} has addresses of its own: {', '.join(own)}"] if own else []
    if tag.until is not None and tag.until > timer.now:
        notes.append(
            f"{link.name!r} still waits to be confirmed: in {tag.until - timer.now} s all is put "
            f"back unless `vmnet bridge confirm {bridge.name}`"
        )
    if tag.until is None or tag.until > timer.now:
        return Plan((), tuple(notes))
    # Whoever was to put it back is gone.
    later = replace(tag, until=timer.until, generation=timer.generation)
    moves = [*_guard(link, timer), _retag(link, format_uplink(later))]
    return Plan(tuple(moves), tuple(notes))


def _guard(nic: Link, timer: Timer) -> list[Move]:
    return [] if timer.seconds is None else [Move(StartGuardian(_ref(nic), timer.seconds))]


def _retag(nic: Link, alias: str) -> Move:
    return Move(SetAlias(_ref(nic), alias), SetAlias(_ref(nic), nic.alias))


def _to_move(view: UplinkView, nic: End) -> End:
    """Return what of the NIC goes to the bridge: all but an own IPv6 address that is there too."""
    there = {address.key for address in view.bridge.addresses} if view.bridge else set()
    addresses = [
        address
        for address in nic.addresses
        if address.key not in there and (address.family == 4 or view.bridge_facts.has_ipv6)
    ]
    return replace(nic, addresses=tuple(addresses))


def _tag(view: UplinkView, moved: End, timer: Timer) -> UplinkTag:
    bridge, nic = view.bridge, moved.link
    before = bridge.link.mac if bridge else ""
    return UplinkTag(
        bridge=bridge.link.name if bridge else "",
        generation=timer.generation,
        until=timer.until,
        was_down=not nic.up,
        ipv6=view.nic_facts.ipv6,
        mac="" if before == nic.mac else before,
        moved=tuple(map(mark, moved.all)),
    )


def _join(bridge: Link, nic: Link, tag: UplinkTag) -> list[Move]:
    ref, whole = _ref(nic), _ref(bridge)
    moves = [_retag(nic, format_uplink(tag))]
    if tag.ipv6 is not None:
        moves.append(Move(QuietIpv6(ref), RestoreIpv6(ref, tag.ipv6)))
    if tag.mac:
        moves.append(Move(SetMac(whole, nic.mac), SetMac(whole, bridge.mac)))
    return [*moves, Move(SetMaster(ref, whole), SetMaster(ref, None))]


def _transfer(what: End, to: Link) -> list[Move]:
    """Return the steps that give what one link has to another, and then take it from the first."""
    old, new = _ref(what.link), _ref(to)
    given = [(each, relabelled(each, what.link.name, to.name)) for each in what.addresses]
    moves = [Move(AddAddress(new, b), DropAddress(new, b)) for _, b in given]
    moves += [
        # Undone after the last step that is undone has given the address back.
        Move(SettleAddress(new, b), SettleAddress(old, a))
        for a, b in given
        if _wants_settling(a)
    ]
    moves += [Move(AddRoute(new, route), DropRoute(new, route)) for route in what.routes]
    moves += [Move(DropRoute(old, r), AddRoute(old, r)) for r in reversed(what.routes)]
    # The second address of a subnet before the first, which would take it along.
    return moves + [Move(DropAddress(old, a), AddAddress(old, a)) for a, _ in reversed(given)]


def _wants_settling(address: HostAddress) -> bool:
    return address.family == 6 and not address.flags & NODAD


def relabelled(address: HostAddress, old: str, new: str) -> HostAddress:
    """Return an address with the label that stands for the same on another link.

    Raises:
        Unsupported: no label of the other link does.
    """
    if not address.label:
        return address
    label = new + address.label.removeprefix(old)
    if not address.label.startswith(old) or len(label.encode()) > LINK_NAME_MAX:
        raise Unsupported(
            f"address {address.key} has the label {address.label!r}, for which {new!r} has none",
            code="uplink-label",
            remedy=f"give it another: `ip address del {address.key} dev {old}`, and add it anew",
        )
    return replace(address, label=label)


def _notes(view: UplinkView, whole: End, moved: End) -> Iterable[str]:
    nic, bridge = moved.link, whole.link
    if moved.addresses:
        yield (
            f"what this host itself sends and receives goes through {bridge.name!r} now: firewall "
            f"rules and programs that name {nic.name!r} no longer match it"
        )
    if nic.mac != bridge.mac and whole.addresses:
        yield f"guests find {bridge.name!r} again within a minute: it takes the address {nic.mac}"
    if nic.mtu > bridge.mtu:
        yield f"{bridge.name!r} sends frames of {bridge.mtu} bytes, {nic.name!r} sent {nic.mtu}"
    for upper in view.nic_facts.uppers:
        yield f"{upper.name!r} on {nic.name!r} stays, and keeps its frames from the bridge"
    ipv6 = any(address.family == 6 for address in moved.addresses)
    if ipv6 and view.bridge_facts.hears_routers and not view.nic_facts.hears_routers:
        yield (
            f"{bridge.name!r} listens to routers' advertisements, {nic.name!r} did not: "
            f"`sysctl net/ipv6/conf/{bridge.name}/accept_ra=0`"
        )


def plan_confirm(ports: Iterable[Link], now: int) -> Plan:
    """Return the steps after which the uplinks among a bridge's ports stay.

    Args:
        ports: all ports of the bridge.
        now: CLOCK_BOOTTIME, in seconds.
    """
    tags = ((port, parse_uplink(port.alias)) for port in ports)
    moves, notes = [], []
    for port, tag in tags:
        if tag is None or tag.until is None:
            continue
        moves.append(_retag(port, format_uplink(replace(tag, until=None))))
        if tag.until < now:
            notes.append(
                f"the time for {port.name!r} was over {now - tag.until} s ago, and nobody had put "
                "it back: whoever was to do that was killed"
            )
    return Plan(tuple(moves), tuple(notes))


def plan_uplink_remove(view: UplinkView, bridge: str, nic: str) -> Plan:
    """Return the steps that give a NIC back what went from it to a bridge.

    Raises:
        NotFound: there is no such NIC.
        Conflict: vmnet did not make it an uplink of that bridge.
    """
    if view.nic is None:
        raise NotFound(
            f"no NIC {nic!r} here: what it had before cannot be given back to it",
            code="nic-missing",
            remedy=f"`ip address show {bridge}` shows what the bridge has got",
        )
    link = view.nic.link
    tag = parse_uplink(link.alias)
    here = view.bridge is not None and link.master == view.bridge.link.index
    if tag is not None and (here or tag.bridge == bridge):
        return plan_put_back(view, tag)
    if tag is None and not here:
        return Plan()
    raise Conflict(
        f"{nic!r} is an uplink of {tag.bridge!r}, not of {bridge!r}"
        if tag is not None
        else f"{nic!r} is a port of {bridge!r}, where vmnet did not put it",
        code="uplink-foreign",
        remedy=f"`vmnet bridge remove-uplink {tag.bridge} {nic}`"
        if tag is not None
        else f"if nobody needs it there: `ip link set {nic} nomaster`",
    )


def plan_put_back(view: UplinkView, tag: UplinkTag, before: End | None = None) -> Plan:
    """Return the steps after which a NIC has what it had; the last takes the tag away.

    Args:
        view: the host, however far it was changed.
        tag: the NIC's tag.
        before: the NIC as it was, if somebody remembers; else what the bridge has got from it.
    """
    if view.nic is None:
        return Plan()
    nic, whole = view.nic.link, view.bridge
    moves: list[Move] = []
    if whole is not None and nic.master == whole.link.index:
        ref = _ref(nic)
        moves.append(Move(SetMaster(ref, None), SetMaster(ref, _ref(whole.link))))
    if tag.was_down and nic.up:
        moves.append(Move(SetUp(_ref(nic), up=False), SetUp(_ref(nic))))
    got = got_from(whole, tag)
    moves += _return(got, view.nic, before)
    if whole is not None and tag.mac and whole.link.mac == nic.mac:
        bridge = _ref(whole.link)
        moves.append(Move(SetMac(bridge, tag.mac), SetMac(bridge, nic.mac)))
    if tag.ipv6 is not None and view.nic_facts.ipv6 != tag.ipv6:
        moves.append(Move(RestoreIpv6(_ref(nic), tag.ipv6), QuietIpv6(_ref(nic))))
    return Plan((*moves, _retag(nic, "")), tuple(_lost(tag, view.nic, got, before)))


def got_from(bridge: End | None, tag: UplinkTag) -> End | None:
    """Return what a bridge has got from the NIC, and has still."""
    if bridge is None:
        return None
    addresses = tuple(filter(tag.has, bridge.addresses))
    return replace(bridge, addresses=addresses, routes=tuple(filter(tag.has, bridge.routes)))


def _return(got: End | None, nic: End, before: End | None) -> list[Move]:
    """Return the steps that give the NIC what is missing there, and take all from the bridge."""
    name = nic.link.name
    if before is None and got is not None:
        own = [relabelled(a, got.link.name, name) for a in got.addresses]
        before = replace(nic, addresses=tuple(own), routes=got.routes)
    there = {what.key for what in nic.all}
    wanted = before or nic
    ref = _ref(nic.link)
    lacking = [a for a in wanted.addresses if a.key not in there]
    moves = [Move(AddAddress(ref, a), DropAddress(ref, a)) for a in lacking]
    settled = [a for a in wanted.addresses if _wants_settling(a) and a not in nic.addresses]
    moves += [Move(SettleAddress(ref, a), _unsettled(a, got)) for a in settled]
    routes = [route for route in wanted.routes if route.key not in there]
    moves += [Move(AddRoute(ref, route), DropRoute(ref, route)) for route in routes]
    if got is None:
        return moves
    bridge = _ref(got.link)
    moves += [Move(DropRoute(bridge, r), AddRoute(bridge, r)) for r in reversed(got.routes)]
    return moves + [
        Move(DropAddress(bridge, a), AddAddress(bridge, a)) for a in reversed(got.addresses)
    ]


def _unsettled(address: HostAddress, got: End | None) -> SettleAddress | None:
    """Return what settles an address that the bridge is given again when this is undone."""
    mine = [a for a in got.addresses if a.key == address.key] if got else []
    return SettleAddress(_ref(got.link), mine[0]) if got and mine else None


def _lost(tag: UplinkTag, nic: End, got: End | None, before: End | None) -> Iterable[str]:
    if before is not None:
        return
    here = (*nic.all, *(got.all if got else ()))
    lost = len(set(tag.moved) - set(map(mark, here)))
    if lost:
        yield (
            f"{lost} of the {len(tag.moved)} addresses and routes that {nic.link.name!r} had are "
            f"not on {tag.bridge!r} any more: they are not given back; make them by hand "
            f"(`ip address add`, `ip route add`)"
        )


def plan_left(view: UplinkView, moved: End, *, back: bool = False) -> Plan:
    """Return what a second look finds left to do.

    Args:
        view: the host.
        moved: what one end was to get, as it was at the other.
        back: it was to get back to the NIC.
    """
    old, new = (view.bridge, view.nic) if back else (view.nic, view.bridge)
    if new is None:
        return Plan()
    ref = _ref(new.link)
    moves: list[Move] = []
    if old is not None and not back and old.link.master != new.link.index:
        moves.append(Move(SetMaster(_ref(old.link), ref)))
    wanted = [relabelled(a, moved.link.name, new.link.name) for a in moved.addresses]
    moves += [Move(AddAddress(ref, a)) for a in wanted if a not in new.addresses]
    moves += [Move(AddRoute(ref, r)) for r in moved.routes if r not in new.routes]
    if old is not None:
        gone = {what.key for what in moved.all}
        first = _ref(old.link)
        moves += [Move(DropAddress(first, a)) for a in old.addresses if a.key in gone]
        moves += [Move(DropRoute(first, r)) for r in old.routes if r.key in gone]
    return Plan(tuple(moves))


def _ref(link: Link) -> Ref:
    return Ref(link.name, link.index)
