"""An uplink's commands and its guardian, killed at each message that changes something, and after.

The host's network is whole afterwards, at the NIC or at the bridge. Without a confirmation it is
back at the NIC by the deadline, or with `gc` where the guardian was killed too; and the same
command goes on from there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.kill.matrix import NEVER, run_files
from tests.kill.strace import INSTALLED, Fault, Traced, traced
from tests.kill.uplinks import (
    add,
    around_changes,
    held_up,
    is_moved,
    killed_guardian,
    network,
    put_bridge,
)
from tests.kill.workers import in_workers
from tests.netns.commands import until
from tests.netns.guardians import guardians
from tests.support.lab import Lab, own_namespaces

#: Most of them wait for a deadline.
_WORKERS = 4
_ADD = ("bridge", "add-uplink", "br0", "eth1")
_REMOVE = ("bridge", "remove-uplink", "br0", "eth1")
_KILL = Fault("sendmsg", "signal=KILL")
#: Also a lock's file, and the guardian's word: the calls of one kind each, from the first.
_OTHERS = [("flock", 1), ("flock", 2), ("unlink", 1), ("unlink", 2), ("write", 1)]

Network = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run that was killed.

    Attributes:
        run: what it did.
        home: the host's network without an uplink.
        there: with it.
        after: after the kill.
        settled: when its guardian had ended too.
        mended: after each of the commands that mend.
        files: what is left in /run.
    """

    run: Traced
    home: Network
    there: Network
    after: Network
    settled: Network
    mended: list[Network]
    files: list[str]

    def __str__(self) -> str:
        """Return what a person needs to find the fault."""
        return f"{self.run.hits} status={self.run.status}\n{self.run.err}"


def cell(prepare: Callable[[Lab], None], work: Callable[[], Traced], *mend: str) -> Cell:
    """Do something on a host of its own and mend that host by these commands, each to succeed."""
    with own_namespaces():
        lab = Lab()
        put_bridge(lab)
        home = network(lab)
        lab.vmnet(*_ADD, "--no-timer")
        there = network(lab)
        lab.vmnet(*_REMOVE)
        assert network(lab) == home
        prepare(lab)
        run = work()
        after = network(lab)
        until(lambda: not guardians(), seconds=10)
        settled = network(lab)
        mended = [_mended(lab, words.split(), home) for words in mend]
        return Cell(run, home, there, after, settled, mended, run_files())


def _mended(lab: Lab, words: list[str], home: Network) -> Network:
    """Return the network after a command; gc has nothing to do before the deadline."""
    lab.vmnet(*words)
    if words == ["gc"]:
        until(lambda: lab.vmnet("gc").status == 0 and network(lab) == home, seconds=10)
    return network(lab)


def _nothing(_: Lab) -> None:
    pass


def _added(lab: Lab) -> None:
    lab.vmnet(*_ADD, "--no-timer")


def _removing(k: int, call: str = "sendmsg") -> Traced:
    return traced([INSTALLED, *_REMOVE], Fault(call, _KILL.what).options(k), forks=False)


def _adding(k: int, call: str = "sendmsg") -> Traced:
    options = Fault(call, _KILL.what).options(k)
    return traced(add("--confirm-within", "1"), options, forks=False)


def _put_back(k: int, call: str = "sendmsg") -> Traced:
    return killed_guardian(Fault(call, _KILL.what).options(k))


_MEND = [" ".join(words) for words in (("gc",), (*_ADD, "--no-timer"), _REMOVE, ("gc",))]
_ROWS = {
    "add": (_nothing, _adding),
    "remove": (_added, _removing),
    "guardian": (_nothing, _put_back),
}


@cache
def _places(name: str) -> list[int]:
    """Return in which messages to die, by a run in which nothing is killed."""
    prepare, work = _ROWS[name]
    (whole,) = in_workers(lambda k: cell(prepare, lambda: work(k)), [NEVER])
    assert not whole.run.touched
    return around_changes(whole.run.log)


def _walk(name: str) -> list[Cell]:
    prepare, work = _ROWS[name]
    jobs = [("sendmsg", k) for k in _places(name)]
    jobs += [job for job in _OTHERS if job[0] != "write" or name == "add"]
    mend = _MEND[1:] if name == "remove" else _MEND

    def one(job: tuple[str, int]) -> Cell:
        return cell(prepare, lambda: work(job[1], job[0]), *mend)

    return in_workers(one, jobs, _WORKERS)


def _ended(each: Cell) -> None:
    """Whatever was left, the commands that mend lead on from there, and leave nothing."""
    assert each.run.touched, str(each)
    *first, there, home, last = each.mended
    assert first in ([], [each.home]), str(each)  # gc, where there was a deadline
    assert (there, home, last) == (each.there, each.home, each.home), str(each)
    assert each.files == [], f"{each.files} {each}"


def test_add_killed_anywhere_the_guardian_puts_back() -> None:
    for each in _walk("add"):
        assert each.settled == each.home, str(each)
        _ended(each)


def test_remove_killed_anywhere_is_done_or_not_begun() -> None:
    for each in _walk("remove"):
        assert each.after in (each.home, each.there), str(each)
        _ended(each)


def test_a_guardian_killed_anywhere_has_put_back_all_or_nothing() -> None:
    cells = _walk("guardian")
    for each in cells:
        assert _unmarked(each.after) in (_unmarked(each.home), _unmarked(each.there)), str(each)
        _ended(each)
    assert {_unmarked(each.after) for each in cells} == {
        _unmarked(cells[0].home),
        _unmarked(cells[0].there),
    }


_HELD = {
    "before": (("sendmsg", 0), lambda: bool(guardians())),
    "after": (("sendmsg", 1), is_moved),
    "word": (("write", 1), is_moved),
}


@pytest.mark.parametrize("when", _HELD)
def test_both_killed_gc_puts_back(when: str) -> None:
    (call, k), here = _HELD[when]
    batch = _places("add")[1] if call == "sendmsg" else 0

    def kill_both() -> Traced:
        with held_up(call, k + batch, here):
            (pid,) = guardians()
            os.kill(pid, signal.SIGKILL)
        return Traced(-signal.SIGKILL, "", "", "+++ killed by SIGKILL +++")

    each = cell(_nothing, kill_both, *_MEND)
    assert each.settled == (each.home if when == "before" else each.there)
    _ended(each)


def test_both_killed_the_same_again_is_as_if_nothing_had_happened() -> None:
    """Also when the guardian had put back all but its mark."""
    last = _places("guardian")[-1]
    each = cell(_nothing, lambda: _put_back(last), *_MEND[1:])
    _ended(each)


def _unmarked(seen: Network) -> str:
    """Return a network without vmnet's record, which is the last to go."""
    return str({name: what for name, what in seen.items() if name != "eth1 alias"})
