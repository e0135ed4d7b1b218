"""Looking: what the kernel shows, gathered for a planner.

Job: one view for one decision, with as few questions as it takes.
Leaves to others: deciding (`vmnet.plan`).
Privilege: reading links needs none; seeing who holds a TAP needs root.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from vmnet.errors import NotFound, NotPermitted, Unsupported
from vmnet.kernel import nft
from vmnet.kernel.host import boot_id, machine_id
from vmnet.kernel.links import Netlink
from vmnet.kernel.ports import port_facts, vlans
from vmnet.model.host import BridgeView, Holders, Link, NicView
from vmnet.model.mac import derive
from vmnet.model.names import ifb_name, mac_alt_name
from vmnet.model.nic import Nic
from vmnet.model.portfacts import Filter, PortFacts, Table, VlanEntry, address_entries


def nic_view(
    netlink: Netlink, name: str, nic: Nic, *, others: bool = True, holders: bool = True
) -> NicView:
    """Return what a planner needs to know about one NIC.

    Args:
        netlink: a socket into the namespace.
        name: the TAP's name.
        nic: the wish.
        others: look also for a link with the same MAC.
        holders: search also for the processes that have the TAP open.
    """
    tap = netlink.link(name)
    bridge = netlink.link(nic.bridge) if nic.bridge else None
    master = None
    if tap is not None and tap.master:
        at_home = bridge is not None and bridge.index == tap.master
        master = bridge if at_home else netlink.link_by_index(tap.master)
    named = bridge is not None or not nic.bridge
    there = () if named else tuple(b.name for b in netlink.bridges())
    mac_user = None
    if others and nic.mac:
        mac_user = netlink.link_by_altname(mac_alt_name(nic.mac))
    filtered = look_at_filter(needed=nic.port.guard)
    return NicView(
        name=name,
        tap=tap,
        master=master,
        bridge=bridge,
        bridges=there,
        mac_user=mac_user,
        holders=holders_of(tap) if holders else Holders(),
        facts=None if tap is None else facts_of(netlink, tap, master, nic.mac, filtered),
        filter=filtered,
        ifb=netlink.link(ifb_name(nic.vm, nic.nic)),
        others=_other_vlans(netlink, bridge) if bridge and nic.port.vlans else {},
        uplinks=_uplinks(netlink, nic, bridge),
        sharers=_sharers(netlink, name, nic, bridge, filtered),
    )


def look_at_filter(*, needed: bool) -> Filter:
    """Return what vmnet's filter holds; `UNKNOWN` where this process may not look.

    Raises:
        Unsupported: it is needed, and there is no libnftables.
    """
    try:
        return nft.look()
    except NotPermitted:
        return Filter(Table.UNKNOWN)
    except Unsupported:
        if needed:
            raise
        return Filter(Table.UNKNOWN)


def facts_of(
    netlink: Netlink, link: Link, bridge: Link | None, mac: str, filtered: Filter
) -> PortFacts:
    """Return what may pass at a link's port now."""
    return port_facts(netlink, link, bridge, mac, filtered.of(link.name))


def _other_vlans(netlink: Netlink, bridge: Link) -> dict[str, tuple[VlanEntry, ...]]:
    if not bridge.vlan_filtering:
        return {}
    ports = [port for port in netlink.ports(bridge.index) if port.tun is None]
    return {link.name: vlans(netlink, link.index) for link in (*ports, bridge)}


def _uplinks(netlink: Netlink, nic: Nic, bridge: Link | None) -> tuple[Link, ...]:
    found = (netlink.link(name) for name in nic.trusted) if nic.strict else iter(())
    return tuple(link for link in found if link and bridge and link.master == bridge.index)


def _sharers(
    netlink: Netlink, name: str, nic: Nic, bridge: Link | None, filtered: Filter
) -> tuple[Link, ...]:
    wanted = address_entries(nic.port)
    names = [other for other, has in filtered.entries.items() if other != name and has & wanted]
    found = (netlink.link(other) for other in names)
    return tuple(
        link
        for link in found
        if link and bridge and link.master == bridge.index and _in_vlan(netlink, nic, link, bridge)
    )


