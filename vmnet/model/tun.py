"""A TUN: a link whose packets a program of the user's reads and writes.

Job: the wish for one, checked as far as it can be without looking at the host; what is seen of one.
Leaves to others: deciding (`vmnet.plan.tun`), looking (`vmnet.kernel.observe`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_interface,
    ip_network,
)

from vmnet.errors import InvalidInput
from vmnet.model.host import Holders, Link
from vmnet.model.hostaddress import HostAddress, Route, route_to
from vmnet.model.names import check_link_name, shorten
from vmnet.model.tag import Own

#: drivers/net/tun.c: of a TUN as of a TAP, at least ETH_MIN_MTU; there is no Ethernet header.
MTU_MIN, MTU_MAX = 68, 65535
#: linux/if_tun.h has it of a new TUN, in bytes.
USUAL_MTU = 1500
_MANY = 64


@dataclass(frozen=True)
class TunWish:
    """What a TUN is to be; None leaves it as it is, or to the usual.

    Attributes:
        name: the link's name, at most 15 bytes.
        owner: the uid that may open it; left out, that of this process.
        addresses: the host's own, each with the length of its network.
        routes: networks that are led into it; `default` for all.
        mtu: in bytes.
        multi_queue: several descriptors may have it open, each with packets of its own.
    """

    name: str
    owner: int | None = None
    addresses: tuple[HostAddress, ...] | None = None
    routes: tuple[Route, ...] | None = None
    mtu: int | None = None
    multi_queue: bool = False


@dataclass(frozen=True)
class TunView:
    """What a planner needs to know of the host for one TUN.

    Attributes:
        link: the link of that name, or None.
        addresses: those it has, but for IPv6's own of each link.
        routes: those through it that the kernel did not make.
        taken: the name of the other link that has an address, or a route to a `place_of`.
        holders: who has it open.
        ipv6: the host has IPv6.
    """

    link: Link | None
    addresses: tuple[HostAddress, ...] = ()
    routes: tuple[Route, ...] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    holders: Holders = Holders()  # noqa: RUF009 - frozen
    ipv6: bool = True


def is_our_tun(link: Link) -> bool:
    """Say whether vmnet made this TUN."""
    tag = link.tag
    ours = tag is not None and tag.own is Own.MADE and not tag.vm
    return ours and link.tun is not None and not link.tun.tap


def place_of(route: Route) -> str:
    """Return where a route leads, whatever its metric: two would fight for it."""
    return f"{route.to} ({route.family})"


def check_tun(wish: TunWish) -> TunWish:
    """Return the wish if it can be.

    Raises:
        InvalidInput: a part of it can never be.
    """
    check_link_name(wish.name, "TUN")
    if wish.mtu is not None and not MTU_MIN <= wish.mtu <= MTU_MAX:
        raise InvalidInput(
            f"MTU {wish.mtu} is not in {MTU_MIN}..{MTU_MAX}",
            code="bad-mtu",
            remedy=f"leave --mtu out to get {USUAL_MTU}",
        )
    return wish


def parse_own_addresses(texts: Iterable[str]) -> tuple[HostAddress, ...]:
    """Return the host's addresses, each as `10.0.0.1/24`; without a length it is alone.

    Raises:
        InvalidInput: one is none, or the host cannot have it; one is given twice; there are many.
    """
    found = tuple(_address(text) for text in texts)
    _check_many([each.key for each in found], "addresses")
    return found


def _address(text: str) -> HostAddress:
    try:
        own = ip_interface(text)
    except ValueError as error:
        raise _bad(f"{shorten(text)!r} is no address: {error}", "10.0.0.1/24") from error
    address = own.ip
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise _bad(f"{address} is nobody's own", "10.0.0.1/24")
    if isinstance(own, IPv6Interface):
        if address.is_link_local or getattr(address, "scope_id", None) or own.ip.ipv4_mapped:
            raise _bad(f"{own} is of one link, or not of IPv6", "fd00::1/64")
        return HostAddress(str(address), own.network.prefixlen)
    _check_host(own)
    return HostAddress(str(address), own.network.prefixlen)


def _check_host(own: IPv4Interface) -> None:
    """Raise for the address of a network itself, and for that of all its hosts."""
    network = own.network
    if network.prefixlen < 31 and own.ip in (network.network_address, network.broadcast_address):
        raise _bad(f"{own} is the network's own address, or that of all its hosts", "10.0.0.1/24")
    if own.ip == IPv4Network("255.255.255.255/32").network_address:
        raise _bad(f"{own.ip} is that of all hosts", "10.0.0.1/24")


def parse_own_routes(texts: Iterable[str]) -> tuple[Route, ...]:
    """Return routes to networks, each as `10.1.0.0/16`, `2001:db8::/32` or `default`.

    Raises:
        InvalidInput: one is none; one is given twice; there are too many.
    """
    found = tuple(_route(text) for text in texts)
    _check_many([each.key for each in found], "routes")
    return found


def _route(text: str) -> Route:
    if text in ("default", "0.0.0.0/0"):
        return route_to("default", 4)
    if text in ("::/0", "default6"):
        return route_to("default", 6)
    try:
        network = ip_network(text)
    except ValueError as error:
        raise _bad(f"{shorten(text)!r} is no network: {error}", "10.1.0.0/16") from error
    if network.is_multicast or network.is_loopback:
        raise _bad(f"{network} cannot be led into a TUN", "10.1.0.0/16")
    if isinstance(network, IPv6Network):
        return route_to(str(network), 6)
    return route_to(str(network), 4)


def _check_many(keys: list[str], what: str) -> None:
    if len(keys) > _MANY:
        raise _bad(f"{len(keys)} {what} are more than {_MANY}", "fewer")
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise _bad(f"given twice: {', '.join(twice)}", "each once")


def _bad(why: str, like: str) -> InvalidInput:
    return InvalidInput(why, code="bad-address", remedy=f"write it like {like}")
