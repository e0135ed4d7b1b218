"""What may pass at a port, read from the kernel: VLANs, forwarding entries, rates.

Job: `PortFacts` of one link, and what of it a bridge's other ports have; questions about one link,
whose answers do not grow with the number of others.
Leaves to others: links (`vmnet.kernel.links`), the filter (`vmnet.kernel.nft`).
Privilege: none.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

from vmnet.kernel.codecs import (
    ACK,
    DUMP,
    ECHO,
    REQUEST,
    br_vlan_msg,
    br_vlan_query,
    decoded,
    encoded,
    head,
    ndmsg,
    tcm,
)
from vmnet.kernel.portmessages import (
    MARK,
    NTF_STICKY,
    NUD_NOARP,
    RATE_HANDLE,
    TC_H_INGRESS,
    TC_H_ROOT,
)
from vmnet.kernel.rtnetlink import Channel, Refused
from vmnet.model.host import Link
from vmnet.model.portfacts import Entry, Outflow, PortFacts, VlanEntry, Way
from vmnet.model.rate import Shape
from vmnet.model.vlan import VidRange

# linux/rtnetlink.h
_GETNEIGH, _GETQDISC, _GETTFILTER, _GETVLAN = 30, 38, 46, 114
# linux/if_bridge.h
_PVID, _UNTAGGED = 0x2, 0x4
#: What a link has that nobody gave it a qdisc.
_USUAL_QDISCS = ("noqueue", "pfifo_fast", "mq", "fq_codel", "fq", "pfifo", "")
_BITS_IN_TICK = 6


def port_facts(
    channel: Channel, link: Link, bridge: Link | None, mac: str, entries: frozenset[Entry]
) -> PortFacts:
    """Return what the kernel shows of a link that is there.

    Args:
        channel: a socket into the namespace.
        link: the link.
        bridge: the bridge it is a port of, or None.
        mac: the guest's MAC; empty if it is not known.
        entries: what the filter has about it.

    Raises:
        Refused: the kernel would not tell.
    """
    root_kind, inflow = root_qdisc(channel, link.index)
    foreign = "" if inflow or root_kind in _USUAL_QDISCS else root_kind
    outflow, foreign_filter = _outflow(channel, link.index)
    return PortFacts(
        flags=link.port,
        vlans=vlans(channel, link.index) if bridge is not None and bridge.vlan_filtering else (),
        fdb=_fdb(channel, link.index, mac) if bridge is not None and mac else {},
        inflow=inflow,
        outflow=outflow,
        foreign_qdisc=foreign,
        foreign_filter=foreign_filter,
        filter=entries,
    )


def vlans(channel: Channel, index: int) -> tuple[VlanEntry, ...]:
    """Return the VLAN table of a port, or of a bridge itself.

    The kernel may answer with ranges or row by row (net/bridge/br_vlan.c br_vlan_dump_dev).
    """
    request = br_vlan_query()
    request["family"] = socket.AF_BRIDGE
    request["ifindex"] = index
    head(request, _GETVLAN, REQUEST | DUMP)
    found = [
        row
        for raw in channel.dump(encoded(request))
        for kind, row in decoded(br_vlan_msg, raw)["attrs"]
        if kind == "BRIDGE_VLANDB_ENTRY"
    ]
    return tuple(sorted(map(_vlan_entry, found), key=lambda entry: entry.vids))


def _vlan_entry(row: Any) -> VlanEntry:
    info = row.get_attr("BRIDGE_VLANDB_ENTRY_INFO")
    last = row.get_attr("BRIDGE_VLANDB_ENTRY_RANGE") or info["vid"]
    flags = info["flags"]
    vids = VidRange(info["vid"], last)
    return VlanEntry(vids, pvid=bool(flags & _PVID), untagged=bool(flags & _UNTAGGED))


def _fdb(channel: Channel, index: int, mac: str) -> dict[int, bool]:
    """Return the VLANs (0 for none) in which the MAC is at a port, each with whether for good."""
    request = ndmsg()
    request["family"] = socket.AF_BRIDGE
    request["ifindex"] = index
    head(request, _GETNEIGH, REQUEST | DUMP)
    found = (decoded(ndmsg, raw) for raw in channel.dump(encoded(request)))
    return {
        m.get_attr("NDA_VLAN") or 0: m["state"] == NUD_NOARP and bool(m["flags"] & NTF_STICKY)
        for m in found
        if m["ifindex"] == index and m.get_attr("NDA_LLADDR") == mac and m.get_attr("NDA_MASTER")
    }


def root_qdisc(channel: Channel, index: int) -> tuple[str, Shape | None]:
    """Return the kind of a link's root qdisc, and vmnet's bucket if that is what it is."""
    message = _asked(channel, index, TC_H_ROOT)
    if message is None:
        return "", None
    kind = message.get_attr("TCA_KIND")
    if kind != "tbf" or message["handle"] != RATE_HANDLE:
        return str(kind), None
    options = message.get_attr("TCA_OPTIONS")
    parms = options.get_attr("TCA_TBF_PARMS")
    rate = options.get_attr("TCA_TBF_RATE64") or parms["rate"]
    return "tbf", Shape(rate, _burst(parms["buffer"], rate), parms["limit"])


def _burst(ticks: int, rate: int) -> int:
    """Return the bytes of a bucket that fills in so many ticks."""
    return (ticks << _BITS_IN_TICK) * rate // 10**9


def _asked(channel: Channel, index: int, parent: int) -> Any:
    request = tcm()
    request["index"] = index
    request["parent"] = parent
    # Without the echo some kernels tell only others; of a qdisc nobody set they tell nothing.
    head(request, _GETQDISC, REQUEST | ACK | ECHO)
    try:
        answers = channel.ask(encoded(request))
    except Refused as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return decoded(tcm, answers[0]) if answers else None


def _outflow(channel: Channel, index: int) -> tuple[Outflow | None, bool]:
    """Return what holds a guest's own frames back, and whether somebody else's filter is there."""
    qdisc = _asked(channel, index, TC_H_INGRESS)
    if qdisc is None:
        return None, False
    if qdisc.get_attr("TCA_KIND") != "ingress":  # clsact, in the same place: never vmnet's
        return Outflow(Way.POLICED, None), True
    filters = list(_filters(channel, index))
    for action in filter(None, map(_action, filters)):
        kind = action.get_attr("TCA_ACT_KIND")
        options = action.get_attr("TCA_ACT_OPTIONS")
        if kind == "mirred":
            ifb = options.get_attr("TCA_MIRRED_PARMS")["ifindex"]
            return Outflow(Way.SHAPED, root_qdisc(channel, ifb)[1], ifb), False
        if kind == "police":
            parms = options.get_attr("TCA_POLICE_TBF")
            rate = options.get_attr("TCA_POLICE_RATE64") or parms["rate"]
            return Outflow(Way.POLICED, Shape(rate, _burst(parms["burst"], rate), 0)), False
    # An ingress qdisc without a filter is what a kill has left of vmnet's.
    return Outflow(Way.POLICED, None), any(f["info"] >> 16 != MARK for f in filters)


def _filters(channel: Channel, index: int) -> Iterator[Any]:
    request = tcm()
    request["index"] = index
    request["parent"] = TC_H_INGRESS & 0xFFFF0000
    head(request, _GETTFILTER, REQUEST | DUMP)
    yield from (decoded(tcm, raw) for raw in channel.dump(encoded(request)))


def _action(message: Any) -> Any:
    """Return the action of vmnet's filter; None for another filter, and for a table of filters."""
    if message["info"] >> 16 != MARK or message.get_attr("TCA_KIND") != "u32":
        return None
    options = message.get_attr("TCA_OPTIONS")
    actions = options.get_attr("TCA_U32_ACT") if options else None
    return actions.get_attr("TCA_ACT_1") if actions else None
