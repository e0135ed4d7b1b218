"""(e) What a hook adds to `virsh start` and `virsh destroy`, in libvirtds of the bench's own.

Guests stay paused at their first instruction, so that no boot is timed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from tests.bench.measure import Sample, Series, at_random, process
from tests.bench.show import Table, figure, progress
from tests.support.domains import bridge_nic, mac, metadata, tap_nic
from tests.support.libvirtd import Host
from vmnet.model.names import link_name

CONFIG = 'default = "lan"\n[network.lan]\nbridge = "br0"\n'
_NICS = (1, 8)
_NOOP = "exit 0"


@dataclass(frozen=True)
class _Case:
    """A domain on one of the hosts.

    Attributes:
        what: for the table.
        nics: how many it has.
        host: whose libvirtd starts it.
        name: the domain's name.
        tag: what vmnet makes of its TAPs (`ip link`); empty if nothing.
    """

    what: str
    nics: int
    host: Host
    name: str
    tag: str = ""


def measure(rounds: int) -> Table:
    """Time `virsh start --paused` and `virsh destroy`."""
    progress("e: three libvirtds")
    with _cases() as cases:
        for case in cases:
            _check(case)
        progress(f"e: virsh start and destroy of {len(cases)} domains, {rounds} rounds")
        found = at_random(rounds, [partial(_cycle, case) for case in cases])
        return _table(cases, found)


@contextmanager
def _cases() -> Iterator[list[_Case]]:
    with ExitStack() as stack:
        none, noop, ours = (stack.enter_context(Host(name)) for name in ("none", "noop", "vmnet"))
        for host in (none, noop, ours):
            host.bridge("br0")
            host.remove_hook("10-log")
        noop.put_hook("50-noop", _NOOP)
        ours.install_hook("--python", sys.executable)
        ours.config(CONFIG)
        cases = []
        for host in (none, noop, ours):
            host.restart_libvirtd()  # it looks for hooks when it starts
        for nics in _NICS:
            plain = [bridge_nic(mac(1, nic)) for nic in range(nics)]
            cases += [
                _define(none, "no hook", plain),
                _define(noop, "sh, exit 0", plain),
                _define(ours, "vmnet, not its domain", plain),
                _define(ours, "vmnet, libvirt's TAPs", plain, "own=managed"),
                _define(ours, "vmnet, its own TAPs", _made(nics), "life=domain"),
            ]
        yield cases


def _made(nics: int) -> list[str]:
    name = _name(nics, "life=domain")
    return [tap_nic(mac(1, nic), link_name(name, nic)) for nic in range(nics)]


def _name(nics: int, tag: str) -> str:
    return f"vm{nics}{tag[:3]}"


def _define(host: Host, what: str, interfaces: list[str], tag: str = "") -> _Case:
    nics = len(interfaces)
    wishes = metadata(*(f'mac="{mac(1, nic)}"' for nic in range(nics))) if tag else ""
    case = _Case(what, nics, host, _name(nics, tag), tag)
    host.define(host.domain(case.name, *interfaces, metadata=wishes))
    return case


def _virsh(case: _Case, *words: str) -> Sample:
    return process(case.host.argv("virsh", "-q", *words, case.name))


def _cycle(case: _Case) -> dict[str, Sample]:
    start = _virsh(case, "start", "--paused")
    return {_key(case, "start"): start, _key(case, "destroy"): _virsh(case, "destroy")}


def _key(case: _Case, verb: str) -> str:
    return f"{verb}, {case.nics}: {case.what}"


def _check(case: _Case) -> None:
    """Make sure that the hook does what it is timed for."""
    _virsh(case, "start", "--paused")
    aliases = [link.get("ifalias", "") for link in case.host.links().values()]
    tagged = [alias for alias in aliases if alias.startswith("vmnet/")]
    _virsh(case, "destroy")
    there = case.host.leftovers()
    right = len(tagged) == (case.nics if case.tag else 0)
    if there or not right or not all(case.tag in alias for alias in tagged):
        raise RuntimeError(f"{case.what}, {case.nics} NICs: tags {tagged}, left {there}")


def _table(cases: list[_Case], found: dict[str, Series]) -> Table:
    rows: list[tuple[str, ...]] = []
    for verb in ("start", "destroy"):
        for nics in _NICS:
            rows.append((f"{verb}, {nics} NIC{'s' if nics > 1 else ''}", "", "", "", ""))
            mine = [case for case in cases if case.nics == nics]
            first = found[_key(mine[0], verb)]
            for case in mine:
                series = found[_key(case, verb)]
                cells = (series.median, series.low, series.high)
                adds = "" if series is first else f"{series.beyond(first):+.1f}"
                rows.append((f"  {case.what}", *map(figure, cells), adds))
    return Table(
        title="(e) virsh start --paused and virsh destroy, three libvirtds side by side",
        command="./dev bench e",
        head=("milliseconds", "median", "min", "max", "adds"),
        rows=rows,
        notes=(
            "adds: beyond the libvirtd without a hook; median of the rounds' differences.",
            "A start calls the hook three times, a destroy twice; virsh itself is in all.",
        ),
        data={name: series.data() for name, series in found.items()},
    )
