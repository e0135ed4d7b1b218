"""Planning a NIC of the host's as a port of a bridge, once more, and the way back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.unit.hosts import (
    ADDRESS,
    BRIDGE,
    LOCAL,
    NIC,
    ROUTE,
    VIEW,
    after,
    bridge_of,
    nic_of,
    tag_of,
    undone,
    unordered,
)
from tests.unit.values import bridge, foreign_tap
from vmnet.errors import Conflict, NotFound
from vmnet.model.hostaddress import NODAD, HostAddress, Route
from vmnet.model.hoststep import (
    AddAddress,
    AddRoute,
    DropAddress,
    DropRoute,
    RestoreIpv6,
    SettleAddress,
    StartGuardian,
)
from vmnet.model.step import Plan, QuietIpv6, Ref, SetAlias, SetMac, SetMaster, SetUp, Step
from vmnet.model.uplink import BridgeFacts, End, UplinkTag, UplinkView
from vmnet.plan.uplink import (
    Timer,
    got_from,
    plan_confirm,
    plan_left,
    plan_put_back,
    plan_uplink,
    plan_uplink_remove,
)

TIMER = Timer("00c0ffee", 1000, 60)
NEVER = Timer("00c0ffee", 1000, None)
BR, ETH = Ref("br0", 2), Ref("eth1", 3)
BEFORE = nic_of(VIEW)


def added(view: UplinkView, timer: Timer = TIMER) -> Plan:
    return plan_uplink(view, "br0", "eth1", timer)


def removed(view: UplinkView) -> Plan:
    return plan_uplink_remove(view, "br0", "eth1")


def having(*addresses: HostAddress, routes: tuple[Route, ...] = ()) -> UplinkView:
    """Return the host with only these at the NIC."""
    return replace(VIEW, nic=End(NIC, addresses, routes))


def steps(plan: Plan) -> list[Step]:
    return [move.do for move in plan.moves]


def kinds(plan: Plan) -> list[type]:
    """Return the kinds of a plan's steps, each run of the same once."""
    found: list[type] = []
    for step in steps(plan):
        if not found or found[-1] is not type(step):
            found.append(type(step))
    return found


def keys(what: Iterable[HostAddress | Route]) -> list[str]:
    return [each.key for each in what]


# ---- there


def test_a_fresh_nic_gives_all_it_has() -> None:
    first, alias, *rest = steps(added(having(ADDRESS, routes=(ROUTE,))))
    assert first == StartGuardian(ETH, 60)
    assert isinstance(alias, SetAlias)
    assert rest == [
        QuietIpv6(ETH),
        SetMac(BR, NIC.mac),
        SetMaster(ETH, BR),
        AddAddress(BR, replace(ADDRESS, label="br0")),
        AddRoute(BR, ROUTE),
        DropRoute(ETH, ROUTE),
        DropAddress(ETH, ADDRESS),
    ]


def test_the_tag_says_what_it_takes_to_put_back() -> None:
    tag = tag_of(after(VIEW, added(VIEW)))
    assert replace(tag, moved=()) == UplinkTag("br0", "00c0ffee", 1061, ipv6=0, mac=BRIDGE.mac)
    assert all(map(tag.has, BEFORE.all))
    assert not tag.has(replace(ROUTE, metric=7))


def test_only_the_guardian_is_not_undone_and_it_comes_first() -> None:
    first, *rest = added(VIEW).moves
    assert (first.do, first.undo) == (StartGuardian(ETH, 60), None)
    assert None not in [move.undo for move in rest]


def test_without_a_deadline_there_is_no_guardian() -> None:
    plan = added(VIEW, NEVER)
    assert StartGuardian not in kinds(plan)
    assert tag_of(after(VIEW, plan)).until is None


def test_the_bridge_has_all_before_the_nic_loses_anything() -> None:
    transfer = kinds(added(VIEW))[-5:]
    assert transfer == [AddAddress, SettleAddress, AddRoute, DropRoute, DropAddress]


