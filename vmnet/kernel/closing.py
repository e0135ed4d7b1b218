"""Letting go of many TAPs: their last descriptors are closed beside each other.

Job: keep descriptors that only wait to be closed, close them together, wait until that is done.
Leaves to others: opening TAPs and taking their persistence (`vmnet.kernel.apply`).
Privilege: none.

close(2) removes a TAP that is not persistent, and waits some 20 ms for the kernel's grace periods
(net/core/dev.c: synchronize_net, and rcu_barrier in netdev_run_todo). Those that wait at the same
time share them. Nobody loses a TAP by it: each goes by its own last descriptor, whoever has that.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Self

#: How many are closed at once, each in a thread of its own; more gain nothing (docs/benchmarks.md).
AT_ONCE = 64


def at_once() -> int:
    """Return how many TAPs may wait open: at most an eighth of the descriptors there can be."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return AT_ONCE if soft == resource.RLIM_INFINITY else max(1, min(AT_ONCE, soft // 8))


class Closing:
    """Descriptors on their way out. Used with `with`: leaving closes them all and waits for it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._fds: list[int] = []
        self._room = at_once()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def add(self, fds: Iterable[int]) -> None:
        """Take descriptors over; they are closed now or later, but before `with` is left."""
        self._fds += fds
        if len(self._fds) >= self._room:
            self._close()

    def _close(self) -> None:
        fds, self._fds = self._fds, []
        threads = [thread for fd in fds[1:] if (thread := _started(fd)) is not None]
        for fd in fds[:1]:
            _close_one(fd)
        for thread in threads:
            thread.join()


def _started(fd: int) -> threading.Thread | None:
    """Close a descriptor in a thread; where there can be none, here."""
    thread = threading.Thread(target=_close_one, args=(fd,))
    try:
        thread.start()
    except RuntimeError:  # a limit of processes (RLIMIT_NPROC, pids.max)
        _close_one(fd)
        return None
    return thread


def _close_one(fd: int) -> None:
    with suppress(OSError):  # close(2): the descriptor is gone all the same
        os.close(fd)
