"""What the kernel shows of a port.

Job: flags, VLANs, forwarding entries, rates and filter entries of one link, as values.
Leaves to others: reading them (`vmnet.kernel.ports`, `vmnet.kernel.nft`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vmnet.model.port import Port
from vmnet.model.rate import Shape
from vmnet.model.vlan import VidRange


@dataclass(frozen=True)
class VlanEntry:
    """A row of a port's VLAN table (`bridge vlan show`).

    Attributes:
        vids: the VLANs.
        pvid: frames without a tag belong there.
        untagged: frames of it leave without a tag.
    """

    vids: VidRange
    pvid: bool = False
    untagged: bool = False


class Way(StrEnum):
    """How what a guest sends is held to a rate."""

    SHAPED = "shaped"  # through an ifb, where it waits
    POLICED = "policed"  # what is too much is dropped


@dataclass(frozen=True)
class Outflow:
    """What holds the frames that a guest sends to a rate.

    Attributes:
        way: how.
        shape: the bucket; None if an ifb has none.
        ifb: index of the ifb they go through; 0 for none.
    """

    way: Way
    shape: Shape | None
    ifb: int = 0


@dataclass(frozen=True, order=True)
class Entry:
    """An element of a set of vmnet's filter, less the link it is about.

    Attributes:
        set: the set's name.
        value: what stands beside the link; empty for a set of links alone.
    """

    set: str
    value: str = ""


def address_entries(port: Port) -> frozenset[Entry]:
    """Return the elements for single addresses of a port: no two guests of a bridge have one."""
    sets = {4: "addr4", 6: "addr6"}
    return frozenset(Entry(sets[each.version], each.base) for each in port.addresses if each.single)


class Table(StrEnum):
    """What has the name of vmnet's filter table."""

    ABSENT = "absent"
    OURS = "ours"
    OUTDATED = "outdated"  # of another version, or changed by somebody
    FOREIGN = "foreign"
    UNKNOWN = "unknown"  # this process may not look


@dataclass(frozen=True)
class Filter:
    """What vmnet's filter table holds.

    Attributes:
        table: what it is.
        entries: by the link's name; by its number, as text, if there is no such link any more.
        strict: bridges where only known ports may send.
        strict_rules: the rules for that are there.
    """

    table: Table
    entries: Mapping[str, frozenset[Entry]] = field(default_factory=dict)
    strict: frozenset[str] = frozenset()
    strict_rules: bool = False

    def of(self, link: str) -> frozenset[Entry]:
        """Return the entries about one link."""
        return self.entries.get(link, frozenset())


@dataclass(frozen=True)
class PortFacts:
    """What the kernel shows of one port.

    Attributes:
        flags: of a bridge's port, by `ip`'s names (`guard`, `root_block`, `learning`, ...); those
            that this kernel knows; empty for a link that is no port.
        vlans: its VLAN table; empty where the bridge does not filter.
        fdb: where the guest's MAC is entered for this port: by VLAN (0 without), whether for good.
        inflow: the bucket towards the guest; None without.
        outflow: what holds the guest's own frames back; None without.
        foreign_qdisc: a qdisc that somebody else put there, e.g. `htb`; empty for none.
        foreign_filter: what it receives goes through a filter of somebody else's.
        filter: entries about it in vmnet's filter.
    """

    flags: Mapping[str, bool] = field(default_factory=dict)
    vlans: tuple[VlanEntry, ...] = ()
    fdb: Mapping[int, bool] = field(default_factory=dict)
    inflow: Shape | None = None
    outflow: Outflow | None = None
    foreign_qdisc: str = ""
    foreign_filter: bool = False
    filter: frozenset[Entry] = frozenset()
