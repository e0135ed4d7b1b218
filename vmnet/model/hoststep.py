"""Steps about the host's own use of a link: its addresses, its routes, the way back.

Job: the vocabulary of what `vmnet bridge add-uplink` moves.
Leaves to others: as `vmnet.model.step`, of which this is a part.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.hostaddress import HostAddress, Route
from vmnet.model.ref import Ref


@dataclass(frozen=True)
class RestoreIpv6:
    """Let the host make IPv6 addresses on the link as before `QuietIpv6`.

    Attributes:
        mode: IN6_ADDR_GEN_MODE_*.
    """

    link: Ref
    mode: int


@dataclass(frozen=True)
class AddAddress:
    """Give the link an address that it does not have; one of IPv6 works at once.

    The kernel would not use an IPv6 address for a second, to see whether somebody else has it. It
    is told not to (IFA_F_NODAD), and keeps that as a flag until `SettleAddress`.
    """

    link: Ref
    address: HostAddress


@dataclass(frozen=True)
class SettleAddress:
    """Write the flags of an IPv6 address that the link has."""

    link: Ref
    address: HostAddress


@dataclass(frozen=True)
class DropAddress:
    """Take an address from the link."""

    link: Ref
    address: HostAddress


@dataclass(frozen=True)
class AddRoute:
    """Lead a route through the link, beside others to the same place."""

    link: Ref
    route: Route


@dataclass(frozen=True)
class DropRoute:
    """Take a route through the link away."""

    link: Ref
    route: Route


@dataclass(frozen=True)
class StartGuardian:
    """Start the process that puts all back which belongs to the link, unless somebody confirms.

    Attributes:
        seconds: how long it waits for that.
    """

    link: Ref
    seconds: int


#: Steps about what the host says and reaches through a link.
AddressStep = AddAddress | SettleAddress | DropAddress
RouteStep = AddRoute | DropRoute
