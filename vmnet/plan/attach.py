"""What is missing for a NIC.

Job: the difference between a wish and the host, as a plan; refusals where vmnet may not change
what it finds.
Leaves to others: what is different on a TAP that is there (`vmnet.plan.adjust`), looking
(`vmnet.kernel.observe`), doing (`vmnet.kernel.apply`).
Privilege: none.

The order follows the kernel's needs: owner before anything else can open the TAP, MTU before the
bridge (else a bridge that was never given an MTU shrinks), tag and names before traffic, up last,
and persistence after that: until then the TAP dies with this process, whatever ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from vmnet.errors import Conflict, InvalidInput, NotFound
from vmnet.model.host import Link, NicView
from vmnet.model.mac import tap_mac
from vmnet.model.names import alt_name, mac_alt_name
from vmnet.model.nic import Nic
from vmnet.model.portstep import CreateIfb
from vmnet.model.step import (
    IPV6_MIN_MTU,
    AddAltname,
    CreateTap,
    DropAltname,
    DropTap,
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
from vmnet.model.tag import IdleMark, Life, Own, Tag, format_tag, vm_in_tag
from vmnet.model.wire import Direct, link_wire
from vmnet.plan.adjust import adjust, bridge_notes, digest_of, guarded
from vmnet.plan.direct import direct_left, direct_mtu, plan_direct, plan_direct_run
from vmnet.plan.ovs import (
    as_link,
    check_offload,
    check_one_switch,
    new_port,
    stale_moves,
    switch_of,
)
from vmnet.plan.passage import plan_passage
from vmnet.plan.refusals import held, is_held, not_a_tap, stolen
from vmnet.plan.routed import as_place, fresh_moves


@dataclass(frozen=True)
class Moment:
    """What a plan needs that is neither wish nor host; given, so that planning stays pure.

    Attributes:
        generation: eight hexadecimal digits for a link made now.
        boottime: CLOCK_BOOTTIME, in seconds.
        arriving: a guest is about to come from another host, where it still runs.
    """

    generation: str
    boottime: int
    arriving: bool = False


def plan_attach(
    nic: Nic, view: NicView, now: Moment, *, life: Life = Life.KEPT, live: bool = False
) -> Plan:
    """Return the steps that make the persistent TAP of a NIC ready.

    Args:
        nic: the wish.
        view: the host.
        now: this moment.
        life: `KEPT`, or `DOMAIN` for one that goes with its libvirt domain.
        live: move it to another bridge even while its QEMU has it open: that is what was asked.

    Raises:
        NotFound: no such bridge.
        Conflict: the bridge, the TAP or the MAC is somebody else's, or the TAP was made otherwise.
        Busy: a process holds the TAP, and what is asked would break it.
        InvalidInput: the MTU is larger than the bridge's.
    """
    if isinstance(nic.wire, Direct):
        check_mac_free(nic, view)
        return plan_direct(nic, view, _new_tag(nic, view, now, Own.MADE, life))
    bridge = _check_place(nic, view)
    if view.tap is None:
        return Plan(_create(nic, view, bridge, now, life), bridge_notes(nic, bridge, view))
    plan = adjust(nic, view, view.tap, bridge, life, live=live)
    return plan if live else guarded(nic, view.tap, plan)


def plan_run(nic: Nic, view: NicView, now: Moment) -> Plan:
    """Return the steps that make a TAP and hold all its queues for the QEMU this process becomes.

    A TAP that `attach` made is used as it is, and stays when QEMU ends.

    Raises:
        As `plan_attach`; Busy also if any process holds the TAP.
    """
    if isinstance(nic.wire, Direct):
        check_mac_free(nic, view)
        return plan_direct_run(nic, view, _new_tag(nic, view, now, Own.MADE, Life.PROCESS))
    check_offload(nic)
    bridge = _check_place(nic, view)
    multi = nic.queues > 1
    if view.tap is None:
        moves = _create(nic, view, bridge, now, Life.PROCESS)
        opened = OpenQueues(Ref(view.name), nic.queues, multi)
        return Plan((*moves, Move(opened)) if multi else moves, bridge_notes(nic, bridge, view))
    adjusted = adjust(nic, view, view.tap, bridge, Life.PROCESS)
    if is_held(view.tap, view.holders):
        raise held(view.tap, view.holders, "start a second QEMU on it")
    # First: a holder that did not show is refused before anything is changed.
    opened = OpenQueues(Ref(view.name, view.tap.index), nic.queues, multi)
    return Plan((Move(opened), *adjusted.moves), adjusted.notes)


def plan_manage(nic: Nic, view: NicView, now: Moment) -> Plan:
    """Return the steps that plug in a TAP which a QEMU has made and holds (`-netdev tap,script=`).

    Raises:
        NotFound: no such TAP or bridge.
        Conflict: the link is no TAP, somebody's own TAP, or a port of another bridge.
    """
    bridge = check_bridge(nic.bridge, view)
    check_mtu_fits(nic, bridge, view)
    tap = view.tap
    if tap is None:
        raise NotFound(
            f"no link {view.name!r} here",
            code="tap-missing",
            remedy="this is called by QEMU, after it made the TAP: `-netdev tap,script=...`",
        )
    if not tap.is_tap:
        raise not_a_tap(tap)
    if tap.tag is not None:
        return _adjust_managed(nic, view, tap, tap.tag, bridge)
    _check_made_by_qemu(tap)
    if view.master is not None and view.master.index != bridge.index:
        raise stolen(tap, view.master, bridge.name)
    return Plan(_manage(nic, view, tap, bridge, now), bridge_notes(nic, bridge, view))


def plan_left(nic: Nic, view: NicView, life: Life) -> Plan:
    """Return what a second look finds still to do after a plan was carried out.

    The TAP may be open now: the plan itself opened it.

    Raises:
        NotFound: the TAP or the bridge is gone.
        Conflict: what is left could not be done either.
    """
    if isinstance(nic.wire, Direct):
        return direct_left(nic, view, life)
    bridge = _place(nic, view)
    if view.tap is None:
        raise NotFound(
            f"tap {view.name!r} is gone again",
            code="link-gone",
            remedy="another program may have removed it: see `ip monitor link`",
        )
    return adjust(nic, view, view.tap, bridge, life, ours=True)


def _place(nic: Nic, view: NicView) -> Link:
    """Return the wished bridge, or what stands for it where the NIC is to be on none."""
    return as_place(view) if nic.wire is not None else check_bridge(nic.bridge, view)


def place_mtu(nic: Nic, view: NicView) -> int:
    """Return the MTU, in bytes, of what a NIC is plugged into, or the one that is wished.

    Raises:
        VmnetError: it is not there.
    """
    return (
        direct_mtu(nic, view) if isinstance(nic.wire, Direct) else nic.mtu or _place(nic, view).mtu
    )


def _check_place(nic: Nic, view: NicView) -> Link:
    """Return the wished bridge, or raise if the NIC cannot be there."""
    bridge = _place(nic, view)
    check_one_switch(view)
    check_mtu_fits(nic, bridge, view)
    check_mac_free(nic, view)
    return bridge


def check_bridge(name: str, view: NicView) -> Link:
    """Return the wished bridge, or raise if it is not there or none that a TAP can be put into."""
    switch = switch_of(view)
    if switch is not None:
        return as_link(name, switch, view)
    if view.bridge is None:
        known = view.ovs.bridges if view.ovs is not None else ()
        there = ", ".join((*view.bridges, *known)) or "none"
        raise NotFound(
            f"no bridge {name!r} here (bridges: {there})",
            code="bridge-missing",
            remedy=f"make it with `vmnet bridge create {name}`, or name another with --bridge",
        )
    if view.bridge.kind != "bridge":
        kind = view.bridge.kind or "hardware"
        raise Conflict(
            f"link {name!r} is not a Linux bridge but of kind {kind}",
            code="not-a-bridge",
            remedy="name a bridge: `ip -br link show type bridge` lists them; one of Open "
            "vSwitch's is known while its database runs",
        )
    return view.bridge


def check_mtu_fits(nic: Nic, bridge: Link, view: NicView) -> None:
    """Raise `InvalidInput` if the bridge would lose the NIC's longest packets."""
    bound = switch_of(view) is None and nic.wire is None
    if nic.mtu is not None and nic.mtu > bridge.mtu and bound:
        raise InvalidInput(
            f"MTU {nic.mtu} is larger than the {bridge.mtu} of bridge {bridge.name!r}: "
            "longer packets would be lost there",
            code="mtu-over-bridge",
            remedy=f"ask for at most {bridge.mtu}, or raise the bridge's first",
        )


