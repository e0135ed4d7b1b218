"""Patches: looking at both ends of one, for a planner.

Job: `PatchView`, with few questions; which bridges are joined.
Leaves to others: deciding (`vmnet.plan.patch`), the sockets elsewhere (`vmnet.kernel.places`).
Privilege: reading needs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from vmnet.errors import NotFound
from vmnet.kernel import ioctl
from vmnet.kernel.addresses import host_addresses
from vmnet.kernel.codecs import DUMP, REQUEST, decoded, encoded, ifinfmsg
from vmnet.kernel.host import boot_id, machine_id
from vmnet.kernel.links import Netlink
from vmnet.kernel.messages import link_message
from vmnet.kernel.observe import look_at_filter
from vmnet.kernel.places import Place
from vmnet.model.host import Link
from vmnet.model.mac import derive
from vmnet.model.ovs import OvsPatchView
from vmnet.model.patch import End, EndView, PatchView, PatchWish
from vmnet.model.portfacts import Entry, Filter

# linux/rtnetlink.h
_GETLINK = 18


def patch_view(
    netlink: Netlink,
    wish: PatchWish,
    places: Mapping[End, Place],
    switch: OvsPatchView | None = None,
) -> PatchView:
    """Return what a planner needs to know about one patch.

    Args:
        netlink: a socket into this namespace.
        wish: the wish.
        places: those of its ends that are elsewhere; one that is missing is not there any more.
        switch: what Open vSwitch shows; None where it has no part in it.

    Raises:
        Refused: the kernel would not tell.
    """
    bridged = any(not end.place for end in wish.ends)
    filtered = look_at_filter(needed=False) if bridged else None
    seen = []
    for end in wish.ends:
        name = wish.link_name(end)
        if end.place:
            seen.append(_inside(places[end], name) if end in places else EndView())
        else:
            seen.append(_at_bridge(netlink, end.name, name, filtered, switch))
    first, second = _with_checksums(netlink, wish, places, seen)
    bridges = [view.bridge for view, end in zip(seen, wish.ends, strict=True) if not end.place]
    both_here = not any(end.place for end in wish.ends)
    return PatchView(
        first=first,
        second=second,
        ways=ways(netlink, switch) if both_here else {},
        bridges=_bridges(netlink, switch) if None in bridges else (),
        mac=_mac(wish),
    )


def _mac(wish: PatchWish) -> str:
    try:
        seed = machine_id()
    except NotFound:
        seed = boot_id()
    return derive(seed, "patch", " ".join(map(str, wish.ends)))


def _bridges(netlink: Netlink, switch: OvsPatchView | None) -> tuple[str, ...]:
    theirs = switch.bridges if switch is not None else ()
    return (*(each.name for each in netlink.bridges()), *(each.name for each in theirs))


def _with_checksums(
    netlink: Netlink, wish: PatchWish, places: Mapping[End, Place], seen: list[EndView]
) -> list[EndView]:
    """Ask for checksumming at each end whose frames go into a daemon that finishes none."""
    asked = []
    for end, here, there in zip(wish.ends, seen, reversed(seen), strict=True):
        if here.link is None or there.switch is None or not there.switch.userspace:
            asked.append(here)
            continue
        home = places[end].netlink if end.place else netlink
        asked.append(replace(here, finishes=_finishes(home, here.link)))
    return asked


def _finishes(netlink: Netlink, link: Link) -> bool:
    try:
        return ioctl.get_tx_checksum(netlink.fileno(), link.name)
    except OSError:
        return True  # to be switched off, which says what is wrong


def _at_bridge(
    netlink: Netlink,
    bridge: str,
    name: str,
    filtered: Filter | None,
    switch: OvsPatchView | None,
) -> EndView:
    link = netlink.link(name)
    theirs = switch or OvsPatchView(())
    strict = filtered is not None and bridge in filtered.strict
    return EndView(
        link=link,
        bridge=netlink.link(bridge),
        other=0 if link is None else _other_end(netlink, link),
        strict=strict,
        trusted=filtered is not None and Entry("trusted") in filtered.of(name),
        switch=next((each for each in theirs.bridges if each.name == bridge), None),
        port=next((port for port in theirs.ports if port.name == name), None),
    )


def _inside(place: Place, name: str) -> EndView:
    link = place.netlink.link(name)
    found = () if link is None else host_addresses(place.netlink, link.index)
    return EndView(
        link=link,
        path=place.path,
        addresses=tuple(each for each in found if not each.is_link_local),
        other=0 if link is None else _other_end(place.netlink, link),
    )


def _other_end(netlink: Netlink, link: Link) -> int:
    """Return the index that the other end of a pair has where it is; 0 for another kind of link."""
    if link.kind != "veth":
        return 0
    raw = netlink.get(encoded(link_message(_GETLINK, REQUEST, [], link.index)))
    return 0 if raw is None else int(decoded(ifinfmsg, raw).get_attr("IFLA_LINK") or 0)


def ways(netlink: Netlink, switch: OvsPatchView | None = None) -> dict[str, frozenset[str]]:
    """Return for each bridge of this namespace those that something else joins it to.

    A pair of links, both of them ports; or a link (a VLAN, a macvlan) on a bridge that is a port.

    Args:
        netlink: a socket into this namespace.
        switch: what Open vSwitch shows, whose bridges join links too.
    """
    found: dict[str, set[str]] = {}
    theirs = switch or OvsPatchView(())
    homes = {port: each.name for each in theirs.bridges for port in each.ports}
    for one, other in (*_joins(netlink, homes), *theirs.joined):
        if one != other:
            found.setdefault(one, set()).add(other)
            found.setdefault(other, set()).add(one)
    return {name: frozenset(others) for name, others in found.items()}


def _joins(netlink: Netlink, homes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    request = link_message(_GETLINK, REQUEST | DUMP, [])
    found = (decoded(ifinfmsg, raw) for raw in netlink.dump(encoded(request)))
    messages = {message["index"]: message for message in found}
    bridges = {index: str(m.get_attr("IFLA_IFNAME")) for index, m in messages.items() if _is(m)}

    def home(message: Any) -> str:
        """Return the bridge a link is a port of; empty for none."""
        master = bridges.get(message.get_attr("IFLA_MASTER") or 0, "")
        return master or homes.get(str(message.get_attr("IFLA_IFNAME")), "")

    for message in messages.values():
        below = messages.get(message.get_attr("IFLA_LINK") or 0)
        if below is None or message.get_attr("IFLA_LINK_NETNSID") is not None:
            continue
        one = home(message)
        for other in (bridges.get(below["index"], ""), home(below)):
            if one and other:
                yield one, other


def _is(message: Any) -> bool:
    info = message.get_attr("IFLA_LINKINFO")
    return bool(info and info.get_attr("IFLA_INFO_KIND") == "bridge")
