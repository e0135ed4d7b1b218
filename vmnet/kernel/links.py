"""rtnetlink: links, ports, addresses, routes.

Job: read links as values, send steps.
Leaves to others: why (`vmnet.plan`), in which order (`vmnet.kernel.apply`), the socket
(`vmnet.kernel.rtnetlink`), the bytes (`vmnet.kernel.codecs`).
Privilege: reading needs none, changing needs CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from vmnet.kernel.codecs import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    REQUEST,
    decoded,
    encoded,
    getter,
    head,
    ifaddrmsg,
    ifinfmsg,
    rtmsg,
    text_of,
)
from vmnet.kernel.messages import link_message, to_message
from vmnet.kernel.portmessages import FLAGS
from vmnet.kernel.rtnetlink import Channel
from vmnet.model.host import Link, MacvtapFacts, TunFacts
from vmnet.model.hoststep import RestoreIpv6
from vmnet.model.portstep import UnpinMac
from vmnet.model.step import NetlinkStep, QuietIpv6, Ref

# linux/rtnetlink.h, linux/if.h
_NEWLINK, _GETLINK, _GETADDR, _GETROUTE = 16, 18, 22, 26
_SKIP_STATS = 8
_IFF_UP = 1
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
        request = link_message(_GETLINK, REQUEST | DUMP, [("IFLA_EXT_MASK", _SKIP_STATS)])
        for raw in self.dump(encoded(request)):
            if containing in raw:
                yield _to_link(decoded(ifinfmsg, raw))

    def ports(self, index: int) -> list[Link]:
        """Return the ports of a bridge."""
        return self._linked([("IFLA_MASTER", index)], lambda link: link.master == index)

    def bridges(self) -> list[Link]:
        """Return all Linux bridges."""
        kind = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
        return self._linked([("IFLA_LINKINFO", kind)], lambda link: link.kind == "bridge")

    def uppers(self, index: int) -> list[str]:
        """Return the names of links that sit on this one (VLANs, macvlans)."""
        request = link_message(_GETLINK, REQUEST | DUMP, [("IFLA_EXT_MASK", _SKIP_STATS)])
        messages = (decoded(ifinfmsg, raw) for raw in self.dump(encoded(request)))
        return [
            str(m.get_attr("IFLA_IFNAME"))
            for m in messages
            # A pair's other end elsewhere has the index of a link of that namespace.
            if m.get_attr("IFLA_LINK") == index and m.get_attr("IFLA_LINK_NETNSID") is None
        ]

    def addresses(self, index: int) -> list[str]:
        """Return a link's addresses, each with its prefix length."""
        request = ifaddrmsg()
        request["index"] = index
        head(request, _GETADDR, REQUEST | DUMP)
        found = (decoded(ifaddrmsg, raw) for raw in self.dump(encoded(request)))
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
            head(request, _GETROUTE, REQUEST | DUMP)
            found += [
                f"{message.get_attr('RTA_DST') or 'default'}/{message['dst_len']}"
                for message in (decoded(rtmsg, raw) for raw in self.dump(encoded(request)))
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
        # An entry of a MAC may have gone with a VLAN.
        tolerated = {
            place: errno.ENOENT if isinstance(step, UnpinMac) else errno.EAFNOSUPPORT
            for place, step in enumerate(steps)
            if isinstance(step, QuietIpv6 | RestoreIpv6 | UnpinMac)
        }
        self.exchange([encoded(to_message(step, index_of)) for step in steps], tolerated)

    def create_veth(self, name: str, peer: str, netns: int | None = None) -> None:
        """Make a pair of links, each the other end of one cable.

        Args:
            name: the first link's name.
            peer: the other one's.
            netns: a descriptor of the namespace of the other one; None for the same.

        Raises:
            Refused: the kernel did not.
        """
        place = [] if netns is None else [("IFLA_NET_NS_FD", netns)]
        end = {"attrs": [("IFLA_IFNAME", peer), *place]}
        info = [
            ("IFLA_INFO_KIND", "veth"),
            ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", end)]}),
        ]
        attrs = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": info})]
        message = link_message(_NEWLINK, REQUEST | ACK | EXCL | CREATE, attrs)
        self.exchange([encoded(message)])

    def _one(self, attrs: list[tuple[str, Any]], index: int = 0) -> Link | None:
        attrs = [*attrs, ("IFLA_EXT_MASK", _SKIP_STATS)]
        raw = self.get(encoded(link_message(_GETLINK, REQUEST, attrs, index)))
        return None if raw is None else _to_link(decoded(ifinfmsg, raw))

    def _linked(self, attrs: list[tuple[str, Any]], keep: Callable[[Link], bool]) -> list[Link]:
        attrs = [*attrs, ("IFLA_EXT_MASK", _SKIP_STATS)]
        request = link_message(_GETLINK, REQUEST | DUMP, attrs)
        found = (_to_link(decoded(ifinfmsg, raw)) for raw in self.dump(encoded(request)))
        return [link for link in found if keep(link)]


def _to_link(message: Any) -> Link:
    get = getter(message)
    info = get("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else "") or ""
    names = get("IFLA_PROP_LIST")
    return Link(
        index=message["index"],
        name=text_of(get("IFLA_IFNAME")),
        kind=kind,
        mac=get("IFLA_ADDRESS") or "",
        mtu=get("IFLA_MTU") or 0,
        master=get("IFLA_MASTER") or 0,
        up=bool(message["flags"] & _IFF_UP),
        carrier=bool(get("IFLA_CARRIER")),
        carrier_ups=get("IFLA_CARRIER_UP_COUNT") or 0,
        alias=text_of(get("IFLA_IFALIAS")),
        altnames=tuple(map(text_of, names.get_attrs("IFLA_ALT_IFNAME"))) if names else (),
        tun=_to_tun(info.get_attr("IFLA_INFO_DATA")) if kind == "tun" else None,
        port=_to_port(info) if kind == "tun" and get("IFLA_MASTER") else {},
        vlan_filtering=bool(_of_bridge(kind, info, "IFLA_BR_VLAN_FILTERING")),
        macvtap=_to_macvtap(message, info) if kind == "macvtap" else None,
        default_pvid=_of_bridge(kind, info, "IFLA_BR_VLAN_DEFAULT_PVID") or 0,
    )


def _of_bridge(kind: str, info: Any, attribute: str) -> Any:
    data = info.get_attr("IFLA_INFO_DATA") if kind == "bridge" else None
    return None if data is None else data.get_attr(attribute)


def _to_port(info: Any) -> dict[str, bool]:
    data = info.get_attr("IFLA_INFO_SLAVE_DATA")
    if info.get_attr("IFLA_INFO_SLAVE_KIND") != "bridge" or data is None:
        return {}
    get = getter(data)
    values = {name: get(attribute) for name, attribute in FLAGS.items()}
    return {name: bool(value) for name, value in values.items() if value is not None}


def _to_macvtap(message: Any, info: Any) -> MacvtapFacts:
    data = info.get_attr("IFLA_INFO_DATA")
    get = getter(message)
    elsewhere = get("IFLA_LINK_NETNSID") is not None
    mode = None if data is None else data.get_attr("IFLA_MACVTAP_MODE")
    return MacvtapFacts(0 if elsewhere else get("IFLA_LINK") or 0, str(mode))


def _to_tun(data: Any) -> TunFacts:
    get = getter(data)
    return TunFacts(
        tap=get("IFLA_TUN_TYPE") == 2,
        persist=bool(get("IFLA_TUN_PERSIST")),
        multi_queue=bool(get("IFLA_TUN_MULTI_QUEUE")),
        vnet_hdr=bool(get("IFLA_TUN_VNET_HDR")),
        owner=get("IFLA_TUN_OWNER"),
        group=get("IFLA_TUN_GROUP"),
        queues=(get("IFLA_TUN_NUM_QUEUES") or 0) + (get("IFLA_TUN_NUM_DISABLED_QUEUES") or 0),
        disabled=get("IFLA_TUN_NUM_DISABLED_QUEUES") or 0,
    )
