"""(h) Many TAPs removed: one after the other, beside each other, and as one group of links."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial

import vmnet
from tests.bench.measure import Sample, Series, call
from tests.bench.places import BRIDGE, place
from tests.bench.show import Table, figure, progress
from tests.facts import links, tun
from tests.support.lab import Lab
from vmnet.kernel import closing
from vmnet.kernel.closing import Closing

_SIZES = (4, 16, 100, 500)
#: As a group's number; iproute2 6.1 takes none from 1 << 31 on.
_GROUP = 0x7ABC1234
_IFLA_GROUP = 27


def measure(rounds: int) -> Table:
    """Time each way with each number of TAPs, in places of their own."""
    found: dict[str, dict[int, Series]] = {}
    for number in range(rounds):
        progress(f"h: round {number + 1} of {rounds}")
        for name, (make, remove) in _ways().items():
            for size in _SIZES:
                series = found.setdefault(name, {}).setdefault(size, Series())
                series.samples.append(_sample(size, make, remove))
    return _table(found)


_Make = Callable[[int], None]
_Remove = Callable[[int], object]


def _ways() -> dict[str, tuple[_Make, _Remove]]:
    return {
        "bare: closed one by one": (_bare, _one_by_one),
        "bare: closed beside each other": (_bare, _together),
        "bare: a group of links": (_bare, _group),
        "gc, one by one": (_attached, partial(_gc, 1)),
        "gc": (_attached, partial(_gc, closing.AT_ONCE)),
        "detach of each VM": (_attached, _detach),
    }


def _sample(size: int, make: _Make, remove: _Remove) -> Sample:
    with place() as lab:
        make(size)
        sample = call(lambda: remove(size))
        _check_empty(lab)
    return sample


def _check_empty(lab: Lab) -> None:
    left = set(lab.links()) - {BRIDGE}
    if left:
        raise RuntimeError(f"not removed: {sorted(left)}")


def _bare(size: int) -> None:
    """Make ports as plain as can be: no tag, no filter."""
    bridge = links.attr(links.IFLA_MASTER, links.index(BRIDGE))
    for name in _names(size):
        tun.keep(name)
        links.send([links.set_link(name, bridge, up=True)])


def _names(size: int) -> list[str]:
    return [f"t{number}" for number in range(size)]


def _attached(size: int) -> None:
    for number in range(size):
        vmnet.attach(vmnet.Wish(vm=f"vm{number}", bridge=BRIDGE))


def _one_by_one(size: int) -> None:
    for name in _names(size):
        tun.delete(name)


def _together(size: int) -> None:
    with Closing() as going:
        for name in _names(size):
            fd = tun.open_tun()
            tun.set_iff(fd, name, tun.TAP)
            tun.persist(fd, on=False)
            going.add([fd])


def _group(size: int) -> None:
    for name in _names(size):
        links.send([links.set_link(name, links.attr(_IFLA_GROUP, _GROUP))])
    subprocess.run(["ip", "link", "delete", "group", str(_GROUP)], check=True)


def _gc(at_once: int, _size: int) -> None:
    usual, closing.AT_ONCE = closing.AT_ONCE, at_once
    try:
        vmnet.collect(idle=0)
    finally:
        closing.AT_ONCE = usual


def _detach(size: int) -> None:
    for number in range(size):
        vmnet.detach(f"vm{number}")


def _table(found: dict[str, dict[int, Series]]) -> Table:
    return Table(
        title="(h) so many TAPs of a bridge removed, in a running process",
        command="./dev bench h",
        head=("milliseconds", *map(str, _SIZES), "one of the last"),
        rows=[
            (
                name,
                *(figure(series.median) for series in by_size.values()),
                figure(by_size[_SIZES[-1]].median / _SIZES[-1]),
            )
            for name, by_size in found.items()
        ],
        notes=(
            "bare: ports without tag and filter, and nothing of vmnet's but the closing.",
            "vmnet does not delete groups: whatever is in one at that moment goes.",
        ),
        data={
            name: {str(size): series.data() for size, series in by_size.items()}
            for name, by_size in found.items()
        },
    )