def check_mac_free(nic: Nic, view: NicView) -> None:
    """Raise `Conflict` if another link carries the guest's MAC."""
    user = view.mac_user
    if user is None or (view.tap is not None and user.index == view.tap.index):
        return
    owner = f" (VM {user.tag.vm_name!r}, NIC {user.tag.nic})" if user.tag else ""
    raise Conflict(
        f"MAC {nic.mac} is already used by {user.name!r}{owner}",
        code="mac-used",
        remedy="give another with --mac, or leave it out",
    )


def _new_tag(nic: Nic, view: NicView, now: Moment, own: Own, life: Life) -> Tag:
    kept = life in (Life.KEPT, Life.DOMAIN)
    return Tag(
        vm=vm_in_tag(nic.vm),
        nic=nic.nic,
        generation=now.generation,
        own=own,
        life=life,
        mac=nic.mac,
        queues=nic.queues,
        bridge=nic.bridge,
        idle=IdleMark(now.boottime, 0) if kept else None,
        port=digest_of(nic, view),
        arriving=now.arriving,
        wire=link_wire(nic.wire),
    )


def _create(nic: Nic, view: NicView, bridge: Link, now: Moment, life: Life) -> tuple[Move, ...]:
    multi = nic.queues > 1
    link = Ref(view.name)
    tag = _new_tag(nic, view, now, Own.MADE, life)
    passage = plan_passage(nic, tag, view, link, bridge)
    building = format_tag(replace(tag, life=Life.BUILDING))
    # Undoing the first step takes the TAP away, and all the others with it.
    steps: list[Step] = []
    if nic.owner is not None:
        steps.append(SetOwner(link, nic.owner, multi))
    steps += [
        SetAlias(link, building),
        QuietIpv6(link),
        SetMac(link, tap_mac(nic.mac)),
        SetMtu(link, nic.mtu or bridge.mtu),
        AddAltname(link, alt_name(nic.vm, nic.nic)),
        AddAltname(link, mac_alt_name(nic.mac)),
    ]
    ported = switch_of(view) is not None
    if not ported and nic.wire is None:
        steps.append(SetMaster(link, Ref(bridge.name, bridge.index)))
    last = [Move(SetAlias(link, format_tag(tag))), Move(SetUp(link))]
    if nic.wire is not None:
        last += fresh_moves(nic, view, link)
    if life is not Life.PROCESS:
        last.append(Move(Persist(link)))
    return (
        *stale_moves(view),
        Move(CreateTap(view.name, multi), DropTap(link, multi)),
        *map(Move, steps),
        *_gone_with_the_tap(passage.port),
        *passage.guard,
        *_gone_with_the_tap(passage.rates),
        *last,
        # The port last: one without a TAP behind it is worse than a TAP without a port.
        *([new_port(nic, view.name, tag)] if ported else []),
    )


