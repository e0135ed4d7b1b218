"""A real QEMU, with or without a guest in it.

The guest is `tests/lab/init` on Debian's kernel: it takes addresses from its command line and says
on its console what it sees (`tests/lab/README.md`).
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.support.lab import REPO, VENV_BIN, Lab, run

QEMU = "qemu-system-x86_64"
GUEST = REPO / ".cache" / "guest"
HOST_IP, GUEST_IP = "10.99.0.1", "10.99.0.11"
#: A guest whose TSC is not given hangs now and then under emulation.
KERNEL_ARGS = "console=ttyS0 quiet panic=1 tsc_early_khz=2600000 mitigations=off nokaslr"


class Vm:
    """A QEMU process of the test's own."""

    def __init__(self, process: subprocess.Popen[bytes], console: Path) -> None:
        """Watch this process, whose serial console goes to that file."""
        self.process = process
        self.pid = process.pid
        self._console = console

    def console(self) -> str:
        """Return what the guest has said."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def wait_ready(self, seconds: float = 60) -> dict[str, dict[str, str]]:
        """Wait until the guest is up; return what it says of each of its NICs."""
        self.wait_for(lambda: "vmnet-guest: ready" in self.console(), seconds)
        return guest_facts(self.console())

    def wait_for(self, what: Callable[[], bool], seconds: float = 10) -> None:
        """Wait for something, as long as QEMU lives."""
        deadline = time.monotonic() + seconds
        while not what():
            assert self.process.poll() is None, f"QEMU ended: {self.end()}; {self.console()}"
            assert time.monotonic() < deadline, f"not within {seconds} s; {self.console()}"
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End QEMU by a signal and return its exit status as Popen has it."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def end(self) -> tuple[int | None, str]:
        """Return the exit status and standard error of a QEMU that ended by itself."""
        _, err = self.process.communicate(timeout=20)
        return self.process.returncode, err.decode(errors="replace")


def guest_facts(console: str) -> dict[str, dict[str, str]]:
    """Return what a guest said of each of its NICs."""
    found = re.findall(r"vmnet-guest: (nic=.*)", console)
    facts = [dict(word.split("=", 1) for word in line.split()) for line in found]
    return {fact["nic"]: fact for fact in facts}


@contextmanager
def started(argv: list[str], console: Path, env: dict[str, str] | None = None) -> Iterator[Vm]:
    """Start a QEMU, or something that becomes one; killed and reaped in the end."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    try:
        yield Vm(process, console)
    finally:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait(20)


def guest_argv(console: Path, *addresses: str, accel: str = "tcg", smp: int = 1) -> list[str]:
    """Return the command line of a guest with these addresses on its NICs, less the NICs."""
    places = [f"vmip{number}={address}/24" for number, address in enumerate(addresses)]
    return told(console, *places, accel=accel, smp=smp)


def told(console: Path, *words: str, accel: str = "tcg", smp: int = 1) -> list[str]:
    """Return the command line of a guest that is told these words (`tests/lab/README.md`)."""
    cpu = ["-cpu", "host"] if accel == "kvm" else []
    return [
        *(QEMU, "-accel", accel, *cpu, "-M", "pc", "-m", "192", "-smp", str(smp)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{console}"),
        *("-kernel", str(GUEST / "vmlinuz"), "-initrd", str(GUEST / "initrd.gz")),
        *("-append", " ".join([KERNEL_ARGS, *words])),
    ]


def shared_memory(megabytes: int = 192) -> list[str]:
    """Return what else the command line of a guest has whose memory another program may map."""
    backend = f"memory-backend-memfd,id=mem,size={megabytes}M,share=on"
    return ["-object", backend, "-machine", "memory-backend=mem"]


def paused_argv() -> list[str]:
    """Return the command line of a QEMU that opens its NICs and runs nothing."""
    return [QEMU, "-accel", "tcg", "-M", "pc", "-m", "16", "-nodefaults", "-display", "none", "-S"]


def vmnet_run(vm: str, *nics: str, options: tuple[str, ...] = ()) -> list[str]:
    """Return the beginning of a command line that runs QEMU under vmnet."""
    words = [word for nic in nics for word in ("--nic", nic)]
    return [str(VENV_BIN / "vmnet"), "run", vm, *words, *options, "--"]


def bridge_with_address(lab: Lab, name: str = "br0", address: str = HOST_IP) -> None:
    """Make a bridge by vmnet and give this namespace an address on it."""
    lab.vmnet("bridge", "create", name)
    lab.sh(f"ip address add {address}/24 dev {name}; ip link set lo up")


def pings(address: str, count: int = 3, tries: int = 20) -> bool:
    """Say whether all of some pings are answered, once the first one is."""
    for _ in range(tries):
        if run(["busybox", "ping", "-c", "1", "-W", "1", address]).status == 0:
            break
    done = run(["busybox", "ping", "-c", str(count), "-i", "0.1", "-W", "2", address])
    return f"{count} packets transmitted, {count} packets received" in done.out


def echoes(address: str, total: int = 10 * 1000 * 1000) -> bool:
    """Say whether so many bytes come back from the guest as they went to it, by TCP."""
    sent = random.Random(total).randbytes(total)  # noqa: S311 - the same bytes in each run
    came = bytearray()
    with (
        socket.create_connection((address, 7), timeout=120) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(connection.sendall, sent)
        while len(came) < total:
            part = connection.recv(1 << 16)
            assert part, f"{len(came)} bytes came, then an end"
            came += part
    return came == sent
