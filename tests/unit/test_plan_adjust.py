"""Planning for a TAP that is there: differences only, each with its undo; what is not touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import (
    BR0,
    BR1,
    HELD,
    MAC,
    NOW,
    after,
    attached,
    bridge,
    launched,
    links_only,
    nic,
    undone,
    view,
)
from vmnet.errors import Busy, Conflict
from vmnet.model.host import Holders, Link
from vmnet.model.mac import tap_mac
from vmnet.model.names import alt_name, mac_alt_name
from vmnet.model.nic import Nic
from vmnet.model.portstep import PinMac, SetPort
from vmnet.model.step import (
    AddAltname,
    DropAltname,
    Move,
    NetlinkStep,
    OpenQueues,
    Persist,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMaster,
    SetMtu,
    SetOwner,
    SetUp,
)
from vmnet.model.tag import Life, format_tag
from vmnet.plan.attach import plan_attach, plan_left, plan_run

OTHER_MAC = "52:54:00:65:43:21"
WISH = nic()
TAP = attached(WISH)
REF = Ref(TAP.name, TAP.index)
#: A holder that does not show is refused by the kernel, before anything is changed.
OPENED = Move(OpenQueues(REF, 1, multi_queue=False))

wishes = st.builds(
    nic,
    bridge=st.sampled_from(["br0", "br1"]),
    mac=st.sampled_from([MAC, OTHER_MAC]),
    mtu=st.sampled_from([None, 68, 1400, 1500]),
    queues=st.sampled_from([2, 3, 256]),
    owner=st.sampled_from([None, 0, 1000]),
)


def moves(wish: Nic, tap: Link = TAP, holders: Holders | None = None) -> tuple[Move, ...]:
    """Return what is done to the link, less what may pass there."""
    return links_only(plan_attach(wish, view(wish, tap, holders=holders), NOW).moves)


def tagged(tap: Link, **changes: object) -> str:
    assert tap.tag is not None
    return format_tag(replace(tap.tag, **changes))  # type: ignore[arg-type]


def test_the_same_wish_changes_nothing() -> None:
    assert moves(WISH) == ()


def test_the_same_wish_changes_nothing_of_a_running_vm() -> None:
    assert moves(WISH, replace(TAP, carrier=True), HELD) == ()


@given(wishes, wishes)
def test_one_wish_becomes_another_by_differences_alone(first: Nic, second: Nic) -> None:
    tap = attached(first)
    plan = plan_attach(second, view(second, tap), NOW)
    changed = after(tap, plan)
    assert changed is not None
    assert plan_left(second, view(second, changed), Life.KEPT).moves == ()
    as_new = attached(second)
    assert (changed.mac, changed.mtu, changed.master, changed.tag, set(changed.altnames)) == (
        as_new.mac,
        as_new.mtu,
        as_new.master,
        as_new.tag,
        set(as_new.altnames),
    )


@given(wishes, wishes)
def test_undo_gives_back_what_was_there(first: Nic, second: Nic) -> None:
    tap = replace(attached(first), up=False)
    plan = plan_attach(second, view(second, tap), NOW)
    assert [move.undo for move in plan.moves if move.undo is None and not _open(move)] == []
    back = undone(after(tap, plan), plan)
    assert back is not None
    assert set(back.altnames) == set(tap.altnames)
    assert replace(back, altnames=(), tun=None) == replace(tap, altnames=(), tun=None)
    if first.owner is not None:  # the kernel takes no owner back to nobody but by a new TAP
        assert back.tun == tap.tun


def _open(move: Move) -> bool:
    return isinstance(move.do, SetOwner | OpenQueues)


def test_another_mtu_is_one_step() -> None:
    assert moves(nic(mtu=1400)) == (Move(SetMtu(REF, 1400), SetMtu(REF, 1500)),)


@pytest.mark.parametrize(
    ("there", "asked", "silenced"),
    [(1279, 1280, True), (68, 1500, True), (1280, 1500, False), (1500, 1280, False)],
)
def test_an_mtu_that_brings_ipv6_back_is_followed_by_silence(
    there: int, asked: int, *, silenced: bool
) -> None:
    kinds = [type(move.do) for move in moves(nic(mtu=asked), replace(TAP, mtu=there))]
    assert kinds == [SetMtu, QuietIpv6] if silenced else [SetMtu]


def test_another_mac_changes_address_name_and_tag() -> None:
    assert moves(nic(mac=OTHER_MAC)) == (
        OPENED,
        Move(SetMac(REF, tap_mac(OTHER_MAC)), SetMac(REF, tap_mac(MAC))),
        Move(DropAltname(REF, mac_alt_name(MAC)), AddAltname(REF, mac_alt_name(MAC))),
        Move(AddAltname(REF, mac_alt_name(OTHER_MAC)), DropAltname(REF, mac_alt_name(OTHER_MAC))),
        Move(SetAlias(REF, tagged(TAP, mac=OTHER_MAC)), SetAlias(REF, TAP.alias)),
    )


def test_another_bridge_moves_the_port_from_where_vmnet_put_it() -> None:
    assert moves(nic(bridge="br1")) == (
        OPENED,
        Move(
            SetMaster(REF, Ref("br1", BR1.index)),
            SetMaster(REF, Ref("br0", BR0.index)),
            # Back there it would be open and learning.
            (
                PinMac(REF, MAC),
                SetPort(
                    REF,
                    (("guard", True), ("root_block", True), ("learning", False), ("locked", True)),
                ),
            ),
        ),
        Move(SetAlias(REF, tagged(TAP, bridge="br1")), SetAlias(REF, TAP.alias)),
    )


def test_a_tap_taken_out_of_its_bridge_is_put_back() -> None:
    assert moves(WISH, replace(TAP, master=0)) == (
        Move(SetMaster(REF, Ref("br0", BR0.index)), SetMaster(REF, None)),
    )


def test_a_running_vms_tap_may_be_put_back() -> None:
    assert moves(WISH, replace(TAP, master=0, carrier=True), HELD)


def test_another_owner_is_one_step() -> None:
    assert moves(nic(owner=1001)) == (
        OPENED,
        Move(SetOwner(REF, 1001, multi_queue=False), SetOwner(REF, 1000, multi_queue=False)),
    )


def test_no_owner_asked_for_leaves_the_one_there_is() -> None:
    assert moves(nic(owner=None)) == ()


def test_another_number_of_many_queues_is_only_noted_in_the_tag() -> None:
    tap = attached(nic(queues=2))
    assert [type(move.do) for move in moves(nic(queues=4), tap)] == [SetAlias]


def test_a_link_that_is_down_is_brought_up_last() -> None:
    tap = replace(TAP, up=False, mtu=1000)
    assert moves(WISH, tap)[-1] == Move(SetUp(REF), SetUp(REF, up=False))


def test_a_lost_name_is_given_again() -> None:
    assert moves(WISH, replace(TAP, altnames=())) == tuple(
        Move(AddAltname(REF, name), DropAltname(REF, name))
        for name in (alt_name("vm1", 0), mac_alt_name(MAC))
    )


def test_other_names_a_person_gave_are_left() -> None:
    assert moves(WISH, replace(TAP, altnames=(*TAP.altnames, "uplink"))) == ()


def test_a_changed_address_of_the_hosts_end_is_set_right() -> None:
    tap = replace(TAP, mac="fe:00:00:00:00:01")
    assert [type(move.do) for move in moves(WISH, tap)] == [SetMac]


def test_a_tap_whose_making_was_cut_short_becomes_kept() -> None:
    (move,) = moves(WISH, replace(TAP, alias=tagged(TAP, life=Life.BUILDING)))
    assert move.do == SetAlias(REF, TAP.alias)


def test_the_generation_and_idle_mark_stay() -> None:
    changed = after(TAP, plan_attach(nic(mac=OTHER_MAC), view(WISH, TAP), replace(NOW, boottime=9)))
    assert changed is not None
    assert TAP.tag is not None
    assert changed.tag == replace(TAP.tag, mac=OTHER_MAC)


@pytest.mark.parametrize(("there", "asked"), [(1, 2), (4, 1), (1, 256)])
def test_one_queue_and_many_cannot_be_changed_into_each_other(there: int, asked: int) -> None:
    tap = attached(nic(queues=there))
    with pytest.raises(Conflict, match="live TAP") as caught:
        moves(nic(queues=asked), tap)
    assert caught.value.code == "queues-fixed"
    assert "vmnet detach" in caught.value.remedy


@pytest.mark.parametrize("master", [BR1.index, 9])
def test_a_tap_is_not_stolen_from_another_bridge(master: int) -> None:
    """Neither from a bridge that was asked for once nor from one that is not known here."""
    wish = nic(bridge="br0")
    other = bridge("virbr0", 9)
    seen = view(wish, replace(TAP, master=master), bridges=(BR0, BR1, other))
    with pytest.raises(Conflict, match="vmnet did not put it") as caught:
        plan_attach(wish, seen, NOW)
    assert caught.value.code == "other-bridge"


@pytest.mark.parametrize(
    "wish", [nic(bridge="br1"), nic(mac=OTHER_MAC), nic(owner=0)], ids=["bridge", "MAC", "owner"]
)
@pytest.mark.parametrize("holders", [HELD, Holders(blind="hidden by hidepid"), Holders()])
def test_what_would_break_a_running_vm_is_refused(wish: Nic, holders: Holders) -> None:
    tap = replace(TAP, carrier=True)
    with pytest.raises(Busy) as caught:
        moves(wish, tap, holders)
    assert caught.value.code == "tap-held"


def test_attach_does_not_promise_to_keep_what_goes_with_a_running_launch() -> None:
    tap = launched(nic(owner=None))
    with pytest.raises(Busy, match="it goes when that process ends"):
        moves(WISH, tap, HELD)


def test_run_leaves_a_launchs_tap_one_that_goes_with_its_process() -> None:
    plan = plan_run(nic(owner=None), view(WISH, orphan()), NOW)
    assert [type(move.do) for move in plan.moves] == [OpenQueues]


def orphan() -> Link:
    """Return a launch's TAP that stayed: its process made it persistent."""
    tap = launched(nic(owner=None))
    assert tap.tun is not None
    return replace(tap, carrier=False, tun=replace(tap.tun, persist=True))


