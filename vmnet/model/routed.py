"""A routed NIC: what the host has for it, as values.

Job: the addresses that its guest finds at the other end, its routes, what the kernel shows of both.
Leaves to others: deciding (`vmnet.plan.routed`), looking (`vmnet.kernel.routed`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vmnet.model.address import Address
from vmnet.model.hostaddress import SCOPE_LINK, HostAddress, Route, route_to

#: By which vmnet knows what it made (rtm_protocol, NDA_PROTOCOL): no routing daemon has it
#: (iproute2's etc/rt_protos).
PROTOCOL = 118
#: What a guest gives as its gateway, the same for all: one more address of its own a guest needs
#: not know. RFC 3927 and RFC 4291 keep both from being anybody else's behind a router.
GATEWAYS = (
    HostAddress("169.254.1.1", 32, scope=SCOPE_LINK),
    HostAddress("fe80::1", 64, scope=SCOPE_LINK),
)


@dataclass(frozen=True)
class Proxy:
    """An address for which the host answers at a link.

    Attributes:
        index: the link's.
        address: the address, in the kernel's spelling.
        link: the link's name.
    """

    index: int
    address: str
    link: str = field(default="", compare=False)


@dataclass(frozen=True)
class RoutedView:
    """What the kernel shows of a routed NIC.

    Attributes:
        addresses: the host's own on the TAP, as `HostAddress.key`.
        routes: those through the TAP that are vmnet's.
        routing: the host forwards, answers and checks there.
        taken: names of other links to which a wished address leads, by the address.
        proxies: for what the host answers by vmnet's doing.
        proxy: the link at which it is to answer; empty for none.
        proxy_index: its index; 0 if it is not there.
        ipv6: the host has IPv6.
        off: switches that are off and without which packets go no further than this host, each as
            `sysctl` takes it.
    """

    addresses: frozenset[str] = frozenset()
    routes: tuple[Route, ...] = ()
    routing: bool = False
    taken: Mapping[str, str] = field(default_factory=dict)
    proxies: frozenset[Proxy] = frozenset()
    proxy: str = ""
    proxy_index: int = 0
    ipv6: bool = True
    off: tuple[str, ...] = ()


def guest_routes(addresses: Iterable[Address]) -> tuple[Route, ...]:
    """Return the routes to a guest's addresses."""
    return tuple(route_to(f"{a.base}/{a.length}", a.version, PROTOCOL) for a in addresses)
