"""What is different on a TAP that is there.

Job: the difference between a wish and a TAP that vmnet made, as a plan; refusals where a running VM
would lose by it.
Leaves to others: making and managing TAPs (`vmnet.plan.attach`), doing (`vmnet.kernel.apply`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmnet.errors import Conflict
from vmnet.model.host import Holders, Link, NicView, TunFacts
from vmnet.model.mac import tap_mac
from vmnet.model.names import alt_name, mac_alt_name, typed
from vmnet.model.nic import Nic
from vmnet.model.port import port_digest
from vmnet.model.portfacts import PortFacts
from vmnet.model.portstep import PinMac, UnpinMac
from vmnet.model.step import (
    IPV6_MIN_MTU,
    AddAltname,
    DropAltname,
    Move,
    OpenQueues,
    Persist,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMaster,
    SetMtu,
    SetOwner,
    SetUp,
    Step,
)
from vmnet.model.tag import Life, Own, Tag, format_tag
from vmnet.model.wire import link_wire
from vmnet.plan.filter import address_notes
from vmnet.plan.ovs import moves_port, port_moves, switch_digest, switch_notes, switch_of
from vmnet.plan.passage import plan_passage
from vmnet.plan.port import restored, vlan_notes
from vmnet.plan.refusals import held, is_held, not_a_tap, stolen
from vmnet.plan.routed import route_moves, routed_notes


def adjust(
    nic: Nic,
    view: NicView,
    tap: Link,
    bridge: Link,
    life: Life,
    *,
    live: bool = False,
    ours: bool = False,
) -> Plan:
    """Return the differences.

    All rtnetlink steps stand together, so that no kill leaves the bridge and the tag at odds.

    Args:
        nic: the wish.
        view: the host.
        tap: the TAP.
        bridge: the bridge it is to be in.
        life: how long it is to stay.
        live: another bridge is asked for although a process may have it open.
        ours: whoever has the TAP open is the plan that was just carried out.
    """
    tag, tun = _check_changeable(nic, tap, life)
    wished = _wished_tag(nic, tag, view, life)
    stays = wished.life
    refuse = _Refusing(tap, view.holders, held=not ours and is_held(tap, view.holders))
    if stays is not Life.PROCESS and (tag.life is Life.PROCESS or not (tun.persist or live)):
        refuse.if_held("keep it: it goes when that process ends")
    link = Ref(tap.name, tap.index)
    passage = plan_passage(nic, wished, view, link, bridge)
    moves = [
        *passage.guard,
        *passage.rates,
        *_move_owner(nic, tap, tun, refuse),
        *_move_master(tap, tag, view, bridge, None if live else refuse),
        *_move_link(nic, tap, tag, bridge, refuse),
        *passage.port,
    ]
    if wished != tag:
        moves.append(Move(SetAlias(link, format_tag(wished)), SetAlias(link, tap.alias)))
    if not tap.up:
        moves.append(Move(SetUp(link), SetUp(link, up=False)))
    if ours and stays is not Life.PROCESS and not tun.persist:
        moves.append(Move(Persist(link)))
    moves += _move_elsewhere(nic, view, tap, wished, None if live else refuse)
    notes = bridge_notes(nic, bridge, view)
    if nic.mtu is None and refuse.held and tap.mtu != bridge.mtu:
        notes += (_mtu_stays(tap, bridge),)
    return Plan(tuple(moves), notes)


def _move_elsewhere(
    nic: Nic, view: NicView, tap: Link, wished: Tag, refuse: _Refusing | None
) -> list[Move]:
    """Return what is missing of routes, or at Open vSwitch.

    That is another process: last, not in between.
    """
    if nic.wire is not None:
        return route_moves(nic, view, tap)
    if switch_of(view) is None:
        return []
    leaves = moves_port(view, nic.bridge)
    if leaves and refuse is not None:
        refuse.if_held(f"move it from {leaves!r} to {nic.bridge!r}")
    return port_moves(nic, view, tap, wished)


def _wished_tag(nic: Nic, tag: Tag, view: NicView, life: Life) -> Tag:
    return replace(
        tag,
        mac=nic.mac,
        queues=nic.queues,
        bridge=nic.bridge,
        life=_life_after(tag, life),
        port=digest_of(nic, view),
        arriving=still_arriving(tag, view),
        wire=link_wire(nic.wire),
    )


def digest_of(nic: Nic, view: NicView) -> str:
    """Return what stands in the tag for what may pass; of a routed NIC the kernel's routes tell."""
    if nic.wire is not None:
        return ""
    return switch_digest(nic.port) if switch_of(view) is not None else port_digest(nic.port)