def test_what_is_given_first_is_taken_last() -> None:
    """A route's gateway may be behind another; a subnet's first address takes the others along."""
    plan = steps(added(VIEW))
    assert keys(s.address for s in plan if isinstance(s, AddAddress)) == keys(BEFORE.addresses)
    assert keys(s.route for s in plan if isinstance(s, AddRoute)) == keys(BEFORE.routes)
    last_first = keys(reversed(BEFORE.addresses))
    assert keys(s.address for s in plan if isinstance(s, DropAddress)) == last_first
    assert keys(s.route for s in plan if isinstance(s, DropRoute)) == keys(reversed(BEFORE.routes))


def test_the_bridge_ends_with_the_same_but_for_labels() -> None:
    view = after(VIEW, added(VIEW))
    assert nic_of(view).all == ()
    assert bridge_of(view).routes == BEFORE.routes
    unlabelled = [replace(a, label="") for a in BEFORE.addresses]
    assert [replace(a, label="") for a in bridge_of(view).addresses] == unlabelled
    assert [a.label for a in bridge_of(view).addresses] == ["br0", "br0:web", "", ""]


def test_a_link_local_address_goes_along_unless_the_bridge_has_it() -> None:
    assert AddAddress(BR, LOCAL) in steps(added(having(LOCAL)))
    both = replace(having(ADDRESS, LOCAL), bridge=End(BRIDGE, (LOCAL,)))
    view = after(both, added(both))
    assert nic_of(view).addresses == (LOCAL,)
    assert keys(bridge_of(view).addresses) == [LOCAL.key, ADDRESS.key]
    assert unordered(after(view, removed(view))) == unordered(both)


def test_a_link_local_address_stays_where_the_bridge_has_no_ipv6() -> None:
    view = replace(having(ADDRESS, LOCAL), bridge_facts=BridgeFacts(has_ipv6=False))
    assert nic_of(after(view, added(view))).addresses == (LOCAL,)


def test_an_address_that_was_never_tested_needs_no_settling() -> None:
    quiet = HostAddress("fd00::2", 64, flags=NODAD)
    assert SettleAddress not in kinds(added(having(quiet)))
    asked = replace(quiet, flags=0)
    assert SettleAddress(BR, asked) in steps(added(having(asked)))


def test_a_nic_without_ipv6_is_not_told_anything_about_it() -> None:
    view = replace(VIEW, nic_facts=replace(VIEW.nic_facts, ipv6=None))
    there = after(view, added(view))
    assert not {QuietIpv6, RestoreIpv6} & {*kinds(added(view)), *kinds(removed(there))}


def test_a_bridge_that_has_the_nics_mac_keeps_it_for_good() -> None:
    view = replace(VIEW, bridge=End(replace(BRIDGE, mac=NIC.mac)))
    there = after(view, added(view))
    assert SetMac not in {*kinds(added(view)), *kinds(removed(there))}


def test_a_nic_that_was_down_is_brought_up_and_goes_down_again() -> None:
    down = replace(VIEW, nic=replace(BEFORE, link=replace(NIC, up=False)))
    plan = added(down)
    assert steps(plan)[-1] == SetUp(ETH)
    view = after(down, plan)
    assert after(view, removed(view)) == down


def test_undone_at_any_point_all_is_as_before() -> None:
    plan = added(VIEW)
    for length in range(len(plan.moves) + 1):
        part = Plan(plan.moves[:length])
        assert unordered(undone(after(VIEW, part), part)) == unordered(VIEW)


_VLAN = replace(NIC, name="eth1.5", index=9, kind="vlan")
_WIDE = replace(BEFORE, link=replace(NIC, mtu=9000))
_HEARING = replace(VIEW.bridge_facts, hears_routers=True)
_SURPRISES = {
    "goes through 'br0' now": VIEW,
    "takes the address": replace(VIEW, bridge=End(BRIDGE, (HostAddress("10.7.0.1", 24),))),
    "'eth1' sent 9000": replace(VIEW, nic=_WIDE),
    "'eth1.5' on 'eth1' stays": replace(VIEW, nic_facts=replace(VIEW.nic_facts, uppers=(_VLAN,))),
    "accept_ra=0": replace(VIEW, bridge_facts=_HEARING),
}


