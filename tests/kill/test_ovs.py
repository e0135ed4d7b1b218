"""NICs on bridges of Open vSwitch: commands killed at each call to the kernel or the database."""

from __future__ import annotations

import pytest

from tests.kill.switches import ALL, Cell, Command, State, jobs, run_cell, undisturbed
from tests.kill.workers import in_workers


@pytest.mark.parametrize("command", ALL, ids=str)
def test_after_a_kill_anywhere_nothing_stays_at_the_switch(command: Command) -> None:
    wanted = jobs(command)
    cells = in_workers(lambda job: run_cell(command, *job), wanted)
    # How often the database is asked whether the daemon is ready differs from run to run.
    assert sum(cell.run.touched for cell in cells) > len(wanted) * 8 // 10
    for (fault, k), cell in zip(wanted, cells, strict=True):
        assert cell.run.touched or _calls(cell, fault.call) < k, f"{fault} {k} {cell}"
        assert "Traceback" not in cell.run.err
        _check_same(cell.again[1], undisturbed(command).again[1], cell)
        for done in (cell.again[0], *cell.away):
            assert done.status == 0, f"{done} {cell}"
            assert "Traceback" not in done.err
        _check_same(cell.left, cell.home, cell)
        assert cell.files == [], f"{cell.files} {cell}"


def _calls(cell: Cell, call: str) -> int:
    return sum(line.startswith(f"{call}(") for line in cell.run.log.splitlines())


def _check_same(found: State, wanted: State, cell: Cell) -> None:
    differ = {key: (found[key], wanted[key]) for key in wanted if found[key] != wanted[key]}
    assert not differ, f"{differ}\n{cell}"
