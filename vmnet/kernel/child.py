"""A forked child that does what cannot be undone, or what outlives this process.

Job: becoming another user or entering a namespace is for good, and a library may end its process;
so it is done in a child, and the answer comes through a pipe as JSON. Others wait for an end, and
are out of reach until then. The child has no descriptor of its parent's but the standard
ones, so it can keep no lock and no TAP; and whatever stops it, its parent waits no longer than a
limit.
Leaves to others: the work.
Privilege: none.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from vmnet.errors import VmnetError, of_errno

#: How long a child may take, in seconds; it takes some milliseconds, a module to load some more.
LIMIT_SECONDS = 30.0
#: How long it may take to end after its answer, in seconds.
_GRACE_SECONDS = 1.0
_POLL_SECONDS = 0.001
_CHUNK = 1 << 16
_READY = b"r"


def in_child(work: Callable[[], Any], *, limit: float = LIMIT_SECONDS) -> Any:
    """Return what `work` returns in a forked child; it must be JSON data.

    Args:
        work: what the child does.
        limit: how long it may take, in seconds; then it is killed.

    Raises:
        VmnetError: the child failed with one, ended without an answer or gave none in time, or
            there could be no child.
    """
    try:
        text = _asked(work, limit)
    except OSError as error:
        raise of_errno("ask a child process", error.errno or 0) from error
    return _value(text)


def with_library(work: Callable[[], Any], *, limit: float = LIMIT_SECONDS) -> Any:
    """Return what `work` returns in a forked child, for a library that may end its process.

    The child ends with this process: nothing is done that nobody waits for, without its lock.

    Args:
        work: what the child does.
        limit: how long it may take, in seconds; then it is killed.

    Returns:
        What `work` returned; what the library wrote to standard error, as text, if it ended it.

    Raises:
        VmnetError: as `in_child`.
    """
    from vmnet.kernel.identity import end_with  # noqa: PLC0415 - ctypes, not for every child

    parent = os.getpid()

    def together() -> Any:
        end_with(parent)
        return work()

    try:
        text = _asked(together, limit, loud=True)
    except OSError as error:
        raise of_errno("ask a child process", error.errno or 0) from error
    if text and not text.startswith(b"{"):
        return text.decode("utf-8", "replace")
    return _value(text)


def _value(text: bytes) -> Any:
    import json  # noqa: PLC0415 - not every vmnet has a child

    answer = json.loads(text or '{"error": "a child process ended without an answer"}')
    if "error" in answer:
        raise VmnetError(
            answer["error"],
            code=answer.get("code", "child"),
            remedy=answer.get("remedy", "try again"),
        )
    return answer["value"]


def stand_by(
    work: Callable[[], Any], afterwards: Callable[[], object] | None = None
) -> Callable[[], Any]:
    """Let a process wait that does `work` when the returned function is called.

    It keeps the privileges this process may lose meanwhile, and it is nobody's child: the program
    that this one becomes would not know of it.

    Args:
        work: what is done on call.
        afterwards: done when this process has called, has ended or has become another program:
            out of the reach of its terminal and its signals, with no standard descriptors.

    Raises:
        VmnetError: there could be no process; or, from the function, as `in_child`.
    """
    try:
        orders, order = os.pipe()
        answers, answer = os.pipe()
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                _stand_by(work, answer, orders, afterwards)
            os._exit(0)
        os.waitpid(pid, 0)
    except OSError as error:
        raise of_errno("start a process that waits", error.errno or 0) from error
    for fd in (orders, answer):
        os.close(fd)
    # From now on it has none of this process's TAPs: they end with this one.
    os.read(answers, len(_READY))

    def call() -> Any:
        os.write(order, b"!")
        try:
            return _value(_read(answers, LIMIT_SECONDS))
        finally:
            for fd in (order, answers):
                os.close(fd)

    return call


def _stand_by(
    work: Callable[[], Any], answer: int, orders: int, afterwards: Callable[[], object] | None
) -> None:
    try:
        if afterwards is not None:
            _be_apart()
        close_all_but(answer, orders)
        os.write(answer, _READY)
        # At its parent's end or exec there is nobody to answer.
        if os.read(orders, 1):
            _answer(work, answer)
        if afterwards is not None:
            let_go_of_everything()
            afterwards()
    finally:
        os._exit(0)


def apart(work: Callable[[], object]) -> None:
    """Let a process do something that outlives this one, and return at once.

    It has none of this one's descriptors, session or signals.

    Raises:
        VmnetError: there could be no process.
    """
    try:
        pid = os.fork()
        if pid == 0:
            try:
                if os.fork() == 0:
                    _be_apart()
                    let_go_of_everything()
                    work()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    except OSError as error:
        raise of_errno("start a process that waits", error.errno or 0) from error


def _asked(work: Callable[[], Any], limit: float, *, loud: bool = False) -> bytes:
    read_end, write_end = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            if loud:  # what a library says as it ends its process is the answer then
                os.dup2(write_end, 2)
            _be_child(work, write_end)
    except BaseException:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    grace = 0.0
    try:
        text = _read(read_end, limit)
        grace = _GRACE_SECONDS
        return text
    finally:
        os.close(read_end)
        _reap(pid, grace)


def _reap(pid: int, grace: float) -> None:
    """Wait for a child that has no more to do; one that was stopped does not end by itself."""
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(_POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _read(fd: int, limit: float) -> bytes:
    deadline = time.monotonic() + limit
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    text = b""
    while poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(fd, _CHUNK)
        if not part:
            return text
        text += part
    raise VmnetError(
        f"a child process gave no answer within {limit:g} s and was killed",
        code="child-timeout",
        remedy="try again; if it stays so, see what stops processes here (`dmesg`, `ps -o stat`)",
    )


def _be_child(work: Callable[[], Any], write_end: int) -> None:
    status = 1
    try:
        close_all_but(write_end)
        _answer(work, write_end)
        status = 0
    finally:
        # The parent's handlers, buffers and exit functions are not this child's to run.
        os._exit(status)


def _answer(work: Callable[[], Any], write_end: int) -> None:
    import json  # noqa: PLC0415 - before the work, after which it may not be readable

    try:
        answer = {"value": work()}
    except VmnetError as error:
        answer = {"error": error.message, "code": error.code, "remedy": error.remedy}
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent has to say it
        answer = {"error": f"{type(error).__name__}: {error}"}
    with open(write_end, "wb") as pipe:
        pipe.write(json.dumps(answer).encode())


def _be_apart() -> None:
    """Leave the session, and live through what ends those in it."""
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def let_go_of_everything(*keep: int) -> None:
    """Keep nobody waiting for a pipe or a mount: no descriptors but these, and /dev/null."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    close_all_but(*keep)


def close_all_but(*keep: int) -> None:
    """Close every descriptor but the standard ones and these."""
    first = 3
    for fd in sorted(keep):
        os.closerange(first, fd)
        first = max(first, fd + 1)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
