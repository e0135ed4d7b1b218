"""Steps about ports and rates as rtnetlink messages.

Job: one message for each such step.
Leaves to others: as `vmnet.kernel.messages`, of which this is the second half.
Privilege: none.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, assert_never

from vmnet.kernel.codecs import ACK, CREATE, EXCL, REPLACE, REQUEST, head, ifinfmsg, ndmsg, tcm
from vmnet.model.portstep import (
    AddIngress,
    AddVlans,
    CreateIfb,
    DropIngress,
    DropRate,
    DropVlans,
    PinMac,
    Police,
    PortStep,
    RateStep,
    Redirect,
    SetPort,
    SetRate,
    UnpinMac,
)
from vmnet.model.rate import Shape
from vmnet.model.ref import Ref
from vmnet.model.vlan import VidRange

# linux/rtnetlink.h
NEWLINK, SETLINK, DELLINK = 16, 19, 17
_NEWNEIGH, _DELNEIGH = 28, 29
_NEWQDISC, _DELQDISC, _NEWTFILTER = 36, 37, 44
# linux/neighbour.h
NUD_NOARP, NTF_MASTER, NTF_STICKY = 0x40, 0x04, 0x40
# linux/if_bridge.h BRIDGE_VLAN_INFO_*
_PVID, _UNTAGGED, _RANGE_BEGIN, _RANGE_END = 0x2, 0x4, 0x8, 0x10
# linux/pkt_sched.h
TC_H_ROOT, TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_INGRESS_HANDLE = 0xFFFF0000
#: By which vmnet knows its own qdisc and filter: "vm".
MARK = 0x766D
RATE_HANDLE = MARK << 16
_RATE_MAX = 0xFFFFFFFF
_LINKLAYER_ETHERNET = 1
_TC_ACT_STOLEN, _TC_POLICE_SHOT, _EGRESS_REDIR = 4, 2, 1
_U32_TERMINAL = 1
#: A packet of segmentation offload may be as long; net/sched/act_police.c drops longer ones.
_POLICE_MTU = 0x3FFFF
_RATE_TABLE = bytes(1024)
#: `ip`'s names of a port's flags and the kernel's (linux/if_link.h IFLA_BRPORT_*).
FLAGS = {
    "guard": "IFLA_BRPORT_GUARD",
    "root_block": "IFLA_BRPORT_PROTECT",
    "learning": "IFLA_BRPORT_LEARNING",
    "flood": "IFLA_BRPORT_UNICAST_FLOOD",
    "neigh_suppress": "IFLA_BRPORT_NEIGH_SUPPRESS",
    "isolated": "IFLA_BRPORT_ISOLATED",
    "locked": "IFLA_BRPORT_LOCKED",
}


def port_message(step: PortStep, index_of: Callable[[Ref], int]) -> Any:
    """Return the message of a step about a port."""
    index = index_of(step.link)
    match step:
        case SetPort(_, flags):
            values = [(FLAGS[name], int(on)) for name, on in flags]
            info = [
                ("IFLA_INFO_SLAVE_KIND", "bridge"),
                ("IFLA_INFO_SLAVE_DATA", {"attrs": values}),
            ]
            return _link(NEWLINK, index, [("IFLA_LINKINFO", {"attrs": info})])
        case AddVlans(_, vids, untagged):
            return _vlan(SETLINK, index, vids, _PVID | _UNTAGGED if untagged else 0)
        case DropVlans(_, vids):
            return _vlan(DELLINK, index, vids, 0)
        case PinMac(_, mac):
            # Without the second flag it would go to the port where the MAC was last heard, and what
            # the guest sends be dropped from then on (net/bridge/br_fdb.c br_fdb_update).
            return _neighbour(_NEWNEIGH, CREATE | REPLACE, index, mac, NTF_STICKY)
        case UnpinMac(_, mac):
            return _neighbour(_DELNEIGH, 0, index, mac)
        case _:
            assert_never(step)


def _link(kind: int, index: int, attrs: list[tuple[str, Any]], family: int = 0) -> Any:
    message = ifinfmsg()
    head(message, kind, REQUEST | ACK)
    message["family"] = family
    message["index"] = index
    message["attrs"] = attrs
    return message


def _vlan(kind: int, index: int, vids: VidRange, flags: int) -> Any:
    ends = [(vids.first, flags)]
    if vids.last > vids.first:
        ends = [(vids.first, flags | _RANGE_BEGIN), (vids.last, flags | _RANGE_END)]
    rows = [("IFLA_BRIDGE_VLAN_INFO", {"flags": each, "vid": vid}) for vid, each in ends]
    return _link(kind, index, [("IFLA_AF_SPEC", {"attrs": rows})], socket.AF_BRIDGE)


def _neighbour(kind: int, flags: int, index: int, mac: str, how: int = 0) -> Any:
    message = ndmsg()
    head(message, kind, REQUEST | ACK | flags)
    message["family"] = socket.AF_BRIDGE
    message["ifindex"] = index
    message["state"] = NUD_NOARP
    message["flags"] = NTF_MASTER | how
    # Without a VLAN it is entered in each that the port is in (net/bridge/br_fdb.c br_fdb_add).
    message["attrs"] = [("NDA_LLADDR", mac)]
    return message


def rate_message(step: RateStep, index_of: Callable[[Ref], int]) -> Any:
    """Return the message of a step about rates."""
    match step:
        case CreateIfb(name):
            info = {"attrs": [("IFLA_INFO_KIND", "ifb")]}
            message = _link(NEWLINK, 0, [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)])
            message["header"]["flags"] |= EXCL | CREATE
            return message
        case SetRate(link, shape):
            return _qdisc(_NEWQDISC, index_of(link), _tbf(shape))
        case DropRate(link):
            return _qdisc(_DELQDISC, index_of(link), [])
        case AddIngress(link):
            return _ingress(_NEWQDISC, EXCL | CREATE, index_of(link))
        case DropIngress(link):
            return _ingress(_DELQDISC, 0, index_of(link))
        case Redirect(link, to):
            return _filter(index_of(link), _mirred(index_of(to)))
        case Police(link, shape):
            return _filter(index_of(link), _police(shape))
        case _:
            assert_never(step)


def _tc(kind: int, flags: int, index: int, handle: int, parent: int) -> Any:
    message = tcm()
    head(message, kind, REQUEST | ACK | flags)
    message["index"] = index
    message["handle"] = handle
    message["parent"] = parent
    return message


def _qdisc(kind: int, index: int, attrs: list[tuple[str, Any]]) -> Any:
    flags = CREATE | REPLACE if kind == _NEWQDISC else 0
    message = _tc(kind, flags, index, RATE_HANDLE, TC_H_ROOT)
    message["attrs"] = attrs
    return message


def _tbf(shape: Shape) -> list[tuple[str, Any]]:
    parms = {
        "linklayer": _LINKLAYER_ETHERNET,
        "rate": min(shape.rate, _RATE_MAX),
        "peak": b"",
        "limit": shape.limit,
    }
    options = [("TCA_TBF_PARMS", parms), ("TCA_TBF_BURST", shape.burst)]
    if shape.rate >= _RATE_MAX:
        options.append(("TCA_TBF_RATE64", shape.rate))
    return [("TCA_KIND", "tbf"), ("TCA_OPTIONS", {"attrs": options})]


def _ingress(kind: int, flags: int, index: int) -> Any:
    message = _tc(kind, flags, index, _INGRESS_HANDLE, TC_H_INGRESS)
    message["attrs"] = [("TCA_KIND", "ingress")]
    return message


def _filter(index: int, action: tuple[str, list[tuple[str, Any]]]) -> Any:
    """Return a filter that does this to everything, in place of one that vmnet has there."""
    message = _tc(_NEWTFILTER, CREATE | EXCL, index, 0, _INGRESS_HANDLE)
    message["info"] = MARK << 16 | socket.htons(0x0003)  # ETH_P_ALL
    kind, options = action
    named = [("TCA_ACT_KIND", kind), ("TCA_ACT_OPTIONS", {"attrs": options})]
    rule = [
        ("TCA_U32_SEL", {"flags": _U32_TERMINAL, "nkeys": 1}),
        ("TCA_U32_ACT", {"attrs": [("TCA_ACT_1", {"attrs": named})]}),
    ]
    message["attrs"] = [("TCA_KIND", "u32"), ("TCA_OPTIONS", {"attrs": rule})]
    return message


def _mirred(to: int) -> tuple[str, list[tuple[str, Any]]]:
    parms = {"action": _TC_ACT_STOLEN, "eaction": _EGRESS_REDIR, "ifindex": to}
    return "mirred", [("TCA_MIRRED_PARMS", parms)]


def _police(shape: Shape) -> tuple[str, list[tuple[str, Any]]]:
    parms = {
        "action": _TC_POLICE_SHOT,
        "burst": ticks(shape),
        "mtu": _POLICE_MTU,
        "cell_log": 1,
        "linklayer": _LINKLAYER_ETHERNET,
        "rate": min(shape.rate, _RATE_MAX),
        "peak": b"",
    }
    # The table is asked for and not read any more (net/sched/sch_api.c qdisc_get_rtab).
    options: list[tuple[str, Any]] = [("TCA_POLICE_TBF", parms), ("TCA_POLICE_RATE", _RATE_TABLE)]
    if shape.rate >= _RATE_MAX:
        options.append(("TCA_POLICE_RATE64", shape.rate))
    return "police", options


def ticks(shape: Shape) -> int:
    """Return how long a bucket takes to fill, in the kernel's ticks of 64 ns (PSCHED_SHIFT)."""
    return min((shape.burst * 10**9 // shape.rate) >> 6, _RATE_MAX)
