"""What goes through NICs: counters, and the rates between two looks.

Job: the values of `vmnet top` and `vmnet metrics`, from the guest's point of view.
Leaves to others: looking (`vmnet.service.traffic`), saying (`vmnet.entry`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.vhost import DataPath

#: Raised with every change that a reader of the JSON would notice.
SCHEMA = "vmnet.top/1"


@dataclass(frozen=True)
class Counters:
    """What went through a TAP, from its guest's point of view.

    Attributes:
        to_guest: packets that the guest was sent.
        from_guest: packets that the guest sent.
        bytes_to_guest: their bytes.
        bytes_from_guest: their bytes.
        dropped_to_guest: packets for the guest that found its queue full, or no one to take them.
        dropped_from_guest: packets of the guest that this host did not take.
    """

    to_guest: int = 0
    from_guest: int = 0
    bytes_to_guest: int = 0
    bytes_from_guest: int = 0
    dropped_to_guest: int = 0
    dropped_from_guest: int = 0


@dataclass(frozen=True)
class Run:
    """How long threads ran, and how often.

    Attributes:
        cpu_seconds: time on a processor, in seconds.
        times: how often one was given a processor (`/proc/PID/schedstat`).
    """

    cpu_seconds: float = 0.0
    times: int = 0


@dataclass(frozen=True)
class Reading:
    """One look at one NIC.

    Attributes:
        vm: the VM's name.
        nic: its number.
        tap: its link.
        index: the link's.
        path: who moves its packets; None if nobody has it open, or it cannot be told.
        open_queues: queues that a process has open.
        used_queues: those of them that the guest uses.
        counters: what went through it since it was made.
        run: what the workers did since they were made.
    """

    vm: str
    nic: int
    tap: str
    index: int
    path: DataPath | None
    open_queues: int
    used_queues: int
    counters: Counters
    run: Run


@dataclass(frozen=True)
class Flow:
    """What went through one NIC between two looks, per second.

    Attributes:
        now: the second look.
        bits_to_guest: bit/s.
        bits_from_guest: bit/s.
        to_guest: packets.
        from_guest: packets.
        dropped: packets lost, both ways.
        worker_cpu: of one processor, by the vhost workers of its QEMU: 1.0 is all of it.
        worker_runs: how often these were given a processor.
    """

    now: Reading
    bits_to_guest: float
    bits_from_guest: float
    to_guest: float
    from_guest: float
    dropped: float
    worker_cpu: float
    worker_runs: float


def flow(before: Reading, now: Reading, seconds: float) -> Flow:
    """Return the rates between two looks at one NIC.

    Counters that went back, as of a link that was made anew, are none.

    Args:
        before: the first look.
        now: the second.
        seconds: what lies between.
    """

    def rate(one: float, other: float) -> float:
        return max(other - one, 0) / seconds

    was, has = before.counters, now.counters
    dropped = has.dropped_to_guest + has.dropped_from_guest
    return Flow(
        now=now,
        bits_to_guest=8 * rate(was.bytes_to_guest, has.bytes_to_guest),
        bits_from_guest=8 * rate(was.bytes_from_guest, has.bytes_from_guest),
        to_guest=rate(was.to_guest, has.to_guest),
        from_guest=rate(was.from_guest, has.from_guest),
        dropped=rate(was.dropped_to_guest + was.dropped_from_guest, dropped),
        worker_cpu=rate(before.run.cpu_seconds, now.run.cpu_seconds),
        worker_runs=rate(before.run.times, now.run.times),
    )
