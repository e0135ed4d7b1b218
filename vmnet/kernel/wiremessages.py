"""Steps about wires that are no port of a bridge, as rtnetlink messages; and reading such wires.

Job: one message for each such step; proxies and the switches of a link as values.
Leaves to others: sending (`vmnet.kernel.links`), routes (`vmnet.kernel.routes`).
Privilege: reading needs none.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, assert_never

from vmnet.kernel.codecs import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    REPLACE,
    REQUEST,
    decoded,
    encoded,
    head,
    ifinfmsg,
    inet_link,
    ndmsg,
)
from vmnet.kernel.rtnetlink import Channel
from vmnet.model.ref import Ref
from vmnet.model.routed import PROTOCOL, Proxy
from vmnet.model.wire import Mode
from vmnet.model.wirestep import AddProxy, CreateMacvtap, DropProxy, SetRouting, WireStep

# linux/rtnetlink.h
_NEWLINK, _GETLINK, _SETLINK = 16, 18, 19
_IFF_ALLMULTI = 0x200  # linux/if.h
#: linux/if_link.h MACVLAN_MODE_*
_MODES = {Mode.PRIVATE: 1, Mode.VEPA: 2, Mode.BRIDGE: 4, Mode.PASSTHRU: 8}
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_NTF_PROXY = 0x08  # linux/neighbour.h
_ROUTING = ("forwarding", "proxy_arp", "rp_filter")


def wire_message(step: WireStep, index_of: Callable[[Ref], int]) -> Any:
    """Return the message of a step."""
    if isinstance(step, CreateMacvtap):
        return _macvtap(step, index_of(step.lower))
    index = index_of(step.link)
    match step:
        case SetRouting():
            return _routing(index)
        case AddProxy(_, address):
            return _proxy(_NEWNEIGH, CREATE | REPLACE, index, address)
        case DropProxy(_, address):
            return _proxy(_DELNEIGH, 0, index, address)
        case _:
            assert_never(step)


def _macvtap(step: CreateMacvtap, lower: int) -> Any:
    message = ifinfmsg()
    head(message, _NEWLINK, REQUEST | ACK | EXCL | CREATE)
    message["flags"] = message["change"] = _IFF_ALLMULTI
    data = {"attrs": [("IFLA_MACVTAP_MODE", _MODES[step.mode])]}
    info = [("IFLA_INFO_KIND", "macvtap"), ("IFLA_INFO_DATA", data)]
    message["attrs"] = [
        ("IFLA_IFNAME", step.name),
        ("IFLA_LINK", lower),
        ("IFLA_ADDRESS", step.mac),
        ("IFLA_LINKINFO", {"attrs": info}),
    ]
    return message


def _routing(index: int) -> Any:
    """Return what sets switches of net.ipv4.conf, for which `/proc` would have to be writable."""
    message = inet_link()
    head(message, _SETLINK, REQUEST | ACK)
    message["index"] = index
    values = {"attrs": [(f"IPV4_DEVCONF_{name.upper()}", 1) for name in _ROUTING]}
    inet = {"attrs": [("IFLA_INET_CONF", values)]}
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [("AF_INET", inet)]})]
    return message


def _proxy(kind: int, flags: int, index: int, address: str) -> Any:
    message = ndmsg()
    head(message, kind, REQUEST | ACK | flags)
    message["family"] = socket.AF_INET6 if ":" in address else socket.AF_INET
    message["ifindex"] = index
    message["flags"] = _NTF_PROXY
    message["attrs"] = [("NDA_DST", address), ("NDA_PROTOCOL", PROTOCOL)]
    return message


def proxies(channel: Channel) -> Iterator[Proxy]:
    """Yield for which addresses the host answers, and where, by vmnet's doing.

    Raises:
        Refused: the kernel would not tell.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        request = ndmsg()
        request["family"] = family
        request["flags"] = _NTF_PROXY
        head(request, _GETNEIGH, REQUEST | DUMP)
        for raw in channel.dump(encoded(request)):
            message = decoded(ndmsg, raw)
            if message["flags"] & _NTF_PROXY and message.get_attr("NDA_PROTOCOL") == PROTOCOL:
                index = message["ifindex"]
                yield Proxy(index, message.get_attr("NDA_DST"), _name_of(index))


def _name_of(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def is_routing(channel: Channel, index: int) -> bool:
    """Say whether `SetRouting` holds for a link.

    Raises:
        Refused: the kernel would not tell.
    """
    request = ifinfmsg()
    head(request, _GETLINK, REQUEST)
    request["index"] = index
    raw = channel.get(encoded(request))
    spec = None if raw is None else decoded(ifinfmsg, raw).get_attr("IFLA_AF_SPEC")
    inet = None if spec is None else spec.get_attr("AF_INET")
    return inet is not None and all(inet[name] for name in _ROUTING)
