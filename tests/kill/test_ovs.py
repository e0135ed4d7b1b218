"""NICs on bridges of Open vSwitch: commands killed at each call to the kernel or the database."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kill.switches import ALL, Cell, Command, State, jobs, run_cell, undisturbed
from tests.kill.workers import in_workers
from tests.netns.commands import start, until
from tests.netns.frames import ARP, arp, ether, mac
from tests.netns.wire import end
from tests.support.lab import Lab
from tests.support.ovs import Switch, switch

pytestmark = pytest.mark.long

_HOST_IP, _GUEST_IP = "10.0.0.1", "10.0.0.2"


@pytest.mark.parametrize("command", ALL, ids=str)
def test_after_a_kill_anywhere_nothing_stays_at_the_switch(command: Command) -> None:
    wanted = jobs(command)
    cells = in_workers(lambda job: run_cell(command, *job), wanted)
    # How often the database is asked whether the daemon is ready differs from run to run.
    assert sum(cell.run.touched for cell in cells) > len(wanted) * 8 // 10
    for (fault, k), cell in zip(wanted, cells, strict=True):
        assert cell.run.touched or _calls(cell, fault.call) < k, f"{fault} {k} {cell}"
        assert "Traceback" not in cell.run.err
        _check_same(cell.again[1], undisturbed(command).again[1], cell)
        for done in (cell.again[0], *cell.away):
            assert done.status == 0, f"{done} {cell}"
            assert "Traceback" not in done.err
        _check_same(cell.left, cell.home, cell)
        assert cell.files == [], f"{cell.files} {cell}"


def _calls(cell: Cell, call: str) -> int:
    return sum(line.startswith(f"{call}(") for line in cell.run.log.splitlines())


def _check_same(found: State, wanted: State, cell: Cell) -> None:
    differ = {key: (found[key], wanted[key]) for key in wanted if found[key] != wanted[key]}
    assert not differ, f"{differ}\n{cell}"


def test_a_port_that_went_a_moment_ago_is_news_to_the_daemon_before_it_comes_again(
    lab: Lab,
) -> None:
    """Killed when the port of a TAP that is gone was taken away, and the daemon is busy."""
    words = ("attach", "vm1", "--bridge", "ovs0", "--json")
    with switch() as ovs:
        ovs.bridge("ovs0")
        lab.sh(f"ip address add {_HOST_IP}/24 dev ovs0")
        done = lab.vmnet(*words).json
        assert _answers(lab, done["tap"], done["mac"])
        lab.sh(f"ip link del {done['tap']}")
        with _stopped(ovs):
            pid = lab.start(*words)
            until(lambda: ovs.ports("ovs0") == [])
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            again = start(*words)
            time.sleep(0.5)  # for the TAP; it is not to come yet
        assert again.wait().status == 0
        assert _answers(lab, done["tap"], done["mac"])


@contextmanager
def _stopped(ovs: Switch) -> Iterator[None]:
    assert ovs.daemon is not None
    ovs.daemon.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        ovs.daemon.send_signal(signal.SIGCONT)


def _answers(lab: Lab, tap: str, guest: str) -> bool:
    """Say whether the bridge's own link answers who asks through the TAP for its address."""
    ask = ether(guest, ARP, arp(guest, _GUEST_IP, _HOST_IP))
    its = mac(lab.link("ovs0")["address"])
    with end(tap) as near:
        for _ in range(20):
            near.send(ask)
            time.sleep(0.05)
            # The TAP's host side may answer too: its kernel has that address.
            if any(frame[6:12] == its for frame in near.arrived() if frame[12:14] == b"\x08\x06"):
                return True
    return False