def still_arriving(tag: Tag, view: NicView) -> bool:
    """Say whether a guest that was to come from another host has not been heard of here yet."""
    return tag.arriving and not (view.facts is not None and view.facts.fdb)


def _check_changeable(nic: Nic, tap: Link, life: Life) -> tuple[Tag, TunFacts]:
    tag, tun = _check_ours(nic, tap)
    if tag.life is Life.DOMAIN and life is not Life.DOMAIN:
        raise Conflict(
            f"tap {tap.name!r} is that of a running libvirt domain",
            code="tap-of-domain",
            remedy=f"`vmnet attach {typed(nic.vm)} --libvirt` changes it",
        )
    if tun.multi_queue != (nic.queues > 1):
        made = "many queues" if tun.multi_queue else "one queue"
        raise Conflict(
            f"tap {tap.name!r} was made for {made}, {nic.queues} asked for: "
            "the kernel cannot change that on a live TAP",
            code="queues-fixed",
            remedy="stop the VM, `vmnet detach` it, attach it again",
        )
    return tag, tun


def _mtu_stays(tap: Link, bridge: Link) -> str:
    return (
        f"a process has {tap.name!r} open: its MTU stays {tap.mtu}, although that of bridge "
        f"{bridge.name!r} is {bridge.mtu}; --mtu changes it"
    )


def _life_after(tag: Tag, wished: Life) -> Life:
    """Return how long a TAP that is there is to stay: a shorter wish does not end a kept one."""
    if wished is Life.PROCESS:
        return Life.KEPT if tag.life is Life.BUILDING else tag.life
    return tag.life if tag.life is Life.KEPT else wished


def guarded(nic: Nic, tap: Link, plan: Plan) -> Plan:
    """Open the TAP first where what follows would break a VM whose QEMU does not show.

    While it is open no other process gets its only queue; the kernel refuses us one that is taken.
    """
    tag, tun = _check_ours(nic, tap)
    if tag.mac != nic.mac or any(_needs_free(move.do, nic, tap) for move in plan.moves):
        opened = OpenQueues(Ref(tap.name, tap.index), 1, tun.multi_queue)
        return Plan((Move(opened), *plan.moves), plan.notes)
    return plan


def _needs_free(step: Step, nic: Nic, tap: Link) -> bool:
    match step:
        case SetOwner():
            return True
        case SetMaster():
            return tap.master != 0
        case SetMtu():
            return nic.mtu is None
        case _:
            return False


def _check_ours(nic: Nic, tap: Link) -> tuple[Tag, TunFacts]:
    tag = tap.tag
    if tap.tun is None or not tap.tun.tap:
        raise not_a_tap(tap)
    if tag is None:
        raise Conflict(
            f"a tap {tap.name!r} is already there and is not vmnet's",
            code="tap-foreign",
            remedy=f"look at it with `vmnet who {tap.name}`; vmnet leaves it alone",
        )
    if not tag.is_for(nic.vm, nic.nic):
        raise Conflict(
            f"tap {tap.name!r} belongs to VM {tag.vm_name!r}, NIC {tag.nic}: "
            "the two names have the same hash",
            code="name-collision",
            remedy="rename one of the VMs",
        )
    return tag, tap.tun


