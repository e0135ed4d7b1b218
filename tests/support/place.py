"""A place of a test's own that outlives a command: namespaces, an empty /run, its own /etc.

Other than `lab.Lab`, which the test process itself moves into, a place is entered by each command.
Its PID 1 holds all that runs there: when the place ends, nothing of it is left. It cannot outlive
the test process either, whose pipe it reads.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.lab import PATIENCE, REPO, VENV_BIN, Done, check, forked, run

_INIT = REPO / "tests" / "lab" / "place.sh"
_PINGER = Path(__file__).with_name("pinger.py")
_LIBC = ctypes.CDLL(None, use_errno=True)
#: What every command there does without: this user's settings, and other languages.
_ENV = {"HOME": "/run", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Pings:
    """What became of the pings of a while."""

    sent: int
    #: The numbers of those without an answer, from 0.
    lost: list[int]
    #: The numbers of those answered after more than 100 ms.
    late: list[int]
    #: The longest time without an answer, seconds.
    gap: float


class Place:
    """Namespaces (mount, network, PID, UTS) that commands run in, and a folder of their files."""

    def __init__(self, name: str) -> None:
        """Name a place; `start` makes it."""
        self.name = name
        # Short, because paths of sockets are; not the test's own folder, whose name may be long.
        self.folder = Path(tempfile.mkdtemp(prefix=f"vmnet-{name}-"))
        self.folder.chmod(0o755)  # its /etc is for every user there
        for entry in ("etc/libvirt", "etc/vmnet", "run", "lib", "log", "cache"):
            (self.folder / entry).mkdir(parents=True)
        self._write_names()
        self._init: subprocess.Popen[bytes] | None = None

    def _write_names(self) -> None:
        # A name that resolves at once: libvirtd looks up its own and waits for every answer.
        (self.folder / "etc/hosts").write_text(f"127.0.0.1 localhost {self.name}\n")
        (self.folder / "etc/nsswitch.conf").write_text(
            "passwd: files\ngroup: files\nhosts: files\n"
        )

    def start(self) -> None:
        """Make the namespaces."""
        # A child of unshare is PID 1 there; it is killed if unshare is.
        argv = ["unshare", "-m", "-n", "-u", "-p", "-f", "--kill-child", "--mount-proc"]
        argv += ["--propagation", "private", "/bin/sh", str(_INIT), str(self.folder), self.name]
        self._init = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._init.stdout is not None
        assert self._init.stdout.readline() == b"ready\n"

    def end(self) -> None:
        """End all that runs there; returns when it has ended."""
        if self._init is not None:
            assert self._init.stdin is not None
            assert self._init.stdout is not None
            self._init.stdin.close()
            self._init.stdout.close()
            self._init.wait(30 * PATIENCE)
            self._init = None

    def remove(self) -> None:
        """End all that runs there and forget its files."""
        self.end()
        shutil.rmtree(self.folder)

    @property
    def pid(self) -> int:
        """The process whose namespaces these are, as the test sees it."""
        assert self._init is not None, f"{self.name} is not running"
        return self._init.pid

    def path(self, inside: str) -> Path:
        """Return where the test finds a file of the place's."""
        return Path(f"/proc/{self.pid}/root{inside}")

    # ---- what runs there

    def argv(self, *command: str) -> list[str]:
        """Return a command line that runs a command there."""
        spaces = f"--pid=/proc/{self.pid}/ns/pid_for_children"
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", spaces, "--", *command]

    def run(self, *command: str, status: int | None = 0) -> Done:
        """Run a program there; check its exit status unless that is None."""
        done = run(self.argv(*command), env=os.environ | _ENV)
        assert status in (None, done.status), f"{self.name}: {command}: {done}"
        return done

    def sh(self, line: str) -> Done:
        """Run a line of sh and expect it to succeed."""
        return self.run("sh", "-ec", line)

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """Run a program there beside the test; killed in the end (its children with the place)."""
        process = subprocess.Popen(
            self.argv(*command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | _ENV,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def vmnet(self, *args: str, status: int | None = 0, env: dict[str, str] | None = None) -> Done:
        """Run the command there in a warm process; check its exit status unless that is None."""
        done = forked(["vmnet", *args], "vmnet.entry.cli", _ENV | (env or {}), self.enter)
        check(done, args, status)
        return done

    def cold(self, *args: str, status: int | None = 0) -> Done:
        """Run the installed command there as a user would."""
        done = self.run(str(VENV_BIN / "vmnet"), *args, status=None)
        check(done, args, status)
        return done

    def enter(self) -> None:
        """Move a forked child there, for good: what goes on is its child, in the PID namespace."""
        kinds = ("pid_for_children", "net", "uts", "mnt")
        for fd in [os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]:
            if _LIBC.setns(fd, 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            os.close(fd)
        os.chdir("/")
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)

    # ---- what is there

    def ip(self, *args: str) -> Any:
        """Return what `ip -j -d` answers."""
        return json.loads(self.run("ip", "-j", "-d", *args).out or "[]")

    def links(self) -> dict[str, dict[str, Any]]:
        """Return all links but lo, by name."""
        return {link["ifname"]: link for link in self.ip("link", "show") if link["ifname"] != "lo"}

    def ports(self, bridge: str) -> list[str]:
        """Return the names of a bridge's ports, sorted."""
        return sorted(n for n, link in self.links().items() if link.get("master") == bridge)

    def bridge(self, name: str, address: str = "") -> None:
        """Make a bridge as an administrator would, and give this place an address on it."""
        # An own address: without, the bridge takes the lowest of its ports' and changes it.
        mac = ":".join(f"{byte:02x}" for byte in (2, *name.encode()[-5:].rjust(5, b"\0")))
        self.sh(
            f"ip link add {name} address {mac} type bridge forward_delay 0; ip link set {name} up"
        )
        if address:
            self.sh(f"ip address add {address} dev {name}")

    def cable(self, own: str, other: Place, others: str) -> None:
        """Lay a veth pair from this place to another one."""
        ends = f"{own} up type veth peer name {others} netns {other.pid}"
        done = run(["nsenter", "-t", str(self.pid), "-n", "ip", "link", "add", *ends.split()])
        assert done.status == 0, done
        other.sh(f"ip link set {others} up")

    def processes(self) -> dict[int, str]:
        """Return the command lines of what runs there, by the place's own process numbers."""
        found = {}
        for entry in self.path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except (FileNotFoundError, ProcessLookupError):
                    continue
                found[int(entry.name)] = b" ".join(words).decode(errors="replace").strip()
        return found

    # ---- pings

    def ping(self, address: str, seconds: float = 60) -> bool:
        """Say whether an address answers within a time."""
        script = [sys.executable, "-IS", str(_PINGER), "until", address, str(seconds * PATIENCE)]
        return run(self.argv(*script), timeout=seconds * PATIENCE + 30).status == 0

    @contextmanager
    def pinging(self, address: str, seconds: float = 0.01) -> Iterator[Callable[[], Pings]]:
        """Ping all the while; the function that is given ends it and says what became of them."""
        script = [sys.executable, "-IS", str(_PINGER), "count", address, str(seconds)]
        with self.running(*script) as process:

            def ended() -> Pings:
                out, err = process.communicate(timeout=30 * PATIENCE)
                assert process.returncode == 0, err
                return Pings(**json.loads(out))

            yield ended


def wait_for(what: Callable[[], object], seconds: float = 20, why: str = "") -> None:
    """Return as soon as something is so; fail if it does not come to be."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"not so within {seconds} s {why}"
        time.sleep(0.02)
