"""The facts: what the kernel shows, as values.

Job: links, TAPs, holders as frozen values; everything a planner may look at.
Leaves to others: reading them (`vmnet.kernel`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmnet.model.ovs import OvsView
from vmnet.model.portfacts import Filter, PortFacts, Table, VlanEntry
from vmnet.model.routed import RoutedView
from vmnet.model.tag import Tag, parse_tag


@dataclass(frozen=True)
class TunFacts:
    """What rtnetlink tells of a TUN or TAP (linux/if_link.h IFLA_TUN_*).

    Attributes:
        tap: TAP, else TUN.
        persist: it outlives its last file descriptor.
        multi_queue: it was made with IFF_MULTI_QUEUE.
        vnet_hdr: frames carry a virtio-net header.
        owner: the uid that may attach, or None for nobody in particular.
        group: the gid that may attach, or None.
        queues: queues open now, in use or not; 0 where the kernel does not tell (single queue).
        disabled: those of them that the guest has switched off.
    """

    tap: bool
    persist: bool
    multi_queue: bool
    vnet_hdr: bool
    owner: int | None
    group: int | None
    queues: int
    disabled: int = 0


@dataclass(frozen=True)
class MacvtapFacts:
    """What rtnetlink tells of a macvtap (linux/if_link.h IFLA_MACVLAN_*).

    Attributes:
        lower: index of the NIC it is on; 0 if that is in another namespace.
        mode: what it may say to others there, by `ip`'s names.
    """

    lower: int
    mode: str


@dataclass(frozen=True)
class Link:
    """A link as rtnetlink shows it.

    Attributes:
        index: the kernel's number for it.
        kind: `bridge`, `tun`, `veth`, ...; empty for hardware.
        mac: the host's end.
        mtu: in bytes.
        master: index of the bridge it is a port of, or 0.
        up: IFF_UP.
        carrier: for a TAP: a process has it open, and nobody switched its carrier off.
        carrier_ups: how often the carrier came on since the link was made; 0 for a TAP that only
            its maker has had open (IFLA_CARRIER_UP_COUNT).
        alias: the text of `ip link set alias`.
        altnames: its other names.
        tun: set for kind `tun`.
        macvtap: set for kind `macvtap`.
        port: flags of a bridge's port, by `ip`'s names; those that this kernel knows.
        vlan_filtering: it is a bridge that keeps VLANs apart.
        default_pvid: the VLAN in which a new port of it begins; 0 for none.
    """

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    master: int
    up: bool
    carrier: bool
    carrier_ups: int
    alias: str
    altnames: tuple[str, ...]
    tun: TunFacts | None
    port: Mapping[str, bool] = field(default_factory=dict)
    vlan_filtering: bool = False
    default_pvid: int = 0
    macvtap: MacvtapFacts | None = None

    @property
    def tag(self) -> Tag | None:
        """What vmnet wrote about this link, if it did."""
        return parse_tag(self.alias)

    @property
    def is_tap(self) -> bool:
        """Whether it is a TAP."""
        return self.tun is not None and self.tun.tap

    @property
    def is_nic(self) -> bool:
        """Whether it is what a guest's NIC can hang on: a TAP or a macvtap."""
        return self.is_tap or self.macvtap is not None

    @property
    def in_use(self) -> bool:
        """Whether the kernel shows that a process has this TUN or TAP open.

        It need not: of a persistent one with a single queue, whose carrier somebody switched off,
        only opening it tells; of a macvtap nothing does.
        """
        tun = self.tun
        return tun is not None and (self.carrier or not tun.persist or tun.queues > 0)


@dataclass(frozen=True)
class Holder:
    """A process that has a TAP open.

    Attributes:
        pid: its process id.
        command: its command line, one line, escaped for a terminal.
        user: its user's name or uid.
        fds: how many descriptors of this TAP it has: its queues.
        vhost_fds: how many descriptors of `/dev/vhost-net` it has, for all its NICs.
        workers: the vhost workers that serve it.
        age: how long it has been running, in seconds.
    """

    pid: int
    command: str
    user: str
    fds: int
    vhost_fds: int
    workers: tuple[Worker, ...] = ()
    age: float = 0.0


@dataclass(frozen=True)
class Worker:
    """A thread that moves packets for vhost-net.

    Attributes:
        tid: its thread id.
        kind: `kernel thread` (before Linux 6.4) or `thread of <pid>` (since).
        cpu_seconds: time it has run, in seconds.
        wakes: how often it went to sleep since it was made: a worker whose rings no guest's driver
            has set up yet sleeps for good.
    """

    tid: int
    kind: str
    cpu_seconds: float
    wakes: int = 0


@dataclass(frozen=True)
class Holders:
    """Who has a TAP open, as far as this process can see.

    Attributes:
        known: the processes found.
        blind: why some may be missing; empty if all processes can be seen.
    """

    known: tuple[Holder, ...] = ()
    blind: str = ""


@dataclass(frozen=True)
class NicView:
    """All a planner needs to know of the host for one NIC.

    Attributes:
        name: the TAP's name, there or not.
        tap: the link of that name, or None.
        master: the bridge that the TAP is a port of now, or None.
        bridge: the link that has the wished bridge's name, or None.
        bridges: names of the bridges there are, for the message when `bridge` is None.
        mac_user: another link that carries the wished guest MAC, or None.
        holders: who has the TAP open.
        facts: what may pass at the TAP's port now; None if there is no TAP.
        filter: what vmnet's filter has.
        ifb: the link that has the name of the NIC's ifb, or None.
        others: VLAN tables of the bridge's ports that are no TAPs, and of the bridge itself, by
            name; only where VLANs are wished.
        uplinks: ports of the bridge that a strict network trusts.
        sharers: other ports of the bridge whose guests may send from an address that is wished,
            in the same VLAN.
        ovs: what Open vSwitch shows; None where it was not asked.
        routed: what the kernel shows of a routed NIC; None for another.
        lower: the link that a macvtap is, or is to be, on; None for another NIC.
        node_owner: the uid that may open a macvtap's node; None where there is none.
    """

    name: str
    tap: Link | None
    master: Link | None
    bridge: Link | None
    bridges: tuple[str, ...]
    mac_user: Link | None
    holders: Holders
    facts: PortFacts | None = None
    filter: Filter = Filter(Table.ABSENT)  # noqa: RUF009 - frozen, all the way down
    ifb: Link | None = None
    others: Mapping[str, tuple[VlanEntry, ...]] = field(default_factory=dict)
    uplinks: tuple[Link, ...] = ()
    sharers: tuple[Link, ...] = ()
    ovs: OvsView | None = None
    routed: RoutedView | None = None
    lower: Link | None = None
    node_owner: int | None = None


@dataclass(frozen=True)
class BridgeView:
    """What a planner needs to know of a bridge.

    Attributes:
        link: the link of that name, or None.
        mac: the address vmnet gives a bridge of that name on this host; empty without a machine id.
        ports: names of its ports, each with its holder where it has one.
        addresses: its addresses with prefix length.
        routes: destinations of routes through it that the kernel did not make by itself.
        uppers: names of links that sit on it (VLANs, macvlans).
        uplinks: names of those ports whose addresses and routes it has got.
    """

    link: Link | None
    mac: str
    ports: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    uppers: tuple[str, ...] = ()
    uplinks: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost with it."""
        return not (self.ports or self.addresses or self.routes or self.uppers)