@dataclass(frozen=True)
class _Refusing:
    """The refusal of what would break a running VM.

    Attributes:
        held: whether a process has the TAP open, as far as can be seen.
    """

    tap: Link
    holders: Holders
    held: bool

    def if_held(self, what: str) -> None:
        """Raise `Busy` if it is held."""
        if self.held:
            raise held(self.tap, self.holders, what)


def _move_master(
    tap: Link, tag: Tag, view: NicView, bridge: Link, refuse: _Refusing | None
) -> list[Move]:
    if switch_of(view) is not None:
        return []
    current = view.master
    if view.routed is not None:
        if current is not None:
            raise stolen(tap, current, "no bridge")
        return []
    if current is not None and current.index == bridge.index:
        return []
    link, target = Ref(tap.name, tap.index), Ref(bridge.name, bridge.index)
    if current is None:
        return [Move(SetMaster(link, target), SetMaster(link, None))]
    if current.name != tag.bridge:
        raise stolen(tap, current, bridge.name)
    if refuse is not None:
        refuse.if_held(f"move it from {current.name!r} to {bridge.name!r}")
    back = SetMaster(link, Ref(current.name, current.index))
    restore = restored(link, view.facts or PortFacts(), current, tag.mac)
    return [Move(SetMaster(link, target), back, restore)]


def _move_link(nic: Nic, tap: Link, tag: Tag, bridge: Link, refuse: _Refusing) -> list[Move]:
    link = Ref(tap.name, tap.index)
    moves = []
    mtu = nic.mtu or (tap.mtu if refuse.held else bridge.mtu)
    if tap.mtu != mtu:
        moves.append(Move(SetMtu(link, mtu), SetMtu(link, tap.mtu)))
    if tap.mtu < IPV6_MIN_MTU <= mtu:
        moves.append(Move(QuietIpv6(link), QuietIpv6(link)))  # silence is not taken back
    if tag.mac != nic.mac:
        refuse.if_held(f"change the guest's MAC to {nic.mac}")
    if tap.mac != tap_mac(nic.mac):
        moves.append(Move(SetMac(link, tap_mac(nic.mac)), SetMac(link, tap.mac)))
    if tag.mac not in ("", nic.mac) and tap.master == bridge.index and nic.port.guard:
        moves.append(Move(UnpinMac(link, tag.mac), PinMac(link, tag.mac)))
    old, new = mac_alt_name(tag.mac), mac_alt_name(nic.mac)
    if old != new and old in tap.altnames:
        moves.append(Move(DropAltname(link, old), AddAltname(link, old)))
    moves += [
        Move(AddAltname(link, altname), DropAltname(link, altname))
        for altname in (alt_name(nic.vm, nic.nic), new)
        if altname not in tap.altnames
    ]
    return moves


def _move_owner(nic: Nic, tap: Link, tun: TunFacts, refuse: _Refusing) -> list[Move]:
    if nic.owner is None or nic.owner == tun.owner:
        return []
    refuse.if_held(f"give it to uid {nic.owner}")
    link = Ref(tap.name, tap.index)
    undo = None if tun.owner is None else SetOwner(link, tun.owner, tun.multi_queue)
    return [Move(SetOwner(link, nic.owner, tun.multi_queue), undo)]


def bridge_notes(nic: Nic, bridge: Link, view: NicView) -> tuple[str, ...]:
    """Return what the user should know about the bridge that was chosen."""
    switch = switch_of(view)
    if switch is not None:
        return switch_notes(switch)
    if nic.wire is not None:
        return routed_notes(view)
    notes = [*vlan_notes(nic.port, bridge, view.others), *address_notes(nic, view)]
    if not bridge.up:
        notes.append(
            f"bridge {bridge.name!r} is down: nothing passes until `ip link set {bridge.name} up`"
        )
    pinned = bridge.tag is not None and bridge.tag.own is Own.MADE
    if nic.mtu is not None and nic.mtu < bridge.mtu and not pinned:
        notes.append(
            f"MTU {nic.mtu} is below the {bridge.mtu} of bridge {bridge.name!r}: if nobody ever "
            "set the bridge's, it shrinks to that while this NIC is attached"
        )
    return tuple(notes)
