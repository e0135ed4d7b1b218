"""Open vSwitch: its bridges and ports, as its database (OVSDB) shows them.

Job: the nouns; the steps that its database carries out.
Leaves to others: asking it (`vmnet.peers.ovs`), deciding (`vmnet.plan.ovs`).
Privilege: none.

What the columns mean: ovs-vswitchd.conf.db(5).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The datapath that runs in the daemon: it finishes no checksums that a guest left to hardware.
USERSPACE = "netdev"
#: The key of vmnet's own mark in a port's `external_ids`; its value is the tag of the TAP.
MARK = "vmnet"


@dataclass(frozen=True)
class OvsBridge:
    """A bridge.

    Attributes:
        name: its name.
        datapath: `netdev`, or `system` for the kernel's.
        ports: names of its ports, its own among them.
        index: of its own link, as the daemon knows it; 0 if it has none.
        mac: that of its own link; empty if it has none.
    """

    name: str
    datapath: str
    ports: tuple[str, ...] = ()
    index: int = 0
    mac: str = ""

    @property
    def userspace(self) -> bool:
        """Whether frames go through the daemon."""
        return self.datapath == USERSPACE


@dataclass(frozen=True)
class OvsVlans:
    """The VLANs of a port.

    Attributes:
        tag: the VLAN of untagged frames; None for none.
        trunks: the VLANs that pass tagged; empty for all where `mode` is not `access`.
        mode: `access`, `trunk`, `native-untagged`; empty for what tag and trunks say.
    """

    tag: int | None = None
    trunks: tuple[int, ...] = ()
    mode: str = ""


@dataclass(frozen=True)
class OvsPort:
    """A port with its one interface.

    Attributes:
        name: of both.
        bridge: the bridge it is on.
        kind: the interface's type; empty for a link of the system.
        vlans: its VLANs.
        index: of the link that the daemon has open; 0 if it has none.
        error: why the daemon has none; empty if it has, or has not looked yet.
        rate: what leaves the switch here, in bit/s, as a queue of vmnet's limits it; None for no
            limit.
        external_ids: those of the interface.
        mark: vmnet's mark; empty for a port of somebody else's.
    """

    name: str
    bridge: str
    kind: str = ""
    vlans: OvsVlans = OvsVlans()
    index: int = 0
    error: str = ""
    rate: int | None = None
    external_ids: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""


@dataclass(frozen=True)
class OvsView:
    """What a planner needs to know of Open vSwitch for one NIC.

    Attributes:
        bridge: the bridge, or None.
        port: the port of the TAP's name, on whatever bridge, or None.
        bridges: names of the bridges there are.
    """

    bridge: OvsBridge | None
    port: OvsPort | None = None
    bridges: tuple[str, ...] = ()


@dataclass(frozen=True)
class OvsPatchView:
    """What a planner needs to know of Open vSwitch for one patch.

    Attributes:
        bridges: all its bridges.
        ports: the ports that have the names of the patch's links.
        joined: pairs of bridges that ports of type `patch` join.
    """

    bridges: tuple[OvsBridge, ...]
    ports: tuple[OvsPort, ...] = ()
    joined: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class AddOvsPort:
    """Put a link into a bridge of Open vSwitch, and see that its daemon took it.

    Attributes:
        port: the port as it is to be; its index and error are not looked at.
        leaves: its port on another bridge, which goes in the same transaction.
    """

    port: OvsPort
    leaves: OvsPort | None = None


@dataclass(frozen=True)
class SetOvsPort:
    """Change VLANs, rate, ids and mark of a port that is there.

    Attributes:
        port: the port as it is to be; its index and error are not looked at.
        limited: it has a queue of vmnet's, which goes.
    """

    port: OvsPort
    limited: bool = False


@dataclass(frozen=True)
class DropOvsPort:
    """Take a port from its bridge, and wait until the daemon has let go of the link.

    Attributes:
        name: the port.
        bridge: the bridge.
        limited: it has a queue of vmnet's, which goes too.
    """

    name: str
    bridge: str
    limited: bool = False


def drop_step(port: OvsPort) -> DropOvsPort:
    """Return the step that takes a port away."""
    return DropOvsPort(port.name, port.bridge, port.rate is not None)


#: Steps that Open vSwitch's database carries out.
OvsStep = AddOvsPort | SetOvsPort | DropOvsPort
