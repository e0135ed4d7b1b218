"""(a) The whole command, from exec to exit, beside what it could be measured by."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import vmnet
from tests.bench.measure import Sample, Series, Subject, in_turn, process
from tests.bench.places import BRIDGE, check_same, place, plan, state
from tests.bench.show import TIMES, Table, against, progress
from tests.support.lab import VENV_BIN, Lab

_VMNET = str(VENV_BIN / "vmnet")
_FIRST = "vmnet attach"
_TYPER = "import typer; typer.run(lambda: None)"


def measure(rounds: int) -> Table:
    """Time the command."""
    progress(f"a: the whole command, {rounds} rounds")
    with place() as lab, tempfile.TemporaryDirectory() as folder:
        _check(lab, Path(folder))
        found = in_turn(rounds, _subjects(lab, Path(folder)))
    return _table(found)


def _subjects(lab: Lab, folder: Path) -> dict[str, Subject]:
    bare, python = str(Path(sys.executable).resolve()), sys.executable
    others = {
        "vmnet --version (no rtnetlink)": [_VMNET, "--version"],
        "python3 -IS -c pass": [bare, "-IS", "-c", "pass"],
        ".venv/bin/python -c pass": [python, "-c", "pass"],
        "python, a command of typer's": [python, "-c", _TYPER],
        "python -c 'import pyroute2'": [python, "-c", "import pyroute2"],
    }
    return {
        **{name: _making(way) for name, way in _ways(lab, folder).items()},
        **{name: _running(argv) for name, argv in others.items()},
    }


def _ways(lab: Lab, folder: Path) -> dict[str, Callable[[str], list[str]]]:
    """Return the command lines that attach a VM."""
    return {
        _FIRST: lambda vm: [_VMNET, "attach", vm, "--bridge", BRIDGE],
        "sh script of the same lines": lambda vm: ["sh", _script(lab, folder, vm)],
    }


def _running(argv: list[str]) -> Subject:
    return lambda _: process(argv)


def _making(argv_for: Callable[[str], list[str]]) -> Subject:
    """Return a subject that makes a new TAP each time; taking it away is not timed."""

    def run(number: int) -> Sample:
        vm = f"vm{number}"
        argv = argv_for(vm)
        sample = process(argv)
        vmnet.detach(vm)
        return sample

    return run


def _script(lab: Lab, folder: Path, vm: str) -> str:
    """Write what `vmnet plan` prints into a file, and return its path."""
    lines = lab.vmnet("plan", vm, "--bridge", BRIDGE).out.splitlines()
    path = folder / "script"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def _check(lab: Lab, folder: Path) -> None:
    """Make sure that all ways lead to the same state."""
    ways = {}
    tap = plan("vm1").tap
    for name, way in _ways(lab, folder).items():
        process(way("vm1"))
        ways[name] = state(lab, tap)
        vmnet.detach("vm1")
    check_same(ways)


def _table(found: dict[str, Series]) -> Table:
    first = found[_FIRST]
    return Table(
        title="(a) vmnet attach, the whole process, a new TAP each time",
        command="./dev bench a",
        head=(*TIMES, "vmnet/it"),
        rows=against(found, _FIRST),
        notes=(
            "vmnet/it: how many times as long vmnet attach takes.",
            "The first two reach the same state (checked with ip -j -d).",
        ),
        data={
            name: {**series.data(), "vmnet_over_it": round(first.over(series), 3)}
            for name, series in found.items()
        },
    )
