"""Steps about wires that are no port of a bridge.

Job: one frozen class for each such change, as in `vmnet.model.step`.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.ref import Ref
from vmnet.model.wire import Mode


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


@dataclass(frozen=True)
class CreateMacvtap:
    """Make a macvtap that did not exist; it takes frames to all multicast addresses.

    A guest's driver does not tell the host which of them it wants.

    Attributes:
        lower: the NIC of the host that it is on.
        mode: what it may say to other macvtaps there.
        mac: its own address, which is the guest's.
    """

    name: str
    lower: Ref
    mode: Mode
    mac: str


@dataclass(frozen=True)
class OpenMacvtap:
    """Open queues of a macvtap, so that in all `count` are held."""

    link: Ref
    count: int


@dataclass(frozen=True)
class GiveMacvtap:
    """Let one uid open a macvtap's node."""

    link: Ref
    uid: int


@dataclass(frozen=True)
class SetTxChecksum:
    """Trust a link to finish checksums, or have the kernel do it before a frame is sent there."""

    link: Ref
    on: bool


@dataclass(frozen=True)
class StartPasst:
    """Start passt on one end of a pair of sockets; it ends when the other one is closed.

    Attributes:
        nic: the NIC's number.
        mtu: what the guest is told by DHCP, in bytes.
        forward: pairs of TCP ports, as in `vmnet.model.wire.User`.
    """

    nic: int
    mtu: int
    forward: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class EndPasst:
    """Close vmnet's end, so that passt ends."""

    nic: int


#: An rtnetlink message each.
WireStep = SetRouting | AddProxy | DropProxy | CreateMacvtap
#: Steps about the node of a macvtap.
NodeStep = OpenMacvtap | GiveMacvtap
#: Steps about a passt of a NIC's own.
PasstStep = StartPasst | EndPasst
