"""What runs out: descriptors, memory for sockets, space in /run, space for the answer."""

from __future__ import annotations

import json
from itertools import count

import pytest

from tests.kill.commands import ATTACH, CHANGE, CREATE, QUEUES, RUN, Command, home
from tests.kill.judge import (
    check_all_or_nothing,
    check_explained,
    check_left_nothing,
    check_said,
    check_same,
)
from tests.kill.matrix import run_cells, shape, walk
from tests.kill.strace import INSTALLED, Fault
from tests.support.lab import Done, Lab, run

pytestmark = pytest.mark.long

#: Every call by which a command gets at something that can run out, or hears of a change.
_RUNNING_OUT = (
    Fault("socket", "error=EMFILE"),
    Fault("setsockopt", "error=ENOPROTOOPT"),
    Fault("bind", "error=ENOMEM"),
    Fault("recvfrom", "error=ENOBUFS"),
    Fault("mkdir", "error=ENOSPC"),
    Fault("flock", "error=EINTR"),
    Fault("openat", "error=EMFILE", ("/etc/machine-id", "/etc/vmnet/vmnet.toml")),
)


@pytest.mark.parametrize("command", [ATTACH, CHANGE, CREATE], ids=str)
def test_what_runs_out_anywhere_is_reported_and_undone(command: Command) -> None:
    for series in walk(command, _RUNNING_OUT):
        for cell in series.cells:
            check_said(cell)
            check_explained(command, cell)
            check_left_nothing(cell)
            check_all_or_nothing(command, cell, series.end)


@pytest.mark.parametrize("command", [ATTACH, QUEUES, CHANGE, RUN], ids=str)
def test_what_could_not_be_told_was_not_done(command: Command) -> None:
    """No space for the output: an answer has to be written, a note need not be."""
    for series in walk(command, (Fault("write", "error=ENOSPC"),)):
        assert series.cells
        for cell in series.cells:
            check_said(cell)
            check_left_nothing(cell)
            check_all_or_nothing(command, cell, series.end)


def test_a_lock_that_cannot_be_taken_is_an_error_and_its_file_is_for_gc() -> None:
    """The file stays: somebody else may have it locked."""
    cells = run_cells(ATTACH, Fault("flock", "error=ENOLCK"), [1, 2])
    for cell in cells:
        assert cell.run.touched
        assert cell.run.status == 10, str(cell)
        check_said(cell)
        check_explained(ATTACH, cell)
        check_same(cell.after, cell.before, str(cell))
        assert len(cell.locks) == 1


def test_a_full_run_is_reported_and_left_as_it_was(lab: Lab) -> None:
    """The same disk with room for ever more files: the folder, then each of the three locks."""
    home(lab)
    before = shape(lab)
    said = []
    for room in count(1):
        lab.sh(f"mount -t tmpfs -o mode=755,nr_inodes={room} none /run")
        done = lab.cold(*ATTACH.argv[1:], "--json", status=None)
        left = lab.sh("find /run -type f").out
        lab.sh("umount /run")
        assert left == ""
        if done.status == 0:
            break
        said.append(_error(done)["code"])
        check_same(shape(lab), before, done.err)
    assert said == ["run-dir"] * 4


def test_with_few_descriptors_a_command_fails_clearly_or_succeeds(lab: Lab) -> None:
    """From the fewest with which Python starts to the fewest with which all is done."""
    home(lab)
    before = shape(lab)
    fewest = next(n for n in count(3) if _with_descriptors(n, "--version").status == 0)
    said = []
    for number in count(fewest):
        done = _with_descriptors(number, *ATTACH.argv[1:], "--json")
        assert "Traceback" not in done.err
        if done.status == 0:
            break
        said.append(_error(done)["code"])
        check_same(shape(lab), before, done.err)
    assert said
    assert set(said) == {"fd-limit"}


def _with_descriptors(number: int, *args: str) -> Done:
    return run(["prlimit", f"--nofile={number}", INSTALLED, *args])


def _error(done: Done) -> dict[str, str]:
    error = json.loads(done.err)["error"]
    assert isinstance(error, dict)
    return error
