"""Processes of a test's own: forked, asked, killed, reaped; and namespaces by number."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CLONE_NEWNET = 0x40000000
_SYS_PIDFD_GETFD = 438
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def refused(number: int) -> Iterator[None]:
    """Expect the kernel's refusal with just this errno."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the errno says more than the text
        yield
    got = caught.value.errno or 0
    assert errno.errorcode.get(got, got) == errno.errorcode[number]


def unshare_net() -> None:
    """Move this thread into a network namespace of its own (unshare(2))."""
    _call(_LIBC.unshare(CLONE_NEWNET))


def setns(fd: int) -> None:
    """Move this thread into the network namespace of a descriptor (setns(2))."""
    _call(_LIBC.setns(fd, CLONE_NEWNET))


def open_netns() -> int:
    """Return a descriptor of the network namespace this thread is in."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def copy_fd(pid: int, fd: int) -> int:
    """Return a copy of another process's descriptor (pidfd_getfd(2))."""
    pidfd = os.pidfd_open(pid)
    try:
        return _call(_LIBC.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0))
    finally:
        os.close(pidfd)


def _call(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def become(uid: int) -> None:
    """Become another user, without capabilities."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


@contextmanager
def child(work: Callable[[], Any]) -> Iterator[tuple[int, Any]]:
    """Fork, let the child do `work` and stay; give its pid and what `work` returned (as JSON).

    The child is killed and reaped in the end, unless the test did so.

    Raises:
        OSError: `work` raised it, in the child.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, writing)
    os.close(writing)
    try:
        with open(reading, "rb") as answers:
            answer = json.loads(answers.readline())
        if "errno" in answer:
            raise OSError(answer["errno"], "in the child")
        yield pid, answer["value"]
    finally:
        kill(pid)


def _be_child(work: Callable[[], Any], writing: int) -> None:
    try:
        try:
            answer = {"value": work()}
        except OSError as error:
            answer = {"errno": error.errno}
        os.write(writing, json.dumps(answer).encode() + b"\n")
        os.close(writing)
        signal.pause()
    finally:
        os._exit(1)


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked process that has ended by then."""
    with child(work) as (_, value):
        return value


def kill(pid: int) -> None:
    """SIGKILL a child and reap it; nothing if it was reaped before."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def wait_for(what: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as something is so; fail if it does not come to be."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.002)
