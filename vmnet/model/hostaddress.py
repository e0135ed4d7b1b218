"""Addresses and routes of a link, as values that can be given to another link.

Job: all that the kernel lets a program set of an address and of a route; what tells two apart.
Leaves to others: reading and writing them (`vmnet.kernel.addresses`, `vmnet.kernel.routes`), as
words of `ip` (`vmnet.formats.hostshell`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

#: linux/if_addr.h: IFA_F_* that a program may set and an address keeps.
NODAD, HOME, NO_PREFIX_ROUTE, AUTO_JOIN = 0x02, 0x10, 0x200, 0x400
KEPT_FLAGS = NODAD | HOME | NO_PREFIX_ROUTE | AUTO_JOIN
#: INFINITY_LIFE_TIME of net/addrconf.h, in seconds.
FOREVER = 0xFFFFFFFF
#: RT_SCOPE_LINK of linux/rtnetlink.h.
SCOPE_LINK = 253
#: linux/rtnetlink.h RTN_UNICAST, RT_TABLE_MAIN.
UNICAST, MAIN_TABLE = 1, 254
#: rtm_protocol RTPROT_*: made by the kernel itself, by a router's word, by hand, by DHCP.
REDIRECT, KERNEL, BOOT, STATIC, RA, DHCP = 1, 2, 3, 4, 9, 16
#: Routes of these nobody renews.
BY_HAND = (0, BOOT, STATIC)


@dataclass(frozen=True)
class HostAddress:
    """An address that a link has.

    Attributes:
        local: the address, in the kernel's spelling.
        prefix: length of its network, in bits.
        peer: the other end of a point-to-point link; empty for none.
        broadcast: of IPv4; empty for none.
        label: of IPv4: `eth1`, `eth1:web`; empty for none.
        scope: rtnetlink's number.
        flags: of `KEPT_FLAGS`.
        metric: of the route that the kernel makes for it; 0 for the kernel's choice.
        protocol: who made it (IFA_PROTO); 0 if nobody said.
        preferred: for how long it is preferred, in seconds; 0 for not at all.
        leased: somebody renews it, or its time will be up: DHCP, a router's advertisements.
        by_router: it was made from a router's advertisements.
        unproven: the kernel does not know yet, or any more, that nobody else has it.
    """

    local: str
    prefix: int
    peer: str = ""
    broadcast: str = ""
    label: str = ""
    scope: int = 0
    flags: int = 0
    metric: int = 0
    protocol: int = 0
    preferred: int = FOREVER
    leased: bool = False
    by_router: bool = False
    unproven: bool = False

    @property
    def family(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.local else 4

    @property
    def key(self) -> str:
        """What tells it from other addresses, whatever link it is on."""
        return f"{self.local}/{self.prefix}" + (f" peer {self.peer}" if self.peer else "")

    @property
    def is_link_local(self) -> bool:
        """Whether it is IPv6's own of each link."""
        return self.family == 6 and self.scope == SCOPE_LINK


@dataclass(frozen=True)
class Route:
    """A route through one link.

    Attributes:
        family: 4 or 6.
        to: `default`, or an address with the length of its prefix.
        kind: rtm_type: 1 for unicast.
        table: its number.
        protocol: who made it (rtm_protocol).
        scope: rtnetlink's number; of IPv4.
        origin: only for packets from there (`from` of ip-route(8)); empty for all.
        tos: only for packets of this type of service.
        metric: the lowest wins.
        gateway: of either family; empty if the other end is on the link.
        source: the address that packets get; empty for the kernel's choice.
        onlink: the gateway is on the link, whatever other routes say.
        preference: of IPv6 (RFC 4191), 0 medium, 1 high, 3 low; None for IPv4.
        metrics: RTAX_* by their names, in lower case; `lock` tells which of them are fixed.
        expires: its time will be up.
        other: what it has that vmnet does not know how to give to another link.
    """

    family: int
    to: str
    kind: int = UNICAST
    table: int = MAIN_TABLE
    protocol: int = 0
    scope: int = 0
    origin: str = ""
    tos: int = 0
    metric: int = 0
    gateway: str = ""
    source: str = ""
    onlink: bool = False
    preference: int | None = None
    metrics: tuple[tuple[str, int | str], ...] = ()
    expires: bool = False
    other: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from other routes, whatever link it is on."""
        words = [f"{self.to} ({self.family}) table {self.table}"]
        words += [f"from {self.origin}"] if self.origin else []
        words += [f"tos {self.tos}"] if self.tos else []
        words += [f"via {self.gateway}"] if self.gateway else []
        words += [f"metric {self.metric}"] if self.metric else []
        return " ".join(words) + (f" type {self.kind}" if self.kind != UNICAST else "")

    def __str__(self) -> str:
        """Return it for a message."""
        words = [self.to if self.to != "default" else f"default of IPv{self.family}"]
        words += [f"via {self.gateway}"] if self.gateway else []
        words += [f"in table {self.table}"] if self.table != MAIN_TABLE else []
        return " ".join(words)


def route_to(where: str, family: int, protocol: int = STATIC) -> Route:
    """Return the route to what is on a link itself."""
    # What `ip route add ... dev` makes: what is there is on the link itself.
    return Route(
        family=family,
        to=where,
        protocol=protocol,
        scope=SCOPE_LINK if family == 4 else 0,
        preference=None if family == 4 else 0,
        metric=0 if family == 4 else 1024,
    )
