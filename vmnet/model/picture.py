"""The picture of a host: its items and what joins them; the values of `vmnet graph`.

Job: bridges, ports, VMs, namespaces as items with words about them; joins between two of them.
Leaves to others: what is put in (`vmnet.plan.picture`), how it is drawn (`vmnet.formats.drawing`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

#: Raised with every change that a reader of the JSON would notice.
SCHEMA = "vmnet.graph/1"


class Sort(StrEnum):
    """What an item is."""

    BRIDGE = "bridge"
    SWITCH = "ovs"
    UPLINK = "uplink"
    LINK = "link"
    TAP = "tap"
    MACVTAP = "macvtap"
    TUN = "tun"
    PATCH = "patch"
    VM = "vm"
    PLACE = "namespace"


@dataclass(frozen=True)
class Item:
    """One thing.

    Attributes:
        key: no other's; of a link its name.
        sort: what it is.
        name: how it is called.
        about: what else is to be said, a few words each.
        trouble: what is wrong; empty if nothing is.
        path: of a TAP or macvtap, who moves its packets; empty for nobody.
    """

    key: str
    sort: Sort
    name: str
    about: tuple[str, ...] = ()
    trouble: str = ""
    path: str = ""


@dataclass(frozen=True)
class Join:
    """What joins two items.

    Attributes:
        outer: the key of that which holds: a bridge, a NIC, one end of a patch.
        inner: the key of the other: a port, a VM, the other end.
        what: `port`, `on`, `nic` or `patch`.
    """

    outer: str
    inner: str
    what: str


@dataclass(frozen=True)
class Picture:
    """All of it.

    Attributes:
        items: each thing once.
        joins: what joins them.
    """

    items: tuple[Item, ...] = ()
    joins: tuple[Join, ...] = ()

    def below(self, key: str) -> list[Item]:
        """Return what an item holds, but for the other end of a patch."""
        return self._below.get(key, [])

    def beyond(self, key: str) -> list[Item]:
        """Return the other end of a patch, seen from one of them."""
        return self._beyond.get(key, [])

    def home(self, key: str) -> str:
        """Return the key of the bridge that an item is a port of; empty for none."""
        return self._homes.get(key, "")

    def roots(self) -> list[Item]:
        """Return what nothing holds; a namespace is held by the patch that leads there."""
        held = {join.inner for join in self.joins if join.what != "patch"}
        return [
            item
            for item in self.items
            if item.key not in held and not (item.sort is Sort.PLACE and self.beyond(item.key))
        ]

    @cached_property
    def _by_key(self) -> dict[str, Item]:
        return {item.key: item for item in self.items}

    @cached_property
    def _below(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for join in self.joins:
            if join.what != "patch":
                found.setdefault(join.outer, []).append(self._by_key[join.inner])
        return found

    @cached_property
    def _beyond(self) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {}
        for join in self.joins:
            if join.what == "patch":
                found.setdefault(join.outer, []).append(self._by_key[join.inner])
                found.setdefault(join.inner, []).append(self._by_key[join.outer])
        return found

    @cached_property
    def _homes(self) -> dict[str, str]:
        return {join.inner: join.outer for join in self.joins if join.what == "port"}
