"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.support.lab import run


def facts() -> dict[str, str]:
    """Return the machine, its system and the versions that matter."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "machine": f"{os.cpu_count()} cores, {_cpu()}, {_memory()}",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {os.uname().release}",
        "Python": f"{platform.python_version()}, pyroute2 {_package('pyroute2')}, "
        f"typer {_package('typer')}",
        "tools": ", ".join(
            filter(None, (_said("qemu-system-x86_64", "--version"), _said("ip", "-V"), _compiler()))
        ),
        "load": f"{load} (1, 5, 15 minutes, at the start)",
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory() -> str:
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{kilobytes / 2**20:.1f} GiB"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _said(*argv: str) -> str:
    """Return what a program says of its version, less the words around."""
    try:
        first = run(list(argv)).out.splitlines()[0]
    except (OSError, IndexError):
        return ""
    words = first.split("(")[0].split("libbpf")[0]
    return words.replace("emulator version ", "").removeprefix("ip utility, ").strip(" ,")


def _compiler() -> str:
    said = _said("gcc", "-dumpfullversion")
    return f"gcc {said}" if said else ""
