"""(c) The same with 10, 100 and 1000 TAPs of vmnet's there: what grows, and with what."""

from __future__ import annotations

from contextlib import ExitStack

import vmnet
from tests.bench.measure import Sample, Series, Subject, call, process
from tests.bench.places import BRIDGE, Crowd, attach, home
from tests.bench.show import Table, figure, progress
from tests.support.lab import VENV_BIN

_SIZES = (10, 100, 1000)
_VMNET = str(VENV_BIN / "vmnet")


def measure(rounds: int) -> Table:
    """Time the commands and the calls in places of different size."""
    found: dict[str, dict[int, Series]] = {}
    with home(), ExitStack() as stack:
        crowds = {}
        for size in _SIZES:
            progress(f"c: attaching {size} VMs")
            crowds[size] = Crowd(stack, size)
        progress(f"c: attach, list, detach among them, {rounds} rounds")
        for number in range(rounds + 1):
            for name, subject in _subjects().items():
                for size, crowd in crowds.items():
                    crowd.enter()
                    sample = subject(number)
                    if number:  # the first round warms up
                        series = found.setdefault(name, {}).setdefault(size, Series())
                        series.samples.append(sample)
        progress("c: the kernel takes them away again")
    return _table(found)


def _subjects() -> dict[str, Subject]:
    """Return what is done, in this order: each detach takes away what the attach before it made."""
    return {
        "vmnet attach VM": lambda n: process([_VMNET, "attach", f"vm{n}", "--bridge", BRIDGE]),
        "vmnet list VM": lambda n: process([_VMNET, "list", f"vm{n}"]),
        "vmnet list": lambda _: process([_VMNET, "list"]),
        "ip -j -d link": lambda _: process(["ip", "-j", "-d", "link"]),
        "vmnet detach VM": lambda n: process([_VMNET, "detach", f"vm{n}"]),
        "attach(VM)": lambda n: call(lambda: attach(f"vm{n}")),
        "list_nics(VM)": lambda n: call(lambda: vmnet.list_nics(f"vm{n}")),
        "list_nics()": _list_all,
        "detach(VM)": lambda n: call(lambda: vmnet.detach(f"vm{n}")),
    }


def _list_all(_number: int) -> Sample:
    return call(vmnet.list_nics)


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def _table(found: dict[str, dict[int, Series]]) -> Table:
    first, *_, last = _SIZES
    rows = []
    for name, by_size in found.items():
        cells = [f"{_short(s.median)} ({_short(s.low)}-{_short(s.high)})" for s in by_size.values()]
        rows.append((name, *cells, figure(by_size[last].over(by_size[first]))))
    return Table(
        title="(c) with other TAPs of vmnet's there: commands (cold), then calls (warm)",
        command="./dev bench c",
        head=("ms (min-max)", *map(str, _SIZES), f"{last}/{first}"),
        rows=rows,
        notes=("`vmnet list` and list_nics() show all of them; the others ask for one VM.",),
        data={
            name: {
                **{str(size): series.data() for size, series in by_size.items()},
                f"{last}_over_{first}": round(by_size[last].over(by_size[first]), 3),
            }
            for name, by_size in found.items()
        },
    )
