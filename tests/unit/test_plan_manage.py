"""Planning for a TAP that a QEMU made: plugged in, never claimed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.values import (
    BR0,
    BR1,
    NOW,
    after,
    attached,
    bridge,
    carried,
    foreign_tap,
    links_only,
    nic,
    undone,
    view,
)
from vmnet.errors import Conflict, InvalidInput, NotFound, VmnetError
from vmnet.model.host import Link
from vmnet.model.names import alt_name
from vmnet.model.nic import Nic
from vmnet.model.step import AddAltname, Move, Plan, Ref, SetMaster, SetUp
from vmnet.model.tag import Life, Own, Tag, vm_in_tag
from vmnet.plan.attach import plan_manage
from vmnet.plan.detach import plan_detach

TAP = foreign_tap(carrier=True)
REF = Ref("tap0", 7)
TUN = TAP.tun
assert TUN is not None


def managed(wish: Nic) -> Link:
    tap = after(TAP, plan_manage(wish, view(wish, TAP), NOW))
    assert tap is not None
    return tap


def kinds(plan: Plan) -> list[str]:
    return [type(move.do).__name__ for move in links_only(plan.moves)]


def test_qemus_tap_is_tagged_named_plugged_in_and_brought_up_last() -> None:
    assert kinds(plan_manage(nic(), view(nic(), TAP), NOW)) == [
        "SetAlias",
        "QuietIpv6",
        "SetMac",
        "SetMtu",
        "AddAltname",
        "SetMaster",
        "SetUp",
    ]


def test_its_tag_says_that_vmnet_did_not_make_it() -> None:
    # QEMU tells a script neither the guest's MAC nor how many queues it will open.
    wish = nic("a b", queues=4, mac="")
    assert managed(wish).tag == Tag(
        vm_in_tag("a b"), 0, NOW.generation, Own.MANAGED, Life.PROCESS, "", 1, "br0"
    )


def test_its_address_begins_with_fe() -> None:
    assert managed(nic()).mac == "fe:bb:cc:dd:ee:ff"


@pytest.mark.parametrize(("asked", "got"), [(None, 1500), (1400, 1400)])
def test_its_mtu_is_the_one_asked_for_or_the_bridges(asked: int | None, got: int) -> None:
    assert managed(nic(mtu=asked)).mtu == got


@pytest.mark.parametrize(("there", "silenced"), [(1279, 2), (1280, 1)])
def test_an_mtu_that_brings_ipv6_back_is_followed_by_silence(there: int, silenced: int) -> None:
    plan = plan_manage(nic(), view(nic(), replace(TAP, mtu=there)), NOW)
    steps = kinds(plan)
    assert steps.count("QuietIpv6") == silenced
    assert (steps.index("SetMtu") < max(i for i, s in enumerate(steps) if s == "QuietIpv6")) == (
        silenced == 2
    )
    assert steps[-1] == "SetUp"


def test_plugging_in_twice_is_the_same_as_once() -> None:
    assert plan_manage(nic(), view(nic(), managed(nic())), NOW).moves == ()


def test_a_failure_in_the_middle_gives_back_what_was_there() -> None:
    plan = plan_manage(nic(mtu=1400), view(nic(), TAP), NOW)
    assert undone(after(TAP, plan), plan) == TAP


def test_a_name_it_has_already_is_not_given_again() -> None:
    tap = replace(TAP, altnames=(alt_name("vm1", 0),))
    plan = plan_manage(nic(), view(nic(), tap), NOW)
    assert not any(isinstance(move.do, AddAltname) for move in plan.moves)


def test_a_tap_that_is_a_port_of_the_bridge_already_is_managed_too() -> None:
    tap = replace(TAP, master=BR0.index)
    assert after(tap, plan_manage(nic(), view(nic(), tap), NOW)) == managed(nic())


def test_what_attach_made_is_plugged_in_again_and_brought_up() -> None:
    tap = replace(attached(nic()), master=0, up=False)
    ref = Ref(tap.name, tap.index)
    plan = plan_manage(nic(), view(nic(), tap), NOW)
    assert links_only(plan.moves) == (
        Move(SetMaster(ref, Ref("br0", BR0.index)), SetMaster(ref, None)),
        Move(SetUp(ref), SetUp(ref, up=False)),
    )
    assert undone(after(tap, plan), plan) == tap


def test_what_attach_made_stays_as_it_is() -> None:
    assert plan_manage(nic(), view(nic(), attached(nic())), NOW).moves == ()


@pytest.mark.parametrize(
    ("wish", "tap", "error", "code"),
    [
        (nic(), None, NotFound, "tap-missing"),
        (nic(bridge="br9"), TAP, NotFound, "bridge-missing"),
        (nic(), bridge("tap0", 7), Conflict, "not-a-tap"),
        (nic(), replace(TAP, master=BR1.index), Conflict, "other-bridge"),
        (nic(), replace(attached(nic()), master=BR1.index), Conflict, "other-bridge"),
        (nic(mtu=9000), TAP, InvalidInput, "mtu-over-bridge"),
        (nic(), replace(TAP, alias="mine"), Conflict, "tap-foreign"),
        (nic(), replace(TAP, tun=replace(TUN, persist=True)), Conflict, "tap-foreign"),
    ],
)
def test_what_vmnet_may_not_change_is_refused(
    wish: Nic, tap: Link | None, error: type[VmnetError], code: str
) -> None:
    with pytest.raises(error) as caught:
        plan_manage(wish, view(wish, tap), NOW)
    assert caught.value.code == code


@pytest.mark.parametrize("vm", ["vm1", "a,vhost=on;$(touch x)", "é" * 127, "x" * 255])
def test_letting_go_leaves_the_tap_without_anything_of_vmnets(vm: str) -> None:
    tap = managed(nic(vm))
    tap = replace(tap, altnames=(*tap.altnames, "uplink"))
    plan = plan_detach(tap, view(nic()).holders, force=True)
    left = carried(tap, [move.do for move in plan.moves])
    assert left is not None
    assert (left.alias, left.master, left.altnames) == ("", 0, ("uplink",))
