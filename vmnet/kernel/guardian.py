"""A process that puts back what a plan changes, unless somebody confirms that it works.

Job: start it before the first change; let it act at the deadline, or at once if this process ends
before it has said that all is done. It is nobody's child, has no terminal and no descriptor of its
parent's, and SIGTERM, SIGHUP and SIGINT do not end it: they come when a connection breaks.
Leaves to others: what putting back is (`vmnet.service.uplinks`).
Privilege: that of this process.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from vmnet.errors import VmnetError, of_errno
from vmnet.kernel.child import let_go_of_everything
from vmnet.model.hoststep import StartGuardian
from vmnet.model.step import PeerStep

#: How long it may take to start, in seconds: it forks, and closes what it does not need.
_START_SECONDS = 30.0
#: How often it looks whether somebody has confirmed, in seconds.
_LOOK_SECONDS = 0.5
#: How often it tries to put back, and how long it waits in between, in seconds.
_TRIES, _PAUSE_SECONDS = 600, 1.0
_IGNORED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_READY, _DONE = b"r", b"d"


class Guardian:
    """The guardian as its starter sees it: a peer of `vmnet.kernel.apply.Apply`.

    Used with `with`: leaving without `settle` lets it put back at once whatever is still changed.
    """

    def __init__(
        self, until: int, pending: Callable[[], bool], put_back: Callable[[], bool]
    ) -> None:
        """Name what it is to do; a `StartGuardian` starts it.

        Args:
            until: when to put back, in seconds of CLOCK_BOOTTIME.
            pending: says whether nobody has confirmed yet, nor put back.
            put_back: puts back, and says whether there is nothing left to do.
        """
        self._until = until
        self._pending = pending
        self._put_back = put_back
        self._order: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._order is not None:
            os.close(self._order)
            self._order = None

    def settle(self) -> None:
        """Say that all is done: from now on only the deadline counts."""
        if self._order is not None:
            os.write(self._order, _DONE)

    def do(self, step: PeerStep) -> None:
        """Start it, and wait until it keeps watch.

        Raises:
            VmnetError: it could not be started.
        """
        if not isinstance(step, StartGuardian):
            raise TypeError(f"not for a guardian: {step}")
        try:
            self._start()
        except OSError as error:
            raise of_errno("start the process that puts back", error.errno or 0) from error

    def _start(self) -> None:
        orders, order = os.pipe()
        readies, ready = os.pipe()
        self._order = order
        try:
            pid = os.fork()
            if pid == 0:
                self._be_parent_of(orders, ready)
            os.waitpid(pid, 0)
        finally:
            os.close(orders)
            os.close(ready)
        try:
            there = select.select([readies], [], [], _START_SECONDS)[0] and os.read(readies, 1)
        finally:
            os.close(readies)
        if there != _READY:
            raise VmnetError(
                "the process that puts back did not start; nothing was changed",
                code="no-guardian",
                remedy="try again; or, with another way to this host, --no-timer",
            )

    def _be_parent_of(self, orders: int, ready: int) -> None:
        try:
            os.setsid()
            # A second child: one that leads a session could get a terminal again.
            if os.fork() == 0:
                self._be(orders, ready)
        finally:
            os._exit(0)

    def _be(self, orders: int, ready: int) -> None:
        try:
            for number in _IGNORED:
                signal.signal(number, signal.SIG_IGN)
            let_go_of_everything(orders, ready)
            with suppress(OSError):
                Path("/proc/self/comm").write_text("vmnet-guardian", encoding="ascii")
            os.write(ready, _READY)
            os.close(ready)
            self._keep_watch(orders)
        finally:
            # The parent's handlers, buffers and exit functions are not this process's to run.
            os._exit(0)

    def _keep_watch(self, orders: int) -> None:
        done = self._all_is_done(orders)
        if done:
            while self._left() > 0:
                if not self._still(self._pending):
                    return
                time.sleep(min(_LOOK_SECONDS, max(0.0, self._left())))
        for _ in range(_TRIES):
            # Before the parent's word or end it may yet change what was put back, or not begun.
            last = done or self._has_word(orders, 0.0)
            if not self._still(lambda: not self._put_back()) and last:
                return
            time.sleep(_PAUSE_SECONDS)

    def _all_is_done(self, orders: int) -> bool:
        """Wait for the parent's word or end; one that takes longer than all is given is late."""
        if not self._has_word(orders, max(0.0, self._left())):
            return False  # the deadline has come
        return os.read(orders, 1) == _DONE

    @staticmethod
    def _has_word(orders: int, seconds: float) -> bool:
        """Say whether the parent has said that all is done, or has ended."""
        poller = select.poll()
        poller.register(orders, select.POLLIN)
        return bool(poller.poll(seconds * 1000))

    def _left(self) -> float:
        return self._until - time.clock_gettime(time.CLOCK_BOOTTIME)

    @staticmethod
    def _still(what: Callable[[], bool]) -> bool:
        """Return an answer; what cannot be known for now counts as yes."""
        try:
            return what()
        except (VmnetError, OSError):
            return True
