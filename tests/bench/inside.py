"""(d), the part that runs in the test host: one guest with a NIC of each kind, pinged in turn.

What is counted comes from /proc: how often QEMU's threads and the vhost worker were switched away
from, and how long they ran.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import vmnet
from tests.bench.show import progress
from tests.support.guest import guest_argv, pings, started
from tests.support.lab import checked, own_namespaces

#: What its line of output begins with.
MARK = "bench-datapath: "
#: The kinds of NIC, each with the policy and the model that attach is asked for.
KINDS = {
    "vhost-net": (vmnet.Policy.REQUIRE, "virtio-net-pci"),
    "userspace virtio": (vmnet.Policy.OFF, "virtio-net-pci"),
    "e1000": (vmnet.Policy.OFF, "e1000"),
}
_IDLE_SECONDS = 5.0

#: Figures by name.
Figures = dict[str, float]


def measure(rounds: int, count: int) -> None:
    """Boot the guest, ping its NICs in turn, and print what was counted as a line of JSON."""
    found: dict[str, list[Figures]] = {name: [] for name in KINDS}
    with own_namespaces(), _guest() as pid:
        for number in range(len(KINDS)):
            if not pings(_address(number, 11)):
                raise RuntimeError(f"NIC {number} of the guest does not answer")
        idle = _idle(pid)
        for number in range(rounds):
            for place, name in enumerate(KINDS):
                found[name].append(_round(pid, _address(place, 11), count))
                progress(f"d: round {number + 1}, {name}: {found[name][-1]}")
    sys.stdout.write(f"{MARK}{json.dumps({'idle': idle, 'rounds': found})}\n")


@contextmanager
def _guest() -> Iterator[int]:
    """Run the guest; its pid."""
    words = []
    for number, (policy, model) in enumerate(KINDS.values()):
        bridge = f"br{number}"
        vmnet.create_bridge(bridge)
        checked(["ip", "address", "add", f"{_address(number, 1)}/24", "dev", bridge])
        wish = vmnet.Wish(vm="vm1", nic=number, bridge=bridge, vhost=policy, model=model)
        args = vmnet.attach(wish).args
        assert args is not None
        words += args.words()
    addresses = [_address(number, 11) for number in range(len(KINDS))]
    progress("d: booting the guest in the test host")
    with tempfile.TemporaryDirectory() as folder:
        console = Path(folder) / "console"
        argv = guest_argv(console, *addresses, accel="kvm") + words
        with started(argv, console) as guest:
            guest.wait_ready(300)
            yield guest.pid


def _address(number: int, host: int) -> str:
    return f"10.99.{number}.{host}"


def _idle(pid: int) -> Figures:
    """Return what the guest does while nobody pings it, each second."""
    before = _counters(pid)
    time.sleep(_IDLE_SECONDS)
    after = _counters(pid)
    return {name: (after[name] - before[name]) / _IDLE_SECONDS for name in before}


def _round(pid: int, address: str, count: int) -> Figures:
    before, began = _counters(pid), time.monotonic()
    # Adaptive: each ping waits for the answer to the one before, so that every packet comes alone.
    out = checked(["busybox", "ping", "-q", "-A", "-c", str(count), "-W", "5", address]).out
    seconds, after = time.monotonic() - began, _counters(pid)
    answered = re.search(r"(\d+) packets received", out)
    round_trip = re.search(r"= [\d.]+/([\d.]+)/", out)
    assert answered is not None
    assert round_trip is not None
    return {
        **{name: after[name] - before[name] for name in before},
        "seconds": seconds,
        "packets": count + int(answered[1]),
        "round_trip_ms": float(round_trip[1]),
    }


def _counters(pid: int) -> Figures:
    """Return what the threads have done since they started."""
    tasks = [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    # Before Linux 6.4 a worker is a kernel thread, since then one of QEMU's own.
    workers = {tid for tid in tasks if _is_worker(tid)} or set(_kernel_workers(pid))
    threads = [tid for tid in tasks if tid not in workers]
    return {
        "qemu_switches": _switches(threads),
        "main_loop_switches": _switches([pid]),
        "worker_switches": _switches(workers),
        "qemu_cpu_ms": _cpu_ms(threads),
        "worker_cpu_ms": _cpu_ms(workers),
    }


def _is_worker(tid: int) -> bool:
    return Path(f"/proc/{tid}/comm").read_text().startswith("vhost-")


def _kernel_workers(pid: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == f"vhost-{pid}":
                yield int(path.parent.name)
        except OSError:
            continue  # it ended


def _switches(tids: Iterable[int]) -> int:
    texts = [Path(f"/proc/{tid}/status").read_text() for tid in tids]
    return sum(
        int(number) for text in texts for number in re.findall(r"ctxt_switches:\s+(\d+)", text)
    )


def _cpu_ms(tids: Iterable[int]) -> float:
    """Return the time on the CPU, which /proc/PID/schedstat has to the nanosecond."""
    return sum(int(Path(f"/proc/{tid}/schedstat").read_text().split()[0]) for tid in tids) / 1e6
