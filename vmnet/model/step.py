"""Steps: the small named changes a plan is made of.

Job: one frozen class for each change to the host, and the plan that is a list of them.
Leaves to others: deciding (`vmnet.plan`), carrying out (`vmnet.kernel.apply`), writing as a shell
line (`vmnet.formats.shell`). A step has no method: mypy's exhaustiveness check makes sure that
both of those know every step.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vmnet.model.filestep import FileStep
from vmnet.model.hoststep import AddressStep, RestoreIpv6, RouteStep, StartGuardian
from vmnet.model.ovs import OvsStep
from vmnet.model.portstep import FilterStep, PortStep, RateStep
from vmnet.model.ref import Ref as Ref  # noqa: PLC0414 - steps and their link from one place
from vmnet.model.wirestep import NodeStep, PasstStep, SetTxChecksum, WireStep

#: linux/ipv6.h IPV6_MIN_MTU: with less a link has no IPv6 at all.
IPV6_MIN_MTU = 1280


@dataclass(frozen=True)
class CreateTap:
    """Make a TAP that did not exist and hold it; it dies with this process unless persisted."""

    name: str
    multi_queue: bool


@dataclass(frozen=True)
class CreateTun:
    """Make a TUN that did not exist and hold it; it dies with this process unless persisted."""

    name: str
    multi_queue: bool


@dataclass(frozen=True)
class OpenQueues:
    """Open queues of a TAP, so that in all `count` are held."""

    link: Ref
    count: int
    multi_queue: bool


@dataclass(frozen=True)
class SetOwner:
    """Let one uid attach to the TAP, or TUN."""

    link: Ref
    uid: int
    multi_queue: bool
    tun: bool = False


@dataclass(frozen=True)
class Persist:
    """Let the TAP or TUN outlive this process: the commit of an attach."""

    link: Ref


@dataclass(frozen=True)
class DropTap:
    """Take persistence from a TAP and let go of it: it vanishes, but never under a holder.

    The kernel removes a TAP that is not persistent when its last descriptor closes; if some
    process opened it meanwhile, it stays until that one is done.
    """

    link: Ref
    multi_queue: bool


@dataclass(frozen=True)
class DropTun:
    """As `DropTap`, of a TUN."""

    link: Ref
    multi_queue: bool


@dataclass(frozen=True)
class DeleteLink:
    """Remove a link whoever uses it: a bridge, or a TAP with `--force`."""

    link: Ref


@dataclass(frozen=True)
class CreateBridge:
    """Make a bridge that did not exist: an address of its own, STP and snooping off.

    Attributes:
        vlan_filtering: it keeps VLANs apart.
    """

    name: str
    mac: str
    vlan_filtering: bool = False


@dataclass(frozen=True)
class SetVlanFiltering:
    """Let a bridge keep VLANs apart, or not."""

    link: Ref
    on: bool = True


@dataclass(frozen=True)
class SetAlias:
    """Write the link's alias, where the tag lives."""

    link: Ref
    alias: str


@dataclass(frozen=True)
class SetMac:
    """Set the link's address."""

    link: Ref
    mac: str


@dataclass(frozen=True)
class SetMtu:
    """Set the link's MTU, in bytes."""

    link: Ref
    mtu: int


@dataclass(frozen=True)
class QuietIpv6:
    """Keep the host from making an IPv6 address on the link and from talking through it.

    A link whose MTU rises to `IPV6_MIN_MTU` gets a new IPv6 side, which has to be told anew
    (net/ipv6/addrconf.c, NETDEV_CHANGEMTU).
    """

    link: Ref


@dataclass(frozen=True)
class AddAltname:
    """Give the link another name."""

    link: Ref
    altname: str


@dataclass(frozen=True)
class DropAltname:
    """Take another name from the link."""

    link: Ref
    altname: str


@dataclass(frozen=True)
class SetMaster:
    """Make the link a port of a bridge; `master` None takes it out."""

    link: Ref
    master: Ref | None


@dataclass(frozen=True)
class SetUp:
    """Bring the link up, or down."""

    link: Ref
    up: bool = True


class Where(StrEnum):
    """Which of a libvirt domain's two definitions a step changes."""

    LIVE = "live"  # the running one
    CONFIG = "config"  # the one it starts with next time


@dataclass(frozen=True)
class SetMetadata:
    """Write vmnet's element into a domain's metadata; an empty text takes it out."""

    domain: str
    where: Where
    xml: str


