"""The forked child that tries things as another user: it keeps nothing, and cannot be kept."""

from __future__ import annotations

import errno
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.netns import locks
from tests.netns.commands import until
from tests.netns.places import NOBODY
from tests.support.lab import descriptors
from vmnet.errors import VmnetError
from vmnet.kernel.child import in_child
from vmnet.kernel.identity import act_as
from vmnet.kernel.locks import locked


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@pytest.mark.usefixtures("lab")
def test_a_child_that_is_stopped_is_killed_in_time() -> None:
    start = time.monotonic()
    with pytest.raises(VmnetError, match=r"no answer within 0\.2 s") as caught:
        in_child(_stop, limit=0.2)
    assert caught.value.code == "child-timeout"
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("lab")
def test_a_child_keeps_no_lock() -> None:
    with locked("vm:vm1"):
        held = in_child(descriptors)
    assert not [path for path in held.values() if "/run/vmnet" in path]
    assert {int(number) for number in held} - {0, 1, 2} <= _pipe_and_listing(held)
    with pytest.raises(FileNotFoundError):
        os.stat(locks.path_of("vm=3Avm1"))


def _pipe_and_listing(held: dict[str, str]) -> set[int]:
    return {int(number) for number, path in held.items() if path.startswith(("pipe:", "/proc/"))}


@pytest.mark.usefixtures("lab")
def test_the_user_whose_rights_are_tried_cannot_stop_the_child() -> None:
    program = (
        f"import os, signal, sys, time; os.setgroups([]); os.setresuid(*[{NOBODY}] * 3)\n"
        "sys.stdin.readline()\n"
        "for number in (signal.SIGSTOP, signal.SIGKILL):\n"
        "    try: os.kill(int(sys.argv[1]), number); print('hurt')\n"
        "    except PermissionError: print('refused')\n"
    )

    def work() -> list[str]:
        other = subprocess.Popen(
            [sys.executable, "-c", program, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        act_as(NOBODY)
        return other.communicate("\n")[0].split()

    assert in_child(work) == ["refused"] * 2


@pytest.mark.usefixtures("lab")
def test_acting_as_a_user_is_without_privilege() -> None:
    def work() -> str:
        act_as(NOBODY)
        return Path("/proc/self/status").read_text(encoding="utf-8")

    status = in_child(work)
    assert re.findall(r"Cap(?:Inh|Prm|Eff|Amb):\t(\w+)", status) == ["0" * 16] * 4
    assert f"Uid:\t0\t{NOBODY}\t0\t{NOBODY}\n" in status


@pytest.mark.usefixtures("lab")
def test_no_descriptor_left_is_said_in_words() -> None:
    def work() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
        try:
            in_child(lambda: None)
        except VmnetError as error:
            return error.code
        return "no error"

    assert in_child(work) == "fd-limit"


@pytest.mark.usefixtures("lab")
def test_what_goes_wrong_in_the_child_is_said() -> None:
    def fail() -> None:
        raise OSError(errno.EXDEV, "across")

    with pytest.raises(VmnetError, match="across"):
        in_child(fail)
    with pytest.raises(VmnetError, match="ended without an answer"):
        in_child(lambda: os._exit(3))


_WAITS = """
import sys, time
from pathlib import Path
from os import getpid
from vmnet.kernel.child import with_library

with_library(lambda: (Path(sys.argv[1]).write_text(str(getpid())), time.sleep(60)))
"""


@pytest.mark.usefixtures("lab")
def test_a_library_does_nothing_for_a_vmnet_that_was_killed(tmp_path: Path) -> None:
    """Whose locks are free by then: another vmnet may be at work."""
    note = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", _WAITS, str(note)]) as process:
        until(lambda: note.exists() and note.read_text() != "")
        child = os.pidfd_open(int(note.read_text()))
        process.kill()
    assert select.select([child], [], [], 5)[0] != []
    os.close(child)
