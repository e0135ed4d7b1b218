"""Places and circumstances a command may meet: other files, users, limits, PID namespaces."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.support.lab import Done, Lab, checked

NOBODY = 65534
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_CAP_NET_ADMIN = 12
_CAPABILITY_VERSION_3 = 0x20080522


def put_over(path: str, text: str, folder: Path) -> None:
    """Let a file seem to have other contents, in the test's mount namespace."""
    file = folder / f"instead-of-{Path(path).name}"
    file.write_text(text, encoding="utf-8")
    checked(["mount", "--bind", str(file), path])


def put_tmpfs(path: str, options: str = "mode=755") -> None:
    """Let a folder be an empty one, in the test's mount namespace."""
    checked(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path])


def put_dev(*, tun: bool = True) -> None:
    """Let /dev have the nodes every program needs, perhaps /dev/net/tun, and no more."""
    put_tmpfs("/dev", "mode=755,dev")
    nodes = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "urandom": (1, 9)}
    Path("/dev/net").mkdir()
    for name, (major, minor) in (nodes | ({"net/tun": (10, 200)} if tun else {})).items():
        os.mknod(f"/dev/{name}", 0o666 | stat.S_IFCHR, os.makedev(major, minor))


def see_own_sysfs() -> None:
    """Let /sys show the links of the test's network namespace."""
    checked(["mount", "-t", "sysfs", "sysfs", "/sys"])


def sys_class_net(link: str, file: str) -> str:
    """Return what sysfs says about a link; `see_own_sysfs` first."""
    return Path(f"/sys/class/net/{link}/{file}").read_text(encoding="ascii").strip()


def vmnet_after(prepare: Callable[[], None], *args: str, status: int | None = 0) -> Done:
    """Run the command in a process that has changed itself first."""
    answer = in_child(lambda: _prepared(prepare, args))
    done = Done(**answer)
    assert "Traceback" not in done.err, done.err
    assert status in (None, done.status), f"vmnet {args}: {done}"
    return done


def _prepared(prepare: Callable[[], None], args: tuple[str, ...]) -> dict[str, Any]:
    prepare()
    return asdict(Lab().vmnet(*args, status=None))


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a forked child, as JSON data."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(work, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child failed: {os.waitstatus_to_exitcode(status)}"
    return json.loads(text)


def _be_child(work: Callable[[], Any], writing: int) -> None:
    status = 1
    try:
        text = json.dumps(work())
        with open(writing, "w", encoding="utf-8") as pipe:
            pipe.write(text)
        status = 0
    finally:
        os._exit(status)


def be_nobody() -> None:
    """Become an ordinary user, for good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def lose_net_admin() -> None:
    """Stay root, but without CAP_NET_ADMIN."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _call(_LIBC.capget(header, sets))
    sets[0] &= ~(1 << _CAP_NET_ADMIN)
    sets[1] &= ~(1 << _CAP_NET_ADMIN)
    _call(_LIBC.capset(header, sets))


def limit_descriptors(most: int) -> Callable[[], None]:
    """Return a preparation that allows so many open files."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def in_pid_namespace(work: Callable[[], Any]) -> Any:
    """Return what `work` returns in a process that sees no process but itself."""

    def outer() -> Any:
        _call(_LIBC.unshare(_CLONE_NEWPID | _CLONE_NEWNS))
        return in_child(inner)

    def inner() -> Any:
        checked(["mount", "-t", "proc", "proc", "/proc"])
        return work()

    return in_child(outer)


@contextmanager
def other_network() -> Iterator[None]:
    """Be in another, empty network namespace for a while."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    _call(_LIBC.unshare(_CLONE_NEWNET))
    try:
        yield
    finally:
        _call(_LIBC.setns(home, 0))
        os.close(home)


def _call(answer: int) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
