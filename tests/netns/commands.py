"""Commands that go on while the test does something else."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from tests.support import lab
from tests.support.lab import Done

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Started:
    """A command in a process of its own; wait for it."""

    pid: int
    out: IO[bytes]
    err: IO[bytes]

    def wait(self) -> Done:
        """Return what it did; the status of one that a signal ended is negative."""
        _, status = os.waitpid(self.pid, 0)
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        assert "Traceback" not in texts[1], texts[1]
        return Done(os.waitstatus_to_exitcode(status), *texts)


def start(*args: str) -> Started:
    """Start a command in a warm process, with signals as a shell would give them."""
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - till it ends
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    pid = os.fork()
    if pid == 0:
        for number in _STOPS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        lab._be_command(["vmnet", *args], "vmnet.entry.cli", {}, out.fileno(), err.fileno())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    return Started(pid, out, err)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.002)
