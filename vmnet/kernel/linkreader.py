"""rtnetlink: a link's message as a value.

Job: of some sixty attributes of RTM_NEWLINK the two dozen that vmnet looks at.
Leaves to others: asking (`vmnet.kernel.links`).
Privilege: none.

Read here with `struct`: with pyroute2's codec the links of a thousand TAPs take more than ten times
as long (`./dev bench c`), most of it for attributes that nobody asks for. What vmnet sends is
encoded by pyroute2.
Source: linux/if_link.h, linux/if_tun.h, linux/netlink.h, linux/rtnetlink.h (struct ifinfomsg).
"""

from __future__ import annotations

import struct

from vmnet.model.host import Link, MacvtapFacts, TunFacts

_HEADER = 16
_IFINFOMSG = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_U16, _U32 = struct.Struct("=H"), struct.Struct("=I")
#: NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags of an attribute's type.
_TYPE = 0x3FFF
_IFF_UP = 1
# IFLA_*
_ADDRESS, _IFNAME, _MTU, _LINK, _MASTER, _LINKINFO, _IFALIAS = 1, 3, 4, 5, 10, 18, 20
_CARRIER, _LINK_NETNSID, _CARRIER_UP_COUNT, _PROP_LIST, _ALT_IFNAME = 33, 37, 47, 52, 53
# IFLA_INFO_*
_KIND, _DATA, _SLAVE_KIND, _SLAVE_DATA = 1, 2, 4, 5
# IFLA_TUN_*
_OWNER, _GROUP, _TUN_TYPE, _VNET_HDR, _PERSIST, _MULTI_QUEUE = 1, 2, 3, 5, 6, 7
_QUEUES, _DISABLED_QUEUES = 8, 9
_TAP = 2
# IFLA_BR_*, IFLA_MACVLAN_*
_VLAN_FILTERING, _DEFAULT_PVID, _MODE = 7, 39, 1
_MODES = {1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}
#: IFLA_BRPORT_*, by `ip`'s names.
_PORT = {
    "guard": 5,
    "root_block": 6,
    "learning": 8,
    "flood": 9,
    "neigh_suppress": 32,
    "isolated": 33,
    "locked": 39,
}

_Attributes = dict[int, bytes]


def read_link(raw: bytes) -> Link:
    """Return the link that a message of RTM_NEWLINK is about."""
    _, _, index, flags, _ = _IFINFOMSG.unpack_from(raw, _HEADER)
    found = _attributes(raw, _HEADER + _IFINFOMSG.size)
    info = _attributes(found.get(_LINKINFO, b""))
    kind = _text(info.get(_KIND, b""))
    data = _attributes(info.get(_DATA, b""))
    master = _number(found, _MASTER)
    bridge = data if kind == "bridge" else {}
    return Link(
        index=index,
        name=_text(found.get(_IFNAME, b"")),
        kind=kind,
        mac=found.get(_ADDRESS, b"").hex(":"),
        mtu=_number(found, _MTU),
        master=master,
        up=bool(flags & _IFF_UP),
        carrier=_flag(found, _CARRIER),
        carrier_ups=_number(found, _CARRIER_UP_COUNT),
        alias=_text(found.get(_IFALIAS, b"")),
        altnames=_names(found.get(_PROP_LIST, b"")),
        tun=_tun(data) if kind == "tun" else None,
        port=_port(info) if kind == "tun" and master else {},
        vlan_filtering=_flag(bridge, _VLAN_FILTERING),
        macvtap=_macvtap(found, data) if kind == "macvtap" else None,
        default_pvid=_U16.unpack_from(bridge[_DEFAULT_PVID])[0] if _DEFAULT_PVID in bridge else 0,
    )


def _attributes(data: bytes, at: int = 0) -> _Attributes:
    """Return the attributes of a message, or of one; the last of each type."""
    found = {}
    end = len(data)
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _names(data: bytes) -> tuple[str, ...]:
    names, at = [], 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        if kind & _TYPE == _ALT_IFNAME:
            names.append(_text(data[at + _ATTRIBUTE.size : at + length]))
        at += (length + 3) & ~3
    return tuple(names)


def _text(data: bytes) -> str:
    """Return a name or alias as text; the kernel takes any bytes for one."""
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(found: _Attributes, kind: int) -> int:
    data = found.get(kind)
    return 0 if data is None else int(_U32.unpack_from(data)[0])


def _flag(found: _Attributes, kind: int) -> bool:
    return found.get(kind, b"\0")[:1] not in (b"\0", b"")


def _tun(data: _Attributes) -> TunFacts:
    disabled = _number(data, _DISABLED_QUEUES)
    return TunFacts(
        tap=data.get(_TUN_TYPE, b"\0")[0] == _TAP,
        persist=_flag(data, _PERSIST),
        multi_queue=_flag(data, _MULTI_QUEUE),
        vnet_hdr=_flag(data, _VNET_HDR),
        owner=_number(data, _OWNER) if _OWNER in data else None,
        group=_number(data, _GROUP) if _GROUP in data else None,
        queues=_number(data, _QUEUES) + disabled,
        disabled=disabled,
    )


def _port(info: _Attributes) -> dict[str, bool]:
    if _text(info.get(_SLAVE_KIND, b"")) != "bridge":
        return {}
    data = _attributes(info.get(_SLAVE_DATA, b""))
    return {name: _flag(data, kind) for name, kind in _PORT.items() if kind in data}


def _macvtap(found: _Attributes, data: _Attributes) -> MacvtapFacts:
    lower = 0 if _LINK_NETNSID in found else _number(found, _LINK)
    return MacvtapFacts(lower, _MODES.get(_number(data, _MODE), str(None)))
