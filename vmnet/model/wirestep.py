"""Steps about wires that are no port of a bridge.

Job: one frozen class for each such change, as in `vmnet.model.step`.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.ref import Ref


@dataclass(frozen=True)
class SetRouting:
    """Let the host forward what the link receives, and answer there for what it has a way to.

    And drop what comes from an address that is not behind the link (`forwarding`, `proxy_arp`,
    `rp_filter` of net.ipv4.conf): of IPv4 alone, of IPv6 the kernel has no such switches.
    """

    link: Ref


@dataclass(frozen=True)
class AddProxy:
    """Answer for an address at a link: whoever asks there for it gets the link's own MAC."""

    link: Ref
    address: str


@dataclass(frozen=True)
class DropProxy:
    """Answer for an address at a link no more."""

    link: Ref
    address: str


#: An rtnetlink message each.
WireStep = SetRouting | AddProxy | DropProxy
