"""`vmnet up`, killed at each call by which it changes the host: the next one ends the work.

A bridge, an uplink with the host's own network, and a VM's NIC.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.kill.matrix import NEVER, run_files, strangers
from tests.kill.strace import INSTALLED, NODES, Fault, Traced, traced
from tests.kill.uplinks import around_changes, network, put_home
from tests.kill.workers import in_workers
from tests.netns.commands import until
from tests.netns.seen import seen
from tests.support.lab import Done, Lab, own_namespaces

_CONFIG = """
default = "lan"
[bridge.br0]
uplinks = ["eth1"]
[network.lan]
bridge = "br0"
[[vm.web]]
"""
_KILL = "signal=KILL"
#: Of libnftables' process, which makes all of the `sendto`; 30 of them in one listing.
_OF_NFT = (1, 6, 20)

State = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A run of `up` that was killed.

    Attributes:
        run: what it did.
        home: the host's network before it.
        after: that after the kill, when nothing of the run lived any more.
        again: what the next `up` did, and the host then.
        files: what is left in /run after that.
    """

    run: Traced
    home: State
    after: State
    again: tuple[Done, State]
    files: list[str]

    def __str__(self) -> str:
        """Return what a person needs to find the fault."""
        return f"{self.run.hits} status={self.run.status}\n{self.run.err}\n{self.again[0]}"


@contextmanager
def _config() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vmnet.toml")
        path.write_text(_CONFIG)
        yield str(path)


def _state(lab: Lab) -> State:
    """Return all of the host, without the numbers of links that were made."""
    links = seen(lab)
    for name, link in links.items():
        link.pop("ifindex", None)
        if name in ("eth1", "gw"):  # what the bridge learns behind it comes and goes
            link.pop("entries")
    return {"links": links, "network": network(lab)}


def _cell(job: tuple[Fault, int]) -> Cell:
    fault, k = job
    with own_namespaces(), _config() as config:
        lab = Lab()
        put_home(lab)
        home = network(lab)
        up = ("--config", config, "up", "--json")
        # Followed into libnftables' process only where that is to be killed.
        run = traced([INSTALLED, *up], fault.options(k), forks=fault.call == "sendto")
        until(lambda: strangers() == [])
        after = network(lab)
        done = lab.vmnet(*up, status=None)
        lab.vmnet("gc")  # entries of a TAP that is gone match nothing, and are gc's
        again = _state(lab)
        return Cell(run, home, after, (done, again), run_files())


@cache
def _undisturbed(call: str, *paths: str) -> Cell:
    """Return a run in which nothing is killed."""
    (cell,) = in_workers(_cell, [(Fault(call, _KILL, paths), NEVER)])
    assert not cell.run.touched
    assert cell.run.status == 0, str(cell)
    return cell


def _jobs() -> list[tuple[Fault, int]]:
    send = Fault("sendmsg", _KILL)
    jobs = [(send, k) for k in around_changes(_undisturbed("sendmsg").run.log)]
    own = _undisturbed("ioctl").run.first_own_ioctl()
    jobs += [(Fault("ioctl", _KILL), k) for k in range(own, _calls("ioctl") + 1)]
    jobs += [(Fault("openat", _KILL, NODES), k) for k in range(1, _calls("openat", *NODES) + 1)]
    for call in ("mkdir", "flock", "unlink"):
        jobs += [(Fault(call, _KILL), k) for k in range(1, _calls(call) + 1)]
    return [*jobs, *((Fault("sendto", _KILL), k) for k in _OF_NFT)]


def _calls(call: str, *paths: str) -> int:
    run = _undisturbed(call, *paths).run
    return sum(line.startswith(f"{call}(") for line in run.log.splitlines())


@pytest.mark.long
def test_after_a_kill_anywhere_up_again_is_as_one_that_nobody_disturbed() -> None:
    done, made = _undisturbed("sendmsg").again
    assert [part["steps"] for part in done.json["parts"]] == [[]] * 3
    jobs = _jobs()
    cells = in_workers(_cell, jobs)
    # The last of each call may not be made in a run; those that are not are looked at below.
    assert sum(cell.run.touched for cell in cells) > max(30, len(jobs) * 9 // 10)
    for (fault, k), cell in zip(jobs, cells, strict=True):
        # A run may make a call less than the one that was counted: how long addresses take to be
        # proved, and what the machine's other processes have open, differs.
        assert cell.run.touched or cell.run.count(fault) < k, f"{fault} {k} {cell}"
        _keeps_its_network(cell, made["network"])
        done, state = cell.again
        assert done.status == 0, str(cell)
        assert state == made, str(cell)
        assert cell.files == [], f"{cell.files} {cell}"


def _keeps_its_network(cell: Cell, made: State) -> None:
    """The host's addresses and routes are as before, or as they are to be."""
    for family in ("-4", "-6"):
        assert cell.after[family] in (cell.home[family], made[family]), str(cell)
    ways = [
        {str(at.get(name, ("", "", []))[2]) for name in ("eth1", "br0")}
        for at in (cell.after, cell.home, made)
    ]
    assert ways[0] in ways[1:], str(cell)
