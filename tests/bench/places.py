"""A place to measure in, and the proof that two ways to it end in the same state."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import vmnet
from tests.support.lab import Lab, own_namespaces
from vmnet.model.port import PortAsk

BRIDGE = "br0"


def attach(vm: str, *, guard: bool = True) -> vmnet.Attached:
    """Attach a VM to the bridge."""
    return vmnet.attach(_wish(vm, guard=guard))


def plan(vm: str, *, guard: bool = True) -> vmnet.Attached:
    """Return what attaching a VM would do."""
    return vmnet.attach(_wish(vm, guard=guard), dry_run=True)


def _wish(vm: str, *, guard: bool) -> vmnet.Wish:
    return vmnet.Wish(vm=vm, bridge=BRIDGE, port=PortAsk(guard=None if guard else False))


@contextmanager
def place() -> Iterator[Lab]:
    """A network and mount namespace with a bridge in it."""
    with own_namespaces():
        vmnet.create_bridge(BRIDGE)
        yield Lab()


def state(lab: Lab, tap: str) -> dict[str, Any]:
    """Return what `ip -j -d` shows of a TAP, less what differs from one making to the next."""
    link = lab.link(tap)
    for word in ("ifindex", "flags", "operstate", "linkmode"):
        link.pop(word, None)
    link["ifalias"] = re.sub(r"\b(gen|idle)=\S+", r"\1", link.get("ifalias", ""))
    port = link.get("linkinfo", {}).get("info_slave_data", {})
    for word in [word for word in port if word.endswith("timer") or word in {"state", "no"}]:
        del port[word]
    return link


def check_same(ways: dict[str, dict[str, Any]]) -> None:
    """Raise if the states that some ways lead to are not all the same."""
    (first, wanted), *others = ways.items()
    for name, found in others:
        differ = {key for key in wanted | found if wanted.get(key) != found.get(key)}
        if differ:
            seen = {key: (wanted.get(key), found.get(key)) for key in sorted(differ)}
            raise RuntimeError(f"{first} and {name} do not reach the same state: {seen}")


class Crowd:
    """A place with many TAPs that can be gone to and fro."""

    def __init__(self, stack: ExitStack, taps: int) -> None:
        """Make it; the stack takes it away."""
        with place():
            for number in range(taps):
                attach(f"crowd{number}")
            self._doors = _doors(stack)

    def enter(self) -> None:
        """Go there."""
        _through(self._doors)


@contextmanager
def home() -> Iterator[None]:
    """Come back in the end to where this process was."""
    with ExitStack() as stack:
        doors = _doors(stack)
        try:
            yield
        finally:
            _through(doors)


def _doors(stack: ExitStack) -> list[int]:
    doors = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt")]
    for door in doors:
        stack.callback(os.close, door)
    return doors


def _through(doors: list[int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for door in doors:
        if libc.setns(door, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
