"""Taking times: subjects that run in turn, medians, ratios of runs that stood side by side."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """One run, in milliseconds."""

    wall: float
    cpu: float


@dataclass
class Series:
    """The runs of one subject."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the times."""
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def low(self) -> float:
        """The shortest time."""
        return min(sample.wall for sample in self.samples)

    @property
    def high(self) -> float:
        """The longest time."""
        return max(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """Median of the CPU times."""
        return statistics.median(sample.cpu for sample in self.samples)

    def over(self, other: Series) -> float:
        """Return how many times as long as the other it takes: median of the rounds' ratios.

        What slows a round down slows both, so that a busy machine does less harm to this than to
        the times.
        """
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(mine.wall / its.wall for mine, its in pairs)

    def beyond(self, other: Series) -> float:
        """Return how much longer than the other it takes: median of the rounds' differences."""
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(mine.wall - its.wall for mine, its in pairs)

    def data(self) -> dict[str, float | int]:
        """Return the figures for a program."""
        return {
            "runs": len(self.samples),
            "median_ms": round(self.median, 3),
            "min_ms": round(self.low, 3),
            "max_ms": round(self.high, 3),
            "cpu_ms": round(self.cpu, 3),
        }


Subject = Callable[[int], Sample]
#: Runs that need each other, in their order, by what they are.
Cycle = Callable[[], dict[str, Sample]]


def in_turn(rounds: int, subjects: Mapping[str, Subject]) -> dict[str, Series]:
    """Run the subjects A B C A B C ...; a first round, number 0, warms up and does not count."""
    found = {name: Series() for name in subjects}
    for number in range(rounds + 1):
        for name, subject in subjects.items():
            sample = subject(number)
            if number:
                found[name].samples.append(sample)
    return found


def at_random(rounds: int, cycles: Sequence[Cycle]) -> dict[str, Series]:
    """Run the cycles in another order each round; the first round warms up and does not count."""
    found: dict[str, Series] = {}
    for number in range(rounds + 1):
        for cycle in random.sample(cycles, len(cycles)):
            for name, sample in cycle().items():
                if number:
                    found.setdefault(name, Series()).samples.append(sample)
    return found


def process(argv: list[str], stdin: str = os.devnull) -> Sample:
    """Run a program from nothing to its end; its output goes nowhere.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    files = {0: stdin, 1: os.devnull}
    null = [(os.POSIX_SPAWN_OPEN, fd, file, os.O_RDWR, 0) for fd, file in files.items()]
    with open(os.memfd_create("said"), "w+b") as said:
        actions = [*null, (os.POSIX_SPAWN_DUP2, said.fileno(), 2)]
        began = time.perf_counter_ns()
        pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions)
        _, status, used = os.wait4(pid, 0)
        wall = time.perf_counter_ns() - began
        if status:
            said.seek(0)
            number = os.waitstatus_to_exitcode(status)
            raise RuntimeError(f"exit status {number} of {argv}: {said.read().decode()}")
    return Sample(wall / 1e6, (used.ru_utime + used.ru_stime) * 1e3)


def call(work: Callable[[], object]) -> Sample:
    """Run something in this process."""
    cpu, began = time.process_time_ns(), time.perf_counter_ns()
    work()
    wall = time.perf_counter_ns() - began
    return Sample(wall / 1e6, (time.process_time_ns() - cpu) / 1e6)
