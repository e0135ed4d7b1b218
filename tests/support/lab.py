"""A place of a test's own: network and mount namespace, an empty /run, the command, and `ip`.

The command runs in a forked child of the warm test process (`Lab.vmnet`), which is a process of its
own in every respect but the start of its interpreter, or cold from the virtual environment
(`Lab.cold`).
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]
VENV_BIN = Path(sys.executable).parent
#: How many times as long everything may take: the test host is emulated.
PATIENCE = 10 if os.environ.get("VMNET_TESTHOST") else 1
_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The answer, where it was asked for in JSON."""
        return json.loads(self.out)


class Lab:
    """The test's own host."""

    def vmnet(self, *args: str, status: int | None = 0, env: dict[str, str] | None = None) -> Done:
        """Run the command in a warm process; check its exit status unless that is None."""
        done = forked(["vmnet", *args], "vmnet.entry.cli", env or {})
        check(done, args, status)
        return done

    def start(self, *args: str) -> int:
        """Run the command in a warm process without waiting for it; return its pid."""
        pid = os.fork()
        if pid == 0:
            null = os.open(os.devnull, os.O_RDWR)
            _be_command(["vmnet", *args], "vmnet.entry.cli", {}, null, null)
        return pid

    def script(
        self, verb: str, tap: str, status: int | None = 0, env: dict[str, str] | None = None
    ) -> Done:
        """Run the script door (`up` or `down`) in a warm process."""
        done = forked(["ifscript", verb, tap], "vmnet.entry.ifscript", env or {})
        check(done, (verb, tap), status)
        return done

    def cold(self, *args: str, status: int | None = 0) -> Done:
        """Run the installed command as a user would."""
        done = run([str(VENV_BIN / "vmnet"), *args])
        check(done, args, status)
        return done

    def ip(self, *args: str) -> Any:
        """Return what `ip -j -d` answers."""
        return json.loads(checked(["ip", "-j", "-d", *args]).out or "[]")

    def link(self, name: str) -> dict[str, Any]:
        """Return a link as `ip -j -d link show` shows it."""
        (link,) = self.ip("link", "show", "dev", name)
        assert isinstance(link, dict)
        return link

    def links(self) -> dict[str, dict[str, Any]]:
        """Return all links but lo, by name."""
        return {link["ifname"]: link for link in self.ip("link", "show") if link["ifname"] != "lo"}

    def sh(self, line: str) -> Done:
        """Run a line of sh and expect it to succeed."""
        return checked(["sh", "-ec", line])

    def state(self) -> dict[str, Any]:
        """Return all links but lo without what comes and goes by itself (carrier, timers)."""
        return {name: _steady(link) for name, link in self.links().items()}

    def leftovers(self) -> list[str]:
        """Return what vmnet left behind: links of its names or tags, its filter, things in /run.

        What a VM has outside its TAP has to go within a second of its end: so long it has time.
        """
        deadline = time.monotonic() + 1
        while any(set(self._left()) - set(self.links())) and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._left()

    def _left(self) -> list[str]:
        links = [
            name
            for name, link in self.links().items()
            if name.startswith("vmn") or link.get("ifalias", "").startswith("vmnet/")
        ]
        tables = run(["nft", "list", "tables"]).out.splitlines()
        links += [table for table in tables if table == "table bridge vmnet"]
        return links + [str(path) for path in Path("/run").rglob("*") if path.name != "vmnet"]


def _steady(data: Any) -> Any:
    moving = ("flags", "operstate", "timer", "_ts", "state", "qdisc")
    if isinstance(data, dict):
        return {k: _steady(v) for k, v in data.items() if not k.endswith(moving)}
    return data


def run(argv: list[str], **options: Any) -> Done:
    """Run a program and return what it did."""
    options.setdefault("timeout", 60 * PATIENCE)
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, errors="replace", **options
    )
    return Done(done.returncode, done.stdout, done.stderr)


def checked(argv: list[str], **options: Any) -> Done:
    """Run a program and expect it to succeed."""
    done = run(argv, **options)
    assert done.status == 0, f"{argv}: {done}"
    return done


def check(done: Done, args: tuple[str, ...], status: int | None) -> None:
    """Expect that status of the command unless it is None, and no traceback of any."""
    assert "Traceback" not in done.err, done.err
    if status is not None:
        assert done.status == status, f"vmnet {args}: {done}"


def forked(
    argv: list[str],
    module: str,
    env: dict[str, str],
    before: Callable[[], None] = lambda: None,
) -> Done:
    """Be a command in a forked child, after it has done what comes before."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _be_command(argv, module, env, out.fileno(), err.fileno(), before=before)
        _, wait_status = os.waitpid(pid, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return Done(os.waitstatus_to_exitcode(wait_status), *texts)


def _be_command(
    argv: list[str],
    module: str,
    env: dict[str, str],
    out: int,
    err: int,
    *,
    before: Callable[[], None] = lambda: None,
) -> None:
    status = 70
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        # As in a new process: the test runner's own have other places in mind.
        sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)
        sys.argv = argv
        os.environ.update(env)
        try:
            before()
            __import__(module, fromlist=["main"]).main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - as the interpreter would show it
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


@contextmanager
def own_namespaces() -> Iterator[None]:
    """Move this process into a network and mount namespace of its own, with an empty /run."""
    home = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")]
    _call(_LIBC.unshare(_CLONE_NEWNET | _CLONE_NEWNS))
    try:
        _call(_LIBC.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))
        _call(_LIBC.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755"))
        yield
    finally:
        _wait_single()
        for fd in home:
            _call(_LIBC.setns(fd, 0))
            os.close(fd)


def _wait_single() -> None:
    """Wait for threads that were joined to be gone: setns(2) of a mount namespace wants none.

    Python's join returns when a thread's Python part has ended.
    """
    deadline = time.monotonic() + 5
    while _threads() > 1 and time.monotonic() < deadline:
        time.sleep(0.001)


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names, not paths
    except OSError:
        return 1  # the test has hidden /proc, and has no threads


def _call(answer: int) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def descriptors() -> dict[str, str]:
    """Return this process's descriptors and what they lead to."""
    found = {}
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
        try:
            found[entry] = os.readlink(f"/proc/self/fd/{entry}")
        except FileNotFoundError:
            continue  # the listing's own
    return found
