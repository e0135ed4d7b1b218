"""Locks: one change at a time for each VM and each bridge.

Job: flock(2) on a file in `/run/vmnet`, with a limit, and the holder's name when it runs out.
Leaves to others: which names to lock. Locks are taken in sorted order within one call, so that two
calls cannot wait for each other.
Privilege: writing `/run/vmnet` (made 0700, root's).

The file is empty and goes when the lock does; one left by a killed process holds nothing and is
removed by the next user of that lock, or by gc. Lock names carry the network namespace: links are
its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vmnet.errors import Busy, NotPermitted, Unsupported, VmnetError, of_errno
from vmnet.kernel import signals
from vmnet.kernel.host import netns_inode
from vmnet.model.names import encode

RUN_DIR = Path("/run/vmnet")
#: How long a call waits for a lock, in seconds; each is held for some ten milliseconds.
WAIT_SECONDS = 10.0
_NAME_MAX = 200
_POLL_SECONDS = 0.01
_OPEN_TRIES = 100


@contextmanager
def locked(*names: str, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the locks of these names.

    Args:
        names: what is locked, e.g. `vm:db1`; may be any text.
        wait: how long to wait for each, in seconds; 0 to try once.

    Raises:
        Busy: another process has one; the message names it.
        NotPermitted, Unsupported: `/run/vmnet` cannot be written.
    """
    with ExitStack() as stack:
        for name in sorted(set(names)):
            stack.enter_context(_one(name, wait))
        yield


@contextmanager
def _one(name: str, wait: float) -> Iterator[None]:
    path = RUN_DIR / f"{netns_inode()}.{encode(name, _NAME_MAX)}.lock"
    deadline = time.monotonic() + wait
    while True:
        signals.check()
        fd = _open(path)
        try:
            taken = _flock(fd)
            if taken and _is_named(fd, path):
                break
        except OSError as error:
            os.close(fd)
            raise _cannot(error) from error
        if taken:
            os.close(fd)
            continue  # its last holder took the file away: the next one is another file
        late = time.monotonic() >= deadline
        holder = _holder(fd) if late else ""
        os.close(fd)
        if late:
            raise Busy(
                f"{name!r} is locked by {holder}; waited {wait:g} s",
                code="locked",
                remedy="wait for that process to end, then try again",
            )
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        # Unlinked while still locked: whoever opens the path from now on makes a new file, and
        # whoever has the old one open sees that it lost its name and opens again.
        with suppress(OSError):
            os.unlink(path)
        os.close(fd)


def _open(path: Path) -> int:
    try:
        for _ in range(_OPEN_TRIES):
            try:
                check_folder()
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                # The folder is made by the first call after boot; gc removes it when it is empty.
                RUN_DIR.mkdir(mode=0o700, exist_ok=True)
        raise FileNotFoundError(errno.ENOENT, "the folder takes no files")
    except OSError as error:
        raise _cannot(error) from error


def check_folder() -> None:
    """Refuse a folder that is not root's alone: in it others could keep vmnet from its locks.

    Raises:
        FileNotFoundError: there is none yet.
        NotPermitted: it is a symbolic link, somebody else's, or others may write it.
    """
    status = os.lstat(RUN_DIR)
    if not stat.S_ISDIR(status.st_mode):
        why = f"it is no folder ({stat.filemode(status.st_mode)})"
    elif status.st_uid not in (0, os.geteuid()):
        why = f"it belongs to uid {status.st_uid}"
    elif status.st_mode & 0o022:
        why = f"others may write it (mode {stat.S_IMODE(status.st_mode):04o})"
    else:
        return
    raise NotPermitted(
        f"cannot lock in {RUN_DIR}: {why}",
        code="run-dir",
        remedy=f"look who made it, then `rm -r {RUN_DIR}`: vmnet makes it anew, root's alone",
    )


def _cannot(error: OSError) -> VmnetError:
    doing = f"lock in {RUN_DIR}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"cannot {doing}: {error.strerror}",
            code="run-dir",
            remedy="run as root; in a user namespace: `mount -t tmpfs tmpfs /run`",
        )
    if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
        return Unsupported(
            f"cannot {doing}: {error.strerror}",
            code="run-dir",
            remedy="free space in /run, or make it writable (`df -h /run`)",
        )
    return of_errno(doing, error.errno or 0)


def _flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(fd: int, path: Path) -> bool:
    """Say whether the file is still the one that others find by its name."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _holder(fd: int) -> str:
    """Name the process that has the file locked, from `/proc/locks` (proc(5))."""
    status = os.fstat(fd)
    # Each tmpfs counts its inodes from the same number.
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError as error:
        return f"another process (/proc/locks: {error.strerror})"
    for line in lines:
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == file:
            return _process(words[4])
    return "a process that just ended"


def _process(pid: str) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "a process that cannot be seen from here"
    command = raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    safe = "".join(c if c.isprintable() else "?" for c in command[:120])
    return f"pid {pid} ({safe})"


def remove_leftovers() -> int:
    """Remove marks, and lock files that nobody holds, of whatever namespace; return how many."""
    removed = 0
    try:
        check_folder()
        paths = list(RUN_DIR.glob("*.lock"))
        for mark in RUN_DIR.glob("*.mark"):
            mark.unlink(missing_ok=True)
    except (OSError, NotPermitted):
        return 0
    for path in paths:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if _flock(fd) and _is_named(fd, path):
                os.unlink(path)
                removed += 1
        except OSError:
            pass
        finally:
            os.close(fd)
    with suppress(OSError):
        RUN_DIR.rmdir()
    return removed
