"""A small host made of values, and what a plan would make of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import strategies as st

from vmnet.model.filestep import FileStep
from vmnet.model.host import Holder, Holders, Link, NicView, TunFacts
from vmnet.model.names import LINK_NAME_MAX, link_name
from vmnet.model.nic import Nic
from vmnet.model.portfacts import Filter, Outflow, PortFacts, Table, VlanEntry, Way
from vmnet.model.portstep import (
    FilterStep,
    PortStep,
    RateStep,
)
from vmnet.model.rate import shape_of
from vmnet.model.step import (
    AddAltname,
    CreateBridge,
    CreateTap,
    CreateTun,
    DeleteLink,
    DropAltname,
    DropTap,
    DropTun,
    Move,
    NetlinkStep,
    OpenQueues,
    PeerStep,
    Persist,
    PlaceStep,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMaster,
    SetMtu,
    SetOwner,
    SetUp,
    SetVlanFiltering,
    Step,
)
from vmnet.model.vhost import Policy
from vmnet.model.vlan import VidRange, Vlans
from vmnet.model.wirestep import NodeStep, SetTxChecksum, WireStep
from vmnet.plan.attach import Moment, plan_attach, plan_run
from vmnet.plan.filter import wanted_entries

MAC = "52:54:00:12:34:56"
NOW = Moment("00c0ffee", 1000)
LINK = Ref("tap0", 7)
HELD = Holders((Holder(4711, "qemu-system-x86_64 -name vm1", "alice", 1, 0),))

_vm_chars = st.characters(codec="utf-8", exclude_characters="\0\n/")
#: Short ones of any characters, and long ones of few: the longest would cost the most to make.
vm_names = st.text(_vm_chars, min_size=1, max_size=30) | st.builds(
    lambda chars, tail: chars * ((250 - len(tail.encode())) // len(chars.encode())) + tail,
    st.text(_vm_chars, min_size=1, max_size=3),
    st.text(_vm_chars, max_size=3),
)
link_names = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/:%"),
    min_size=1,
    max_size=LINK_NAME_MAX,
).filter(lambda name: name not in (".", ".."))
guest_macs = st.binary(min_size=5, max_size=5).map(lambda tail: "52:" + tail.hex(":"))


def bridge(name: str = "br0", index: int = 2, **changes: object) -> Link:
    """Return a bridge that is up."""
    link = Link(
        index=index,
        name=name,
        kind="bridge",
        mac="52:00:00:00:00:01",
        mtu=1500,
        master=0,
        up=True,
        carrier=True,
        carrier_ups=1,
        alias="",
        altnames=(),
        tun=None,
    )
    return replace(link, **changes)  # type: ignore[arg-type]


BR0, BR1 = bridge(), bridge("br1", 3)


def nic(vm: str = "vm1", **changes: object) -> Nic:
    """Return the NIC 0 of a VM on br0."""
    wished = Nic(vm, 0, "br0", MAC, None, 1, Policy.AUTO, "virtio-net-pci", 1000)
    return replace(wished, **changes)  # type: ignore[arg-type]


def foreign_tap(name: str = "tap0", **changes: object) -> Link:
    """Return a TAP as QEMU makes it: down, in no bridge."""
    tun = TunFacts(
        tap=True, persist=False, multi_queue=False, vnet_hdr=True, owner=None, group=None, queues=0
    )
    link = replace(BR0, index=7, name=name, kind="tun", mac="aa:bb:cc:dd:ee:ff", tun=tun)
    link = replace(link, up=False, carrier=False, carrier_ups=0)
    return replace(link, **changes)  # type: ignore[arg-type]


def view(
    wish: Nic,
    tap: Link | None = None,
    *,
    bridges: tuple[Link, ...] = (BR0, BR1),
    holders: Holders | None = None,
    mac_user: Link | None = None,
    facts: PortFacts | None = None,
) -> NicView:
    """Return what a planner would see; at the port of a TAP of vmnet's, what is wished."""
    by_index = {link.index: link for link in bridges}
    by_name = {link.name: link for link in bridges}
    if facts is None and (tap is None or tap.tag is None or not tap.master):
        facts = PortFacts()
    elif facts is None and tap is not None:
        facts = facts_of(as_tagged(wish, tap), by_index.get(tap.master))
        if as_tagged(wish, tap).mac != wish.mac:
            facts = replace(facts, fdb={})  # it is asked for the wished MAC
    return NicView(
        name=tap.name if tap else link_name(wish.vm, wish.nic),
        tap=tap,
        master=by_index.get(tap.master) if tap else None,
        bridge=by_name.get(wish.bridge),
        bridges=tuple(by_name),
        mac_user=mac_user,
        holders=holders or Holders(),
        facts=facts if tap else None,
        filter=filter_of(wish, facts or PortFacts(), tap),
    )


def as_tagged(wish: Nic, tap: Link | None) -> Nic:
    """Return the wish with the guest's MAC that a TAP's tag has."""
    tag = tap.tag if tap else None
    return replace(wish, mac=tag.mac) if tag else wish


