"""A macvtap: a guest's NIC straight on a NIC of the host.

Job: what such a wire carries; making one, changing one, as plans; refusals.
Leaves to others: TAPs (`vmnet.plan.attach`), looking and doing (`vmnet.kernel`).
Privilege: none.

It is made in one message, with nothing that would take it away again if this process ended; all
that follows is in a second one. Between the two it is bare, and known by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vmnet.errors import Conflict, InvalidInput, NotFound, Unsupported
from vmnet.model.host import Link, NicView
from vmnet.model.names import alt_name, mac_alt_name
from vmnet.model.nic import Nic
from vmnet.model.port import port_settings
from vmnet.model.step import (
    AddAltname,
    DeleteLink,
    DropAltname,
    Move,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMtu,
    SetUp,
)
from vmnet.model.tag import Life, Tag, format_tag
from vmnet.model.wire import Direct
from vmnet.model.wirestep import CreateMacvtap, GiveMacvtap, OpenMacvtap
from vmnet.plan.refusals import held, is_held

#: On one of these the kernel puts it beside that, on what that is on (drivers/net/macvlan.c).
_NO_LOWER = ("macvtap", "macvlan")


def on_nic(nic: Nic, *, guard_asked: bool) -> Nic:
    """Return the NIC as a macvtap carries it.

    Raises:
        Unsupported: something is asked for that it does not carry.
    """
    beyond = [key for key in port_settings(nic.port) if key != "guard"]
    if guard_asked:
        beyond.append("guard")
    if beyond:
        raise Unsupported(
            f"a macvtap is no port of a bridge, where vmnet could hold {beyond[0]}",
            code="direct-cannot",
            remedy="leave it out: the switch behind the NIC can hold it; or use a bridge",
        )
    return replace(nic, port=replace(nic.port, guard=False))


def plan_direct(nic: Nic, view: NicView, tag: Tag) -> Plan:
    """Return the steps that make a NIC's macvtap, or bring it to what is wished.

    Args:
        nic: the wish; its wire is `Direct`.
        view: the host.
        tag: what a new one is to have.

    Raises:
        NotFound: there is no such NIC on the host.
        Conflict: that NIC or the macvtap's name is in use, or it was made otherwise.
        Busy: a process has it open, and what is asked would break it.
        InvalidInput: the MTU is larger than the NIC's.
    """
    lower = _check_lower(nic, view)
    there = view.tap
    if there is None or is_bare_macvtap(there):
        stale = [Move(DeleteLink(Ref(there.name, there.index)))] if there is not None else []
        moves = (*stale, *_create(nic, view, lower, tag))
    else:
        moves = tuple(_changes(nic, view, there, lower, tag.life))
    return Plan(moves, _notes(lower))


def plan_direct_run(nic: Nic, view: NicView, tag: Tag) -> Plan:
    """Return the steps that make a macvtap and hold its queues for the QEMU this process becomes.

    Raises:
        As `plan_direct`; Busy also if any process has it open.
    """
    plan = plan_direct(nic, view, tag)
    there = view.tap
    index = 0
    if there is not None and not is_bare_macvtap(there):
        index = there.index
        if is_held(there, view.holders):
            raise held(there, view.holders, "start a second QEMU on it")
    opened = OpenMacvtap(Ref(view.name, index), nic.queues)
    return Plan((*plan.moves, Move(opened)), plan.notes)


def direct_left(nic: Nic, view: NicView, life: Life) -> Plan:
    """Return what a second look finds still to do after a plan was carried out.

    Raises:
        NotFound: the macvtap or its NIC is gone.
    """
    lower = _check_lower(nic, view)
    if view.tap is None:
        raise NotFound(
            f"macvtap {view.name!r} is gone again",
            code="link-gone",
            remedy="another program may have removed it: see `ip monitor link`",
        )
    return Plan(tuple(_changes(nic, view, view.tap, lower, life)))


def direct_mtu(nic: Nic, view: NicView) -> int:
    """Return the MTU, in bytes, that a new one gets.

    Raises:
        As `plan_direct`.
    """
    return nic.mtu or _check_lower(nic, view).mtu


def is_bare_macvtap(link: Link) -> bool:
    """Say whether a link of a NIC's name is as new: its making was cut short."""
    return link.macvtap is not None and not (link.alias or link.up or link.altnames)


def _wire(nic: Nic) -> Direct:
    if not isinstance(nic.wire, Direct):
        raise TypeError(nic.wire)
    return nic.wire


