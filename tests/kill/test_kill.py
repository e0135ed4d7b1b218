"""A command killed at any of the system calls by which it changes the host.

As measured: `attach` makes 407 ioctls (all but the last 5 ask of a file that Python imports whether
it is a terminal), 7 sendmsg, opens device nodes twice, and makes no sendto; `run` with two NICs 414
(the last 12), 14, 5 and none. The walk counts anew and begins one before the first that matters; it
fails if a fault did not happen in a call that was made, or in none at all.
"""

from __future__ import annotations

import pytest

from tests.kill.commands import ALL, WIRES, Command, rows
from tests.kill.judge import check_said, check_same
from tests.kill.matrix import Cell, Mended, Series, faults, walk

_KILL = faults(ioctl="signal=KILL", openat="signal=KILL", send="signal=KILL")


@pytest.mark.parametrize("command", rows([*ALL, *WIRES]))
def test_after_a_kill_anywhere_the_host_can_be_mended(command: Command) -> None:
    for series in walk(command, _KILL):
        for cell in series.cells:
            assert cell.run.status == -9 or _of_nft(cell), str(cell)
            assert not cell.processes, str(cell)
            check_said(cell)
            _check_state(command, cell, series)
            assert cell.mended is not None
            _check_mended(command, cell, cell.mended, series)


def _of_nft(cell: Cell) -> bool:
    """Say whether the process of libnftables alone was killed: that is a failure like others."""
    said = "ended without an answer" in cell.run.err
    return said or all(map(_by_nft, cell.run.hits))  # or it was that of who waits for the end


def _by_nft(hit: str) -> bool:
    return "NFNL_SUBSYS_NFTABLES" in hit or "nlmsg_type=0xa10 " in hit or "RTM_GETLINK" in hit


def _check_state(command: Command, cell: Cell, series: Series) -> None:
    """A kill leaves the old state or the new one, where it is one step from one to the other."""
    if not command.in_steps:
        wanted = series.end.after if cell.after == series.end.after else cell.before
        check_same(cell.after, wanted, str(cell))


def _check_mended(command: Command, cell: Cell, mended: Mended, series: Series) -> None:
    """The same command goes on where the killed one stopped; then all can be taken away."""
    for done in mended.done:
        assert done.status == 0, f"{done}\n{cell}"
        assert "Traceback" not in done.err
    if command.instead is None:
        check_same(_without_index(mended.again), _without_index(series.end.after), str(cell))
    check_same(mended.links, cell.home, str(cell))
    assert mended.files == [], f"{mended.files}\n{cell}"


def _without_index(links: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """Leave out what tells a link from one that was there before the kill."""
    return {n: {k: v for k, v in link.items() if k != "ifindex"} for n, link in links.items()}
