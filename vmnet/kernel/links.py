"""rtnetlink: links, ports, addresses, routes. The one file that imports pyroute2.

Job: read links as values, write steps as messages; pyroute2 encodes and decodes them.
Leaves to others: why (`vmnet.plan`), in which order (`vmnet.kernel.apply`), the socket
(`vmnet.kernel.rtnetlink`).
Privilege: reading needs none, changing needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, assert_never

from vmnet.kernel.parts import parts_of
from vmnet.kernel.rtnetlink import Channel
from vmnet.model.host import Link, TunFacts
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
)

with parts_of("pyroute2"):
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

# linux/rtnetlink.h, linux/netlink.h, linux/if.h
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_GETADDR, _GETROUTE, _NEWLINKPROP, _DELLINKPROP = 22, 26, 108, 109
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_EXCL_CREATE = 0x200 | 0x400
_APPEND = 0x800
_SKIP_STATS = 8
_IFF_UP = 1
#: No spanning tree, which keeps a new port silent for 30 s; no snooping, which without a querier
#: loses groups after minutes and has the bridge itself send IGMP and MLD to every guest.
_BRIDGE = [("IFLA_BR_STP_STATE", 0), ("IFLA_BR_MCAST_SNOOPING", 0)]
_PROTO_KERNEL = 2


class Netlink(Channel):
    """Links as values and steps as messages, through one channel."""

    # Reading

    def link(self, name: str) -> Link | None:
        """Return the link of that name, or None if there is none.

        The kernel would take another name of a link as well; a plan needs to know which is which.
        """
        link = self._one([("IFLA_IFNAME", name)])
        return link if link is not None and link.name == name else None

    def link_by_altname(self, altname: str) -> Link | None:
        """Return the link that has this other name, or None."""
        return self._one([("IFLA_ALT_IFNAME", altname)])

    def link_by_index(self, index: int) -> Link | None:
        """Return the link of that index, or None."""
        return self._one([], index)

    def links(self, containing: bytes = b"") -> Iterator[Link]:
        """Return all links, or those whose message has these bytes in it.

        Decoding costs more than asking: a cheap look for the tag spares it for other links.
        """
        request = _link_message(_GETLINK, _REQUEST | _DUMP, [("IFLA_EXT_MASK", _SKIP_STATS)])
        for raw in self.dump(_encoded(request)):
            if containing in raw:
                yield _to_link(_decoded(ifinfmsg, raw))

    def ports(self, index: int) -> list[Link]:
        """Return the ports of a bridge."""
        return self._linked([("IFLA_MASTER", index)], lambda link: link.master == index)

    def bridges(self) -> list[Link]:
        """Return all Linux bridges."""
        kind = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
        return self._linked([("IFLA_LINKINFO", kind)], lambda link: link.kind == "bridge")

    def uppers(self, index: int) -> list[str]:
        """Return the names of links that sit on this one (VLANs, macvlans)."""
        request = _link_message(_GETLINK, _REQUEST | _DUMP, [("IFLA_EXT_MASK", _SKIP_STATS)])
        messages = (_decoded(ifinfmsg, raw) for raw in self.dump(_encoded(request)))
        return [
            str(m.get_attr("IFLA_IFNAME")) for m in messages if m.get_attr("IFLA_LINK") == index
        ]

    def addresses(self, index: int) -> list[str]:
        """Return a link's addresses, each with its prefix length."""
        request = ifaddrmsg()
        request["index"] = index
        _head(request, _GETADDR, _REQUEST | _DUMP)
        found = (_decoded(ifaddrmsg, raw) for raw in self.dump(_encoded(request)))
        return [
            f"{m.get_attr('IFA_LOCAL') or m.get_attr('IFA_ADDRESS')}/{m['prefixlen']}"
            for m in found
            if m["index"] == index
        ]

    def routes(self, index: int) -> list[str]:
        """Return the destinations of routes through a link that the kernel did not make itself."""
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            request = rtmsg()
            request["family"] = family
            request["attrs"] = [("RTA_OIF", index)]
            _head(request, _GETROUTE, _REQUEST | _DUMP)
            found += [
                f"{message.get_attr('RTA_DST') or 'default'}/{message['dst_len']}"
                for message in (_decoded(rtmsg, raw) for raw in self.dump(_encoded(request)))
                if message.get_attr("RTA_OIF") == index and message["proto"] != _PROTO_KERNEL
            ]
        return found

    # Changing

    def send(self, steps: Sequence[NetlinkStep], index_of: Callable[[Ref], int]) -> None:
        """Carry out steps in one system call.

        The kernel goes on after a message it refused; so may the later ones have been carried out.

        Args:
            steps: at most a few dozen.
            index_of: the index of a link that a step names.

        Raises:
            Refused: the first message that was refused, all answers having been read; or the socket
                itself: `failed` then names all steps if nothing was sent, and none if what was sent
                got no answer, for then each may have been carried out.
        """
        # A link without an IPv6 side (ipv6.disable=1, or an MTU below 1280) is silent as it is.
        no_ipv6 = {
            place: errno.EAFNOSUPPORT
            for place, step in enumerate(steps)
            if isinstance(step, QuietIpv6)
        }
        self.exchange([_encoded(to_message(step, index_of)) for step in steps], no_ipv6)

    def create_veth(self, name: str, peer: str) -> None:
        """Make a pair of links, each the other end of one cable.

        Raises:
            Refused: the kernel did not.
        """
        end = {"attrs": [("IFLA_IFNAME", peer)]}
        info = [
            ("IFLA_INFO_KIND", "veth"),
            ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", end)]}),
        ]
        attrs = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": info})]
        message = _link_message(_NEWLINK, _REQUEST | _ACK | _EXCL_CREATE, attrs)
        self.exchange([_encoded(message)])

    def _one(self, attrs: list[tuple[str, Any]], index: int = 0) -> Link | None:
        attrs = [*attrs, ("IFLA_EXT_MASK", _SKIP_STATS)]
        raw = self.get(_encoded(_link_message(_GETLINK, _REQUEST, attrs, index)))
        return None if raw is None else _to_link(_decoded(ifinfmsg, raw))

    def _linked(self, attrs: list[tuple[str, Any]], keep: Callable[[Link], bool]) -> list[Link]:
        attrs = [*attrs, ("IFLA_EXT_MASK", _SKIP_STATS)]
        request = _link_message(_GETLINK, _REQUEST | _DUMP, attrs)
        found = (_to_link(_decoded(ifinfmsg, raw)) for raw in self.dump(_encoded(request)))
        return [link for link in found if keep(link)]


