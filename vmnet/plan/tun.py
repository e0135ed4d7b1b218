"""A TUN: making it, changing it, taking it away.

Job: the plans of `vmnet tun create` and `delete`.
Leaves to others: looking and doing (`vmnet.kernel`).
Privilege: none.

As of a TAP, all hangs on a descriptor until the last step: killed before, nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmnet.errors import Busy, Conflict, NotFound, Unsupported
from vmnet.model.host import Link
from vmnet.model.hoststep import AddAddress, AddRoute, DropAddress, DropRoute
from vmnet.model.step import (
    IPV6_MIN_MTU,
    CreateTun,
    DeleteLink,
    DropTun,
    Move,
    Persist,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMtu,
    SetOwner,
    SetUp,
)
from vmnet.model.tag import Life, Own, Tag, format_tag
from vmnet.model.tun import USUAL_MTU, TunView, TunWish, is_our_tun, place_of
from vmnet.plan.refusals import describe, is_held


def plan_tun_create(
    wish: TunWish, view: TunView, *, owner: int, generation: str, keep: bool = True
) -> Plan:
    """Return the steps that make a TUN as wished, or make it so.

    Args:
        wish: what it is to be.
        view: the host.
        owner: the uid that may open a new one.
        generation: eight hexadecimal digits for one made now.
        keep: it outlives this process.

    Raises:
        Conflict: the name, an address or a route is somebody else's.
        Unsupported: an IPv6 address, and the host has no IPv6.
    """
    _check_free(wish, view)
    _check_ipv6(wish, view)
    link = view.link
    if link is None:
        return Plan(_create(wish, owner, generation, keep=keep))
    if not is_our_tun(link):
        raise _foreign(link, "will not change it")
    _check_queues(wish, link)
    return Plan(tuple(_changes(wish, view, link)))


def _create(wish: TunWish, owner: int, generation: str, *, keep: bool) -> tuple[Move, ...]:
    ref, multi = Ref(wish.name), wish.multi_queue
    tag = Tag("", 0, generation, Own.MADE, Life.KEPT if keep else Life.PROCESS)
    moves = [Move(CreateTun(wish.name, multi), DropTun(ref, multi))]
    if keep:
        moves.append(Move(SetOwner(ref, owner, multi, tun=True)))
    moves += [Move(SetAlias(ref, format_tag(tag))), Move(QuietIpv6(ref))]
    if wish.mtu not in (None, USUAL_MTU):
        moves.append(Move(SetMtu(ref, wish.mtu or USUAL_MTU)))
    moves += [Move(AddAddress(ref, address)) for address in wish.addresses or ()]
    moves.append(Move(SetUp(ref)))
    moves += [Move(AddRoute(ref, route)) for route in wish.routes or ()]
    return (*moves, Move(Persist(ref))) if keep else tuple(moves)


def _changes(wish: TunWish, view: TunView, link: Link) -> Iterator[Move]:
    ref = Ref(link.name, link.index)
    tun = link.tun
    if tun is not None and wish.owner is not None and tun.owner != wish.owner:
        back = None if tun.owner is None else SetOwner(ref, tun.owner, tun.multi_queue, tun=True)
        yield Move(SetOwner(ref, wish.owner, tun.multi_queue, tun=True), back)
    if wish.mtu is not None and wish.mtu != link.mtu:
        yield Move(SetMtu(ref, wish.mtu), SetMtu(ref, link.mtu))
        if link.mtu < IPV6_MIN_MTU <= wish.mtu:
            yield Move(QuietIpv6(ref))
    yield from _reached(wish, view, ref, up=link.up)


def _reached(wish: TunWish, view: TunView, ref: Ref, *, up: bool) -> Iterator[Move]:
    """Return what brings addresses and routes to what is wished."""
    addresses = view.addresses if wish.addresses is None else wish.addresses
    routes = view.routes if wish.routes is None else wish.routes
    keys = {each.key for each in addresses}
    ways = {each.key for each in routes}
    old = [each for each in view.addresses if each.key not in keys]
    gone = [each for each in view.routes if each.key not in ways]
    if any(each.family == 4 for each in old):
        # With an address of IPv4 go the others of its network, and with the last one the routes
        # (net/ipv4/devinet.c __inet_del_ifa, net/ipv4/fib_frontend.c fib_inetaddr_event).
        old = [each for each in view.addresses if each.family == 4 or each.key not in keys]
        gone = [each for each in view.routes if each.family == 4 or each.key not in ways]
    has = {each.key for each in view.addresses} - {each.key for each in old}
    leads = {each.key for each in view.routes} - {each.key for each in gone}
    yield from (Move(DropRoute(ref, each), AddRoute(ref, each)) for each in reversed(gone))
    # The second address of a network before the first.
    yield from (Move(DropAddress(ref, each), AddAddress(ref, each)) for each in reversed(old))
    new = [each for each in addresses if each.key not in has]
    yield from (Move(AddAddress(ref, each), DropAddress(ref, each)) for each in new)
    if not up:
        yield Move(SetUp(ref), SetUp(ref, up=False))
    more = [each for each in routes if each.key not in leads]
    yield from (Move(AddRoute(ref, each), DropRoute(ref, each)) for each in more)


def _check_free(wish: TunWish, view: TunView) -> None:
    """Raise if another link has an address or a route that is asked for."""
    for address in wish.addresses or ():
        other = view.taken.get(address.local)
        if other is not None:
            raise Conflict(
                f"address {address.local} is already that of {other!r}",
                code="address-taken",
                remedy=f"give another with --address, or `ip address show dev {other}`",
            )
    for route in wish.routes or ():
        other = view.taken.get(place_of(route))
        if other is not None:
            raise Conflict(
                f"the route to {route} leads through {other!r} already",
                code="route-taken",
                remedy="give a narrower network with --route, or take that route away: `ip route`",
            )


def _check_ipv6(wish: TunWish, view: TunView) -> None:
    addresses = [address.family for address in wish.addresses or ()]
    routes = [route.family for route in wish.routes or ()]
    if view.ipv6 or 6 not in (*addresses, *routes):
        return
    raise Unsupported(
        f"tun {wish.name!r} is to have IPv6, which is switched off here for new links",
        code="no-ipv6",
        remedy="`sysctl net/ipv6/conf/default/disable_ipv6=0`",
    )


def _check_queues(wish: TunWish, link: Link) -> None:
    if wish.multi_queue and link.tun is not None and not link.tun.multi_queue:
        raise Conflict(
            f"tun {link.name!r} was made for one queue, and that cannot be changed",
            code="queues-fixed",
            remedy=f"`vmnet tun delete {link.name}` first",
        )


def _foreign(link: Link, will_not: str) -> Conflict:
    what = "TUN" if link.tun is not None and not link.tun.tap else f"link of kind {link.kind!r}"
    return Conflict(
        f"a {what} {link.name!r} is there and vmnet did not make it: {will_not}",
        code="tun-foreign",
        remedy=f"`ip -d link show dev {link.name}` shows it; choose another name",
    )


def plan_tun_delete(name: str, view: TunView, *, force: bool) -> Plan:
    """Return the step that takes a TUN away.

    Raises:
        NotFound: there is no such link.
        Conflict: vmnet did not make it.
        Busy: a program has it open; `force` takes it from that.
    """
    link = view.link
    if link is None:
        raise NotFound(
            f"no tun {name!r} here", code="tun-missing", remedy="`vmnet tun list` shows them"
        )
    if not is_our_tun(link):
        raise _foreign(link, "will not delete it")
    ref = Ref(link.name, link.index)
    if force:
        known = view.holders.known
        notes = (f"taken from {describe(view.holders)}: its packets end",) if known else ()
        return Plan((Move(DeleteLink(ref)),), notes)
    if is_held(link, view.holders):
        raise Busy(
            f"tun {name!r} is open in {describe(view.holders)}",
            code="tun-held",
            remedy="stop that program first, or --force, after which it gets no packet any more",
        )
    multi = link.tun is not None and link.tun.multi_queue
    return Plan((Move(DropTun(ref, multi)),))
