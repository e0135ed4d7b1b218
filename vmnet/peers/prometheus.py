"""Prometheus: what went through NICs, in the text that it scrapes.

Job: names, labels and types of the metrics; the text is the library's, which escapes what VMs are
called. The one file with prometheus_client.
Leaves to others: looking (`vmnet.service.traffic`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from vmnet.errors import Unsupported
from vmnet.model.traffic import Counters, Reading
from vmnet.peers.extras import how_to_bring

_NIC = ("vm", "nic", "tap")
_COUNTERS: dict[str, tuple[str, Callable[[Counters], int]]] = {
    "receive_bytes": ("Bytes that the guest was sent.", lambda c: c.bytes_to_guest),
    "transmit_bytes": ("Bytes that the guest sent.", lambda c: c.bytes_from_guest),
    "receive_packets": ("Packets that the guest was sent.", lambda c: c.to_guest),
    "transmit_packets": ("Packets that the guest sent.", lambda c: c.from_guest),
    "receive_dropped": ("Packets for the guest that were lost.", lambda c: c.dropped_to_guest),
    "transmit_dropped": ("Packets of the guest that were lost.", lambda c: c.dropped_from_guest),
}


def metrics(readings: Sequence[Reading]) -> str:
    """Return the text; receive and transmit are the guest's.

    Raises:
        Unsupported: the library is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        from prometheus_client.registry import Collector  # noqa: PLC0415
    except ImportError as error:
        raise Unsupported(
            "the text is made by the library `prometheus_client`, which is not installed",
            code="no-prometheus",
            remedy=how_to_bring("prometheus-client", "python3-prometheus-client"),
        ) from error

    class Seen(Collector):
        def collect(self) -> Iterable[Any]:
            return _families(readings)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Seen())
    return generate_latest(registry).decode("utf-8")


def _families(readings: Sequence[Reading]) -> Iterator[Any]:
    from prometheus_client import core  # noqa: PLC0415 - only with the library

    for name, (text, value) in _COUNTERS.items():
        family = core.CounterMetricFamily(f"vmnet_nic_{name}", text, labels=_NIC)
        for each in readings:
            family.add_metric(_labels(each), value(each.counters))
        yield family
    queues = core.GaugeMetricFamily(
        "vmnet_nic_queues",
        "Queues that a process has open, or the guest uses.",
        labels=(*_NIC, "state"),
    )
    path = core.GaugeMetricFamily(
        "vmnet_nic_data_path", "Who moves its packets; always 1.", labels=(*_NIC, "path")
    )
    for each in readings:
        queues.add_metric((*_labels(each), "open"), each.open_queues)
        queues.add_metric((*_labels(each), "used"), each.used_queues)
        path.add_metric((*_labels(each), each.path.value if each.path is not None else "none"), 1)
    yield from (queues, path)
    yield from _workers(readings)


def _workers(readings: Sequence[Reading]) -> Iterator[Any]:
    """Yield the work of vhost workers, which serve all NICs of a VM."""
    from prometheus_client import core  # noqa: PLC0415 - only with the library

    cpu = core.CounterMetricFamily(
        "vmnet_vhost_worker_cpu_seconds", "Time that a VM's vhost workers ran.", labels=("vm",)
    )
    runs = core.CounterMetricFamily(
        "vmnet_vhost_worker_runs", "How often they were given a processor.", labels=("vm",)
    )
    for vm, each in {each.vm: each for each in reversed(readings)}.items():
        cpu.add_metric((_text(vm),), each.run.cpu_seconds)
        runs.add_metric((_text(vm),), each.run.times)
    yield from (cpu, runs)


def _labels(each: Reading) -> tuple[str, str, str]:
    return _text(each.vm), str(each.nic), each.tap


def _text(name: str) -> str:
    """Return a name with an escape for what UTF-8 has not got."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
