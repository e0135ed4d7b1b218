"""Steps as rtnetlink messages.

Job: one message for each step that is one; pyroute2 encodes it.
Leaves to others: sending them (`vmnet.kernel.links`), in which order (`vmnet.kernel.apply`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, assert_never

from vmnet.kernel.codecs import ACK, APPEND, CREATE, EXCL, REQUEST, head, ifinfmsg
from vmnet.kernel.portmessages import port_message, rate_message
from vmnet.model.hoststep import AddressStep, RestoreIpv6, RouteStep
from vmnet.model.portstep import PortStep, RateStep
from vmnet.model.step import (
    AddAltname,
    CreateBridge,
    DeleteLink,
    DropAltname,
    NetlinkStep,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMaster,
    SetMtu,
    SetUp,
    SetVlanFiltering,
)
from vmnet.model.wirestep import WireStep

# linux/rtnetlink.h, linux/if.h
_NEWLINK, _DELLINK, _SETLINK = 16, 17, 19
_NEWLINKPROP, _DELLINKPROP = 108, 109
_IFF_UP = 1
#: No spanning tree, which keeps a new port silent for 30 s; no snooping, which without a querier
#: loses groups after minutes and has the bridge itself send IGMP and MLD to every guest.
_BRIDGE = [("IFLA_BR_STP_STATE", 0), ("IFLA_BR_MCAST_SNOOPING", 0)]


def to_message(step: NetlinkStep, index_of: Callable[[Ref], int]) -> Any:
    """Return the rtnetlink message of a step."""
    if isinstance(step, PortStep | RateStep | AddressStep | RouteStep | WireStep):
        return _message_elsewhere(step, index_of)
    match step:
        case CreateBridge(name, mac, vlan_filtering):
            data = [*_BRIDGE, *(_filtering(on=True) if vlan_filtering else [])]
            info = [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": data})]
            attrs = [
                ("IFLA_IFNAME", name),
                ("IFLA_ADDRESS", mac),
                ("IFLA_LINKINFO", {"attrs": info}),
            ]
            return link_message(_NEWLINK, REQUEST | ACK | EXCL | CREATE, attrs)
        case SetVlanFiltering(link, on):
            data = _filtering(on=on)
            info = [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": data})]
            attrs = [("IFLA_LINKINFO", {"attrs": info})]
            return link_message(_NEWLINK, REQUEST | ACK, attrs, index_of(link))
        case DeleteLink(link):
            return link_message(_DELLINK, REQUEST | ACK, [], index_of(link))
        case AddAltname(link, altname):
            flags = REQUEST | ACK | EXCL | CREATE | APPEND
            return link_message(_NEWLINKPROP, flags, _altname(altname), index_of(link))
        case DropAltname(link, altname):
            return link_message(_DELLINKPROP, REQUEST | ACK, _altname(altname), index_of(link))
        case SetUp(link, up):
            message = link_message(_SETLINK, REQUEST | ACK, [], index_of(link))
            message["flags"] = _IFF_UP if up else 0
            message["change"] = _IFF_UP
            return message
        case SetAlias() | SetMac() | SetMtu() | QuietIpv6() | RestoreIpv6() | SetMaster():
            attrs = _set_attrs(step, index_of)
            return link_message(_SETLINK, REQUEST | ACK, attrs, index_of(step.link))
        case _:
            assert_never(step)


def _message_elsewhere(
    step: PortStep | RateStep | AddressStep | RouteStep | WireStep, index_of: Callable[[Ref], int]
) -> Any:
    if isinstance(step, PortStep):
        return port_message(step, index_of)
    if isinstance(step, RateStep):
        return rate_message(step, index_of)
    # A NIC on a bridge has none of the following; its start, for which libvirt waits, does without.
    if isinstance(step, WireStep):
        from vmnet.kernel.wiremessages import wire_message  # noqa: PLC0415

        return wire_message(step, index_of)
    if isinstance(step, AddressStep):
        from vmnet.kernel.addresses import address_message  # noqa: PLC0415

        return address_message(step, index_of(step.link))
    from vmnet.kernel.routes import route_message  # noqa: PLC0415

    return route_message(step, index_of(step.link))


def _set_attrs(
    step: SetAlias | SetMac | SetMtu | QuietIpv6 | RestoreIpv6 | SetMaster,
    index_of: Callable[[Ref], int],
) -> list[tuple[str, Any]]:
    match step:
        case SetAlias(_, alias):
            return [("IFLA_IFALIAS", alias)]
        case SetMac(_, mac):
            return [("IFLA_ADDRESS", mac)]
        case SetMtu(_, mtu):
            return [("IFLA_MTU", mtu)]
        case SetMaster(_, master):
            return [("IFLA_MASTER", 0 if master is None else index_of(master))]
        case QuietIpv6():
            # IN6_ADDR_GEN_MODE_NONE (linux/if_link.h): no link-local address, and with it no
            # neighbour discovery into the guest; /proc of the right namespace is not needed.
            return _gen_mode(1)
        case RestoreIpv6(_, mode):
            return _gen_mode(mode)
        case _:
            assert_never(step)


def _gen_mode(mode: int) -> list[tuple[str, Any]]:
    inet6 = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", mode)]}
    return [("IFLA_AF_SPEC", {"attrs": [("AF_INET6", inet6)]})]


def _filtering(*, on: bool) -> list[tuple[str, Any]]:
    return [("IFLA_BR_VLAN_FILTERING", int(on))]


def _altname(altname: str) -> list[tuple[str, Any]]:
    return [("IFLA_PROP_LIST", {"attrs": [("IFLA_ALT_IFNAME", altname)]})]


def link_message(kind: int, flags: int, attrs: Iterable[tuple[str, Any]], index: int = 0) -> Any:
    """Return a message about a link."""
    message = ifinfmsg()
    head(message, kind, flags)
    message["index"] = index
    message["attrs"] = list(attrs)
    return message
