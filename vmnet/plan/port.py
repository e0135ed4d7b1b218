"""What is missing at a NIC's port: flags, VLANs, the entry of its MAC.

Job: the difference between the wished port and what the kernel shows; refusals where the bridge
cannot do it; what a user should know of the bridge's other ports.
Leaves to others: rates (`vmnet.plan.rate`), the filter (`vmnet.plan.filter`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv6Address

from vmnet.errors import Conflict
from vmnet.model.address import link_local, parse_address
from vmnet.model.host import Link
from vmnet.model.nic import Nic
from vmnet.model.port import Port
from vmnet.model.portfacts import PortFacts, VlanEntry
from vmnet.model.portstep import AddVlans, DropVlans, PinMac, PortStep, SetPort, UnpinMac
from vmnet.model.ref import Ref
from vmnet.model.step import Move, Plan, SetAlias
from vmnet.model.tag import Tag, format_tag
from vmnet.model.vlan import VidRange, Vlans, merged

#: What a port has when it comes into a bridge (net/bridge/br_if.c new_nbp).
FRESH_FLAGS = {
    "guard": False,
    "root_block": False,
    "learning": True,
    "flood": True,
    "neigh_suppress": False,
    "isolated": False,
    "locked": False,
}
#: Flags that kernels before 5.18 do not have, and do without.
_OPTIONAL = ("locked",)


def fresh(facts: PortFacts, bridge: Link) -> PortFacts:
    """Return what a link's port will show when the link has come into a bridge anew."""
    usual = bridge.default_pvid
    entry = VlanEntry(VidRange(usual, usual), pvid=True, untagged=True)
    return PortFacts(
        flags=FRESH_FLAGS,
        vlans=(entry,) if bridge.vlan_filtering and usual else (),
        inflow=facts.inflow,
        outflow=facts.outflow,
        foreign_qdisc=facts.foreign_qdisc,
        filter=facts.filter,
    )


def restored(link: Ref, facts: PortFacts, bridge: Link, mac: str) -> tuple[PortStep, ...]:
    """Return what makes a port that has just come back into its bridge what it was there.

    Args:
        link: the port.
        facts: what the kernel showed of it before it left.
        bridge: its bridge.
        mac: its guest's MAC.
    """
    new = fresh(facts, bridge)
    flags = {k: on for k, on in facts.flags.items() if new.flags.get(k, on) is not on}
    steps: list[PortStep] = [
        AddVlans(link, entry.vids, untagged=entry.untagged)
        for entry in facts.vlans
        if entry not in new.vlans
    ]
    steps += [DropVlans(link, e.vids) for e in new.vlans if e not in facts.vlans]
    if mac and not facts.flags.get("learning", True):
        steps.append(PinMac(link, mac))
    if flags:
        steps.append(_set(link, flags))
    return tuple(steps)


def check_bridge_can(port: Port, bridge: Link) -> None:
    """Raise `Conflict` if the bridge cannot do what the port is to be.

    Raises:
        Conflict: it does not filter VLANs.
    """
    if port.vlans is None or bridge.vlan_filtering:
        return
    raise Conflict(
        f"bridge {bridge.name!r} does not filter VLANs: its ports would get the frames of all",
        code="no-vlan-filtering",
        remedy="`vmnet bridge create NAME --vlan-filtering` makes one that does; all ports of one "
        f"that is there feel `ip link set {bridge.name} type bridge vlan_filtering 1`",
    )


def is_pinned(nic: Nic, facts: PortFacts, *, arriving: bool) -> bool:
    """Say whether the guest's MAC is to be entered for good.

    Not while a guest that is on its way may still be heard from elsewhere: until it speaks here,
    what others send it has to go there.
    """
    return nic.port.guard and bool(nic.mac) and not (arriving and not facts.fdb)


def port_moves(
    nic: Nic, link: Ref, facts: PortFacts, bridge: Link, *, arriving: bool = False
) -> list[Move]:
    """Return what makes a port of a bridge what is wished.

    Raises:
        Conflict: the bridge cannot do it.
    """
    check_bridge_can(nic.port, bridge)
    pinned = is_pinned(nic, facts, arriving=arriving)
    moves = [*_vlan_moves(nic.port, link, facts, bridge)]
    wanted = _flags(nic.port, facts, pinned=pinned)
    change = {name: on for name, on in wanted.items() if facts.flags.get(name, False) is not on}
    entered = pinned and not _is_entered(nic.port, facts, bridge)
    if entered:
        moves.append(Move(PinMac(link, nic.mac), None if facts.fdb else UnpinMac(link, nic.mac)))
    if change:
        before = {name: facts.flags.get(name, False) for name in change}
        moves.append(Move(_set(link, change), _set(link, before)))
    if not pinned and any(facts.fdb.values()):
        moves.append(Move(UnpinMac(link, nic.mac), PinMac(link, nic.mac)))
    return moves


def _set(link: Ref, flags: Mapping[str, bool]) -> SetPort:
    return SetPort(link, tuple(flags.items()))


def _flags(port: Port, facts: PortFacts, *, pinned: bool) -> dict[str, bool]:
    wanted = {
        "guard": port.guard,
        "root_block": port.guard,
        "learning": not pinned,
        "flood": port.flood,
        "neigh_suppress": port.neigh_suppress,
        "isolated": port.isolated,
        # Beside the filter, and by the bridge itself: also if somebody flushes all of nftables.
        "locked": pinned,
    }
    return {name: on for name, on in wanted.items() if name in facts.flags or name not in _OPTIONAL}


