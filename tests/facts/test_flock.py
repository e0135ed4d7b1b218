"""flock(2): vmnet's locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from pathlib import Path
from typing import NoReturn

from tests.facts.processes import child, kill, refused


def lock(path: Path) -> int:
    """Lock a file, or raise BlockingIOError; return the descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def holder(path: Path) -> list[int]:
    """Return the pids that `/proc/locks` names for a file."""
    wanted = f":{path.stat().st_ino}"
    lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    return [int(w[4]) for w in lines if w[1] == "FLOCK" and w[5].endswith(wanted)]


def test_lock_is_free_once_its_process_is_killed(tmp_path: Path) -> None:
    """A vmnet that was killed blocks nobody."""
    path = tmp_path / "lock"
    with child(lambda: lock(path)) as (pid, _):
        with refused(errno.EAGAIN):
            lock(path)
        kill(pid)
        os.close(lock(path))


def test_lock_is_shared_with_a_forked_child_and_held_as_long_as_either_has_it(
    tmp_path: Path,
) -> None:
    """No child of vmnet's may stay behind with the descriptor, or the lock stays."""
    path = tmp_path / "lock"
    fd = lock(path)
    with child(lambda: None) as (pid, _):
        os.close(fd)
        with refused(errno.EAGAIN):
            lock(path)
        kill(pid)
        os.close(lock(path))


def test_forked_child_may_unlock_for_its_parent(tmp_path: Path) -> None:
    """A child must close the descriptor, not unlock it."""
    path = tmp_path / "lock"
    fd = lock(path)
    with child(lambda: fcntl.flock(fd, fcntl.LOCK_UN)):
        os.close(lock(path))
    os.close(fd)


def test_second_open_of_the_same_process_has_to_wait_like_any_other(tmp_path: Path) -> None:
    """`locked` is no re-entrant lock."""
    path = tmp_path / "lock"
    fd = lock(path)
    with refused(errno.EAGAIN):
        lock(path)
    os.close(fd)


def test_proc_locks_names_the_holder(tmp_path: Path) -> None:
    """`Busy` of `locked` says who it is."""
    path = tmp_path / "lock"
    with child(lambda: lock(path)) as (pid, _):
        assert holder(path) == [pid]
    assert holder(path) == []


def test_proc_locks_never_names_a_child_that_only_inherited_the_lock(tmp_path: Path) -> None:
    """`_holder` may name a process that has ended, or none, while a child of it has the lock."""
    path = tmp_path / "lock"
    with child(lambda: lock_and_fork(path)) as (taker, inheritor):
        try:
            kill(taker)
            with refused(errno.EAGAIN):
                lock(path)
            assert inheritor not in holder(path)
        finally:
            os.kill(inheritor, signal.SIGKILL)


def lock_and_fork(path: Path) -> int:
    """Lock a file and leave a child that has the descriptor; return its pid."""
    lock(path)
    return os.fork() or _sleep()


def _sleep() -> NoReturn:
    while True:
        signal.pause()


def test_locked_file_that_is_unlinked_leaves_its_name_to_a_new_lock(tmp_path: Path) -> None:
    """`_try_lock` compares inodes: a lock on a file without a name protects nothing."""
    path = tmp_path / "lock"
    old = lock(path)
    path.unlink()
    new = lock(path)
    assert os.fstat(old).st_ino != path.stat().st_ino == os.fstat(new).st_ino
    os.close(old)
    os.close(new)
