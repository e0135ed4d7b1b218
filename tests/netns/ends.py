"""A second namespace beside a test's own, and what goes between the two."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.lab import REPO, checked, run

_BULK = str(REPO / "tests" / "support" / "bulk.py")
#: What goes over each wire, in bytes.
TEN_MB = 10 * 1000 * 1000


@dataclass(frozen=True)
class Place:
    """Another network namespace, as long as its process runs."""

    pid: int

    @property
    def path(self) -> str:
        """Its file."""
        return f"/proc/{self.pid}/ns/net"

    def argv(self, *words: str) -> list[str]:
        """Return a command that runs there."""
        return ["nsenter", "-t", str(self.pid), "-n", *words]

    def sh(self, line: str) -> str:
        """Run lines for sh there, and return what they print."""
        return checked(self.argv("sh", "-ec", line)).out

    def pings(self, address: str, count: int = 3) -> bool:
        """Say whether all of so many pings from there are answered."""
        return _pings(self.argv(), address, count)


@contextmanager
def place() -> Iterator[Place]:
    """Make another network namespace, with a loopback."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Place(process.pid)
        assert process.stdin is not None
        process.stdin.close()


def pings(address: str, count: int = 3) -> bool:
    """Say whether all of so many pings from here are answered."""
    return _pings([], address, count)


def _pings(prefix: list[str], address: str, count: int) -> bool:
    family = ["-6"] if ":" in address else []
    words = ["busybox", "ping", *family, "-c", str(count), "-i", "0.1", "-W", "5", address]
    return f" {count} packets received" in run([*prefix, *words]).out


def moved(taker: list[str], giver: list[str], address: str, port: int = 5001) -> Any:
    """Move ten megabytes by TCP; return what came, which is what went.

    Args:
        taker: words that run a command at the end that listens, `Place.argv()`; empty for here.
        giver: the same for the other.
        address: the taker's.
        port: the taker's.
    """
    python = [sys.executable, _BULK]
    words = [*taker, *python, "take", address, str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        sent = checked([*giver, *python, "give", address, str(port), str(TEN_MB)]).json
        came = json.loads(process.stdout.readline())
    assert came == sent
    return came["bytes"]


def echoed(giver: list[str], address: str, port: int = 7) -> bool:
    """Say whether ten megabytes come back from a guest, by TCP, as they went to it.

    Args:
        giver: words that run a command at the end that sends, `Place.argv()`; empty for here.
        address: the guest's.
        port: where it sends back what it gets.
    """
    words = [*giver, sys.executable, _BULK, "echo", address, str(port), str(TEN_MB)]
    return bool(checked(words).json["bytes"] == TEN_MB)
