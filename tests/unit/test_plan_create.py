"""Planning a TAP that is not there yet: the order of its making, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import (
    BR0,
    BR1,
    MAC,
    NOW,
    after,
    attached,
    bridge,
    foreign_tap,
    guest_macs,
    launched,
    links_only,
    nic,
    undone,
    view,
    vm_names,
)
from vmnet.errors import Conflict, InvalidInput, NotFound, VmnetError
from vmnet.model.host import NicView
from vmnet.model.names import alt_name, link_name, mac_alt_name
from vmnet.model.nic import Nic
from vmnet.model.portstep import ChangeFilter
from vmnet.model.step import (
    AddAltname,
    CreateTap,
    DropTap,
    OpenQueues,
    Persist,
    Plan,
    Ref,
    SetAlias,
    SetMaster,
    SetMtu,
    SetOwner,
    SetUp,
    Step,
)
from vmnet.model.tag import IdleMark, Life, Own, Tag, parse_tag, vm_in_tag
from vmnet.plan.attach import Moment, plan_attach, plan_left, plan_run

NAME = link_name("vm1", 0)


def kinds(steps: list[Step]) -> list[str]:
    return [type(step).__name__ for step in steps]


def created(wish: Nic, seen: NicView | None = None) -> list[Step]:
    return [move.do for move in links_only(plan_attach(wish, seen or view(wish), NOW).moves)]


def run(wish: Nic) -> list[Step]:
    return [move.do for move in links_only(plan_run(wish, view(wish), NOW).moves)]


def test_a_kept_tap_is_made_in_the_order_that_the_kernel_needs() -> None:
    assert kinds(created(nic())) == [
        "CreateTap",
        "SetOwner",
        "SetAlias",
        "QuietIpv6",
        "SetMac",
        "SetMtu",
        "AddAltname",
        "AddAltname",
        "SetMaster",
        "SetAlias",
        "SetUp",
        "Persist",
    ]


def test_the_owner_is_set_before_anybody_could_open_it() -> None:
    steps = created(nic(owner=1000))
    assert steps[:2] == [
        CreateTap(NAME, multi_queue=False),
        SetOwner(Ref(NAME), 1000, multi_queue=False),
    ]


def test_the_mtu_is_set_before_the_bridge_and_up_comes_after() -> None:
    steps = created(nic(mtu=1400))
    master = steps.index(SetMaster(Ref(NAME), Ref("br0", BR0.index)))
    assert steps.index(SetMtu(Ref(NAME), 1400)) < master < steps.index(SetUp(Ref(NAME)))


def test_persistence_comes_last_and_only_for_what_is_kept() -> None:
    assert created(nic())[-1] == Persist(Ref(NAME))
    assert "Persist" not in kinds(run(nic(owner=None)))


def test_until_it_is_ready_its_tag_says_building() -> None:
    first, last = (s for s in created(nic()) if isinstance(s, SetAlias))
    tags = [parse_tag(first.alias), parse_tag(last.alias)]
    assert [tag.life for tag in tags if tag] == [Life.BUILDING, Life.KEPT]


def test_the_tag_says_all_that_clearing_up_needs() -> None:
    tag = attached(nic("a b", queues=4)).tag
    assert tag == Tag(
        vm_in_tag("a b"),
        0,
        NOW.generation,
        Own.MADE,
        Life.KEPT,
        MAC,
        4,
        "br0",
        IdleMark(NOW.boottime, 0),
    )


def test_a_tap_for_one_process_is_tagged_so() -> None:
    tag = launched(nic(owner=None)).tag
    assert tag is not None
    assert (tag.life, tag.idle) == (Life.PROCESS, None)


def test_it_is_found_by_vm_and_by_mac() -> None:
    names = {step.altname for step in created(nic()) if isinstance(step, AddAltname)}
    assert names == {alt_name("vm1", 0), mac_alt_name(MAC)}


def test_it_gets_the_bridges_mtu_if_none_is_asked_for() -> None:
    jumbo = replace(BR0, mtu=9000)
    assert SetMtu(Ref(NAME), 9000) in created(nic(), view(nic(), bridges=(jumbo,)))


@pytest.mark.parametrize(("queues", "multi"), [(1, False), (2, True), (256, True)])
def test_multi_queue_is_set_only_for_more_than_one(queues: int, *, multi: bool) -> None:
    assert created(nic(queues=queues))[0] == CreateTap(NAME, multi)


def test_undoing_the_first_step_takes_all_along() -> None:
    moves = plan_attach(nic(queues=2), view(nic(queues=2)), NOW).moves
    assert moves[0].undo == DropTap(Ref(NAME), multi_queue=True)
    beside = [move for move in moves[1:] if move.undo is not None]
    assert [type(move.do) for move in beside] == [ChangeFilter]


@given(
    vm_names, guest_macs, st.integers(1, 256), st.none() | st.integers(68, 1500), st.integers(0, 99)
)
def test_a_second_look_finds_nothing_to_do(
    vm: str, mac: str, queues: int, mtu: int | None, number: int
) -> None:
    wish = nic(vm, nic=number, mac=mac, queues=queues, mtu=mtu)
    plan = plan_attach(wish, view(wish), NOW)
    tap = after(None, plan)
    assert plan_left(wish, view(wish, tap), Life.KEPT).moves == ()
    assert plan_attach(wish, view(wish, tap), NOW).moves == ()
    assert undone(tap, plan) is None


def test_run_opens_as_many_queues_as_it_hands_on() -> None:
    assert run(nic(queues=4, owner=None))[-1] == OpenQueues(Ref(NAME), 4, multi_queue=True)


def test_run_makes_two_queues_as_many() -> None:
    assert run(nic(queues=2, owner=None))[0] == CreateTap(NAME, multi_queue=True)


def test_run_has_its_only_queue_from_making_the_tap() -> None:
    assert "OpenQueues" not in kinds(run(nic(owner=None)))


def test_a_tap_that_dies_with_its_process_needs_no_owner() -> None:
    assert "SetOwner" not in kinds(run(nic(owner=None)))


def test_a_tap_that_is_gone_again_is_reported() -> None:
    with pytest.raises(NotFound) as caught:
        plan_left(nic(), view(nic()), Life.KEPT)
    assert caught.value.code == "link-gone"


REFUSED: dict[str, tuple[Nic, NicView, type[VmnetError], str]] = {
    "no such bridge": (nic(), view(nic(), bridges=(BR1,)), NotFound, "bridge-missing"),
    "not a bridge": (
        nic(),
        view(nic(), bridges=(bridge(kind="bond"),)),
        Conflict,
        "not-a-bridge",
    ),
    "hardware": (nic(), view(nic(), bridges=(bridge(kind=""),)), Conflict, "not-a-bridge"),
    "MTU over the bridge's": (nic(mtu=1501), view(nic()), InvalidInput, "mtu-over-bridge"),
    "MAC of another NIC": (
        nic(),
        view(nic(), mac_user=attached(nic("vm2"), index=9)),
        Conflict,
        "mac-used",
    ),
    "MAC as a foreign altname": (
        nic(),
        view(nic(), mac_user=foreign_tap(altnames=(mac_alt_name(MAC),))),
        Conflict,
        "mac-used",
    ),
    "foreign tap": (nic(), view(nic(), foreign_tap(NAME)), Conflict, "tap-foreign"),
    "foreign tap with an alias": (
        nic(),
        view(nic(), foreign_tap(NAME, alias="vmnet/2 vm=vm1 nic=0")),
        Conflict,
        "tap-foreign",
    ),
    "no tap": (nic(), view(nic(), bridge(NAME, 9)), Conflict, "not-a-tap"),
    "name collision": (nic(), view(nic(), attached(nic("vm2"))), Conflict, "name-collision"),
    "other NIC's tag": (nic(), view(nic(), attached(nic(nic=1))), Conflict, "name-collision"),
}


@pytest.mark.parametrize("plan", [plan_attach, plan_run])
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_vmnet_may_not_change_is_refused(
    case: tuple[Nic, NicView, type[VmnetError], str], plan: Callable[[Nic, NicView, Moment], Plan]
) -> None:
    wish, seen, error, code = case
    with pytest.raises(error) as caught:
        plan(wish, seen, NOW)
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_tun_of_that_name_is_no_tap() -> None:
    tap = attached(nic())
    assert tap.tun is not None
    with pytest.raises(Conflict, match="of kind tun"):
        plan_attach(nic(), view(nic(), replace(tap, tun=replace(tap.tun, tap=False))), NOW)


@pytest.mark.parametrize(("kind", "said"), [("bond", "bond"), ("", "hardware")])
def test_what_is_no_tap_is_reported_by_its_kind(kind: str, said: str) -> None:
    with pytest.raises(Conflict, match=f"no TAP but of kind {said}"):
        plan_attach(nic(), view(nic(), bridge(NAME, 9, kind=kind)), NOW)


def test_a_missing_bridge_is_reported_with_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"no bridge 'br9' here \(bridges: br0, br1\)") as caught:
        plan_attach(nic(bridge="br9"), view(nic(bridge="br9")), NOW)
    assert "vmnet bridge create br9" in caught.value.remedy
    with pytest.raises(NotFound, match="bridges: none"):
        plan_attach(nic(), view(nic(), bridges=()), NOW)


def test_a_used_mac_is_reported_with_its_user() -> None:
    user = attached(nic("vm2", nic=3), index=9)
    with pytest.raises(Conflict, match="VM 'vm2', NIC 3"):
        plan_attach(nic(), view(nic(), mac_user=user), NOW)


def test_its_own_mac_is_no_conflict() -> None:
    tap = attached(nic())
    assert plan_attach(nic(), view(nic(), tap, mac_user=tap), NOW).moves == ()


def test_the_bridges_own_mtu_can_be_had() -> None:
    assert SetMtu(Ref(NAME), 1500) in created(nic(mtu=1500))


def test_a_bridge_that_is_down_is_noted() -> None:
    wish = nic()
    (note,) = plan_attach(wish, view(wish, bridges=(bridge(up=False),)), NOW).notes
    assert "down" in note
    assert "ip link set br0 up" in note
    assert plan_attach(wish, view(wish), NOW).notes == ()


def test_an_mtu_that_may_shrink_the_bridge_is_noted() -> None:
    wish = nic(mtu=1400)
    (note,) = plan_attach(wish, view(wish), NOW).notes
    assert "shrinks" in note


def test_the_bridges_own_mtu_is_not_noted() -> None:
    assert plan_attach(nic(mtu=1500), view(nic(mtu=1500)), NOW).notes == ()


def test_a_bridge_of_vmnets_own_does_not_shrink() -> None:
    ours = bridge(alias="vmnet/1 vm= nic=0 gen=ab own=made life=kept")
    assert plan_attach(nic(mtu=1400), view(nic(mtu=1400), bridges=(ours,)), NOW).notes == ()
