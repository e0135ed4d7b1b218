"""Signals: SIGINT, SIGTERM and SIGHUP wait until the host is in order.

Job: between two steps a plan asks whether to stop; what was done is then undone, and only after
that does the signal take its usual course.
Leaves to others: undoing (`vmnet.kernel.apply`), exit codes (`vmnet.entry`).
Privilege: none. Only the main thread can have handlers; elsewhere this does nothing.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vmnet.errors import Interrupted

_WAITING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_pending: list[int] = []


@contextmanager
def deferred() -> Iterator[None]:
    """Keep signals waiting inside; deliver the first that came when all is left.

    May be nested: the outermost one counts.
    """
    if threading.current_thread() is not threading.main_thread() or _is_deferred():
        yield
        return
    # A handler set outside Python shows as None and could not be put back.
    before = {number: signal.getsignal(number) for number in _WAITING}
    mine = {
        number: handler
        for number, handler in before.items()
        if handler is not None and handler is not signal.SIG_IGN
    }
    for number in mine:
        signal.signal(number, _note)
    try:
        yield
    finally:
        for number, handler in mine.items():
            signal.signal(number, handler)
        pending, _pending[:] = list(_pending), []
        if pending:
            signal.raise_signal(pending[0])


def _note(number: int, _frame: object) -> None:
    _pending.append(number)


def _is_deferred() -> bool:
    return any(signal.getsignal(number) is _note for number in _WAITING)


def check() -> None:
    """Raise if a signal is waiting.

    Raises:
        Interrupted: one is; leaving `deferred` delivers it.
    """
    if _pending and threading.current_thread() is threading.main_thread():
        raise Interrupted(_pending[0])