@pytest.mark.parametrize("words", _SURPRISES)
def test_what_may_surprise_is_a_note(words: str) -> None:
    view = _SURPRISES[words]
    assert [note for note in added(view).notes if words in note]
    assert (words in "".join(added(VIEW).notes)) == (view is VIEW)


def test_a_nic_without_anything_needs_no_note() -> None:
    assert added(having()).notes == ()


# ---- again


@pytest.mark.parametrize("timer", [TIMER, NEVER])
def test_the_second_time_there_is_nothing_to_do(timer: Timer) -> None:
    view = after(VIEW, added(VIEW, timer))
    assert added(view).moves == ()
    assert added(view, NEVER).moves == ()
    waits = timer.seconds is not None
    assert [("waits to be confirmed" in note) for note in added(view).notes] == [True] * waits


def test_an_address_that_the_nic_got_since_is_a_note() -> None:
    view = after(VIEW, added(VIEW))
    own = replace(nic_of(view), addresses=(HostAddress("10.8.0.1", 24), LOCAL))
    plan = added(replace(view, nic=own))
    assert plan.moves == ()
    assert plan.notes[0] == "'eth1' has addresses of its own: 10.8.0.1/24"


def test_after_the_deadline_somebody_else_keeps_watch() -> None:
    view = after(VIEW, added(VIEW))
    late = Timer("00000001", 1061, 60)
    assert added(view, replace(late, now=1060)).moves == ()
    plan = added(view, late)
    assert kinds(plan) == [StartGuardian, SetAlias]
    assert tag_of(after(view, plan)) == replace(tag_of(view), generation="00000001", until=1122)
    assert kinds(added(view, replace(late, seconds=None))) == [SetAlias]


def test_where_the_tag_alone_was_left_it_is_as_fresh() -> None:
    view = after(VIEW, added(VIEW))
    left = after(view, Plan(removed(view).moves[:-1]))
    assert nic_of(left).link.alias != ""
    later = Timer("00000001", 1061, None)
    plan = added(left, later)
    assert after(left, plan) == after(VIEW, added(VIEW, later))
    assert unordered(undone(after(left, plan), plan)) == unordered(VIEW)


def test_where_more_than_the_tag_was_left_it_has_to_be_removed_first() -> None:
    view = after(VIEW, added(VIEW))
    moves = removed(view).moves
    for length in range(1, len(moves) - 1):
        with pytest.raises(Conflict) as caught:
            added(after(view, Plan(moves[:length])))
        assert caught.value.code == "uplink-unfinished"


# ---- confirmed


def test_what_is_confirmed_has_no_deadline_and_is_else_the_same() -> None:
    view = after(VIEW, added(VIEW))
    plan = plan_confirm([foreign_tap(), nic_of(view).link], 1001)
    there = after(view, plan)
    assert tag_of(there) == replace(tag_of(view), until=None)
    assert plan_confirm([nic_of(there).link], 1001) == Plan()
    assert undone(there, plan) == view
    assert after(there, removed(there)) == VIEW


# ---- back


def test_removed_all_is_as_it_was_and_the_second_time_there_is_nothing_to_do() -> None:
    view = after(VIEW, added(VIEW))
    plan = removed(view)
    assert steps(plan)[-1] == SetAlias(ETH, "")
    assert after(view, plan) == VIEW
    assert unordered(undone(VIEW, plan)) == unordered(view)
    assert removed(VIEW) == Plan()


def test_the_nic_has_all_before_the_bridge_loses_anything() -> None:
    found = kinds(removed(after(VIEW, added(VIEW))))
    transfer = [each for each in found if each not in (SetMaster, SetMac, RestoreIpv6, SetAlias)]
    assert transfer == [AddAddress, SettleAddress, AddRoute, DropRoute, DropAddress]


