"""TAPs that are closed together, when that is cut short: at the start of any of its threads.

A thread is a clone3(2); a fork of Python's is a clone(2) and does not count here.
"""

from __future__ import annotations

import pytest

from tests.kill.commands import DETACH_MANY, GC, Command
from tests.kill.judge import check_left_nothing, check_said, check_same
from tests.kill.matrix import walk
from tests.kill.strace import Fault

_MANY = [DETACH_MANY, GC]


@pytest.mark.parametrize("command", _MANY, ids=str)
def test_killed_between_two_closes_the_kernel_takes_the_rest(command: Command) -> None:
    """Their persistence is gone before the first is closed: no TAP waits for another call."""
    (series,) = walk(command, (Fault("clone3", "signal=KILL"),))
    assert series.cells
    for cell in series.cells:
        check_said(cell)
        taps = {name for name in cell.after if name.startswith("vmn")}
        stay = {name for name in series.end.after if name.startswith("vmn")}
        assert taps == stay, str(cell)
        assert cell.mended is not None
        check_same(cell.mended.links, cell.home, str(cell))
        assert cell.mended.files == []


@pytest.mark.parametrize("command", _MANY, ids=str)
def test_without_threads_all_is_done_all_the_same(command: Command) -> None:
    (series,) = walk(command, (Fault("clone3", "error=EAGAIN"),))
    assert series.cells
    for cell in series.cells:
        assert cell.run.status == command.status, str(cell)
        check_said(cell)
        check_left_nothing(cell)
        check_same(cell.after, series.end.after, str(cell))
