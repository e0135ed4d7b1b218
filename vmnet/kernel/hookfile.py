"""libvirt's hook on disk: look at its place, write it, take it away, try its interpreter.

Job: the hands of `vmnet hook`. A file is written beside the folder that libvirt calls everything
in, and moved there whole.
Leaves to others: what may be done (`vmnet.plan.hookfile`), writing (`vmnet.kernel.rootfile`).
Privilege: root.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vmnet.errors import NotFound, Unsupported, VmnetError, of_errno
from vmnet.kernel import rootfile
from vmnet.kernel.trust import weakness
from vmnet.model.hookfile import HOOK_DIR, HOOK_PATH, HOOKS_DIR, HookFile, Place

_MODE = 0o755
_NEW = ".50-vmnet.new"
#: coreutils' own, not busybox's, which makes no process group.
TIMEOUT = "/usr/bin/timeout"
_TRY_SECONDS = 60
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def look() -> Place:
    """Return what is at the hook's place.

    Raises:
        NotFound: this is no host of libvirt's.
        Conflict: others than root can change what is on the way there.
    """
    base = str(Path(HOOKS_DIR).parent)
    try:
        rootfile.check_way(base)
    except FileNotFoundError as error:
        raise NotFound(
            f"{base} is not there: libvirt is not installed on this host",
            code="no-libvirt",
            remedy="`apt-get install libvirt-daemon-system`, then try again",
        ) from error
    except OSError as error:
        raise of_errno(f"look at {base}", error.errno or 0) from error
    missing = rootfile.missing((HOOKS_DIR, HOOK_DIR))
    there = rootfile.content(HOOK_PATH, _MODE)
    return Place(there.there, there.text, there.proper, missing, tuple(_hooks()))


def _hooks() -> Iterator[HookFile]:
    """Return what libvirt calls for a domain: hooks/qemu, then qemu.d in order."""
    paths = [f"{HOOKS_DIR}/qemu"]
    with suppress(OSError):
        paths += sorted(entry.path for entry in os.scandir(HOOK_DIR))
    for path in paths:
        with suppress(OSError):
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode):
                # Of its own vmnet says by the time of change since when one is there: see `write`.
                ours = path == HOOK_PATH
                since = min(status.st_ctime, status.st_mtime) if ours else status.st_ctime
                yield HookFile(path, bool(status.st_mode & 0o111), since)


def write(text: str, place: Place) -> None:
    """Put the hook to its place, whole or not at all.

    A hook that is replaced was known to libvirt's daemon before; so the new file keeps its time.

    Raises:
        VmnetError: it could not be written; folders that were made for it are gone again.
    """
    # In HOOK_DIR libvirt would call what is half written; it calls nothing of this name here.
    new = Path(HOOK_DIR).resolve().parent / _NEW
    rootfile.write(
        HOOK_PATH,
        text,
        _MODE,
        folders=place.missing,
        new=new,
        before_sync=lambda fd: _keep_time(fd, place),
    )


def _keep_time(fd: int, place: Place) -> None:
    for hook in place.hooks:
        if hook.path == HOOK_PATH and hook.executable:
            os.utime(fd, (hook.since, hook.since))


def remove() -> None:
    """Take the hook away.

    Raises:
        VmnetError: it could not be.
    """
    rootfile.remove(HOOK_PATH)


def try_python(python: str) -> str:
    """Run an interpreter as the hook will; return the version of vmnet it has.

    Raises:
        VmnetError: it cannot be run, or has no vmnet.
    """
    done = _run([python, "-I", "-m", "vmnet.entry.hook", "--check"], python)
    words = done.stdout.decode(errors="replace").split()
    if done.returncode == 0 and len(words) == 2 and words[0] == "vmnet":
        return words[1]
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:200]
    raise NotFound(
        f"{python} has no vmnet that works: {last or f'status {done.returncode}'}",
        code="hook-python",
        remedy="install vmnet there, or name another interpreter: "
        "`vmnet hook install --python PATH`",
    )


def check_timeout() -> None:
    """Refuse a host that lacks the program which ends a hook that hangs.

    Raises:
        VmnetError: it is not there, or another's of that name.
    """
    done = _run([TIMEOUT, "--version"], TIMEOUT)
    if done.returncode != 0 or b"coreutils" not in done.stdout:
        raise Unsupported(
            f"{TIMEOUT} is not that of coreutils, which ends all that a program has started",
            code="hook-coreutils",
            remedy="install coreutils",
        )


def _run(words: list[str], what: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_ENVIRONMENT,
            cwd="/",
            timeout=_TRY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"not done within {_TRY_SECONDS} s"
    except OSError as error:
        why = os.strerror(error.errno or 0)
    raise VmnetError(
        f"cannot run {what}: {why}",
        code="hook-program",
        remedy="`vmnet hook install --python PATH` takes another interpreter"
        if what != TIMEOUT
        else "install coreutils",
    )


def weak_program(path: str) -> str:
    """Return where others than root can change a program; empty if nowhere."""
    try:
        return weakness(path, shared=True)
    except OSError as error:
        return f"{error.filename or path}: {os.strerror(error.errno or 0)}"


def real_path(path: str) -> str:
    """Return a path with all its symbolic links followed."""
    return os.path.realpath(path)
