"""The TAP of a domain: made before the start, adopted from libvirt, never another's."""

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
    foreign_tap,
    nic,
    undone,
    view,
)
from vmnet.errors import Busy, Conflict, InvalidInput, NotFound, VmnetError
from vmnet.model.host import Link, NicView
from vmnet.model.names import alt_name, link_name, mac_alt_name
from vmnet.model.nic import Nic
from vmnet.model.step import CreateTap, DropTap, Persist, SetAlias
from vmnet.model.tag import Life, Own, Tag, format_tag, vm_in_tag
from vmnet.plan.attach import Moment, plan_attach
from vmnet.plan.domain import plan_adopt, plan_prepare

WISH = nic(owner=0)
LATER = Moment("feedbeef", 5000)


def left(wish: Nic = WISH, **changes: object) -> Link:
    """Return the TAP that `prepare` made and nobody has open."""
    tap = after(None, plan_prepare(wish, view(wish), NOW))
    assert tap is not None
    return replace(replace(tap, carrier=False), **changes)  # type: ignore[arg-type]


def refused(wish: Nic, seen: NicView) -> VmnetError:
    with pytest.raises(VmnetError) as caught:
        plan_prepare(wish, seen, LATER)
    return caught.value


# Made by vmnet.


def test_a_fresh_tap_is_persistent_last_and_goes_with_its_domain() -> None:
    plan = plan_prepare(WISH, view(WISH), NOW)
    assert isinstance(plan.moves[0].do, CreateTap)
    assert isinstance(plan.moves[-1].do, Persist)
    tap = after(None, plan)
    assert tap is not None
    assert tap.tag == Tag(
        vm=vm_in_tag("vm1"),
        nic=0,
        generation=NOW.generation,
        own=Own.MADE,
        life=Life.DOMAIN,
        mac=MAC,
        bridge="br0",
        idle=tap.tag.idle if tap.tag else None,
    )
    assert (tap.master, tap.up) == (BR0.index, True)
    assert undone(tap, plan) is None


@given(st.integers(1, 256), st.integers(1, 256), st.sampled_from([BR0.index, BR1.index, 0]))
def test_a_leftover_is_made_anew_however_it_differs(before: int, now: int, master: int) -> None:
    old = left(replace(WISH, queues=before), master=master)
    assert old.tun is not None
    wish = replace(WISH, queues=now, bridge="br1", mac="52:54:00:00:00:99")
    seen = view(wish, old, mac_user=None)
    plan = plan_prepare(wish, seen, LATER)
    assert plan.moves[0].do == DropTap(plan.moves[0].do.link, old.tun.multi_queue)  # type: ignore[union-attr]
    made = after(old, plan)
    fresh = after(None, plan_prepare(wish, replace(view(wish), name=old.name), LATER))
    assert made == fresh


def test_a_leftover_of_the_same_mac_is_no_other_user_of_it() -> None:
    old = left()
    assert plan_prepare(WISH, view(WISH, old, mac_user=old), LATER).moves
    other = foreign_tap("tap9", index=9, altnames=(mac_alt_name(MAC),))
    assert refused(WISH, view(WISH, old, mac_user=other)).code == "mac-used"


def test_a_leftover_of_the_domains_other_nic_is_one_too() -> None:
    old = left(replace(WISH, nic=1))
    plan = plan_prepare(WISH, view(WISH, old), LATER)
    assert isinstance(plan.moves[0].do, DropTap)
    made = after(old, plan)
    assert made is not None
    assert made.tag is not None
    assert made.tag.nic == 0


@pytest.mark.parametrize(
    "seen", [view(WISH, left(carrier=True)), view(WISH, left(), holders=HELD)], ids=["up", "seen"]
)
def test_a_held_one_is_never_made_anew(seen: NicView) -> None:
    assert isinstance(refused(WISH, seen), Busy)


def test_a_kept_one_is_used_and_stays_kept() -> None:
    kept = attached(WISH)
    assert plan_prepare(WISH, view(WISH, kept), LATER).moves == ()
    assert kept.tag is not None
    assert kept.tag.life is Life.KEPT
    error = refused(replace(WISH, mac="52:54:00:00:00:99"), view(WISH, kept))
    assert (type(error), error.code) == (Conflict, "two-meanings")


@pytest.mark.parametrize("life", [Life.DOMAIN, Life.KEPT, Life.PROCESS, Life.BUILDING])
def test_the_tap_of_another_vm_is_refused_whatever_its_life(life: Life) -> None:
    theirs = left(nic("victim", owner=0))
    assert theirs.tag is not None
    theirs = replace(theirs, alias=format_tag(replace(theirs.tag, life=life)))
    error = refused(WISH, view(WISH, theirs))
    assert (type(error), error.code) == (Conflict, "tap-foreign")
    assert "'victim'" in error.message
    assert "`vmnet attach vm1 --nic 0 --config`" in error.remedy


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        (link_name("vm1", 0), "`vmnet attach victim --nic 0 --config`"),  # it was renamed
        (link_name("victim", 0), "`vmnet attach vm1 --nic 0 --config`"),
        ("tap0", f"<target dev='{link_name('vm1', 0)}' managed='no'/>"),
    ],
)
def test_of_two_with_one_name_it_is_said_which_gets_another(name: str, remedy: str) -> None:
    theirs = replace(left(nic("victim", owner=0)), name=name)
    assert remedy in refused(WISH, view(WISH, theirs)).remedy


