"""A signal that asks to stop, at any of the calls: all is done and said, or nothing is."""

from __future__ import annotations

import signal

import pytest

from tests.kill.commands import ATTACH, RUN, Command
from tests.kill.judge import check_left_nothing, check_said, check_same
from tests.kill.matrix import Cell, Series, faults, walk

_ENDED_BY = {"TERM": -signal.SIGTERM, "INT": -signal.SIGINT}


@pytest.mark.parametrize("name", ["TERM", pytest.param("INT", marks=pytest.mark.long)])
@pytest.mark.parametrize("command", [ATTACH, RUN], ids=str)
def test_a_signal_anywhere_leaves_nothing_half_done(command: Command, name: str) -> None:
    sent = f"signal={name}"
    for series in walk(command, faults(ioctl=sent, openat=sent, send=sent)):
        for cell in series.cells:
            check_said(cell)
            check_left_nothing(cell)
            _check_ended(command, cell, series, _ENDED_BY[name])


def _check_ended(command: Command, cell: Cell, series: Series, by_signal: int) -> None:
    """Who is told nothing has nothing to take away."""
    if cell.run.status == by_signal and cell.run.out != series.end.run.out:
        check_same(cell.after, cell.before, str(cell))
    else:
        assert cell.run.status in (command.status, by_signal), str(cell)
        check_same(cell.after, series.end.after, str(cell))
