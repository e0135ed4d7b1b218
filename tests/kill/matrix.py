"""The matrix itself: a command, a fault, and every k from 1 until a run finishes untouched.

Each run has a network and mount namespace of its own. What is seen before, after and, where a run
was killed, after the host was mended, is kept in a `Cell`; nothing is judged here.

How many calls there are is measured first, in a run without a fault. Of some 400 ioctls all but the
last few ask of a file that Python imports whether it is a terminal; the walk begins one before the
first that does not.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.kill.commands import TAP, Command, home, let_go, tap_name
from tests.kill.strace import NODES, Fault, Traced, traced
from tests.kill.workers import in_workers
from tests.support.lab import Done, Lab, own_namespaces

_ALL_CALLS = "ioctl,openat,sendto,sendmsg,recvfrom,socket,setsockopt,bind,mkdir,flock,write,clone3"
#: A k that no run comes to.
NEVER = 60000
_OF_THE_MOMENT = re.compile(r"(?<=gen=)[0-9a-f]{8}|(?<=idle=)\d+")
#: A bridge takes these over from its ports and keeps what the last of them left.
_OF_THE_PORTS = ("tso_", "gso_", "gro_")

#: What `ip -j -d link` says of every link, without what differs from run to run.
Shape = dict[str, Any]


@dataclass(frozen=True)
class Mended:
    """What came of mending a host after a kill.

    Attributes:
        done: the same command again, the one that takes away, and gc.
        again: the links after the first of these.
        links: the links after the last.
        files: what is left in /run.
    """

    done: list[Done]
    again: Shape
    links: Shape
    files: list[str]


@dataclass(frozen=True)
class Cell:
    """One run with the fault in the k-th call.

    Attributes:
        fault: what went wrong.
        k: in which call.
        run: what the command did.
        home: the links that vmnet has nothing to do with.
        before: the links before the run.
        after: the links after it.
        files: what is in /run after it and was not before.
        processes: those that are left in the namespace, beside the worker.
        mended: after a kill.
    """

    fault: Fault
    k: int
    run: Traced
    home: Shape
    before: Shape
    after: Shape
    files: list[str]
    processes: list[str]
    mended: Mended | None

    def __str__(self) -> str:
        """Return what a person needs to find the fault."""
        return f"k={self.k} {self.run.hits} status={self.run.status}\n{self.run.err}"

    @property
    def locks(self) -> list[str]:
        """The lock files that were not there before."""
        return [path for path in self.files if path.endswith(".lock")]


@dataclass(frozen=True)
class Series:
    """A fault in every call of its kind.

    Attributes:
        cells: those in which it happened, in order of k.
        end: the run that finished untouched.
    """

    cells: list[Cell]
    end: Cell


def faults(ioctl: str | None, openat: str | None, send: str | None) -> tuple[Fault, ...]:
    """Return the faults in the calls by which a host is changed; None leaves a kind out."""
    kinds = [
        Fault("ioctl", ioctl) if ioctl else None,
        Fault("openat", openat, NODES) if openat else None,
        Fault("sendto", send) if send else None,
        Fault("sendmsg", send) if send else None,
    ]
    return tuple(fault for fault in kinds if fault is not None)


@cache
def walk(command: Command, wanted: tuple[Fault, ...]) -> list[Series]:
    """Put each of these faults into every call of its kind that the command makes."""
    measured = measure(command)
    jobs = [(fault, k) for fault in wanted for k in _calls(fault, measured)]
    cells = in_workers(lambda job: run_cell(command, *job), jobs)
    return [
        _to_the_end(command, [cell for cell in cells if cell.fault == fault], measured)
        for fault in wanted
    ]


def _calls(fault: Fault, measured: Traced) -> list[int]:
    """Return which calls to go through: all, the last of them past the end.

    Of the `sendto` every sixth, and those at both ends: they are libnftables' questions, some 30
    for one listing; what it changes goes out in one `sendmsg`.
    """
    count = measured.count(fault)
    every = range(first_of(fault, measured), count + 2)
    if fault.call != "sendto":
        return list(every)
    return sorted({*every[:2], *every[::6], *every[-2:]})


def run_cells(command: Command, fault: Fault, ks: list[int]) -> list[Cell]:
    """Put a fault into each of these calls, each in a run of its own."""
    return in_workers(lambda k: run_cell(command, fault, k), ks)


def _to_the_end(command: Command, cells: list[Cell], measured: Traced) -> Series:
    """Go on until a run finishes untouched, should there be more calls than were counted.

    Looking for holders opens a file for every TAP that any process of the machine has open.
    """
    fault = cells[0].fault
    while cells[-1].run.touched:
        cells += run_cells(command, fault, [cells[-1].k + 1])
    for cell in cells:
        assert cell.run.touched or cell.run.count(fault) < cell.k, f"{fault} did not happen: {cell}"
    touched = [cell for cell in cells if cell.run.touched]
    assert touched or measured.count(fault) < first_of(fault, measured), f"{fault} never happened"
    return Series(touched, cells[-1])


def first_of(fault: Fault, measured: Traced) -> int:
    """Return the first k to go through."""
    return max(measured.first_own_ioctl() - 1, 1) if fault.call == "ioctl" else 1


@cache
def measure(command: Command) -> Traced:
    """Return the calls of a run in which nothing goes wrong."""
    (cell,) = run_cells(command, Fault(_ALL_CALLS, "error=EPERM"), [NEVER])
    assert cell.run.status == command.status, f"{command} without a fault: {cell.run}"
    return cell.run


def run_cell(command: Command, fault: Fault, k: int) -> Cell:
    """Run a command with the fault in its k-th call, in a place of its own."""
    with own_namespaces():
        lab = Lab()
        try:
            home(lab)
            at_home = shape(lab)
            command.prepare(lab)
            before, files_before = shape(lab), run_files()
            argv = [word.replace(TAP, tap_name()) for word in command.argv]
            run = traced(argv, fault.options(k))
            after, files, processes = shape(lab), run_files(), strangers()
            killed = fault.what == "signal=KILL" and run.touched
            mended = _mend(lab, command) if killed else None
        finally:
            let_go()
    new = [path for path in files if path not in files_before]
    return Cell(fault, k, run, at_home, before, after, new, processes, mended)


def _mend(lab: Lab, command: Command) -> Mended:
    done = [(command.instead or command.same)(lab)]
    again = shape(lab)
    done += [command.away(lab), lab.vmnet("gc", status=None)]
    return Mended(done, again, shape(lab), run_files())


def shape(lab: Lab) -> Shape:
    """Return all links, without what differs between two hosts on which the same was done."""
    links = lab.state()
    for name, full in lab.links().items():
        links[name]["up"] = "UP" in full["flags"]
        links[name]["ifalias"] = _OF_THE_MOMENT.sub("*", full.get("ifalias", ""))
        for key in [key for key in full if key.startswith(_OF_THE_PORTS)]:
            del links[name][key]
    told: Shape = json.loads(json.dumps(links).replace(tap_name(), TAP))
    return told


def run_files() -> list[str]:
    """Return what is in this namespace's /run."""
    return sorted(str(path) for path in Path("/run").rglob("*"))


def strangers() -> list[str]:
    """Return the processes in this network namespace beside this one."""
    here = os.stat("/proc/self/ns/net").st_ino
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.name != str(os.getpid()) and (folder / "ns/net").stat().st_ino == here:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended while being looked at
    return found
