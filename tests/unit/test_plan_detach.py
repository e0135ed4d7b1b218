"""Planning to take a NIC away: what attach made and nothing else, never under a process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.values import HELD, attached, bridge, foreign_tap, launched, nic
from vmnet.errors import Busy
from vmnet.model.host import Holders
from vmnet.model.step import (
    DeleteLink,
    DropAltname,
    DropTap,
    Move,
    OpenQueues,
    Plan,
    Ref,
    SetAlias,
    SetMaster,
)
from vmnet.model.tag import Own, format_tag
from vmnet.plan.detach import plan_detach

TAP = attached(nic())
REF = Ref(TAP.name, TAP.index)
NOBODY = Holders()


def managed_alias() -> str:
    assert TAP.tag is not None
    return format_tag(replace(TAP.tag, own=Own.MANAGED))


@pytest.mark.parametrize(("queues", "multi"), [(1, False), (4, True)])
def test_an_idle_tap_is_dropped_in_the_way_no_holder_can_be_hurt(
    queues: int, *, multi: bool
) -> None:
    tap = attached(nic(queues=queues))
    assert plan_detach(tap, NOBODY, force=False) == Plan((Move(DropTap(REF, multi)),))


def test_force_drops_an_idle_tap_in_the_same_way() -> None:
    assert plan_detach(TAP, NOBODY, force=True) == plan_detach(TAP, NOBODY, force=False)


@pytest.mark.parametrize(
    ("tap", "holders"),
    [
        (replace(TAP, carrier=True), HELD),
        (replace(TAP, carrier=True), NOBODY),
        (TAP, HELD),
        (launched(nic(owner=None)), HELD),
        (replace(TAP, carrier=True, alias=managed_alias()), HELD),
    ],
    ids=["held", "held unseen", "carrier unseen", "run", "managed"],
)
def test_a_tap_that_is_held_stays(tap: object, holders: Holders) -> None:
    assert isinstance(tap, type(TAP))
    with pytest.raises(Busy, match="will not detach it") as caught:
        plan_detach(tap, holders, force=False)
    assert caught.value.code == "tap-held"
    assert f"vmnet who {tap.name}" in caught.value.remedy


def test_force_deletes_and_says_what_breaks() -> None:
    plan = plan_detach(replace(TAP, carrier=True), HELD, force=True)
    assert plan.moves == (Move(DeleteLink(REF)),)
    (note,) = plan.notes
    assert "VM 'vm1' loses NIC 0" in note
    assert "pid 4711" in note


def test_force_deletes_what_the_kernel_said_is_held() -> None:
    plan = plan_detach(TAP, NOBODY, force=True, in_use=True)
    assert plan.moves == (Move(DeleteLink(REF)),)
    assert "a process that cannot be seen" in plan.notes[0]


def test_a_link_without_a_tag_is_left() -> None:
    assert plan_detach(foreign_tap(), NOBODY, force=True) == Plan()
    assert plan_detach(bridge(), NOBODY, force=True) == Plan()


def test_a_copied_tag_does_not_make_another_link_vmnets() -> None:
    assert plan_detach(bridge(alias=TAP.alias), NOBODY, force=True) == Plan()
    assert plan_detach(replace(TAP, kind="veth", tun=None), NOBODY, force=True) == Plan()


def test_a_tap_that_qemu_made_is_only_let_go_of() -> None:
    tap = replace(TAP, alias=managed_alias())
    assert [move.do for move in plan_detach(tap, NOBODY, force=False).moves] == [
        OpenQueues(REF, 1, multi_queue=False),
        SetMaster(REF, None),
        DropAltname(REF, "vmnet-vm1-0"),
        SetAlias(REF, ""),
    ]


def test_even_force_does_not_delete_what_qemu_made() -> None:
    plan = plan_detach(replace(TAP, carrier=True, alias=managed_alias()), HELD, force=True)
    assert not any(isinstance(move.do, DeleteLink | DropTap) for move in plan.moves)
    assert plan.notes


def test_what_has_no_bridge_is_not_taken_out_of_one() -> None:
    tap = replace(TAP, alias=managed_alias(), master=0)
    plan = plan_detach(tap, NOBODY, force=False)
    assert not any(isinstance(move.do, SetMaster) for move in plan.moves)
