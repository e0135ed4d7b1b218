"""What can go wrong with a monitor: each cause with its own code and remedy."""

from __future__ import annotations

import errno

import pytest

from vmnet.errors import VmnetError
from vmnet.model.step import AddDevice, AddNetdev
from vmnet.peers import refusals


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "qmp-permission"),
        (errno.ENOENT, "qmp-missing"),
        (errno.ECONNREFUSED, "qmp-missing"),
        (errno.ENOTDIR, "qmp-missing"),
        (errno.EAGAIN, "qmp-busy"),
    ],
)
def test_why_a_socket_cannot_be_reached(number: int, code: str) -> None:
    assert refusals.unreachable("/run/q", OSError(number, "x")).code == code


def test_a_path_no_socket_can_have() -> None:
    assert refusals.unreachable("a" * 200, OSError("AF_UNIX path too long")).code == "bad-socket"
    assert refusals.unreachable("a\0b", ValueError("embedded null byte")).code == "bad-socket"


def test_a_machine_without_hotplug_is_told_apart_and_told_what_to_start_with() -> None:
    words = "Bus 'pcie.0' does not support hotplugging"
    error = refusals.refusal(AddDevice("vmnet0-nic", ()), words)
    assert error.code == "no-hotplug"
    assert "-device pcie-root-port,id=rp0,slot=1" in error.remedy
    other: VmnetError = refusals.refusal(AddNetdev("vmnet0", ()), words)
    assert (other.code, other.exit_code) == ("qemu-refused", 13)


def test_a_talk_that_broke_off_is_told_apart_from_nonsense() -> None:
    hung_up = RuntimeError("interrupted")
    hung_up.__cause__ = EOFError()
    assert refusals.broken("/run/q", "x", hung_up).code == "qemu-gone"
    assert refusals.broken("/run/q", "x", BrokenPipeError()).code == "qemu-gone"
    assert refusals.broken("/run/q", "x", ValueError("\x1b[2J" * 9000)).code == "qmp-nonsense"