def _check_lower(nic: Nic, view: NicView) -> Link:
    lower, wire = view.lower, _wire(nic)
    if lower is None:
        raise NotFound(
            f"no link {wire.lower!r} here for a macvtap to be on",
            code="link-missing",
            remedy="`ip -br link` shows what there is",
        )
    if lower.master:
        raise Conflict(
            f"link {lower.name!r} is a port of another link: what it receives goes there, and a "
            "macvtap on it would get nothing",
            code="lower-is-port",
            remedy=f"attach to that bridge: `ip -br link show master` of `ip link show "
            f"{lower.name}`; or put the macvtap on another NIC",
        )
    if lower.kind in _NO_LOWER or lower.mac in ("", "00:00:00:00:00:00"):
        raise Conflict(
            f"link {lower.name!r} is of kind {lower.kind or 'loopback'}: no macvtap can be on it",
            code="lower-unfit",
            remedy="name a NIC of the host, a bond or a VLAN of one; for a bridge use --bridge",
        )
    if nic.mtu is not None and nic.mtu > lower.mtu:
        raise InvalidInput(
            f"MTU {nic.mtu} is larger than the {lower.mtu} of {lower.name!r}",
            code="mtu-over-lower",
            remedy=f"ask for at most {lower.mtu}, or raise that first",
        )
    return lower


def _create(nic: Nic, view: NicView, lower: Link, tag: Tag) -> Iterator[Move]:
    link = Ref(view.name)
    made = CreateMacvtap(view.name, Ref(lower.name, lower.index), _wire(nic).mode, nic.mac)
    # Undoing this takes all the rest along.
    yield Move(made, DeleteLink(link))
    yield Move(SetAlias(link, format_tag(tag)))
    yield Move(QuietIpv6(link))
    yield Move(SetMtu(link, nic.mtu or lower.mtu))
    yield Move(AddAltname(link, alt_name(nic.vm, nic.nic)))
    yield Move(AddAltname(link, mac_alt_name(nic.mac)))
    yield Move(SetUp(link))
    if nic.owner is not None:
        yield Move(GiveMacvtap(link, nic.owner))


def _changes(nic: Nic, view: NicView, there: Link, lower: Link, life: Life) -> Iterator[Move]:
    tag = _check_ours(nic, there, lower)
    link = Ref(there.name, there.index)
    if tag.mac != nic.mac and is_held(there, view.holders):
        raise held(there, view.holders, f"change the guest's MAC to {nic.mac}")
    keeps = Life.KEPT if Life.KEPT in (tag.life, life) else life
    wished = replace(tag, mac=nic.mac, queues=nic.queues, wire=_wire(nic), life=keeps)
    if there.mac != nic.mac:
        yield Move(SetMac(link, nic.mac), SetMac(link, there.mac))
    if nic.mtu is not None and nic.mtu != there.mtu:
        yield Move(SetMtu(link, nic.mtu), SetMtu(link, there.mtu))
    old, new = mac_alt_name(tag.mac), mac_alt_name(nic.mac)
    if old != new and old in there.altnames:
        yield Move(DropAltname(link, old), AddAltname(link, old))
    for altname in (alt_name(nic.vm, nic.nic), new):
        if altname not in there.altnames:
            yield Move(AddAltname(link, altname), DropAltname(link, altname))
    if wished != tag:
        yield Move(SetAlias(link, format_tag(wished)), SetAlias(link, there.alias))
    if not there.up:
        yield Move(SetUp(link), SetUp(link, up=False))
    yield from _given(link, nic.owner, view.node_owner)


def _given(link: Ref, uid: int | None, before: int | None) -> Iterator[Move]:
    if uid is not None and before is not None and uid != before:
        yield Move(GiveMacvtap(link, uid), GiveMacvtap(link, before))


def _check_ours(nic: Nic, there: Link, lower: Link) -> Tag:
    tag = there.tag
    if tag is None or there.macvtap is None:
        raise Conflict(
            f"a link {there.name!r} is already there and is no macvtap of vmnet's",
            code="tap-foreign",
            remedy=f"`ip -d link show {there.name}` shows it; vmnet leaves it alone",
        )
    if not tag.is_for(nic.vm, nic.nic):
        raise Conflict(
            f"macvtap {there.name!r} belongs to VM {tag.vm_name!r}, NIC {tag.nic}: "
            "the two names have the same hash",
            code="name-collision",
            remedy="rename one of the VMs",
        )
    mode = _wire(nic).mode.value
    if there.macvtap.lower != lower.index or there.macvtap.mode != mode:
        raise Conflict(
            f"macvtap {there.name!r} is not on {lower.name!r} with mode {mode}; it cannot be moved",
            code="direct-fixed",
            remedy="stop the VM, `vmnet detach` it, attach it again",
        )
    return tag


def _notes(lower: Link) -> tuple[str, ...]:
    notes = [f"this host and its guest on {lower.name!r} cannot reach each other by it"]
    if not lower.up:
        notes.append(f"{lower.name!r} is down: nothing passes until `ip link set {lower.name} up`")
    return tuple(notes)