def to_message(step: NetlinkStep, index_of: Callable[[Ref], int]) -> Any:
    """Return the rtnetlink message of a step."""
    match step:
        case CreateBridge(name, mac):
            info = [
                ("IFLA_INFO_KIND", "bridge"),
                ("IFLA_INFO_DATA", {"attrs": _BRIDGE}),
            ]
            attrs = [
                ("IFLA_IFNAME", name),
                ("IFLA_ADDRESS", mac),
                ("IFLA_LINKINFO", {"attrs": info}),
            ]
            return _link_message(_NEWLINK, _REQUEST | _ACK | _EXCL_CREATE, attrs)
        case DeleteLink(link):
            return _link_message(_DELLINK, _REQUEST | _ACK, [], index_of(link))
        case AddAltname(link, altname):
            flags = _REQUEST | _ACK | _EXCL_CREATE | _APPEND
            return _link_message(_NEWLINKPROP, flags, _altname(altname), index_of(link))
        case DropAltname(link, altname):
            return _link_message(_DELLINKPROP, _REQUEST | _ACK, _altname(altname), index_of(link))
        case SetUp(link, up):
            message = _link_message(_SETLINK, _REQUEST | _ACK, [], index_of(link))
            message["flags"] = _IFF_UP if up else 0
            message["change"] = _IFF_UP
            return message
        case SetAlias() | SetMac() | SetMtu() | QuietIpv6() | SetMaster():
            attrs = _set_attrs(step, index_of)
            return _link_message(_SETLINK, _REQUEST | _ACK, attrs, index_of(step.link))
        case _:
            assert_never(step)


def _set_attrs(
    step: SetAlias | SetMac | SetMtu | QuietIpv6 | SetMaster, index_of: Callable[[Ref], int]
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
            mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", 1)]}
            return [("IFLA_AF_SPEC", {"attrs": [("AF_INET6", mode)]})]
        case _:
            assert_never(step)


def _altname(altname: str) -> list[tuple[str, Any]]:
    return [("IFLA_PROP_LIST", {"attrs": [("IFLA_ALT_IFNAME", altname)]})]


def _head(message: Any, kind: int, flags: int) -> None:
    message["header"]["type"] = kind
    message["header"]["flags"] = flags


def _link_message(kind: int, flags: int, attrs: Iterable[tuple[str, Any]], index: int = 0) -> Any:
    message = ifinfmsg()
    _head(message, kind, flags)
    message["index"] = index
    message["attrs"] = list(attrs)
    return message


def _encoded(message: Any) -> bytes:
    message.encode()
    return bytes(message.data)


def _decoded(codec: Any, raw: bytes) -> Any:
    message = codec(raw)
    message.decode()
    return message


def _getter(message: Any) -> Callable[[str], Any]:
    """Return a quick get_attr: one pass over some fifty attributes instead of one for each asked.

    Values are decoded when they are asked for.
    """
    slots = {slot[0]: slot for slot in message["attrs"]}
    return lambda name: slots[name][1] if name in slots else None


def _text(value: str | bytes | None) -> str:
    """Return a name or alias as text; the kernel takes any bytes for one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


def _to_link(message: Any) -> Link:
    get = _getter(message)
    info = get("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else "") or ""
    names = get("IFLA_PROP_LIST")
    return Link(
        index=message["index"],
        name=_text(get("IFLA_IFNAME")),
        kind=kind,
        mac=get("IFLA_ADDRESS") or "",
        mtu=get("IFLA_MTU") or 0,
        master=get("IFLA_MASTER") or 0,
        up=bool(message["flags"] & _IFF_UP),
        carrier=bool(get("IFLA_CARRIER")),
        carrier_ups=get("IFLA_CARRIER_UP_COUNT") or 0,
        alias=_text(get("IFLA_IFALIAS")),
        altnames=tuple(map(_text, names.get_attrs("IFLA_ALT_IFNAME"))) if names else (),
        tun=_to_tun(info.get_attr("IFLA_INFO_DATA")) if kind == "tun" else None,
    )


def _to_tun(data: Any) -> TunFacts:
    get = _getter(data)
    return TunFacts(
        tap=get("IFLA_TUN_TYPE") == 2,
        persist=bool(get("IFLA_TUN_PERSIST")),
        multi_queue=bool(get("IFLA_TUN_MULTI_QUEUE")),
        vnet_hdr=bool(get("IFLA_TUN_VNET_HDR")),
        owner=get("IFLA_TUN_OWNER"),
        group=get("IFLA_TUN_GROUP"),
        queues=(get("IFLA_TUN_NUM_QUEUES") or 0) + (get("IFLA_TUN_NUM_DISABLED_QUEUES") or 0),
    )
