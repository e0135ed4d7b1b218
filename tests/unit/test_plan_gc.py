"""What becomes of links nobody uses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.values import HELD, NOW, attached, foreign_tap, launched, nic
from vmnet.model.host import Holders, Link
from vmnet.model.step import DropTap, SetAlias
from vmnet.model.tag import IdleMark, Life, format_tag
from vmnet.plan.gc import DOMAIN_GRACE, Fate, judge

KEPT = attached(nic())
NOBODY = Holders()
DAY = 86400


def lived(life: Life) -> Link:
    assert KEPT.tag is not None
    return replace(KEPT, alias=format_tag(replace(KEPT.tag, life=life)))


def marked(mark: IdleMark | None) -> Link:
    assert KEPT.tag is not None
    return replace(KEPT, alias=format_tag(replace(KEPT.tag, idle=mark)))


def fate(link: Link, *, holders: Holders = NOBODY, at: int = 0, idle: int | None = None) -> Fate:
    return judge(link, holders, NOW.boottime + at, idle)


def test_a_link_of_somebody_elses_is_left() -> None:
    judged = fate(foreign_tap())
    assert (judged.action, judged.plan.moves) == ("leave", ())


@pytest.mark.parametrize(
    ("life", "why"),
    [
        (Life.BUILDING, "its making was cut short"),
        (Life.PROCESS, "the process it was made for is gone"),
    ],
)
def test_what_nobody_finished_or_holds_is_removed(life: Life, why: str) -> None:
    judged = fate(lived(life))
    assert (judged.action, judged.why) == ("remove", why)
    assert [type(move.do) for move in judged.plan.moves] == [DropTap]
    assert (judged.link, judged.vm, judged.nic) == (KEPT.name, "vm1", 0)


@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize(
    "use", [{"holders": HELD}, {"holders": Holders(blind="hidepid")}], ids=["seen", "unseen"]
)
def test_what_a_process_holds_is_left(life: Life, use: dict[str, Holders]) -> None:
    judged = judge(replace(lived(life), carrier=True), use["holders"], NOW.boottime + DAY, 0)
    assert (judged.action, judged.plan.moves) == ("leave", ())
    assert judged.why.startswith("held by ")


def test_a_holder_counts_though_the_carrier_is_not_seen() -> None:
    assert fate(lived(Life.PROCESS), holders=HELD).action == "leave"


def test_the_tap_of_a_running_launch_is_left() -> None:
    assert fate(launched(nic(owner=None))).action == "leave"


def test_a_kept_tap_is_left_without_an_age() -> None:
    assert fate(KEPT, at=10**6).action == "leave"


@pytest.mark.parametrize(
    ("at", "action"), [(DAY - 1, "leave"), (DAY, "remove"), (DAY + 1, "remove")]
)
def test_a_kept_tap_is_removed_at_that_age(at: int, action: str) -> None:
    assert fate(KEPT, at=at, idle=DAY).action == action


def test_age_zero_takes_every_idle_one() -> None:
    assert fate(KEPT, idle=0).action == "remove"


def test_a_tap_that_was_used_since_is_counted_from_now() -> None:
    used = replace(KEPT, carrier_ups=3)
    judged = fate(used, at=2 * DAY, idle=DAY)
    assert judged.action == "mark"
    (move,) = judged.plan.moves
    assert isinstance(move.do, SetAlias)
    again = replace(used, alias=move.do.alias)
    assert again.tag is not None
    assert again.tag.idle == IdleMark(NOW.boottime + 2 * DAY, 3)
    assert fate(again, at=3 * DAY - 1, idle=DAY).action == "leave"
    assert fate(again, at=3 * DAY, idle=DAY).action == "remove"


def test_the_first_use_counts_as_use() -> None:
    assert fate(replace(KEPT, carrier_ups=1), at=DAY, idle=DAY).action == "mark"


@pytest.mark.parametrize("mark", [None, IdleMark(NOW.boottime + 9 * DAY, 0)])
def test_a_tap_with_no_mark_or_one_from_the_future_is_counted_from_now(
    mark: IdleMark | None,
) -> None:
    assert fate(marked(mark), at=DAY, idle=0).action == "mark"


@pytest.mark.parametrize("idle", [None, 0, DOMAIN_GRACE - 1, DOMAIN_GRACE])
@pytest.mark.parametrize(("at", "action"), [(-1, "leave"), (0, "remove")])
def test_a_domains_tap_is_left_while_libvirt_may_be_about_to_open_it(
    idle: int | None, at: int, action: str
) -> None:
    assert fate(lived(Life.DOMAIN), at=DOMAIN_GRACE + at, idle=idle).action == action


def test_a_longer_age_counts_for_a_domains_tap_too() -> None:
    assert fate(lived(Life.DOMAIN), at=DAY - 1, idle=DAY).action == "leave"
    assert fate(lived(Life.DOMAIN), at=DAY, idle=DAY).action == "remove"


def test_a_domains_tap_that_was_used_is_counted_from_now() -> None:
    used = replace(lived(Life.DOMAIN), carrier_ups=2)
    assert fate(used, at=DAY).action == "mark"


def test_a_domains_tap_that_qemu_has_open_is_left() -> None:
    assert fate(replace(lived(Life.DOMAIN), carrier=True), at=DAY).action == "leave"