@pytest.mark.parametrize(
    ("there", "code"),
    [
        (foreign_tap("tap0"), "tap-foreign"),
        (foreign_tap("tap0", alias="mine"), "tap-foreign"),
        (foreign_tap("tap0", alias="vmnet/2 vm=vm1 nic=0"), "tap-foreign"),
        (bridge("br0"), "not-a-tap"),
        (bridge("br0", alias="vmnet/1 vm= nic=0 gen=00c0ffee own=made life=kept"), "not-a-tap"),
        (bridge("eth0", 5, kind=""), "not-a-tap"),
        (bridge("veth0", 5, kind="veth", alias=left().alias), "not-a-tap"),
    ],
)
def test_what_is_no_tap_of_ours_is_left_alone(there: Link, code: str) -> None:
    assert refused(WISH, view(WISH, there)).code == code


def test_what_the_network_lacks_is_refused() -> None:
    assert isinstance(refused(WISH, view(WISH, bridges=(BR1,))), NotFound)
    wide = replace(WISH, mtu=9000)
    assert isinstance(refused(wide, view(wide)), InvalidInput)


# Made by libvirt.


def libvirts(name: str = "vnet0", **changes: object) -> Link:
    """Return a TAP as libvirt has it when QEMU is about to start."""
    tap = foreign_tap(name, master=BR0.index, up=True, carrier=True, carrier_ups=1)
    return replace(tap, **changes)  # type: ignore[arg-type]


def adopted(tap: Link, wish: Nic = WISH) -> Link:
    done = after(tap, plan_adopt(wish, view(wish, tap), NOW))
    assert done is not None
    return done


@given(
    st.sampled_from([0, BR0.index, BR1.index]),
    st.sampled_from([{"up": True}, {"up": False}]),
    st.sampled_from([68, 1400, 1500]),
    st.none() | st.sampled_from([1400, 1500]),
    st.sets(st.sampled_from([alt_name("vm1", 0), mac_alt_name(MAC), "mine"])),
    st.integers(1, 8),
)
def test_whatever_differs_is_put_right_once_and_can_be_taken_back(  # noqa: PLR0917 - hypothesis
    master: int, state: dict[str, bool], mtu: int, wished: int | None, names: set[str], queues: int
) -> None:
    tap = replace(libvirts(master=master, mtu=mtu, altnames=tuple(sorted(names))), **state)  # type: ignore[arg-type]
    wish = replace(WISH, mtu=wished, queues=queues)
    plan = plan_adopt(wish, view(wish, tap), NOW)
    done = after(tap, plan)
    assert done is not None
    assert (done.master, done.up, done.mtu) == (BR0.index, True, wished or mtu)
    assert set(done.altnames) == names | {alt_name("vm1", 0), mac_alt_name(MAC)}
    assert done.tag == Tag(
        vm="vm1",
        nic=0,
        generation=NOW.generation,
        own=Own.MANAGED,
        life=Life.PROCESS,
        mac=MAC,
        queues=queues,
        bridge="br0",
    )
    assert plan_adopt(wish, view(wish, done, mac_user=done), LATER).moves == ()
    back = undone(done, plan)
    assert back is not None
    assert replace(back, altnames=tuple(sorted(back.altnames))) == tap


def test_what_is_as_wished_keeps_its_generation() -> None:
    done = adopted(libvirts())
    changed = adopted(done, replace(WISH, queues=4))
    assert changed.tag is not None
    assert (changed.tag.generation, changed.tag.queues) == (NOW.generation, 4)
    plan = plan_adopt(replace(WISH, queues=4), view(WISH, done), LATER)
    assert [type(move.do) for move in plan.moves] == [SetAlias]


def _tagged(wish: Nic, own: Own = Own.MANAGED, life: Life = Life.PROCESS) -> Link:
    tap = adopted(libvirts(), wish)
    assert tap.tag is not None
    return replace(tap, alias=format_tag(replace(tap.tag, own=own, life=life)))


@pytest.mark.parametrize(
    "tap",
    [
        _tagged(nic("victim")),
        _tagged(replace(WISH, nic=1)),
        _tagged(WISH, Own.MADE),
        _tagged(WISH, Own.MADE, Life.DOMAIN),
        _tagged(WISH, Own.MADE, Life.KEPT),
        libvirts(alias="somebody's"),
        libvirts(alias="vmnet/2 vm=vm1"),
        libvirts(tun=replace(foreign_tap().tun, persist=True)),  # type: ignore[type-var]
    ],
    ids=["vm", "nic", "made", "domain", "kept", "alias", "version", "persistent"],
)
def test_a_tap_that_libvirt_only_opened_is_refused(tap: Link) -> None:
    with pytest.raises(Conflict) as caught:
        plan_adopt(WISH, view(WISH, tap), LATER)
    assert caught.value.code == "tap-foreign"


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (replace(view(WISH), name="vnet0"), "tap-missing"),
        (view(WISH, bridge("macvtap0", 9, kind="macvtap")), "not-a-tap"),
        (view(WISH, BR0), "not-a-tap"),
        (view(WISH, libvirts(), bridges=()), "bridge-missing"),
        (view(WISH, libvirts(), bridges=(bridge(kind="openvswitch"),)), "not-a-bridge"),
        (view(WISH, libvirts(), mac_user=left()), "mac-used"),
    ],
)
def test_what_cannot_be_adopted_is_refused(seen: NicView, code: str) -> None:
    if code == "mac-used":
        assert seen.mac_user is not None
        seen = replace(seen, mac_user=replace(seen.mac_user, index=99))
    with pytest.raises(VmnetError) as caught:
        plan_adopt(WISH, seen, LATER)
    assert caught.value.code == code


def test_a_plain_attach_does_not_take_a_domains_tap() -> None:
    for tap in (left(), left(carrier=True)):
        with pytest.raises(Conflict) as caught:
            plan_attach(WISH, view(WISH, tap), LATER)
        assert caught.value.code == "tap-of-domain"
