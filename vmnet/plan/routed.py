"""A routed NIC: a TAP that is no port of anything.

Job: what such a NIC carries; what the host is to have for it beside the TAP, and the difference to
what the kernel shows, as moves.
Leaves to others: the TAP itself (`vmnet.plan.attach`, `.adjust`), looking (`vmnet.kernel.routed`).
Privilege: none.

All of it goes with the TAP but the proxies, which are at another link: vmnet's mark is on them
(NDA_PROTOCOL), and one whose address leads to no TAP of vmnet's is a leftover.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vmnet.errors import Conflict, InvalidInput, NotFound, Unsupported
from vmnet.model.address import Address
from vmnet.model.host import Link, NicView
from vmnet.model.hostaddress import Route
from vmnet.model.hoststep import AddAddress, AddRoute, DropRoute
from vmnet.model.nic import USUAL_MTU, Nic
from vmnet.model.port import port_settings
from vmnet.model.ref import Ref
from vmnet.model.routed import GATEWAYS, Proxy, RoutedView, guest_routes
from vmnet.model.step import Move
from vmnet.model.wire import Routed
from vmnet.model.wirestep import AddProxy, DropProxy, SetRouting

_CARRIED = ("guard", "address", "rate-in", "rate-out")
#: A host answers for addresses one by one.
_PROXIED = (32, 128)


def on_route(nic: Nic, *, guard_asked: bool) -> Nic:
    """Return the NIC as a routed wire carries it.

    Args:
        nic: what came of the wish.
        guard_asked: the guard was asked for, and is not just what every NIC gets.

    Raises:
        Unsupported: something is asked for that the wire does not carry.
        InvalidInput: no address is given, or one that cannot be answered for.
    """
    beyond = [key for key in port_settings(nic.port) if key not in _CARRIED]
    if guard_asked:
        beyond.append("guard")
    if beyond:
        raise Unsupported(
            f"a routed NIC has no port of a bridge, where vmnet could hold {beyond[0]}",
            code="routed-cannot",
            remedy="leave it out: the host drops what comes from other addresses of IPv4 anyway; "
            "or use a bridge",
        )
    if not nic.port.addresses:
        raise InvalidInput(
            "a routed NIC wants the addresses of its guest: they are what is routed to it",
            code="address-needed",
            remedy="give --address IP, e.g. --address 10.0.0.5,2001:db8::5",
        )
    wide = [a for a in nic.port.addresses if a.length not in _PROXIED]
    if wide and isinstance(nic.wire, Routed) and nic.wire.proxy:
        raise InvalidInput(
            f"a host answers for addresses one by one, and {wide[0]} are many",
            code="bad-address",
            remedy="give them one by one, or leave --proxy out and route them to this host",
        )
    return replace(nic, port=replace(nic.port, guard=False))


def as_place(view: NicView) -> Link:
    """Return what stands for the bridge in plans of TAPs: nothing but an MTU.

    Raises:
        NotFound: there is no such link to answer at.
        Conflict: an address is another link's.
        Unsupported: an address of IPv6, and the host has no IPv6.
    """
    seen = _seen(view)
    if seen.proxy and not seen.proxy_index:
        raise NotFound(
            f"no link {seen.proxy!r} here, at which the host is to answer for the guest",
            code="link-missing",
            remedy="`ip -br link` shows what there is; or leave --proxy out",
        )
    for address, name in sorted(seen.taken.items()):
        raise Conflict(
            f"address {address} is that of link {name!r}, or leads to it",
            code="address-taken",
            remedy=f"give the guest another; `ip route get {address}` shows where it leads",
        )
    mtu = view.tap.mtu if view.tap is not None else USUAL_MTU
    return Link(
        index=0,
        name="",
        kind="",
        mac="",
        mtu=mtu,
        master=0,
        up=True,
        carrier=True,
        carrier_ups=0,
        alias="",
        altnames=(),
        tun=None,
    )


def _seen(view: NicView) -> RoutedView:
    return view.routed or RoutedView()


def fresh_moves(nic: Nic, view: NicView, link: Ref) -> list[Move]:
    """Return what a TAP gets that is made: before it is up, and after."""
    seen = replace(_seen(view), addresses=frozenset(), routes=(), routing=False)
    return list(_moves(nic, seen, link))


def route_moves(nic: Nic, view: NicView, tap: Link) -> list[Move]:
    """Return what is missing of a TAP that is there and up."""
    return list(_moves(nic, _seen(view), Ref(tap.name, tap.index)))


def _moves(nic: Nic, seen: RoutedView, link: Ref) -> Iterator[Move]:
    if not seen.routing:
        yield Move(SetRouting(link))
    for address in GATEWAYS:
        if address.key not in seen.addresses and (address.family == 4 or seen.ipv6):
            yield Move(AddAddress(link, address))
    _check_ipv6(nic, seen)
    wished = guest_routes(nic.port.addresses)
    there = {route.key for route in seen.routes}
    keys = {route.key for route in wished}
    gone = [route for route in seen.routes if route.key not in keys]
    yield from (Move(DropRoute(link, each), AddRoute(link, each)) for each in gone)
    new = [route for route in wished if route.key not in there]
    yield from (Move(AddRoute(link, each), DropRoute(link, each)) for each in new)
    yield from _proxy_moves(nic, seen, gone)


def _check_ipv6(nic: Nic, seen: RoutedView) -> None:
    lost = [address for address in nic.port.addresses if address.version == 6]
    if lost and not seen.ipv6:
        raise Unsupported(
            f"this host has no IPv6 (net.ipv6.conf.default.disable_ipv6), which {lost[0]} wants",
            code="no-ipv6",
            remedy="leave the address out, or `sysctl net.ipv6.conf.default.disable_ipv6=0`",
        )


def _proxy_moves(nic: Nic, seen: RoutedView, gone: Iterable[Route]) -> Iterator[Move]:
    at = Ref(seen.proxy, seen.proxy_index)
    wished = {a.base for a in nic.port.addresses} if seen.proxy else set[str]()
    mine = wished | {route.to.partition("/")[0] for route in gone} | _bases(nic.port.addresses)
    for proxy in sorted(seen.proxies, key=lambda each: (each.index, each.address)):
        if proxy.address in mine and (proxy.index != at.index or proxy.address not in wished):
            link = Ref(proxy.link, proxy.index)
            yield Move(DropProxy(link, proxy.address), AddProxy(link, proxy.address))
    for address in sorted(wished):
        if Proxy(at.index, address) not in seen.proxies:
            yield Move(AddProxy(at, address), DropProxy(at, address))


def _bases(addresses: Iterable[Address]) -> set[str]:
    return {address.base for address in addresses}


def stray_proxies(found: Iterable[Proxy], alive: frozenset[str]) -> Iterator[Move]:
    """Yield what takes away proxies that answer for nobody.

    Args:
        found: those with vmnet's mark.
        alive: addresses that lead to TAPs of vmnet's.
    """
    for proxy in found:
        if proxy.address not in alive:
            yield Move(DropProxy(Ref(proxy.link, proxy.index), proxy.address))


def routed_notes(view: NicView) -> tuple[str, ...]:
    """Return how the guest gets out, and what keeps its packets on this host."""
    switches = " ".join(f"{name.replace('/', '.')}=1" for name in _seen(view).off)
    gateways = " and ".join(each.local for each in GATEWAYS)
    notes = [f"the guest's gateway: {gateways}, on its link"]
    if switches:
        notes.append(f"the guest reaches this host and no further until `sysctl {switches}`")
    return tuple(notes)
