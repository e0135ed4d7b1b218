"""Work for two processors: forked children that go through a list and send back what they saw."""

from __future__ import annotations

import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import IO, TypeVar

WORKERS = 2

Job = TypeVar("Job")
Answer = TypeVar("Answer")


def in_workers(
    work: Callable[[Job], Answer], jobs: Sequence[Job], count: int = WORKERS
) -> list[Answer]:
    """Return `work(job)` for each job, in their order; the workers take turns.

    Args:
        work: what is done for each.
        jobs: what there is to do.
        count: how many workers; more than there are processors for what waits most of the time.
    """
    workers = []
    for number in range(count):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been read
        pid = os.fork()
        if pid == 0:
            _be_worker(work, jobs[number::count], file)
        workers.append((pid, file))
    answers: list[Answer | None] = [None] * len(jobs)
    failures = []
    for number, (pid, file) in enumerate(workers):
        _, status = os.waitpid(pid, 0)
        with file:
            file.seek(0)
            told = pickle.load(file)  # noqa: S301 - our own child's
        if os.waitstatus_to_exitcode(status):
            failures.append(told)
        else:
            answers[number::count] = told
    assert not failures, "\n".join(failures)
    return [answer for answer in answers if answer is not None]


def _be_worker(work: Callable[[Job], Answer], jobs: Sequence[Job], file: IO[bytes]) -> None:
    status = 1
    try:
        try:
            told: list[Answer] | str = [work(job) for job in jobs]
            status = 0
        except BaseException:  # noqa: BLE001 - whatever it is, the parent raises it
            told = traceback.format_exc()
        pickle.dump(told, file)
        file.flush()
    finally:
        os._exit(status)
