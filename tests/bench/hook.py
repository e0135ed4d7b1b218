"""(f) libvirt's hook by itself: the calls of a start and of what ends it, and their parts.

QEMU is played by this process: it opens the TAPs before `start`, as libvirtd does, and closes them
before `release`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.measure import Cycle, Sample, Series, at_random, call, process
from tests.bench.places import BRIDGE, place
from tests.bench.show import TIMES, Table, figure, progress, times
from tests.netns.hooks import HOOK, fresh_libvirt
from tests.netns.places import put_tmpfs
from tests.netns.taps import opened
from tests.support.domains import bridge_nic, domain_xml, mac, metadata, tap_nic
from tests.support.lab import Lab
from vmnet.formats.config import parse_config
from vmnet.formats.domain import parse_domain
from vmnet.model.names import link_name
from vmnet.service import domains

_CONFIG = f'default = "lan"\n[network.lan]\nbridge = "{BRIDGE}"\n'
_NICS = (1, 8)
_NOOP = "sh, exit 0"
_BEFORE, _WHILE, _AFTER = ("prepare",), ("start", "started"), ("release",)
_DOOR = "vmnet.entry.hook"
#: What a call does before its work, as it does it.
_LOADS = f"import {_DOOR}, gc, os; gc.disable(); import vmnet.service.domains; os._exit(0)"
#: What a call is made of, each with what is before it.
_LADDER = {
    "python -I -c pass": ["-I", "-c", "pass"],
    "and the door (no rtnetlink)": ["-I", "-m", _DOOR, "--check"],
    "and the operations' modules": ["-I", "-c", _LOADS],
}

#: Carries one operation out: its name, and a file with the XML.
_Door = Callable[[str, Path], Sample]


@dataclass(frozen=True)
class _Guest:
    """A domain whose TAPs vmnet makes, and the file of its XML."""

    nics: int
    file: Path

    @property
    def name(self) -> str:
        """Its name."""
        return f"vm{self.nics}"

    def cycle(self, what: str, door: _Door) -> dict[str, Sample]:
        """Go through a life of it."""
        found = {op: door(op, self.file) for op in _BEFORE}
        with ExitStack() as stack:
            for nic in range(self.nics):
                stack.enter_context(opened(link_name(self.name, nic)))
            found |= {op: door(op, self.file) for op in _WHILE}
        found |= {op: door(op, self.file) for op in _AFTER}
        return {_key(what, op, self.nics): sample for op, sample in found.items()}


def _key(what: str, op: str, nics: int) -> str:
    return f"{what}{op}, {nics} NIC{'s' if nics > 1 else ''}"


def measure(rounds: int) -> Table:
    """Time the hook."""
    progress(f"f: the hook by itself, {rounds} rounds")
    with place() as lab, tempfile.TemporaryDirectory() as folder:
        _install(lab, Path(folder))
        found = at_random(rounds, _cycles(Path(folder)))
    return _table(found)


def _install(lab: Lab, folder: Path) -> None:
    """Have an /etc with the hook and a configuration; the rest of it is this machine's."""
    shutil.copytree("/etc", folder / "etc", symlinks=True)
    put_tmpfs("/etc")
    shutil.copytree(folder / "etc", "/etc", symlinks=True, dirs_exist_ok=True)
    for name in ("libvirt", "vmnet"):
        Path("/etc", name).mkdir(exist_ok=True)
    fresh_libvirt()
    Path("/etc/vmnet/vmnet.toml").write_text(_CONFIG)
    lab.vmnet("hook", "install", "--python", sys.executable)


def _cycles(folder: Path) -> list[Cycle]:
    noop = folder / "noop"
    noop.write_text("#!/bin/sh\nexit 0\n")
    noop.chmod(0o755)
    ignored = folder / "ignored.xml"
    ignored.write_text(domain_xml("vm1", bridge_nic(mac(1)), console=folder / "console"))
    plain: dict[str, Callable[[], Sample]] = {
        _NOOP: lambda: _hooked(str(noop), "vm1", "prepare", ignored),
        "vmnet's, not its domain": lambda: _hooked(str(HOOK), "vm1", "prepare", ignored),
        "vmnet's, an operation it passes": lambda: _hooked(str(HOOK), "vm1", "stopped", ignored),
    }
    for what, words in _LADDER.items():
        plain[what] = partial(process, [sys.executable, *words])
    cycles: list[Cycle] = [partial(_alone, what, run) for what, run in plain.items()]
    for nics in _NICS:
        guest = _guest(folder, nics)
        cycles += [
            partial(guest.cycle, "", partial(_called, guest)),
            partial(guest.cycle, "warm ", partial(_warm, guest)),
            partial(_parsed, guest),
        ]
    return cycles


def _alone(what: str, run: Callable[[], Sample]) -> dict[str, Sample]:
    return {what: run()}


def _guest(folder: Path, nics: int) -> _Guest:
    guest = _Guest(nics, folder / f"{nics}.xml")
    taps = [tap_nic(mac(1, nic), link_name(guest.name, nic)) for nic in range(nics)]
    wishes = metadata(*(f'mac="{mac(1, nic)}"' for nic in range(nics)))
    guest.file.write_text(
        domain_xml(guest.name, *taps, metadata=wishes, console=folder / "console")
    )
    return guest


def _hooked(hook: str, name: str, op: str, xml: Path) -> Sample:
    return process([hook, name, op, "begin", "-"], stdin=str(xml))


def _called(guest: _Guest, op: str, xml: Path) -> Sample:
    return _hooked(str(HOOK), guest.name, op, xml)


def _warm(guest: _Guest, op: str, file: Path) -> Sample:
    """Do it in this process, which has all modules."""
    xml, config = file.read_bytes(), parse_config(_CONFIG, "vmnet.toml")
    if op == "release":
        return call(lambda: domains.release(guest.name))
    work = {"prepare": domains.prepare, "start": domains.start, "started": domains.started}[op]
    return call(lambda: work(xml, config))


def _parsed(guest: _Guest) -> dict[str, Sample]:
    xml = guest.file.read_bytes()
    return {
        _key("warm ", "XML", guest.nics): call(lambda: parse_domain(xml)),
        "warm configuration": call(lambda: parse_config(_CONFIG, "vmnet.toml")),
    }


def _table(found: dict[str, Series]) -> Table:
    names = sorted(found, key=_order)
    noop = found[_NOOP]
    rows = []
    for name in names:
        adds = "" if name == _NOOP or name.startswith("warm") else figure(found[name].beyond(noop))
        rows.append((*times(name, found[name]), adds))
    return Table(
        title="(f) libvirt's hook, called as libvirt does, and the parts of a call",
        command="./dev bench f",
        head=(*TIMES, "adds"),
        rows=rows,
        notes=(
            "adds: beyond the hook that does nothing; median of the rounds' differences.",
            "warm: in a process that has its modules; XML and configuration are parts of it.",
        ),
        data={name: series.data() for name, series in found.items()},
    )


def _order(name: str) -> tuple[int, str]:
    firsts = [_NOOP, "vmnet's", "prepare", "start", "started", "release", "python", "and", "warm"]
    return max(place for place, first in enumerate(firsts) if name.startswith(first)), name
