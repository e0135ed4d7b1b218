"""A command that the kernel answers with an error at any of its calls.

Either it says what failed, exits with a status and leaves all as it was, or it can do without.
"""

from __future__ import annotations

import pytest

from tests.kill.commands import ALL, ATTACH, RAISE, Command, rows
from tests.kill.judge import (
    check_all_or_nothing,
    check_explained,
    check_left_nothing,
    check_said,
    check_same,
)
from tests.kill.matrix import NEVER, Series, faults, first_of, measure, run_cells, walk
from tests.kill.strace import Fault

_SHORT_OF_EVERYTHING = faults(ioctl="error=ENOMEM", openat="error=EMFILE", send="error=ENOBUFS")
#: The first is NFT_MSG_GETGEN, which strace does not know.
_NFT_GOES_ON = ("nlmsg_type=0xa10 ", "NFT_MSG_GETSETELEM")
_MORE = {
    "not permitted": faults(ioctl="error=EPERM", openat="error=EACCES", send="error=EPERM"),
    "not there": faults(ioctl="error=ENODEV", openat="error=ENODEV", send=None),
    "busy": faults(ioctl="error=EBUSY", openat="error=EBUSY", send=None),
    "interrupted": faults(ioctl="error=EINTR", openat="error=EINTR", send=None),
}


def _check(command: Command, walked: list[Series]) -> None:
    for series in walked:
        for cell in series.cells:
            check_said(cell)
            check_explained(command, cell)
            check_left_nothing(cell)
            check_all_or_nothing(command, cell, series.end)


@pytest.mark.parametrize("command", rows([*ALL, RAISE]))
def test_an_error_anywhere_is_reported_and_undone(command: Command) -> None:
    _check(command, walk(command, _SHORT_OF_EVERYTHING))


@pytest.mark.parametrize("answer", _MORE)
def test_attach_undoes_all_whatever_the_kernel_answers(answer: str) -> None:
    _check(ATTACH, walk(ATTACH, _MORE[answer]))


def test_attach_fails_where_what_it_needs_failed() -> None:
    """It can do without vhost-net, without knowing terminals, and asks for an index in two ways.

    libnftables asks a second time for the number of the rules' generation, and takes a set that it
    cannot list for an empty one: what is to be in there is then added again.
    """
    for series in walk(ATTACH, _SHORT_OF_EVERYTHING):
        for cell in series.cells:
            spared = cell.run.only_terminal or all(
                any(word in hit for word in ("vhost-net", "SIOCGIFINDEX", *_NFT_GOES_ON))
                for hit in cell.run.hits
            )
            assert (cell.run.status == 0) == spared, str(cell)


def test_a_question_for_a_terminal_that_fails_does_not_matter() -> None:
    """The ioctls of Python's own start, which the matrix begins after: some of them."""
    fault = Fault("ioctl", "error=EPERM")
    first = first_of(fault, measure(ATTACH))
    never, *cells = run_cells(ATTACH, fault, [NEVER, *range(50, first, 90)])
    for cell in cells:
        assert cell.run.hits
        assert cell.run.only_terminal, str(cell)
        assert cell.run.status == 0, str(cell)
        check_same(cell.after, never.after, str(cell))
