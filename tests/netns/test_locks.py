"""Many at once, and stopped at any moment: one TAP, or none, and nothing left over."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from tests.netns import locks
from tests.netns.commands import Started, start, until
from tests.netns.places import other_network, put_tmpfs
from tests.support.lab import Lab

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _all_succeed(started: list[Started]) -> list[str]:
    done = [each.wait() for each in started]
    assert [each.status for each in done] == [0] * len(done), [each.err for each in done]
    return [each.out for each in done]


def test_sixteen_attaches_of_one_vm_give_one_tap(lab: Lab) -> None:
    outs = _all_succeed([start("attach", "vm1") for _ in range(16)])
    assert len(set(outs)) == 1
    assert len(lab.links()) == 2
    assert list(locks.FOLDER.iterdir()) == []


def test_sixteen_vms_at_once_get_a_tap_each(lab: Lab) -> None:
    _all_succeed([start("attach", f"vm{number}") for number in range(16)])
    assert len(lab.links()) == 17
    assert all(link.get("master") == "br0" for link in lab.links().values() if "tun" in str(link))
    _all_succeed([start("detach", f"vm{number}") for number in range(16)])
    assert set(lab.links()) == {"br0"}
    assert list(locks.FOLDER.iterdir()) == []


def test_attaches_and_detaches_of_one_vm_at_once_are_each_whole(lab: Lab) -> None:
    _all_succeed([start(verb, "vm1") for verb in ("attach", "detach") * 8])
    lab.vmnet("attach", "vm1")
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


def test_sixteen_wishes_for_one_mac_give_it_to_one(lab: Lab) -> None:
    mac = "52:54:00:00:00:01"
    started = [start("attach", f"vm{number}", "--mac", mac) for number in range(16)]
    done = [each.wait() for each in started]
    assert sorted(each.status for each in done) == [0] + [5] * 15
    assert all("already used" in each.err or "another link has it" in each.err
               for each in done if each.status)  # fmt: skip
    assert len(lab.links()) == 2


def test_sixteen_bridges_of_one_name_are_one(lab: Lab) -> None:
    _all_succeed([start("bridge", "create", "br1") for _ in range(16)])
    assert set(lab.links()) == {"br0", "br1"}


def test_a_bridge_delete_at_the_same_time_finds_it_used_or_unused(lab: Lab) -> None:
    for number in range(6):
        attaching = start("attach", f"vm{number}", "--bridge", "br0")
        deleting = start("bridge", "delete", "br0")
        statuses = attaching.wait().status, deleting.wait().status
        assert statuses in ((0, 5), (4, 0)), statuses
        assert ("br0" in lab.links()) == (statuses[0] == 0)
        assert len(lab.links()) == (2 if statuses[0] == 0 else 0)
        lab.vmnet("detach", f"vm{number}")
        lab.vmnet("bridge", "create", "br0")


def test_gc_at_the_same_time_takes_nothing_from_an_attach(lab: Lab) -> None:
    started = []
    for number in range(8):
        started += [start("attach", f"vm{number}"), start("gc")]
    _all_succeed(started)
    assert len(lab.links()) == 9
    assert all("life=kept" in link["ifalias"] for link in lab.links().values())


@pytest.mark.parametrize("held", ["vm=3Avm1", "bridge=3Abr0"])
def test_a_lock_that_is_not_given_up_names_its_holder(lab: Lab, held: str) -> None:
    with locks.locked(held) as pid:
        began = time.monotonic()
        done = lab.vmnet("attach", "vm1", "--wait", "0.2", status=6)
        assert time.monotonic() - began >= 0.2
        assert f"is locked by pid {pid} (sleep 1000); waited 0.2 s" in done.err
        assert set(lab.links()) == {"br0"}
    lab.vmnet("attach", "vm1")


def test_the_lock_of_a_file_with_the_same_number_elsewhere_is_not_taken_for_it(
    lab: Lab, tmp_path: Path
) -> None:
    with ExitStack() as decoys, locks.locked("vm=3Avm1") as pid:
        number = locks.path_of("vm=3Avm1").stat().st_ino
        for name in "abcd":
            folder = tmp_path / name
            folder.mkdir()
            put_tmpfs(str(folder))
            decoy = decoys.enter_context(_file_of_number(folder, number))
            fcntl.flock(decoy, fcntl.LOCK_EX)
        done = lab.vmnet("attach", "vm1", "--wait", "0", status=6)
        assert f"is locked by pid {pid} (sleep 1000)" in done.err


def _file_of_number(folder: Path, number: int) -> IO[bytes]:
    """Return a file of an inode number on a file system of its own."""
    for count in range(1000):
        path = folder / str(count)
        path.touch()
        if path.stat().st_ino == number:
            return path.open("rb")
    raise AssertionError(f"no file of number {number}")


def test_an_attach_waits_for_its_turn(lab: Lab) -> None:
    with locks.locked("vm=3Avm1"):
        waiting = start("attach", "vm1")
        time.sleep(0.2)
        assert set(lab.links()) == {"br0"}
    assert waiting.wait().status == 0
    assert len(lab.links()) == 2


def test_the_lock_of_another_vm_or_namespace_is_no_hindrance(lab: Lab) -> None:
    with locks.locked("vm=3Avm1"):
        lab.vmnet("attach", "vm2", "--wait", "0")
        with other_network():
            lab.vmnet("bridge", "create", "br0")
            lab.vmnet("attach", "vm1", "--wait", "0")


def test_the_lock_file_of_a_killed_process_does_not_block(lab: Lab) -> None:
    with locks.locked("vm=3Avm1"), locks.locked("bridge=3Abr0"):
        pass
    assert locks.path_of("vm=3Avm1").exists()
    lab.vmnet("attach", "vm1", "--wait", "0")
    lab.vmnet("detach", "vm1", "--wait", "0")
    assert list(locks.FOLDER.iterdir()) == []


def test_a_dry_run_waits_for_nobody(lab: Lab) -> None:
    with locks.locked("vm=3Avm1"), locks.locked("bridge=3Abr0"):
        lab.vmnet("attach", "vm1", "--dry-run")
        lab.vmnet("list")


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_ends_the_waiting_for_a_lock(lab: Lab, number: signal.Signals) -> None:
    with locks.locked("bridge=3Abr0"):
        waiting = start("attach", "vm1", "--wait", "60")
        until(lambda: len(list(locks.FOLDER.iterdir())) == 2)
        os.kill(waiting.pid, number)
        assert waiting.wait().status == -number
        assert set(lab.links()) == {"br0"}
        assert len(list(locks.FOLDER.iterdir())) == 1


def _stop_somewhere(lab: Lab, chance: random.Random, longest: float, *args: str) -> None:
    number = chance.choice(STOPS)
    started = start(*args)
    time.sleep(chance.uniform(0, longest))
    os.kill(started.pid, number)
    done = started.wait()
    assert done.status in (0, -number), done
    taps = [link for name, link in lab.links().items() if name != "br0"]
    assert len(taps) <= 1
    # All or nothing: what is there is whole.
    assert all("life=kept" in tap["ifalias"] for tap in taps)
    assert all(tap["master"] == "br0" and "UP" in tap["flags"] for tap in taps)


@pytest.mark.parametrize("options", [(), ("--queues", "2", "--owner", "4242")])
def test_a_signal_at_any_moment_leaves_all_or_nothing(lab: Lab, options: tuple[str, ...]) -> None:
    began = time.monotonic()
    lab.vmnet("attach", "vm1", *options)
    lab.vmnet("detach", "vm1")
    longest = (time.monotonic() - began) / 2
    chance = random.Random(20)  # noqa: S311 - moments, not secrets
    for _ in range(25):
        _stop_somewhere(lab, chance, longest, "attach", "vm1", *options)
        _stop_somewhere(lab, chance, longest, "detach", "vm1")
    lab.vmnet("attach", "vm1", *options)
    lab.vmnet("detach", "vm1")
    lab.vmnet("gc")
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == ["br0"]


def test_a_signal_at_any_moment_ends_a_run_and_its_tap(lab: Lab) -> None:
    began = time.monotonic()
    lab.vmnet("run", "vm1", "--nic", "queues=2", "--", "true")
    longest = (time.monotonic() - began) * 1.2
    chance = random.Random(21)  # noqa: S311 - moments, not secrets
    for _ in range(25):
        number = chance.choice(STOPS)
        started = start("run", "vm1", "--nic", "queues=2", "--", "sh", "-c", "exec sleep 1000")
        time.sleep(chance.uniform(0, longest))
        os.kill(started.pid, number)
        assert started.wait().status == -number
        # A child that was just forked has the TAP too, until it has closed what is not its own.
        until(lambda: set(lab.links()) == {"br0"}, 1)
    until(lambda: list(locks.FOLDER.iterdir()) == [], 1)


def test_kill_at_any_moment_leaves_what_the_next_command_copes_with(lab: Lab) -> None:
    began = time.monotonic()
    lab.vmnet("attach", "vm1")
    longest = time.monotonic() - began
    chance = random.Random(22)  # noqa: S311 - moments, not secrets
    for verb in ("detach", "attach") * 12:
        started = start(verb, "vm1")
        time.sleep(chance.uniform(0, longest))
        os.kill(started.pid, signal.SIGKILL)
        assert started.wait().status in (0, -signal.SIGKILL)
        assert all("life=kept" in link["ifalias"] for link in lab.links().values())
        lab.vmnet(verb, "vm1", "--wait", "1")  # a child of the killed one may just be closing
        assert len(lab.links()) == (2 if verb == "attach" else 1)
    lab.vmnet("detach", "vm1")
    lab.vmnet("gc")
    assert lab.leftovers() == ["br0"]


def test_a_signal_that_was_ignored_stays_ignored(lab: Lab) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with locks.locked("bridge=3Abr0"):
            pid = os.fork()
            if pid == 0:
                status = lab.vmnet("attach", "vm1", status=None).status
                os._exit(status)
            until(lambda: len(list(locks.FOLDER.iterdir())) == 2)
            os.kill(pid, signal.SIGHUP)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert len(lab.links()) == 2
