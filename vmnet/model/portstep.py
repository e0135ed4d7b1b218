"""Steps about what may pass at a port, and how fast.

Job: one frozen class for each such change, as in `vmnet.model.step`.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.portfacts import Entry
from vmnet.model.rate import Shape
from vmnet.model.ref import Ref
from vmnet.model.vlan import VidRange


@dataclass(frozen=True)
class SetPort:
    """Set flags of a bridge's port, by `ip`'s names (`ip link help bridge_slave`)."""

    link: Ref
    flags: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class AddVlans:
    """Let a port into VLANs.

    Attributes:
        untagged: its frames of them have no tag, and frames without a tag are theirs.
    """

    link: Ref
    vids: VidRange
    untagged: bool = False


@dataclass(frozen=True)
class DropVlans:
    """Take a port out of VLANs."""

    link: Ref
    vids: VidRange


@dataclass(frozen=True)
class PinMac:
    """Enter a guest's MAC for its port for good, in each VLAN the port is in.

    It neither ages (state NOARP) nor goes to another port where it is heard (sticky).
    """

    link: Ref
    mac: str


@dataclass(frozen=True)
class UnpinMac:
    """Take a guest's MAC out of the bridge's table."""

    link: Ref
    mac: str


@dataclass(frozen=True)
class CreateIfb:
    """Make a link through which what another receives can be sent, and so be shaped."""

    name: str


@dataclass(frozen=True)
class SetRate:
    """Shape what a link sends; a rate that is there changes without losing a packet."""

    link: Ref
    shape: Shape


@dataclass(frozen=True)
class DropRate:
    """Let a link send as fast as it can."""

    link: Ref


@dataclass(frozen=True)
class AddIngress:
    """Let filters see what a link receives."""

    link: Ref


@dataclass(frozen=True)
class DropIngress:
    """Take that away, filters included."""

    link: Ref


@dataclass(frozen=True)
class Redirect:
    """Send all that a link receives through another, which sends it on."""

    link: Ref
    to: Ref


@dataclass(frozen=True)
class Police:
    """Drop what a link receives beyond a rate."""

    link: Ref
    shape: Shape


@dataclass(frozen=True)
class InstallFilter:
    """Make vmnet's filter table, or bring its rules to this version; its sets stay.

    Attributes:
        strict: with the rules for strict bridges.
    """

    strict: bool


@dataclass(frozen=True)
class ChangeFilter:
    """Add and take away what the filter knows about one link, all at once."""

    link: Ref
    add: tuple[Entry, ...] = ()
    drop: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class ForgetLink:
    """Take away what the filter has about a link that is gone; nothing if it is there again."""

    index: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class SetStrict:
    """Let only known ports of a bridge send, or all."""

    bridge: str
    strict: bool = True


@dataclass(frozen=True)
class RemoveFilter:
    """Remove vmnet's filter table."""


#: Steps about a port of a bridge; an rtnetlink message each.
PortStep = SetPort | AddVlans | DropVlans | PinMac | UnpinMac
#: Steps about rates; an rtnetlink message each.
RateStep = CreateIfb | SetRate | DropRate | AddIngress | DropIngress | Redirect | Police
#: Steps that libnftables carries out.
FilterStep = InstallFilter | ChangeFilter | ForgetLink | SetStrict | RemoveFilter