def test_put_back_from_any_point_all_is_as_it_was() -> None:
    """A guardian remembers the NIC; else what the bridge has got is enough."""
    moves = added(VIEW).moves
    for length in range(2, len(moves) + 1):
        view = after(VIEW, Plan(moves[:length]))
        for before in (BEFORE, None):
            plan = plan_put_back(view, tag_of(view), before)
            assert unordered(after(view, plan)) == unordered(VIEW)
            assert plan.notes == ()


def test_what_the_bridge_had_of_its_own_stays_there() -> None:
    own = End(BRIDGE, (HostAddress("10.7.0.1", 24, label="br0"),), (replace(ROUTE, metric=9),))
    start = replace(VIEW, bridge=own)
    view = after(start, added(start))
    assert after(view, removed(view)) == start


def test_what_the_bridge_has_lost_is_told_and_the_rest_goes_back() -> None:
    view = after(VIEW, added(VIEW))
    view = replace(view, bridge=replace(bridge_of(view), routes=()))
    plan = removed(view)
    assert "2 of the 6 addresses and routes" in plan.notes[0]
    assert nic_of(after(view, plan)) == replace(BEFORE, routes=())


def test_who_remembers_gives_back_what_the_bridge_has_lost() -> None:
    view = replace(after(VIEW, added(VIEW)), bridge=None)
    plan = plan_put_back(view, tag_of(view), BEFORE)
    assert plan.notes == ()
    assert nic_of(after(view, plan)).all == BEFORE.all


def test_without_a_nic_nothing_can_be_put_back() -> None:
    gone = replace(VIEW, nic=None)
    assert plan_put_back(gone, UplinkTag("br0", "00c0ffee")) == Plan()
    with pytest.raises(NotFound):
        removed(gone)


def test_one_that_was_taken_out_by_hand_goes_by_its_tag() -> None:
    view = after(VIEW, added(VIEW))
    out = replace(view, nic=replace(nic_of(view), link=replace(nic_of(view).link, master=0)))
    plan = removed(out)
    assert SetMaster not in kinds(plan)
    assert after(out, plan) == VIEW


def test_a_mac_that_the_bridge_got_since_stays() -> None:
    view = after(VIEW, added(VIEW))
    other = replace(bridge_of(view).link, mac="02:00:00:00:00:99")
    assert SetMac not in kinds(removed(replace(view, bridge=End(other))))


def test_another_bridges_uplink_and_a_foreign_port_are_left() -> None:
    elsewhere = replace(after(VIEW, added(VIEW)), bridge=End(bridge("br1", 8)))
    foreign = replace(VIEW, nic=End(replace(NIC, master=BRIDGE.index)))
    for view, name, word in (
        (elsewhere, "br1", "remove-uplink br0 eth1"),
        (foreign, "br0", "nomaster"),
    ):
        with pytest.raises(Conflict) as caught:
            plan_uplink_remove(view, name, "eth1")
        assert caught.value.code == "uplink-foreign"
        assert word in caught.value.remedy


# ---- looking again


def test_a_second_look_finds_nothing_where_all_was_done() -> None:
    view = after(VIEW, added(VIEW))
    assert plan_left(view, BEFORE) == Plan()
    got = got_from(view.bridge, tag_of(view))
    assert got is not None
    assert plan_left(after(view, removed(view)), got, back=True) == Plan()
    assert plan_left(view, got, back=True) != Plan()


def test_a_second_look_finds_each_step_that_was_not_done() -> None:
    moves = added(VIEW).moves
    looked_at = (SetMaster, AddAddress, AddRoute, DropRoute, DropAddress)
    for place, move in enumerate(moves):
        if isinstance(move.do, looked_at):
            view = after(VIEW, Plan(moves[:place]))
            assert type(move.do) in kinds(plan_left(view, BEFORE))


def test_of_an_end_that_is_gone_nothing_is_left_to_do() -> None:
    assert plan_left(replace(VIEW, bridge=None), BEFORE) == Plan()
    assert got_from(None, tag_of(after(VIEW, added(VIEW)))) is None
