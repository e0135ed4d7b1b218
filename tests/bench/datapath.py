"""(d) Who is woken for a packet: vhost-net, userspace virtio and e1000, in the test host."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from tests.bench.inside import KINDS, MARK
from tests.bench.show import Table, figure, progress
from tests.support.lab import REPO

_SECONDS = 900
_COUNTS = {
    "qemu_switches": "QEMU's threads, switches",
    "main_loop_switches": "its main loop, switches",
    "worker_switches": "vhost worker, switches",
    "all_switches": "QEMU and worker together, switches",
    "qemu_cpu_ms": "QEMU's threads, CPU ms",
    "worker_cpu_ms": "vhost worker, CPU ms",
}
_FIRST = next(iter(KINDS))


def measure(rounds: int, pings: int) -> Table:
    """Boot the test host, measure in it, and return what it found."""
    progress(f"d: booting the test host for {rounds} rounds of {pings} pings; some minutes")
    argv = ["tests/lab/testhost.sh", sys.executable, "tests/bench/bench.py", "--inside"]
    argv += ["--rounds", str(rounds), "--pings", str(pings)]
    env = {"VMNET_TESTHOST_TIMEOUT": str(_SECONDS), **os.environ}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env, cwd=REPO) as host:
        assert host.stdout is not None
        found = None
        for line in host.stdout:
            if line.startswith(MARK):
                found = json.loads(line.removeprefix(MARK))
            else:
                sys.stderr.write(line)
    if found is None:
        raise RuntimeError(f"the test host ended ({host.returncode}) before it had measured")
    return _table(found)


def _table(found: dict[str, Any]) -> Table:
    data = {
        "idle_per_second": found["idle"],
        "rounds": found["rounds"],
        "per_1000_packets": {
            name: [_per_1000(figures, found["idle"]) for figures in rounds]
            for name, rounds in found["rounds"].items()
        },
    }
    rows: list[tuple[str, ...]] = []
    for count, title in {**_COUNTS, "round_trip_ms": "a ping's round trip, ms"}.items():
        rows += _rows(title, {name: [r[count] for r in rs] for name, rs in _by_kind(data)})
    idle = found["idle"]["qemu_switches"]
    return Table(
        title="(d) the data path, per 1000 packets, one guest with a NIC of each kind",
        command="./dev bench --datapath",
        head=("per 1000 packets", "median", "min", "max", f"it/{_FIRST}"),
        rows=rows,
        notes=(
            f"Taken off: what the guest does unasked ({figure(idle)} switches of QEMU's a s).",
            "The test host is emulated: trust counts and ratios, not milliseconds.",
        ),
        data=data,
    )


def _by_kind(data: dict[str, Any]) -> list[tuple[str, list[dict[str, float]]]]:
    return list(data["per_1000_packets"].items())


def _per_1000(figures: dict[str, float], idle: dict[str, float]) -> dict[str, float]:
    """Return a round's figures for 1000 packets, without what goes on anyway."""
    scale = 1000 / figures["packets"]
    own = {
        count: max(figures[count] - much * figures["seconds"], 0) * scale
        for count, much in idle.items()
    }
    own["all_switches"] = own["qemu_switches"] + own["worker_switches"]
    return {**own, "round_trip_ms": figures["round_trip_ms"]}


def _rows(title: str, rounds: dict[str, list[float]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [(title, "", "", "", "")]
    for name, values in rounds.items():
        first = rounds[_FIRST]
        # Less than one in 1000 packets is none, and has no ratio.
        some = name != _FIRST and min(statistics.median(values), *first) > 1
        pairs = [mine / its for mine, its in zip(values, first, strict=True)] if some else []
        ratio = figure(statistics.median(pairs)) if some else ""
        cells = (statistics.median(values), min(values), max(values))
        rows.append((f"  {name}", *map(figure, cells), ratio))
    return rows