def _gone_with_the_tap(moves: Iterable[Move]) -> Iterator[Move]:
    """Leave out what need not be taken back where the TAP goes: all but an ifb."""
    for move in moves:
        yield move if isinstance(move.do, CreateIfb) else Move(move.do)


def _check_made_by_qemu(tap: Link) -> None:
    """Refuse a TAP that somebody set up: one QEMU has just made is bare, and goes with it."""
    if tap.alias:
        why = f"has the alias {tap.alias[:40]!r}"
    elif tap.tun is not None and tap.tun.persist:
        why = "is persistent"
    else:
        return
    raise Conflict(
        f"tap {tap.name!r} was not made by this QEMU: it {why}; vmnet leaves it alone",
        code="tap-foreign",
        remedy=f"plug it in by hand and use -netdev tap,ifname={tap.name},script=no,downscript=no; "
        "or give QEMU another ifname",
    )


def _manage(nic: Nic, view: NicView, tap: Link, bridge: Link, now: Moment) -> tuple[Move, ...]:
    link = Ref(tap.name, tap.index)
    tag = replace(_new_tag(nic, view, now, Own.MANAGED, Life.PROCESS), queues=1)
    alt = alt_name(nic.vm, nic.nic)
    mtu = nic.mtu or bridge.mtu
    passage = plan_passage(nic, tag, view, link, bridge)
    moves = [
        *passage.guard,
        *passage.rates,
        Move(SetAlias(link, format_tag(tag)), SetAlias(link, tap.alias)),
        Move(QuietIpv6(link)),  # silence is not taken back
        Move(SetMac(link, tap_mac(tap.mac)), SetMac(link, tap.mac)),
        Move(SetMtu(link, mtu), SetMtu(link, tap.mtu)),
    ]
    if alt not in tap.altnames:
        moves.append(Move(AddAltname(link, alt), DropAltname(link, alt)))
    if tap.master != bridge.index:
        moves.append(Move(SetMaster(link, Ref(bridge.name, bridge.index)), SetMaster(link, None)))
    moves += passage.port
    if tap.mtu < IPV6_MIN_MTU:
        moves.append(Move(QuietIpv6(link)))
    moves.append(Move(SetUp(link), None if tap.up else SetUp(link, up=False)))
    return tuple(moves)


def _adjust_managed(nic: Nic, view: NicView, tap: Link, tag: Tag, bridge: Link) -> Plan:
    """Plug a TAP that vmnet already knows back in, and bring it up."""
    link = Ref(tap.name, tap.index)
    master = view.master
    passage = plan_passage(nic, tag, view, link, bridge)
    moves = [*passage.guard, *passage.rates]
    if master is None:
        moves.append(Move(SetMaster(link, Ref(bridge.name, bridge.index)), SetMaster(link, None)))
    elif master.index != bridge.index:
        raise stolen(tap, master, bridge.name)
    moves += passage.port
    if not tap.up:
        moves.append(Move(SetUp(link), SetUp(link, up=False)))
    return Plan(tuple(moves))
