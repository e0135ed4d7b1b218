"""strace as a fault injector: one run of a command in which its k-th call of a kind goes wrong.

Errors are injected with `--seccomp-bpf`, which stops the tracee at the traced calls only and halves
the time of a run. Signals cannot be: strace 6.1 gives them to the tracee at the stop that seccomp
makes, and there the kernel throws them away, so that the run would go on untouched.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from tests.support.lab import VENV_BIN, Done

#: A hung command is a failure, not a wait.
TIMEOUT_SECONDS = 45
#: The device nodes whose opening is counted; a start opens some hundred others.
NODES = ("/dev/net/tun", "/dev/vhost-net")
_HIT = re.compile(r"\(INJECTED\)|\+\+\+ killed by|--- SIG(?!CHLD)")
#: The pid is left out of a log of one process.
_LINE = re.compile(r"^(?:(?P<pid>\d+) +)?(?P<call>\w+)\((?P<rest>.*)$", re.MULTILINE)
#: ioctls on a TUN, a vhost-net or a socket, as strace prints them.
_OWN_IOCTL = re.compile(r"\d+, (TUN|VHOST|SIOC)")
_TERMINAL = re.compile(r"ioctl\(\d+, TC\w+")


#: The command as it is installed beside this interpreter.
INSTALLED = str(VENV_BIN / "vmnet")


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and in calls of which kind.

    Attributes:
        call: the name of a system call.
        what: `error=EPERM`, `signal=KILL`, ...
        paths: count only calls on these paths.
    """

    call: str
    what: str
    paths: tuple[str, ...] = ()

    @property
    def is_signal(self) -> bool:
        """Whether a signal is sent, rather than an error returned."""
        return self.what.startswith("signal=")

    def options(self, k: int) -> list[str]:
        """Return strace's options for a fault in the k-th call."""
        quick = [] if self.is_signal else ["--seccomp-bpf"]
        paths = [word for path in self.paths for word in ("-P", path)]
        inject = f"inject={self.call}:{self.what}:when={k}"
        return [*quick, *paths, "-e", f"trace={self.call}", "-e", inject]


@dataclass(frozen=True)
class Traced:
    """What a command did while it was traced.

    Attributes:
        status: its exit status, negative if a signal ended it.
        out: its standard output.
        err: its standard error.
        log: what strace wrote.
    """

    status: int
    out: str
    err: str
    log: str

    @cached_property
    def hits(self) -> list[str]:
        """The calls that were failed; for a signal, the call at which it came, and the signal."""
        lines = ["", *self.log.splitlines()]
        return [
            line if "(INJECTED)" in line else f"{before}  {line}"
            for before, line in pairwise(lines)
            if _HIT.search(line)
        ]

    @property
    def touched(self) -> bool:
        """Whether the fault happened at all."""
        return bool(self.hits)

    @property
    def only_terminal(self) -> bool:
        """Whether all that was failed are questions whether a descriptor is a terminal."""
        return all(_TERMINAL.search(line) for line in self.hits)

    def calls(self, name: str) -> list[str]:
        """Return the arguments of all calls of that name by the process that made the most."""
        by_pid: dict[str | None, list[str]] = {}
        for line in _LINE.finditer(self.log):
            if line["call"] == name:
                by_pid.setdefault(line["pid"], []).append(line["rest"])
        return max(by_pid.values(), key=len, default=[])

    def count(self, fault: Fault) -> int:
        """Return how many calls one process made in which the fault could have happened."""
        calls = self.calls(fault.call)
        if fault.paths:
            calls = [rest for rest in calls if any(f'"{path}"' in rest for path in fault.paths)]
        return len(calls)

    def first_own_ioctl(self) -> int:
        """Return which ioctl, from 1, is the first that does not ask about a terminal."""
        calls = self.calls("ioctl")
        own = (place for place, rest in enumerate(calls, 1) if _OWN_IOCTL.match(rest))
        return next(own, len(calls) + 1)


def traced(argv: list[str], options: list[str], *, forks: bool = True) -> Traced:
    """Run a program, and all it forks unless that is to go free, under strace."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with under_strace(argv, ["-o", str(log), *options], forks=forks) as process:
            done = ended(process)
        text = log.read_text(errors="replace")
    return Traced(done.status, done.out, done.err, text)


@contextmanager
def under_strace(
    argv: list[str], options: list[str], *, forks: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """Start a program under strace; what is left of both at the end is killed."""
    with subprocess.Popen(
        ["strace", *(["-f"] if forks else []), *options, "--", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a program to end; one that hangs is a failure."""
    out, err = process.communicate(timeout=TIMEOUT_SECONDS)
    return Done(process.returncode, out, err)
