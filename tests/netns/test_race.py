"""What happens between a look and a step: strace(1) holds the command there for a while."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.netns import locks, taps
from tests.netns.commands import until
from tests.support.lab import VENV_BIN, Done, Lab

#: How long a call is held up; what happens meanwhile takes some milliseconds.
MICROSECONDS = 1_000_000


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


class Slow:
    """The installed command under strace(1)."""

    def __init__(self, hold: list[str], args: tuple[str, ...]) -> None:
        inject = f"inject={hold[0]}:delay_enter={MICROSECONDS}"
        words = ["strace", "-qq", "-o", os.devnull, "-e", f"trace={hold[0]}", "-e", inject]
        self.process = subprocess.Popen(
            [*words, *hold[1:], str(VENV_BIN / "vmnet"), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> Done:
        """Return what it did."""
        out, err = self.process.communicate(timeout=60)
        assert "Traceback" not in err, err
        return Done(self.process.returncode, out, err)


@contextmanager
def _slow(hold: list[str], *args: str) -> Iterator[Slow]:
    slow = Slow(hold, args)
    try:
        yield slow
    finally:
        if slow.process.poll() is None:
            slow.process.kill()
        slow.process.communicate()


def _at_the_tun_node(*args: str) -> Iterator[Slow]:
    """Run a command that is held where it opens /dev/net/tun, all locks in its hands."""
    with _slow(["openat", "-P", "/dev/net/tun"], *args) as slow:
        until(lambda: locks.FOLDER.exists() and len(list(locks.FOLDER.iterdir())) == 3)
        time.sleep(0.2)
        yield slow


at_the_tun_node = contextmanager(_at_the_tun_node)


def _tap_name(lab: Lab) -> str:
    name = lab.vmnet("attach", "vm1", "--dry-run", "--json").json["tap"]
    assert isinstance(name, str)
    return name


@pytest.mark.parametrize("flags", [taps.ONE, taps.MANY], ids=["one", "many"])
def test_a_tap_that_appears_just_before_ours_is_made_is_left_alone(lab: Lab, flags: int) -> None:
    name = _tap_name(lab)
    options = ("--queues", "2") if flags == taps.MANY else ()
    with at_the_tun_node("attach", "vm1", *options) as slow:
        # Nobody holds it, so that the kernel would let anybody have it.
        with taps.opened(name, flags) as fd:
            taps.persist(fd)
        before = lab.link(name)
        done = slow.wait()
    assert done.status == 5
    assert "appeared meanwhile" in done.err
    assert lab.link(name) == before


def test_a_bridge_that_goes_just_before_the_tap_is_plugged_in(lab: Lab) -> None:
    with at_the_tun_node("attach", "vm1") as slow:
        lab.sh("ip link del br0")
        done = slow.wait()
    assert done.status == 4
    assert "into bridge 'br0'" in done.err
    assert "vanished meanwhile" in done.err
    assert lab.links() == {}


def test_another_bridge_of_that_name_is_not_taken_for_it(lab: Lab) -> None:
    with at_the_tun_node("attach", "vm1") as slow:
        lab.sh("ip link del br0; ip link add br0 type bridge; ip link set br0 up")
        assert slow.wait().status == 4
    assert set(lab.links()) == {"br0"}


def test_a_tap_that_is_opened_just_before_detach_stays(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    with _slow(["openat", "-P", "/dev/net/tun"], "detach", "vm1") as slow:
        until(lambda: bool(list(locks.FOLDER.iterdir())))
        time.sleep(0.2)
        with taps.held(name):
            done = slow.wait()
            assert done.status == 6
            assert "a process has it open" in done.err
            assert lab.link(name)["linkinfo"]["info_data"]["persist"] is True


def test_a_tap_that_was_exchanged_just_before_detach_stays(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    with _slow(["openat", "-P", "/dev/net/tun"], "detach", "vm1") as slow:
        until(lambda: bool(list(locks.FOLDER.iterdir())))
        time.sleep(0.2)
        lab.sh(f"ip link del {name}; ip tuntap add dev {name} mode tap vnet_hdr")
        before = lab.link(name)
        assert slow.wait().status in (0, 4)
    assert lab.link(name) == before


def test_a_lock_file_that_was_exchanged_while_it_was_opened_is_no_lock(lab: Lab) -> None:
    path = locks.path_of("vm=3Avm1")
    with _slow(["flock"], "attach", "vm1", "--wait", "0") as slow:
        until(path.exists)
        path.unlink()
        with locks.locked("vm=3Avm1") as pid:
            done = slow.wait()
    assert done.status == 6
    assert f"is locked by pid {pid} (sleep 1000)" in done.err
    assert set(lab.links()) == {"br0"}
