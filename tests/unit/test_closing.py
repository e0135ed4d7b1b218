"""Descriptors that are closed together."""

from __future__ import annotations

import os
import resource
import threading

import pytest

from vmnet.kernel import closing
from vmnet.kernel.closing import AT_ONCE, Closing, at_once


def _descriptors(count: int) -> list[int]:
    return [os.open(os.devnull, os.O_RDONLY) for _ in range(count)]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_all_are_closed_when_it_is_left_and_no_thread_stays(count: int) -> None:
    fds, threads = _descriptors(count), threading.active_count()
    with Closing() as going:
        for fd in fds:
            going.add([fd])
        assert all(map(_is_open, fds))
    assert not any(map(_is_open, fds))
    assert threading.active_count() == threads


def test_all_are_closed_also_when_something_fails() -> None:
    fds = _descriptors(3)

    def fail() -> None:
        with Closing() as going:
            going.add(fds)
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert not any(map(_is_open, fds))


def test_no_more_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "AT_ONCE", 2)
    fds = _descriptors(3)
    with Closing() as going:
        for fd in fds:
            going.add([fd])
        assert [_is_open(fd) for fd in fds] == [False, False, True]


def test_where_no_thread_can_be_had_they_are_closed_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    fds = _descriptors(3)
    with Closing() as going:
        going.add(fds)
    assert not any(map(_is_open, fds))


LIMITS = {4: 1, 64: 8, 1024: AT_ONCE, 1 << 20: AT_ONCE, resource.RLIM_INFINITY: AT_ONCE}


@pytest.mark.parametrize(("soft", "room"), LIMITS.items())
def test_the_room_depends_on_the_limit_of_descriptors(
    soft: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert at_once() == room
