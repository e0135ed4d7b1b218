"""Looking at a routed NIC.

Job: `RoutedView`, with few questions.
Leaves to others: deciding (`vmnet.plan.routed`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmnet.kernel.addresses import all_addresses, host_addresses
from vmnet.kernel.links import Netlink
from vmnet.kernel.routes import all_routes, host_routes
from vmnet.kernel.wiremessages import is_routing, proxies
from vmnet.model.address import Address, parse_address
from vmnet.model.host import Link
from vmnet.model.hostaddress import MAIN_TABLE, UNICAST
from vmnet.model.routed import PROTOCOL, RoutedView

_SYSCTL = "/proc/sys"


def routed_view(
    netlink: Netlink, tap: Link | None, addresses: tuple[Address, ...], proxy: str
) -> RoutedView:
    """Return what a planner needs to know about a routed NIC.

    Args:
        netlink: a socket into the namespace.
        tap: its TAP, or None.
        addresses: those of its guest.
        proxy: the link at which the host is to answer for them; empty for none.

    Raises:
        Refused: the kernel would not tell.
    """
    mine = 0 if tap is None else tap.index
    at = netlink.link(proxy) if proxy else None
    return RoutedView(
        addresses=frozenset(a.key for a in host_addresses(netlink, mine)) if mine else frozenset(),
        routes=tuple(r for r in host_routes(netlink, mine) if r.protocol == PROTOCOL)
        if mine
        else (),
        routing=bool(mine) and is_routing(netlink, mine),
        taken=dict(_taken(netlink, mine, {str(each) for each in addresses})),
        proxies=frozenset(proxies(netlink)),
        proxy=proxy,
        proxy_index=0 if at is None else at.index,
        ipv6=_value("net/ipv6/conf/default/disable_ipv6") == "0",
        off=tuple(name for name in _needed(addresses, proxy) if _value(name) == "0"),
    )


def guest_addresses(netlink: Netlink, tap: Link) -> tuple[Address, ...]:
    """Return the addresses that are routed to a TAP by vmnet's doing.

    Raises:
        Refused: the kernel would not tell.
    """
    routes = host_routes(netlink, tap.index)
    return tuple(sorted(parse_address(r.to) for r in routes if r.protocol == PROTOCOL))


def _taken(netlink: Netlink, mine: int, wanted: set[str]) -> Iterator[tuple[str, str]]:
    if not wanted:
        return
    names = {link.index: link.name for link in netlink.links()}
    for index, address in all_addresses(netlink):
        if index != mine and address.local in wanted:
            yield address.local, names.get(index, "?")
    for index, route in all_routes(netlink):
        if index in (0, mine) or route.table != MAIN_TABLE or route.kind != UNICAST:
            continue
        where = route.to.removesuffix("/32" if route.family == 4 else "/128")
        if where in wanted:
            yield where, names.get(index, "?")


def _needed(addresses: Iterable[Address], proxy: str) -> Iterator[str]:
    """Yield the switches without which the guest reaches this host alone."""
    versions = {address.version for address in addresses}
    if 4 in versions:
        yield "net/ipv4/ip_forward"
    if 6 in versions:
        yield "net/ipv6/conf/all/forwarding"
        if proxy:
            yield f"net/ipv6/conf/{proxy}/proxy_ndp"


def _value(name: str) -> str:
    try:
        with open(f"{_SYSCTL}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