def _in_vlan(netlink: Netlink, nic: Nic, link: Link, bridge: Link) -> bool:
    """Say whether a port's frames without a tag are in the VLAN that the NIC's are to be in."""
    if not bridge.vlan_filtering:
        return True
    wished = nic.port.vlans.untagged if nic.port.vlans is not None else bridge.default_pvid
    return any(each.pvid and wished in each.vids.vids for each in vlans(netlink, link.index))


def with_holders(view: NicView) -> NicView:
    """Return the view with the processes that have the TAP open."""
    return replace(view, holders=holders_of(view.tap))


def place_view(netlink: Netlink, nic: Nic) -> NicView:
    """Return what a planner needs to know about the bridge of a NIC whose TAP is not there yet."""
    bridge = netlink.link(nic.bridge)
    there = () if bridge is not None else tuple(b.name for b in netlink.bridges())
    return NicView("", None, None, bridge, there, None, Holders())


def holders_of(link: Link | None, *, search: bool = False) -> Holders:
    """Return who holds a TAP.

    Args:
        link: the TAP.
        search: go through all processes, even if the kernel shows no sign of a holder.
    """
    if link is None or not link.is_nic:
        return Holders()
    if not (search or link.in_use or link.macvtap is not None):
        return Holders()
    return holders_of_all([link])[link.name]


def holders_of_all(links: Iterable[Link]) -> dict[str, Holders]:
    """Return who holds each of these TUNs, TAPs and macvtaps, by name; one search serves all."""
    from vmnet.kernel import processes  # noqa: PLC0415 - psutil costs 45 ms, needed only here

    links = list(links)
    return processes.holders((link.name for link in links), nodes_of(links))


def nodes_of(links: Iterable[Link]) -> dict[int, str]:
    """Return the names of the macvtaps among links, by the numbers of their device nodes."""
    macvtaps = [link for link in links if link.macvtap is not None]
    if not macvtaps:
        return {}
    from vmnet.kernel.macvtaps import number_of  # noqa: PLC0415 - most hosts have none

    found = {}
    for link in macvtaps:
        with suppress(OSError):  # it is gone; then nobody holds it
            found[number_of(link.name, link.index)] = link.name
    return found


def may_look_at(pid: int) -> bool:
    """Say whether this process would see what that one has open."""
    from vmnet.kernel import processes  # noqa: PLC0415 - psutil costs 45 ms, needed only here

    return processes.may_look_at(pid)


def bridge_mac(name: str) -> str:
    """Return the address vmnet gives a bridge of that name on this host.

    A host without a machine id gets another one at the next boot, which no bridge outlives.
    """
    try:
        seed = machine_id()
    except NotFound:
        seed = boot_id()
    return derive(seed, "bridge", name)


def bridge_view(netlink: Netlink, name: str) -> BridgeView:
    """Return what a planner needs to know about a bridge of vmnet's own."""
    link = netlink.link(name)
    mac = bridge_mac(name)
    if link is None:
        return BridgeView(None, mac)
    ports = netlink.ports(link.index) if link.kind == "bridge" else []
    return BridgeView(
        link=link,
        mac=mac,
        ports=tuple(map(_port, ports)),
        addresses=tuple(netlink.addresses(link.index)),
        routes=tuple(netlink.routes(link.index)),
        uppers=tuple(netlink.uppers(link.index)),
        uplinks=tuple(port.name for port in ports if _is_uplink(port)),
    )


def _is_uplink(port: Link) -> bool:
    from vmnet.model.uplink import parse_uplink  # noqa: PLC0415 - not for a NIC's start

    return parse_uplink(port.alias) is not None


def _port(link: Link) -> str:
    known = holders_of(link).known
    if not known:
        return link.name
    return f"{link.name} (held by pid {known[0].pid}: {known[0].command})"