@pytest.mark.parametrize(
    "change",
    [{"persist": False}, {"multi_queue": True, "queues": 1}],
    ids=["not persistent", "queues"],
)
@pytest.mark.parametrize(
    "wished", [{"bridge": "br1"}, {"mac": OTHER_MAC}, {"owner": 0}], ids=["bridge", "MAC", "owner"]
)
def test_a_carrier_that_was_switched_off_is_not_taken_for_free(
    change: dict[str, object], wished: dict[str, object]
) -> None:
    queues = 2 if "queues" in change else 1
    tap = attached(nic(queues=queues))
    assert tap.tun is not None
    tap = replace(tap, tun=replace(tap.tun, **change))  # type: ignore[arg-type]
    with pytest.raises(Busy):
        moves(nic(queues=queues, **wished), tap)  # type: ignore[arg-type]


def test_a_kept_tap_that_is_no_longer_persistent_is_not_called_kept() -> None:
    assert TAP.tun is not None
    tap = replace(TAP, carrier=True, tun=replace(TAP.tun, persist=False))
    with pytest.raises(Busy, match="it goes when that process ends"):
        moves(WISH, tap, HELD)
    left = plan_left(WISH, view(WISH, tap), Life.KEPT).moves
    assert [type(move.do) for move in left] == [Persist]