@dataclass(frozen=True)
class PlugDevice:
    """Add an interface to a domain."""

    domain: str
    where: Where
    mac: str
    xml: str


@dataclass(frozen=True)
class UnplugDevice:
    """Take an interface from a domain, and wait until it is gone."""

    domain: str
    where: Where
    mac: str
    xml: str


@dataclass(frozen=True)
class UpdateDevice:
    """Change an interface of a domain in place."""

    domain: str
    where: Where
    mac: str
    xml: str


@dataclass(frozen=True)
class PassFd:
    """Pass QEMU a copy of a descriptor that vmnet holds; QEMU keeps it under a name.

    Attributes:
        source: what it is open on: a TAP's name, or a device node's path.
        position: which of those that vmnet has open there, from 0.
        name: the name.
    """

    source: str
    position: int
    name: str


@dataclass(frozen=True)
class CloseFd:
    """Let QEMU close a descriptor that it was passed, if it still has it under that name."""

    name: str


@dataclass(frozen=True)
class AddNetdev:
    """Give QEMU the back end of a NIC, made of descriptors that it was passed.

    Attributes:
        fds: the names of the TAP's queues.
        vhost_fds: those of vhost-net, as many or none.
        force: say that vhost-net is a must: QEMU 7.2 to 8.2 abort without that word, guest and
            all, when vhost-net cannot be had.
    """

    netdev: str
    fds: tuple[str, ...]
    vhost_fds: tuple[str, ...] = ()
    force: bool = False


@dataclass(frozen=True)
class RemoveNetdev:
    """Take the back end of a NIC from QEMU, with its descriptors; nothing if it is not there."""

    netdev: str


@dataclass(frozen=True)
class AddDevice:
    """Plug a NIC into the guest.

    Attributes:
        properties: as `device_add` takes them, its id among them.
    """

    device: str
    properties: tuple[tuple[str, str | int | bool], ...]


@dataclass(frozen=True)
class RemoveDevice:
    """Ask the guest to let go of a NIC, and wait until it is gone."""

    device: str


#: Steps that libvirt carries out, on a domain of its own.
DomainStep = SetMetadata | PlugDevice | UnplugDevice | UpdateDevice
#: Steps that a running QEMU carries out, asked through its monitor.
MonitorStep = PassFd | CloseFd | AddNetdev | RemoveNetdev | AddDevice | RemoveDevice
#: Steps that another program carries out when vmnet asks for them.
PeerStep = DomainStep | MonitorStep | StartGuardian | OvsStep | PasstStep
#: Steps done with ioctls on a descriptor of `/dev/net/tun`.
TunStep = CreateTap | CreateTun | OpenQueues | SetOwner | Persist | DropTap | DropTun
#: Steps that are one rtnetlink message each; neighbours of this kind travel in one system call.
NetlinkStep = (
    DeleteLink
    | CreateBridge
    | SetVlanFiltering
    | SetAlias
    | SetMac
    | SetMtu
    | QuietIpv6
    | RestoreIpv6
    | AddAltname
    | DropAltname
    | SetMaster
    | SetUp
    | PortStep
    | RateStep
    | AddressStep
    | RouteStep
    | WireStep
)


@dataclass(frozen=True)
class CreateVeth:
    """Make a pair of links, each the other end of one cable.

    Attributes:
        name: the first link's name.
        peer: the other one's.
        here: the file of the first one's network namespace; empty for this one.
        there: that of the other one.
    """

    name: str
    peer: str
    here: str = ""
    there: str = ""


@dataclass(frozen=True)
class InPlace:
    """Do something in another network namespace.

    Attributes:
        place: its file, e.g. `/proc/4711/ns/net`.
        step: what is done there.
    """

    place: str
    step: NetlinkStep | SetTxChecksum


#: Steps that reach into another network namespace.
PlaceStep = CreateVeth | InPlace
Step = (
    TunStep | NodeStep | NetlinkStep | SetTxChecksum | FilterStep | FileStep | PeerStep | PlaceStep
)


@dataclass(frozen=True)
class Move:
    """A step and what takes it back; None where undoing an earlier step takes this one along.

    Attributes:
        restore: what follows `undo`, where that alone does not bring back what there was: a port
            that comes back into its bridge is as new.
    """

    do: Step
    undo: Step | None = None
    restore: tuple[NetlinkStep, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be done, in order.

    Attributes:
        moves: the steps; empty if the host is as wished.
        notes: what the user should know, one line each; the plan is carried out all the same.
    """

    moves: tuple[Move, ...] = ()
    notes: tuple[str, ...] = ()
