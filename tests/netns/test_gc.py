"""`vmnet gc`: what nobody uses any more goes, what is doubtful stays."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.netns import commands, locks, taps
from tests.netns.places import in_pid_namespace
from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _attached(lab: Lab, vm: str = "vm1", *options: str) -> str:
    name = lab.vmnet("attach", vm, *options, "--json").json["tap"]
    assert isinstance(name, str)
    return name


def _make_life(lab: Lab, name: str, life: str) -> None:
    alias = lab.link(name)["ifalias"].replace("life=kept", f"life={life}")
    lab.sh(f"ip link set dev {name} alias '{alias}'")


def _idle_mark(lab: Lab, name: str) -> tuple[int, int]:
    found = re.search(r"idle=(-?\d+)\.(\d+)", lab.link(name)["ifalias"])
    assert found
    return int(found[1]), int(found[2])


def _idle_for(lab: Lab, name: str, seconds: int) -> None:
    """Let the tag say that the TAP is idle since so long ago."""
    since, ups = _idle_mark(lab, name)
    alias = lab.link(name)["ifalias"].replace(f"idle={since}.", f"idle={since - seconds}.")
    lab.sh(f"ip link set dev {name} alias '{alias}'")
    assert _idle_mark(lab, name) == (since - seconds, ups)


def _actions(lab: Lab, *options: str) -> dict[str, str]:
    links: list[dict[str, Any]] = lab.vmnet("gc", *options, "--json").json["links"]
    return {link["link"]: link["action"] for link in links}


@pytest.mark.parametrize("options", [(), ("--queues", "2")])
@pytest.mark.parametrize("life", ["building", "process"])
def test_a_leftover_is_removed(lab: Lab, life: str, options: tuple[str, ...]) -> None:
    name = _attached(lab, "vm1", *options)
    _make_life(lab, name, life)
    done = lab.vmnet("gc")
    assert f"remove {name} (vm1 nic 0)" in done.out
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("life", ["building", "process"])
def test_a_leftover_that_is_held_stays(lab: Lab, life: str) -> None:
    name = _attached(lab)
    _make_life(lab, name, life)
    with taps.held(name):
        assert _actions(lab, "--idle", "0") == {name: "leave"}
        assert name in lab.links()


@pytest.mark.parametrize("vm", ["vm1", "v" * 250, "ü" * 100], ids=["plain", "long", "unicode"])
def test_a_half_made_tap_that_somebody_works_on_stays(lab: Lab, vm: str) -> None:
    name = _attached(lab, vm)
    _make_life(lab, name, "building")
    with locks.locked("bridge=3Abr0"):
        # It has the VM's lock, and waits for the bridge's.
        working = commands.start("attach", vm)
        commands.until(lambda: len(list(locks.FOLDER.iterdir())) == 2)
        done = lab.vmnet("gc")
    assert f"leave {name}" in done.out
    assert f"is locked by pid {working.pid}" in done.out
    assert working.wait().status == 0
    assert "life=kept" in lab.link(name)["ifalias"]
    lab.vmnet("detach", "vm1")


def test_a_bridge_that_somebody_works_on_is_no_reason_to_fail(lab: Lab) -> None:
    lab.sh("ip link add foreign type bridge")
    with locks.locked("bridge=3Aforeign"):
        lab.vmnet("gc")
    assert "foreign" in lab.links()


def test_kept_taps_stay_without_idle(lab: Lab) -> None:
    name = _attached(lab)
    _idle_for(lab, name, 10**6)
    assert _actions(lab) == {name: "leave"}
    assert name in lab.links()


def test_kept_taps_go_when_they_were_idle_for_long_enough(lab: Lab) -> None:
    old, new = _attached(lab, "old"), _attached(lab, "new")
    assert _actions(lab, "--idle", "1h") == {old: "leave", new: "leave"}
    _idle_for(lab, old, 3600)
    _idle_for(lab, new, 3500)
    assert _actions(lab, "--idle", "1h") == {old: "remove", new: "leave"}
    assert set(lab.links()) == {"br0", new}


AGES = {"90s": 90, "90": 90, "2m": 120, "2h": 7200, "1d": 86400}


@pytest.mark.parametrize(("age", "seconds"), AGES.items())
def test_an_age_may_be_given_in_units(lab: Lab, age: str, seconds: int) -> None:
    name = _attached(lab)
    _idle_for(lab, name, seconds - 30)
    assert _actions(lab, "--idle", age) == {name: "leave"}
    _idle_for(lab, name, 31)
    assert _actions(lab, "--idle", age) == {name: "remove"}


@pytest.mark.parametrize("age", ["", "-1", "1w", "h", "1.5h", "\u0663h"])
def test_an_age_that_is_none_is_refused(lab: Lab, age: str) -> None:
    assert "is not an age" in lab.vmnet("gc", f"--idle={age}", status=2).err


def test_the_idle_clock_starts_when_it_was_attached(lab: Lab) -> None:
    name = _attached(lab)
    assert abs(_idle_mark(lab, name)[0] - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60


def test_the_idle_clock_starts_again_when_a_process_had_it_open(lab: Lab) -> None:
    name = _attached(lab)
    assert _actions(lab, "--idle", "1h") == {name: "leave"}
    _idle_for(lab, name, 7200)
    with taps.opened(name):
        pass
    assert _actions(lab, "--idle", "1h") == {name: "mark"}
    assert _actions(lab, "--idle", "1h") == {name: "leave"}
    _idle_for(lab, name, 3600)
    assert _actions(lab, "--idle", "1h") == {name: "remove"}


def test_a_held_tap_is_not_idle_however_old_it_is(lab: Lab) -> None:
    name = _attached(lab)
    _idle_for(lab, name, 10**6)
    with taps.held(name):
        assert _actions(lab, "--idle", "0") == {name: "leave"}
    assert _actions(lab, "--idle", "1") == {name: "mark"}


def test_a_mark_of_the_future_is_not_believed(lab: Lab) -> None:
    name = _attached(lab)
    _idle_for(lab, name, -(10**6))
    assert _actions(lab, "--idle", "0") == {name: "mark"}


def test_a_dry_run_changes_nothing_and_says_would(lab: Lab) -> None:
    first, second = _attached(lab, "vm1"), _attached(lab, "vm2")
    _make_life(lab, first, "building")
    lab.sh("rm -rf /run/vmnet")
    before = lab.state()
    done = lab.vmnet("gc", "--idle", "0", "--dry-run")
    assert f"would remove {first} (vm1 nic 0)" in done.out
    assert f"{second} (vm2 nic 0)" in done.out
    assert lab.state() == before
    assert not locks.FOLDER.exists()


def test_gc_goes_on_past_a_link_that_is_held(lab: Lab) -> None:
    names = [_attached(lab, vm) for vm in ("a", "b", "c")]
    for name in names:
        _make_life(lab, name, "building")
    with taps.held(names[1]):
        lab.vmnet("gc")
        assert set(lab.links()) == {"br0", names[1]}


def test_all_goes_on_when_the_folder_of_locks_is_lost(lab: Lab) -> None:
    name = _attached(lab)
    lab.sh("rm -rf /run/vmnet")
    _make_life(lab, name, "process")
    assert [row["tap"] for row in lab.vmnet("list", "--json").json["nics"]] == [name]
    lab.vmnet("gc", "--dry-run")
    lab.sh("rm -rf /run/vmnet")
    lab.vmnet("gc")
    assert set(lab.links()) == {"br0"}


def test_attach_keeps_what_a_process_left_behind(lab: Lab) -> None:
    name = _attached(lab)
    _make_life(lab, name, "process")
    lab.vmnet("attach", "vm1")
    lab.vmnet("gc")
    assert set(lab.links()) == {"br0", name}
    assert "life=kept" in lab.link(name)["ifalias"]
    lab.vmnet("detach", "vm1")
    lab.sh("rm -rf /run/vmnet")
    lab.vmnet("bridge", "delete", "br0")
    assert lab.links() == {}


def test_lock_files_of_processes_that_are_gone_are_removed(lab: Lab) -> None:
    with locks.locked("vm=3Avm1"):
        with locks.locked("vm=3Avm2"):
            pass
        assert locks.path_of("vm=3Avm2").exists()
        lab.vmnet("gc")
        assert [path.name for path in locks.FOLDER.iterdir()] == [locks.path_of("vm=3Avm1").name]
    lab.vmnet("gc")
    assert not locks.FOLDER.exists()


def test_a_managed_tap_that_nobody_holds_is_let_go_not_deleted(lab: Lab) -> None:
    lab.sh("ip tuntap add dev tap7 mode tap")
    alias = "vmnet/1 vm=vm1 nic=0 gen=00000000 own=managed life=process br=br0"
    lab.sh(
        f"ip link set dev tap7 master br0 alias '{alias}';"
        "ip link property add dev tap7 altname vmnet-vm1-0"
    )
    assert "would release tap7 (vm1 nic 0)" in lab.vmnet("gc", "--dry-run").out
    assert _actions(lab) == {"tap7": "release"}
    tap = lab.link("tap7")
    assert "master" not in tap
    assert "ifalias" not in tap
    assert "altnames" not in tap


def test_a_managed_tap_that_is_held_stays_plugged_in_though_its_carrier_is_off(lab: Lab) -> None:
    lab.sh("ip tuntap add dev tap7 mode tap")
    alias = "vmnet/1 vm=vm1 nic=0 gen=00000000 own=managed life=process br=br0"
    lab.sh(f"ip link set dev tap7 master br0 alias '{alias}'")
    with taps.held("tap7", carrier=False):
        before = lab.link("tap7")
        assert _actions(lab) == {"tap7": "leave"}
        in_pid_namespace(lambda: lab.vmnet("gc").out)
        lab.vmnet("detach", "vm1", status=6)
        assert lab.link("tap7") == before
        assert "let go of tap7" in lab.vmnet("detach", "vm1", "--force").err
        assert "master" not in lab.link("tap7")


def test_where_not_all_processes_are_seen_the_doubtful_stay_and_that_is_said(lab: Lab) -> None:
    held, free = _attached(lab, "held"), _attached(lab, "free")
    for name in (held, free):
        _make_life(lab, name, "process")
    with taps.held(held):
        out = in_pid_namespace(lambda: lab.vmnet("gc").out)
        assert f"leave {held}" in out
        assert "this is a PID namespace of its own" in out
        # Nobody at all has this one open: the kernel says so.
        assert f"remove {free}" in out
        assert set(lab.links()) == {"br0", held}


def test_detach_from_a_pid_namespace_leaves_what_somebody_unseen_holds(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name):
        err = in_pid_namespace(lambda: lab.vmnet("detach", "vm1", status=6).err)
        assert "processes outside it cannot be seen" in err
        assert name in lab.links()


def test_an_empty_host_is_nothing_to_do(lab: Lab) -> None:
    lab.vmnet("bridge", "delete", "br0")
    assert "nothing of vmnet's is here" in lab.vmnet("gc").err
    assert lab.vmnet("gc", "--json").json["links"] == []


def test_gc_then_attach_leaves_a_tap_that_can_be_used(lab: Lab) -> None:
    name = _attached(lab)
    lab.vmnet("gc")
    lab.vmnet("gc", "--idle", "1d")
    with taps.opened(name):
        assert "LOWER_UP" in lab.link(name)["flags"]