def _is_entered(port: Port, facts: PortFacts, bridge: Link) -> bool:
    vids = {0}
    if bridge.vlan_filtering:
        vids |= set(_wanted_vlans(port, bridge))
    return all(facts.fdb.get(vid, False) for vid in vids)


def _wanted_vlans(port: Port, bridge: Link) -> dict[int, bool]:
    """Return the VLANs of a port, each with whether it is that of untagged frames."""
    usual = bridge.default_pvid
    vlans = port.vlans or (Vlans(usual) if usual else Vlans())
    found = {vid: False for each in vlans.tagged for vid in each.vids}
    return {**found, **({vlans.untagged: True} if vlans.untagged else {})}


def _vlan_moves(port: Port, link: Ref, facts: PortFacts, bridge: Link) -> list[Move]:
    if not bridge.vlan_filtering:
        return []
    wanted = _wanted_vlans(port, bridge)
    there = {vid: (e.pvid and e.untagged) for e in facts.vlans for vid in e.vids.vids}
    odd = {vid for e in facts.vlans if e.pvid is not e.untagged for vid in e.vids.vids}
    add = {v: on for v, on in wanted.items() if v in odd or there.get(v) is not on}
    moves = []
    for untagged in (True, False):  # the new one first, so that no frame is without a VLAN
        for vids in _ranges(v for v, on in add.items() if on is untagged):
            old = [] if vids.first in there else [vids]
            undo = DropVlans(link, vids) if old else AddVlans(link, vids, untagged=not untagged)
            moves.append(Move(AddVlans(link, vids, untagged), undo))
    moves += [
        Move(DropVlans(link, vids), AddVlans(link, vids, there[vids.first]))
        for vids in _ranges(v for v in there if v not in wanted)
    ]
    return moves


def _ranges(vids: Iterable[int]) -> tuple[VidRange, ...]:
    return merged(VidRange(vid, vid) for vid in vids)


def plan_arrived(tap: Link, tag: Tag, facts: PortFacts) -> Plan:
    """Return what keeps a guest at its port that was to come from another host and is here now."""
    link = Ref(tap.name, tap.index)
    moves = []
    if facts.flags.get("guard", False):
        off = {"learning": False, "locked": True}
        change = {n: on for n, on in off.items() if facts.flags.get(n, on) is not on}
        moves.append(Move(PinMac(link, tag.mac), UnpinMac(link, tag.mac)))
        if change:
            moves.append(
                Move(_set(link, change), _set(link, {n: not on for n, on in change.items()}))
            )
    here = format_tag(replace(tag, arriving=False))
    moves.append(Move(SetAlias(link, here), SetAlias(link, tap.alias)))
    return Plan(tuple(moves))


def port_of(facts: PortFacts, bridge: Link | None, mac: str) -> Port:
    """Return the port that the kernel shows, as far as it shows one."""
    filtering = bridge is not None and bridge.vlan_filtering
    entries = {entry.set: entry for entry in facts.filter}
    own = str(link_local(mac)) if mac else ""
    values = [e.value for e in facts.filter if e.set in ("addr4", "addr6") and e.value != own]
    halves = (int(e.value, 0) << 64 for e in facts.filter if e.set == "half6")
    values += [f"{IPv6Address(half)}/64" for half in halves]
    out = facts.outflow.shape if facts.outflow is not None else None
    return Port(
        vlans=_vlans_of(facts, bridge) if filtering and bridge is not None else None,
        guard=facts.flags.get("guard", False),
        isolated=facts.flags.get("isolated", False),
        flood=facts.flags.get("flood", True),
        neigh_suppress=facts.flags.get("neigh_suppress", False),
        addresses=tuple(sorted(map(parse_address, values))),
        dhcp_guard="dhcp_guard" in entries,
        ra_guard="ra_guard" in entries,
        rate_in=facts.inflow.rate * 8 if facts.inflow else None,
        rate_out=out.rate * 8 if out else None,
    )


def _vlans_of(facts: PortFacts, bridge: Link) -> Vlans | None:
    untagged = next((e.vids.first for e in facts.vlans if e.pvid and e.untagged), None)
    tagged = merged(e.vids for e in facts.vlans if not (e.pvid or e.untagged))
    usual = untagged == (bridge.default_pvid or None) and not tagged
    return None if usual else Vlans(untagged, tagged)


def vlan_notes(
    port: Port, bridge: Link, others: Mapping[str, tuple[VlanEntry, ...]]
) -> tuple[str, ...]:
    """Return which of the bridge's other ports, and the bridge itself, lack a port's VLANs.

    Args:
        port: the wished port.
        bridge: its bridge.
        others: VLAN tables of the ports that are no TAPs, and of the bridge itself, by name.
    """
    if port.vlans is None:
        return ()
    notes = []
    for name, entries in others.items():
        there = {vid for entry in entries for vid in entry.vids.vids}
        lacking = _ranges(v for each in port.vlans.ranges for v in each.vids if v not in there)
        if not lacking:
            continue
        which = ",".join(map(str, lacking))
        own = " self" if name == bridge.name else ""
        what = "the host itself" if own else f"port {name!r}"
        notes.append(
            f"{what} is not in VLAN {which} of bridge {bridge.name!r}; if it is to be: "
            f"`bridge vlan add dev {name} vid {lacking[0]}{own}`"
        )
    return tuple(notes)
