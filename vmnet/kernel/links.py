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
    head,
    ifaddrmsg,
    ifinfmsg,
    rtmsg,
)
from vmnet.kernel.linkreader import read_link
from vmnet.kernel.messages import link_message, to_message
from vmnet.kernel.rtnetlink import Channel
from vmnet.model.host import Link
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
                yield read_link(raw)

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
        return None if raw is None else read_link(raw)

    def _linked(self, attrs: list[tuple[str, Any]], keep: Callable[[Link], bool]) -> list[Link]:
        attrs = [*attrs, ("IFLA_EXT_MASK", _SKIP_STATS)]
        request = link_message(_GETLINK, REQUEST | DUMP, attrs)
        found = (read_link(raw) for raw in self.dump(encoded(request)))
        return [link for link in found if keep(link)]
