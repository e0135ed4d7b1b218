"""A QEMU with a monitor, and an attacker in the place of one."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest import QEMU, Vm, started
from vmnet.peers.qmp import Monitor

GREETING: dict[str, Any] = {
    "QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}
}


def monitor_argv(path: Path) -> list[str]:
    """Return the options that give a QEMU a monitor there."""
    return ["-qmp", f"unix:{path},server=on,wait=off"]


@contextmanager
def paused(path: Path, *options: str, machine: str = "pc") -> Iterator[Vm]:
    """Start a QEMU that runs no guest, and wait for its monitor."""
    argv = [QEMU, "-accel", "tcg", "-M", machine, "-m", "16", "-nodefaults", "-display", "none"]
    with started([*argv, "-S", *monitor_argv(path), *options], path.with_suffix(".none")) as vm:
        wait_listening(vm, path)
        yield vm


def wait_listening(vm: Vm, path: Path) -> None:
    """Wait until a QEMU has made its monitor's socket and listens there."""
    listening = str(path)
    vm.wait_for(lambda: listening in Path("/proc/net/unix").read_text())


def ask(path: Path, *commands: dict[str, Any]) -> list[Any]:
    """Send a real QEMU commands; return its answers. A client of the test's own."""
    with socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(10)
        talk.connect(str(path))
        with talk.makefile("rb") as lines:
            lines.readline()
            answers = []
            for command in ({"execute": "qmp_capabilities"}, *commands):
                talk.sendall(json.dumps(command).encode())
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
                answers.append(answer)
    return answers[1:]


#: How an attacker goes on once somebody has connected.
Evil = Callable[[socket.socket], None]


@contextmanager
def hostile(path: Path, evil: Evil) -> Iterator[None]:
    """An attacker at a monitor's socket: takes one client after the other."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(listening, evil, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(20)
            assert not thread.is_alive()


def _serve(listening: socket.socket, evil: Evil, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            client, _ = listening.accept()
        except OSError:
            return
        client.settimeout(10)
        with client, suppress(OSError):
            evil(client)


def sends(*chunks: bytes, forever: bytes = b"", hold: bool = True) -> Evil:
    """Say these without listening; then this without end, or nothing, or hang up."""

    def evil(client: socket.socket) -> None:
        for chunk in chunks:
            client.sendall(chunk)
        while forever:
            client.sendall(forever)
        if hold:
            while client.recv(65536):
                pass

    return evil


def answers(
    how: Callable[[dict[str, Any]], bytes | None], greeting: dict[str, Any] = GREETING
) -> Evil:
    """Greet like QEMU, then answer each command with these bytes; None hangs up."""

    def evil(client: socket.socket) -> None:
        client.sendall(json.dumps(greeting).encode() + b"\r\n")
        for command in _commands(client):
            said = how(command)
            if said is None:
                return
            client.sendall(said)

    return evil


def _commands(client: socket.socket) -> Iterator[dict[str, Any]]:
    """Return what a client says: objects with or without blanks between them."""
    text = ""
    while received := client.recv(65536):
        text += received.decode()
        while text := text.lstrip():
            try:
                command, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:]
            yield command


def agreeable(command: dict[str, Any]) -> bytes:
    """Answer as a QEMU does that accepts all it is asked for."""
    back: Any = [] if command["execute"] == "qom-list" else {}
    answer = {"return": back, "id": command.get("id")}
    if command["execute"] == "query-rx-filter":
        error = {"class": "GenericError", "desc": "invalid net client name: vmnet0"}
        answer = {"error": error, "id": command["id"]}
    return json.dumps(answer).encode() + b"\r\n"


def killing(monkeypatch: pytest.MonkeyPatch, victim: str, k: int, pid: int = 0) -> None:
    """Let every command forked from here meet a kill at its k-th step that QEMU carries out.

    Args:
        monkeypatch: undoes it.
        victim: `before`: the command, before the step; `sent`: the command, with the question out
            and its answer not read; `qemu`: that process, before the step.
        k: the step, from 1.
        pid: the QEMU.
    """
    step = itertools.count(1)

    def meet(self: Monitor) -> None:
        if next(step) != k:
            return
        if victim == "qemu":
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.2)
        elif victim == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            self._done = _sent_and_killed  # type: ignore[method-assign,assignment]

    do, receive = Monitor.do, Monitor.receive

    def do_hooked(self: Monitor, what: Any) -> None:
        meet(self)
        do(self, what)

    def receive_hooked(self: Monitor, what: Any, fd: int) -> None:
        meet(self)
        receive(self, what, fd)

    monkeypatch.setattr(Monitor, "do", do_hooked)
    monkeypatch.setattr(Monitor, "receive", receive_hooked)


async def _sent_and_killed(asking: Coroutine[Any, Any, object], _limit: float) -> None:
    task = asyncio.ensure_future(asking)
    await asyncio.wait({task}, timeout=0.002)
    os.kill(os.getpid(), signal.SIGKILL)