def links_only(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Return the moves but for what may pass there: `test_plan_passage` is about those."""
    beside = FilterStep | RateStep | PortStep
    return tuple(move for move in moves if not isinstance(move.do, beside))


def facts_of(wish: Nic, bridge: Link | None = None) -> PortFacts:
    """Return what the kernel shows of a port that is as wished."""
    port = wish.port
    pinned = port.guard and bool(wish.mac)
    flags = {
        "guard": port.guard,
        "root_block": port.guard,
        "learning": not pinned,
        "flood": port.flood,
        "neigh_suppress": port.neigh_suppress,
        "isolated": port.isolated,
        "locked": pinned,
    }
    vlans: list[VlanEntry] = []
    if bridge is not None and bridge.vlan_filtering:
        vlans = _vlan_entries(port.vlans or Vlans(bridge.default_pvid or None))
    vids = {0, *(vid for entry in vlans for vid in entry.vids.vids)}
    return PortFacts(
        flags=flags,
        vlans=tuple(vlans),
        fdb=dict.fromkeys(vids, True) if pinned else {},
        inflow=shape_of(port.rate_in) if port.rate_in else None,
        outflow=Outflow(Way.SHAPED, shape_of(port.rate_out), 9) if port.rate_out else None,
        filter=wanted_entries(port, wish.mac),
    )


def _vlan_entries(vlans: Vlans) -> list[VlanEntry]:
    entries = [VlanEntry(each) for each in vlans.tagged]
    if vlans.untagged:
        only = VidRange(vlans.untagged, vlans.untagged)
        entries.append(VlanEntry(only, pvid=True, untagged=True))
    return entries


def filter_of(wish: Nic, facts: PortFacts, tap: Link | None) -> Filter:
    """Return vmnet's filter as one port's entries make it."""
    if tap is None or not facts.filter:
        return Filter(Table.ABSENT)
    strict = frozenset({wish.bridge}) if wish.strict else frozenset()
    entries = {tap.name: facts.filter}
    return Filter(Table.OURS, entries, strict, strict_rules=wish.strict)


def attached(wish: Nic, **changes: object) -> Link:
    """Return the TAP that attaching leaves behind, nobody holding it."""
    tap = after(None, plan_attach(wish, view(wish), NOW))
    assert tap is not None
    return replace(replace(tap, carrier=False), **changes)  # type: ignore[arg-type]


def launched(wish: Nic, **changes: object) -> Link:
    """Return the TAP of a running QEMU that `vmnet run` became."""
    tap = after(None, plan_run(wish, view(wish), NOW))
    assert tap is not None
    return replace(tap, **changes)  # type: ignore[arg-type]


def after(tap: Link | None, plan: Plan) -> Link | None:
    """Return the TAP as a plan would leave it."""
    return carried(tap, (move.do for move in plan.moves))


def undone(tap: Link | None, plan: Plan) -> Link | None:
    """Return the TAP as the plan's undo would leave it, last move first."""
    return carried(tap, (move.undo for move in reversed(plan.moves) if move.undo is not None))


def carried(tap: Link | None, steps: Iterable[Step]) -> Link | None:
    """Return the TAP as steps would leave it; each must be possible when it comes."""
    for step in steps:
        tap = _after(tap, step)
    return tap


def _after(tap: Link | None, step: Step) -> Link | None:
    if isinstance(step, CreateTap):
        assert tap is None, "IFF_TUN_EXCL refuses"
        made = foreign_tap(step.name, carrier=True)
        assert made.tun is not None
        return replace(made, tun=replace(made.tun, multi_queue=step.multi_queue))
    assert tap is not None
    if isinstance(step, FilterStep | RateStep | PortStep):
        return tap  # beside the link: tests/unit/test_plan_passage.py
    others = CreateTun | DropTun | PlaceStep | CreateBridge | SetVlanFiltering | PeerStep | FileStep
    assert not isinstance(step, others | WireStep | NodeStep | SetTxChecksum)
    assert step.link.name == tap.name
    assert step.link.index in (0, tap.index)
    if isinstance(step, DropTap | DeleteLink):
        return None
    if isinstance(step, SetOwner | Persist | OpenQueues):
        return replace(tap, tun=_tun_after(tap, step))
    return _link_after(tap, step)


def _tun_after(tap: Link, step: SetOwner | Persist | OpenQueues) -> TunFacts:
    assert tap.tun is not None
    if isinstance(step, Persist):
        return replace(tap.tun, persist=True)
    assert step.multi_queue == tap.tun.multi_queue
    return replace(tap.tun, owner=step.uid) if isinstance(step, SetOwner) else tap.tun


def _link_after(tap: Link, step: NetlinkStep) -> Link:
    match step:
        case SetAlias(_, alias):
            return replace(tap, alias=alias)
        case SetMac(_, mac):
            return replace(tap, mac=mac)
        case SetMtu(_, mtu):
            return replace(tap, mtu=mtu)
        case AddAltname(_, altname):
            assert altname not in tap.altnames
            return replace(tap, altnames=(*tap.altnames, altname))
        case DropAltname(_, altname):
            assert altname in tap.altnames
            return replace(tap, altnames=tuple(n for n in tap.altnames if n != altname))
        case SetMaster(_, master):
            return replace(tap, master=master.index if master else 0)
        case SetUp(_, up):
            return replace(tap, up=up)
        case _:
            assert isinstance(step, QuietIpv6)
            return tap