@pytest.mark.parametrize(
    "wish", [nic(bridge="br1", owner=0), nic(bridge="br1", mac=OTHER_MAC, mtu=1000)]
)
def test_a_bridge_and_the_tag_that_names_it_change_in_one_batch(wish: Nic) -> None:
    kinds = [isinstance(move.do, NetlinkStep) for move in moves(wish)]
    assert kinds == sorted(kinds)
    steps = {type(move.do) for move in moves(wish)}
    assert {SetMaster, SetAlias} <= steps


def test_the_mtu_of_a_held_tap_is_changed_only_where_one_was_asked_for() -> None:
    wide, narrow = replace(TAP, mtu=1500, carrier=True), bridge(mtu=1400)
    plan = plan_attach(WISH, view(WISH, wide, bridges=(narrow,), holders=HELD), NOW)
    assert plan.moves == ()
    assert "its MTU stays 1500" in " ".join(plan.notes)
    asked = nic(mtu=1400)
    plan = plan_attach(asked, view(asked, wide, bridges=(narrow,), holders=HELD), NOW)
    assert [type(move.do) for move in plan.moves] == [SetMtu]
    free = plan_attach(WISH, view(WISH, TAP, bridges=(narrow,)), NOW)
    assert [type(move.do) for move in free.moves] == [OpenQueues, SetMtu]


def test_a_holder_counts_though_the_carrier_is_not_seen() -> None:
    with pytest.raises(Busy, match=r"pid 4711 \(qemu-system-x86_64 -name vm1\)"):
        moves(nic(mac=OTHER_MAC), TAP, HELD)


def test_a_holder_that_cannot_be_seen_is_said_to_be_so() -> None:
    with pytest.raises(Busy, match="cannot be seen from here \\(hidepid\\)"):
        moves(nic(mac=OTHER_MAC), replace(TAP, carrier=True), Holders(blind="hidepid"))


def test_run_takes_a_kept_tap_as_it_is() -> None:
    tap = attached(nic(queues=4))
    plan = plan_run(nic(queues=4, owner=None), view(nic(), tap), NOW)
    assert plan.moves == (Move(OpenQueues(REF, 4, multi_queue=True)),)


def test_run_opens_the_only_queue_of_a_kept_tap() -> None:
    plan = plan_run(WISH, view(WISH, TAP), NOW)
    assert plan.moves == (Move(OpenQueues(REF, 1, multi_queue=False)),)


def test_run_opens_a_kept_tap_before_it_adjusts_it() -> None:
    plan = plan_run(nic(mtu=1400), view(nic(mtu=1400), TAP), NOW)
    assert [type(move.do) for move in plan.moves] == [OpenQueues, SetMtu]


@pytest.mark.parametrize("tap", [replace(TAP, carrier=True), launched(nic(owner=None))])
def test_run_refuses_a_tap_that_is_held(tap: Link) -> None:
    with pytest.raises(Busy, match="second QEMU"):
        plan_run(nic(owner=None), view(WISH, tap, holders=HELD), NOW)


def test_run_does_not_turn_one_queue_into_many() -> None:
    with pytest.raises(Conflict) as caught:
        plan_run(nic(queues=2), view(WISH, TAP), NOW)
    assert caught.value.code == "queues-fixed"
