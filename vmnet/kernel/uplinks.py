"""Looking at an uplink: a NIC and its bridge, gathered for a planner.

Job: `UplinkView`, with few questions.
Leaves to others: deciding (`vmnet.plan.uplink`).
Privilege: reading needs none; root sees every process that may see to the NIC.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from vmnet.kernel.addresses import host_addresses
from vmnet.kernel.codecs import (
    DUMP,
    REQUEST,
    decoded,
    encoded,
    fibmsg,
    head,
    ifinfmsg,
    ndmsg,
    text_of,
)
from vmnet.kernel.links import Netlink
from vmnet.kernel.managers import is_wireless, manager_of
from vmnet.kernel.messages import link_message
from vmnet.kernel.observe import look_at_filter
from vmnet.kernel.ports import vlans
from vmnet.kernel.routes import host_routes
from vmnet.model.host import Link
from vmnet.model.portfacts import Entry
from vmnet.model.uplink import BridgeFacts, End, NicFacts, UplinkView

# linux/rtnetlink.h, linux/if_arp.h, linux/if.h, linux/neighbour.h
_GETLINK, _GETNEIGH, _GETRULE = 18, 30, 34
_ARPHRD_ETHER, _IFF_LOOPBACK, _NUD_PERMANENT = 1, 0x8, 0x80
#: net.ipv6.conf.*.accept_ra: also where the host forwards.
_ACCEPT_ALWAYS = 2
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
#: How deep links sit on links (net/core/dev.c MAX_NEST_DEV).
_DEPTH = 8


def uplink_view(netlink: Netlink, bridge: str, nic: str) -> UplinkView:
    """Return what a planner needs to know about an uplink.

    Raises:
        Refused: the kernel would not tell.
    """
    below, above = netlink.link(nic), netlink.link(bridge)
    end = None if below is None else _end(netlink, below)
    whole = None if above is None else _end(netlink, above)
    there = () if above is not None else tuple(each.name for each in netlink.bridges())
    return UplinkView(
        bridge=whole,
        nic=end,
        nic_facts=NicFacts() if end is None else _nic_facts(netlink, end),
        bridge_facts=BridgeFacts() if above is None else _bridge_facts(netlink, above, nic),
        bridges=there,
    )


def ends_view(netlink: Netlink, bridge: str, nic: str) -> UplinkView:
    """Return what it takes to give a NIC back what it had: no process and no filter is asked.

    Raises:
        Refused: the kernel would not tell.
    """
    below, above = netlink.link(nic), netlink.link(bridge)
    end = None if below is None else _end(netlink, below)
    mine = next((m for m in _all_links(netlink) if end and m["index"] == end.link.index), None)
    return UplinkView(
        bridge=None if above is None else _end(netlink, above),
        nic=end,
        nic_facts=NicFacts(ipv6=None if mine is None else _ipv6(mine)[1]),
    )


def _end(netlink: Netlink, link: Link) -> End:
    addresses = host_addresses(netlink, link.index)
    return End(link, addresses, host_routes(netlink, link.index))


def _nic_facts(netlink: Netlink, nic: End) -> NicFacts:
    link = nic.link
    messages = {m["index"]: m for m in _all_links(netlink)}
    mine = messages.get(link.index)
    if mine is None:
        return NicFacts()  # it vanished
    conf, mode = _ipv6(mine)
    beneath = _beneath(mine)
    veth = link.kind == "veth"
    names = frozenset(text_of(m.get_attr("IFLA_IFNAME")) for m in messages.values())
    uppers = [
        netlink.link_by_index(index)
        for index, other in messages.items()
        if _beneath(other) == link.index and _kind(other) != "veth"
    ]
    return NicFacts(
        ethernet=mine["ifi_type"] == _ARPHRD_ETHER and not mine["flags"] & _IFF_LOOPBACK,
        wireless=is_wireless(link.name, link.index),
        master=netlink.link_by_index(link.master) if link.master else None,
        lowers=() if veth else tuple(_lowers(messages, mine)),
        other_end=netlink.link_by_index(beneath) if veth and beneath else None,
        uppers=tuple(upper for upper in uppers if upper is not None),
        ipv6=mode,
        hears_routers=_hears_routers(conf),
        manager=manager_of(nic, names),
        rules=tuple(_rules(netlink, link.name)),
        neighbours=tuple(_neighbours(netlink, link.index)),
    )


def _bridge_facts(netlink: Netlink, bridge: Link, nic: str) -> BridgeFacts:
    if bridge.kind != "bridge":
        return BridgeFacts()
    message = next((m for m in _all_links(netlink) if m["index"] == bridge.index), None)
    if message is None:
        return BridgeFacts()
    data = message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
    conf, _ = _ipv6(message)
    filtered = look_at_filter(needed=False)
    distrusts = bridge.name in filtered.strict and Entry("trusted") not in filtered.of(nic)
    return BridgeFacts(
        delays=bool(data.get_attr("IFLA_BR_STP_STATE") and data.get_attr("IFLA_BR_FORWARD_DELAY")),
        has_ipv6=conf is not None and not conf["disable_ipv6"],
        hears_routers=_hears_routers(conf),
        takes_untagged=not bridge.vlan_filtering or _takes_untagged(netlink, bridge),
        distrusts=distrusts,
        ports=len(netlink.ports(bridge.index)),
    )


def _takes_untagged(netlink: Netlink, bridge: Link) -> bool:
    """Say whether the host at a bridge and a new port of it are in one VLAN, untagged."""
    own = [entry.vids for entry in vlans(netlink, bridge.index) if entry.pvid and entry.untagged]
    return any(vids.first == bridge.default_pvid for vids in own)


def _all_links(netlink: Netlink) -> list[Any]:
    # Not without statistics: with them goes the IPv6 side (net/ipv6/addrconf.c
    # inet6_fill_ifla6_attrs).
    request = link_message(_GETLINK, REQUEST | DUMP, [])
    return [decoded(ifinfmsg, raw) for raw in netlink.dump(encoded(request))]


def _beneath(message: Any) -> int:
    """Return the index of the link that one sits on, in this namespace; 0 for none."""
    if message.get_attr("IFLA_LINK_NETNSID") is not None:
        return 0
    beneath = message.get_attr("IFLA_LINK") or 0
    return 0 if beneath == message["index"] else int(beneath)


def _lowers(messages: dict[int, Any], message: Any) -> Iterator[int]:
    for _ in range(_DEPTH):
        beneath = _beneath(message)
        if not beneath or beneath not in messages or _kind(message) == "veth":
            return
        yield beneath
        message = messages[beneath]


def _kind(message: Any) -> str:
    info = message.get_attr("IFLA_LINKINFO")
    return (info.get_attr("IFLA_INFO_KIND") if info else "") or ""


def _ipv6(message: Any) -> tuple[Any, int | None]:
    """Return the IPv6 settings of a link, and how it makes its own addresses; None without IPv6."""
    sides = message.get_attr("IFLA_AF_SPEC")
    inet6 = sides.get_attr("AF_INET6") if sides else None
    if inet6 is None:
        return None, None
    return inet6.get_attr("IFLA_INET6_CONF"), inet6.get_attr("IFLA_INET6_ADDR_GEN_MODE")


def _hears_routers(conf: Any) -> bool:
    if conf is None or conf["disable_ipv6"]:
        return False
    return bool(
        conf["accept_ra"] and (not conf["forwarding"] or conf["accept_ra"] == _ACCEPT_ALWAYS)
    )


def _rules(netlink: Netlink, name: str) -> Iterator[str]:
    for family in _FAMILIES:
        request = fibmsg()
        request["family"] = family
        head(request, _GETRULE, REQUEST | DUMP)
        for raw in netlink.dump(encoded(request)):
            rule = decoded(fibmsg, raw)
            for word, attribute in (("iif", "FRA_IIFNAME"), ("oif", "FRA_OIFNAME")):
                if rule.get_attr(attribute) == name:
                    table = rule.get_attr("FRA_TABLE") or rule["table"]
                    number = rule.get_attr("FRA_PRIORITY") or 0
                    yield f"{number}: {word} {name} lookup {table}"


def _neighbours(netlink: Netlink, index: int) -> Iterator[str]:
    for family in _FAMILIES:
        request = ndmsg()
        request["family"] = family
        request["ifindex"] = index
        head(request, _GETNEIGH, REQUEST | DUMP)
        for raw in netlink.dump(encoded(request)):
            entry = decoded(ndmsg, raw)
            if entry["ifindex"] == index and entry["state"] & _NUD_PERMANENT:
                yield str(entry.get_attr("NDA_DST"))
