"""(b) Attach and detach in a process that is running, beside C that asks the same of the kernel."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pyroute2 import IPRoute

import vmnet
from tests.bench.measure import Sample, Series, Subject, call, in_turn
from tests.bench.places import BRIDGE, attach, check_same, place, plan, state
from tests.bench.show import TIMES, Table, figure, progress, times
from tests.support.lab import REPO, Lab, checked
from vmnet.model.step import AddAltname, CreateTap, Ref, SetAlias, SetMac, SetMtu, SetOwner
from vmnet.service.base import opened

_SOURCE = Path(__file__).with_name("attach.c")
_PROGRAM = REPO / ".cache" / "bench" / "attach"
_LOCKS = ("/run/vmnet/bench-vm.lock", "/run/vmnet/bench-bridge.lock")
_PAIRS = (
    ("vmnet.attach", "attach.c, attach"),
    ("vmnet.detach", "attach.c, detach"),
    ("one change, vmnet's socket", "the same, pyroute2.IPRoute"),
)


class Partner:
    """The C program, running, and told what to do line by line."""

    def __init__(self, to: IO[str], back: IO[str]) -> None:
        """Talk through these pipes."""
        self._to = to
        self._back = back
        self._taps: dict[str, tuple[str, str]] = {}

    def attach(self, vm: str) -> Sample:
        """Attach with the very names, addresses and tags that vmnet would give."""
        steps = [move.do for move in plan(vm, guard=False).plan.moves]
        (tap,) = (step.name for step in steps if isinstance(step, CreateTap))
        (owner,) = (step.uid for step in steps if isinstance(step, SetOwner))
        (mtu,) = (step.mtu for step in steps if isinstance(step, SetMtu))
        (mac,) = (step.mac for step in steps if isinstance(step, SetMac))
        alt, mac_alt = (step.altname for step in steps if isinstance(step, AddAltname))
        building, tag = (step.alias for step in steps if isinstance(step, SetAlias))
        self._taps[vm] = (tap, tag.split()[1])
        words = (tap, BRIDGE, str(owner), str(mtu), mac, alt, mac_alt, building, tag)
        return self._ask("attach", *_LOCKS, *words)

    def detach(self, vm: str) -> Sample:
        """Detach what `attach` made."""
        tap, needle = self._taps.pop(vm)
        return self._ask("detach", _LOCKS[0], tap, f"{needle} ")

    def _ask(self, *words: str) -> Sample:
        self._to.write("\t".join(words) + "\n")
        self._to.flush()
        answer = self._back.readline().split()
        if len(answer) != 2:
            raise RuntimeError(f"attach.c gave up on {words}")
        wall, cpu = (int(word) / 1e6 for word in answer)
        return Sample(wall, cpu)


@contextmanager
def _partner() -> Iterator[Partner]:
    """Compile the C program where need be, and run it in this place."""
    if shutil.which("gcc") is None:
        sys.exit(
            "bench: b compiles attach.c: apt-get install --no-install-recommends gcc libc6-dev"
        )
    _PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    if not _PROGRAM.exists() or _PROGRAM.stat().st_mtime < _SOURCE.stat().st_mtime:
        checked(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(_PROGRAM), str(_SOURCE)])
    Path(_LOCKS[0]).parent.mkdir(mode=0o700, exist_ok=True)
    with subprocess.Popen(
        [str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Partner(process.stdin, process.stdout)
        process.stdin.close()


def measure(rounds: int) -> Table:
    """Time the calls."""
    progress(f"b: attach and detach in a running process, {rounds} rounds")
    with place() as lab, _partner() as partner, opened() as netlink, IPRoute() as iproute:
        _check(lab, partner)
        bridge = Ref(BRIDGE, socket.if_nametoindex(BRIDGE))
        subjects: dict[str, Subject] = {
            "vmnet.attach": lambda number: call(lambda: attach(f"vm{number}", guard=False)),
            "vmnet.detach": lambda number: call(lambda: vmnet.detach(f"vm{number}")),
            "attach.c, attach": lambda number: partner.attach(f"vm{number}"),
            "attach.c, detach": lambda number: partner.detach(f"vm{number}"),
            "one change, vmnet's socket": lambda _: call(
                lambda: netlink.send([SetMtu(bridge, 1500)], lambda ref: ref.index)
            ),
            "the same, pyroute2.IPRoute": lambda _: call(
                lambda: iproute.link("set", index=bridge.index, mtu=1500)
            ),
        }
        found = in_turn(rounds, subjects)
    return _table(found)


def _check(lab: Lab, partner: Partner) -> None:
    """Make sure that both lead to the same state."""
    tap = attach("vm1", guard=False).tap
    ways = {"vmnet.attach": state(lab, tap)}
    vmnet.detach("vm1")
    partner.attach("vm1")
    ways["attach.c"] = state(lab, tap)
    partner.detach("vm1")
    check_same(ways)


def _table(found: dict[str, Series]) -> Table:
    rows = []
    data = {}
    for ours, theirs in _PAIRS:
        ratio = found[ours].over(found[theirs])
        rows += [(*times(ours, found[ours]), figure(ratio)), (*times(theirs, found[theirs]), "")]
        data[ours] = {
            "first": found[ours].data(),
            "second": found[theirs].data(),
            "first_over_second": round(ratio, 3),
        }
    return Table(
        title="(b) attach --no-guard and detach in a running process, and the same calls in C",
        command="./dev bench b",
        head=(*TIMES, "1st/2nd"),
        rows=rows,
        notes=(
            "1st/2nd: how many times as long as the second of a pair its first takes.",
            "attach.c: same locks, looks, ioctls and rtnetlink batches, and the same state",
            "afterwards (checked with ip -j -d); names, addresses and tags come ready.",
        ),
        data=data,
    )
