"""Planning bridges of vmnet's own: made once, deleted only when empty and ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import bridge, foreign_tap
from vmnet.errors import Conflict, NotFound
from vmnet.model.host import BridgeView, Link
from vmnet.model.step import (
    CreateBridge,
    DeleteLink,
    Move,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMtu,
    SetUp,
)
from vmnet.model.tag import Life, Own, Tag, format_tag
from vmnet.plan.bridge import is_leftover, is_ours, plan_bridge_create, plan_bridge_delete

MAC = "52:aa:bb:cc:dd:ee"
ALIAS = format_tag(Tag("", 0, "ab", Own.MADE, Life.KEPT))
OURS = bridge(mac=MAC, alias=ALIAS)
FOREIGN = bridge()
LEFTOVER = bridge(mac=MAC, up=False)
VM_TAG = format_tag(Tag("vm1", 0, "ab", Own.MADE, Life.KEPT))


def created(link: Link | None, mtu: int | None = None) -> Plan:
    return plan_bridge_create("br0", BridgeView(link, MAC), mtu=mtu, generation="ab")


def deleted(link: Link | None, *, force: bool = False) -> Plan:
    return plan_bridge_delete("br0", BridgeView(link, MAC), force=force)


def mtus(plan: Plan) -> list[int]:
    return [move.do.mtu for move in plan.moves if isinstance(move.do, SetMtu)]


def test_a_bridge_is_made_with_its_address_then_tagged_and_brought_up_last() -> None:
    ref = Ref("br0")
    assert [move.do for move in created(None).moves] == [
        CreateBridge("br0", MAC),
        QuietIpv6(ref),
        SetAlias(ref, ALIAS),
        SetMtu(ref, 1499),
        SetMtu(ref, 1500),
        SetUp(ref),
    ]


def test_undoing_the_first_step_takes_all_along() -> None:
    first, *rest = created(None).moves
    assert first.undo == DeleteLink(Ref("br0"))
    assert all(move.undo is None for move in rest)


@given(st.integers(68, 65521))
def test_its_mtu_is_really_changed_so_that_no_port_can_lower_it(mtu: int) -> None:
    beside, wished = mtus(created(None, mtu))
    assert wished == mtu
    assert beside != mtu
    assert 68 <= beside <= 65521


def test_one_that_is_there_is_left() -> None:
    assert created(OURS).moves == ()
    assert created(OURS, 1500).moves == ()


def test_another_mtu_is_one_step() -> None:
    assert [move.do for move in created(OURS, 9000).moves] == [SetMtu(Ref("br0", 2), 9000)]


@pytest.mark.parametrize(
    ("there", "asked", "silenced"),
    [(1279, 1280, True), (68, 1500, True), (1280, 1500, False), (68, 1279, False)],
)
def test_an_mtu_that_brings_ipv6_back_is_followed_by_silence(
    there: int, asked: int, *, silenced: bool
) -> None:
    kinds = [type(move.do) for move in created(replace(OURS, mtu=there), asked).moves]
    assert kinds == ([SetMtu, QuietIpv6] if silenced else [SetMtu])


def test_what_is_changed_on_one_that_was_there_is_taken_back() -> None:
    ref = Ref("br0", 2)
    moves = created(replace(OURS, up=False, mtu=1400), 1500).moves
    assert [move.undo for move in moves] == [SetMtu(ref, 1400), SetUp(ref, up=False)]
    undos = [move.undo for move in created(LEFTOVER).moves]
    assert SetAlias(ref, "") in undos
    assert not any(isinstance(undo, DeleteLink) for undo in undos)


def test_one_that_is_down_is_brought_up() -> None:
    assert [move.do for move in created(replace(OURS, up=False)).moves] == [SetUp(Ref("br0", 2))]


def test_one_whose_making_was_cut_short_is_finished() -> None:
    kinds = [type(move.do) for move in created(LEFTOVER).moves]
    assert kinds == [QuietIpv6, SetAlias, SetMtu, SetMtu, SetUp]


@pytest.mark.parametrize(
    "link",
    [
        FOREIGN,
        replace(FOREIGN, alias="uplink"),
        replace(LEFTOVER, up=True),
        replace(OURS, alias=VM_TAG),
        replace(OURS, kind="dummy"),
        foreign_tap("br0"),
    ],
)
def test_what_vmnet_did_not_make_is_neither_taken_nor_deleted(link: Link) -> None:
    for force in (False, True):
        with pytest.raises(Conflict) as caught:
            deleted(link, force=force)
        assert caught.value.code == "bridge-foreign"
    what = "a bridge 'br0'" if link.kind == "bridge" else f"a link of kind {link.kind} 'br0'"
    with pytest.raises(Conflict, match=what) as caught:
        created(link)
    assert caught.value.code == "bridge-foreign"


def test_only_an_empty_bridge_that_is_down_counts_as_cut_short() -> None:
    assert is_leftover(BridgeView(LEFTOVER, MAC))
    assert not is_leftover(BridgeView(None, MAC))
    assert not is_leftover(BridgeView(LEFTOVER, "52:00:00:00:00:09"))
    assert not is_leftover(BridgeView(LEFTOVER, MAC, ports=("tap0",)))
    assert not is_leftover(BridgeView(LEFTOVER, MAC, addresses=("10.0.0.1/8",)))
    assert not is_leftover(BridgeView(replace(LEFTOVER, alias="x"), MAC))


def test_a_managed_tag_does_not_make_a_bridge_ours() -> None:
    alias = format_tag(Tag("", 0, "ab", Own.MANAGED, Life.KEPT))
    assert is_ours(OURS)
    assert not is_ours(replace(OURS, alias=alias))


@pytest.mark.parametrize("link", [OURS, LEFTOVER])
def test_an_empty_one_of_ours_is_deleted(link: Link) -> None:
    assert deleted(link) == Plan((Move(DeleteLink(Ref("br0", 2))),))


@pytest.mark.parametrize(
    ("uses", "said"),
    [
        ({"ports": ("tap0 (held by pid 4711: qemu)",)}, "ports tap0 .held by pid 4711: qemu."),
        ({"addresses": ("10.0.0.1/24",)}, "addresses 10.0.0.1/24"),
        ({"routes": ("default/0",)}, "routes default/0"),
        ({"uppers": ("br0.100",)}, "links on it br0.100"),
        ({"ports": ("a", "b"), "routes": ("c",)}, "ports a, b; routes c"),
    ],
)
def test_one_in_use_is_kept_unless_forced(uses: dict[str, tuple[str, ...]], said: str) -> None:
    with pytest.raises(Conflict, match=said) as caught:
        plan_bridge_delete("br0", BridgeView(OURS, MAC, **uses), force=False)
    assert caught.value.code == "bridge-in-use"
    forced = plan_bridge_delete("br0", BridgeView(OURS, MAC, **uses), force=True)
    assert forced.moves == (Move(DeleteLink(Ref("br0", 2))),)
    assert len(forced.notes) == 1


def test_deleting_one_that_is_not_there_is_an_error() -> None:
    with pytest.raises(NotFound) as caught:
        deleted(None)
    assert caught.value.code == "bridge-missing"
