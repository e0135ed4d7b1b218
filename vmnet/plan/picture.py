"""What stands in the picture of a host.

Job: from links and what is known of them to items and joins.
Leaves to others: looking (`vmnet.service.picture`), drawing (`vmnet.formats.drawing`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from vmnet.model.host import Link
from vmnet.model.patch import parse_patch
from vmnet.model.picture import Item, Join, Picture, Sort
from vmnet.model.portfacts import VlanEntry
from vmnet.model.tag import Tag
from vmnet.model.tun import is_our_tun
from vmnet.model.uplink import parse_uplink
from vmnet.model.wire import wire_phrase


@dataclass(frozen=True)
class Seen:
    """What is known of a host.

    Attributes:
        links: all of this namespace.
        switches: the names of Open vSwitch's bridges that are here.
        homes: on which of them a link is, by the link's name.
        vlans: the VLAN tables of ports, by the links' indexes; of bridges that filter.
        paths: who moves a NIC's packets, by the link's name; empty for nobody.
    """

    links: Sequence[Link]
    switches: frozenset[str] = frozenset()
    homes: Mapping[str, str] = field(default_factory=dict)
    vlans: Mapping[int, tuple[VlanEntry, ...]] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_index(self) -> dict[int, Link]:
        """The links by their indexes."""
        return {link.index: link for link in self.links}

    @cached_property
    def by_alias(self) -> dict[str, list[Link]]:
        """The links by their aliases: both of a patch have one."""
        found: dict[str, list[Link]] = {}
        for link in self.links:
            found.setdefault(link.alias, []).append(link)
        return found

    def home(self, link: Link) -> str:
        """Return the bridge that a link is a port of; empty for none."""
        master = self.by_index.get(link.master)
        if master is not None and master.kind == "bridge":
            return master.name
        return self.homes.get(link.name, "")


def picture(seen: Seen) -> Picture:
    """Return bridges with their ports, VMs with their NICs, patches with both ends, TUNs."""
    links = {link.name: link for link in seen.links}
    shown = {link.name: item for link in seen.links for item in _items(seen, link)}
    joins = [join for name in shown for join in _joins(seen, links[name])]
    lower = {join.outer for join in joins if join.what == "on"} - shown.keys()
    shown |= {name: Item(name, Sort.LINK, name) for name in sorted(lower)}
    places = {key: item for join in joins for key, item in _place(join)}
    vms = {join.inner: _vm(join.inner) for join in joins if join.what == "nic"}
    return Picture((*shown.values(), *vms.values(), *places.values()), tuple(_once(joins)))


def _items(seen: Seen, link: Link) -> Iterator[Item]:
    home = seen.home(link)
    if link.kind == "bridge":
        yield Item(link.name, Sort.BRIDGE, link.name, _about_bridge(link), _down(link))
    elif link.name in seen.switches:
        yield Item(link.name, Sort.SWITCH, link.name, ("Open vSwitch",))
    elif link.tag is not None and link.is_nic:
        yield _nic(seen, link, link.tag, home)
    elif parse_patch(link.alias) is not None:
        trouble = "" if home else "in no bridge"
        yield Item(link.name, Sort.PATCH, link.name, (), trouble or _down(link))
    elif is_our_tun(link):
        yield Item(link.name, Sort.TUN, link.name)
    elif home and home != link.name:
        sort = Sort.UPLINK if parse_uplink(link.alias) is not None else Sort.LINK
        kind = link.kind or "hardware"
        yield Item(link.name, sort, link.name, (kind, *_vlan_words(seen, link)), _down(link))


def _about_bridge(link: Link) -> tuple[str, ...]:
    filters = ("VLANs kept apart",) if link.vlan_filtering else ()
    return (f"mtu {link.mtu}", *filters)


def _down(link: Link) -> str:
    return "" if link.up else "down"


def _nic(seen: Seen, link: Link, tag: Tag, home: str) -> Item:
    sort = Sort.MACVTAP if link.macvtap is not None else Sort.TAP
    trouble = _down(link)
    if tag.bridge and not home:
        trouble = f"not in {tag.bridge}"
    elif tag.bridge and home != tag.bridge:
        trouble = f"not in {tag.bridge}, where vmnet put it"
    path = seen.paths.get(link.name, "")
    words = [f"nic {tag.nic}"]
    words += [] if tag.wire is None else [wire_phrase(tag.wire)]
    words += _vlan_words(seen, link)
    words.append(path or "not running")
    return Item(link.name, sort, link.name, tuple(words), trouble, path)


def _vlan_words(seen: Seen, link: Link) -> list[str]:
    entries = seen.vlans.get(link.index, ())
    own = [str(each.vids) for each in entries if each.pvid]
    tagged = [str(each.vids) for each in entries if not each.untagged]
    words = [f"vlan {','.join(own)}"] if own else []
    return words + ([f"trunk {','.join(tagged)}"] if tagged else [])


def _joins(seen: Seen, link: Link) -> Iterator[Join]:
    home, tag = seen.home(link), link.tag
    if home and home != link.name:
        yield Join(home, link.name, "port")
    if link.macvtap is not None and link.macvtap.lower in seen.by_index:
        yield Join(seen.by_index[link.macvtap.lower].name, link.name, "on")
    if tag is not None and link.is_nic:
        yield Join(link.name, f"vm {tag.vm_name}", "nic")
    patch = parse_patch(link.alias) if tag is None else None
    if patch is not None:
        ends = [other for other in seen.by_alias[link.alias] if other is not link]
        there = [end for end in (patch.a, patch.b) if ":" in end]
        yield from (Join(link.name, other.name, "patch") for other in ends)
        yield from (Join(link.name, f"place {end}", "patch") for end in there if not ends)


def _place(join: Join) -> Iterator[tuple[str, Item]]:
    for key in (join.outer, join.inner):
        if key.startswith("place ") and join.what == "patch":
            yield key, Item(key, Sort.PLACE, key.removeprefix("place "))


def _vm(key: str) -> Item:
    return Item(key, Sort.VM, key.removeprefix("vm "))


def _once(joins: Sequence[Join]) -> Iterator[Join]:
    """Yield each patch once, though both its links tell of it."""
    seen = set()
    for join in joins:
        pair = frozenset((join.outer, join.inner))
        if join.what != "patch" or pair not in seen:
            seen.add(pair)
            yield join
