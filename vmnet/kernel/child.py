"""A forked child that does what cannot be undone, and sends back what it found.

Job: becoming another user or entering a namespace is for good; so it is done in a child, and the
answer comes through a pipe as JSON.
Leaves to others: the work.
Privilege: none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from vmnet.errors import VmnetError


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked child; it must be JSON data.

    Raises:
        VmnetError: the child failed with one, or ended without an answer.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, read_end, write_end)
    os.close(write_end)
    try:
        with open(read_end, "rb") as pipe:
            text = pipe.read()
    finally:
        os.waitpid(pid, 0)
    answer = json.loads(text or '{"error": "it ended early"}')
    if "error" in answer:
        raise VmnetError(
            answer["error"],
            code=answer.get("code", "child"),
            remedy=answer.get("remedy", "try again"),
        )
    return answer["value"]


def _be_child(work: Callable[[], Any], read_end: int, write_end: int) -> None:
    status = 1
    try:
        os.close(read_end)
        try:
            answer = {"value": work()}
        except VmnetError as error:
            answer = {"error": error.message, "code": error.code, "remedy": error.remedy}
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to say it
            answer = {"error": f"{type(error).__name__}: {error}"}
        with open(write_end, "wb") as pipe:
            pipe.write(json.dumps(answer).encode())
        status = 0
    finally:
        # The parent's handlers, buffers and exit functions are not this child's to run.
        os._exit(status)
