"""Answers of `vmnet top`: rows for a table, and JSON with a schema of its own.

Job: from rates to words; one look without a screen.
Leaves to others: the screen (`vmnet.entry.screen`), writing (`vmnet.entry.report`).
Privilege: none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from vmnet.entry import report
from vmnet.model.traffic import SCHEMA, Flow
from vmnet.service.traffic import traffic

HEAD = ("VM", "NIC", "PATH", "IN", "OUT", "PKT IN", "PKT OUT", "LOST", "Q", "CPU%", "RUNS")
#: Under the table: whose side it is, and whose work.
LEGEND = "per second, from the guest's side; CPU%, RUNS: vhost workers of all its NICs"
_SORTS: dict[str, Callable[[Flow], float]] = {
    "in": lambda flow: flow.bits_to_guest,
    "out": lambda flow: flow.bits_from_guest,
    "drops": lambda flow: flow.dropped,
    "cpu": lambda flow: flow.worker_cpu,
    "runs": lambda flow: flow.worker_runs,
}
_UNITS = ("", "k", "M", "G", "T")


def once(vm: str | None, seconds: float, sort: str, *, as_json: bool) -> None:
    """Look twice, that many seconds apart, and answer."""
    with traffic(vm) as looks:
        looks.flows()
        began = time.monotonic()
        time.sleep(seconds)
        flows = ordered(looks.flows(), sort)
        spent = time.monotonic() - began
    if as_json:
        nics = [_data(flow) for flow in flows]
        report.answer_json({"schema": SCHEMA, "seconds": round(spent, 3), "nics": nics})
        return
    report.table(HEAD, map(cells, flows))
    report.note(LEGEND)


def ordered(flows: Iterable[Flow], sort: str, wanted: str = "") -> list[Flow]:
    """Return the rates in an order, those of VMs whose names have a text in them."""
    found = [flow for flow in flows if wanted in flow.now.vm]
    key = _SORTS.get(sort)
    return found if key is None else sorted(found, key=key, reverse=True)


def cells(flow: Flow) -> Sequence[str]:
    """Return a row of `HEAD`."""
    now = flow.now
    return (
        now.vm,
        str(now.nic),
        now.path.value if now.path is not None else "-",
        short(flow.bits_to_guest),
        short(flow.bits_from_guest),
        short(flow.to_guest),
        short(flow.from_guest),
        short(flow.dropped),
        f"{now.used_queues}/{now.open_queues}",
        f"{100 * flow.worker_cpu:.0f}",
        short(flow.worker_runs),
    )


def short(value: float) -> str:
    """Return a number in at most five characters: 0, 950, 1.2k, 34M."""
    power = 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value /= 1000
        power += 1
    digits = 1 if power and value < 9.95 else 0
    return f"{value:.{digits}f}{_UNITS[power]}"


def _data(flow: Flow) -> dict[str, Any]:
    now = flow.now
    rates = {key: round(value, 3) for key, value in asdict(flow).items() if key != "now"}
    return {
        "vm": now.vm,
        "nic": now.nic,
        "tap": now.tap,
        "path": now.path.value if now.path is not None else None,
        "queues": {"open": now.open_queues, "used": now.used_queues},
        "per_second": rates,
        "total": asdict(now.counters),
    }
