"""A private libvirtd for a test, in a place of its own: nothing of the machine's is touched.

    with Host() as host:
        host.bridge("br0", "10.99.0.1/24")
        host.boot(host.domain("vm1", bridge_nic(mac(1)), addresses=(address(1),)))
        assert host.ping("10.99.0.11")
        assert host.operations("vm1") == ["prepare", "start", "started"]

A logging hook (`qemu.d/10-log`) writes down every call; vmnet's own comes by `install_hook`.
`kvm=True` is for the test host.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from tests.support.domains import domain_xml
from tests.support.guest import guest_facts
from tests.support.lab import REPO, Done
from tests.support.place import Place, wait_for

_HOOK_LOG = REPO / "tests" / "lab" / "hook-log.sh"
_HOOKS = "/etc/libvirt/hooks/qemu.d"
#: What libvirt found out about this machine's QEMU: 4 s the first time; it knows when it is stale.
_CAPABILITIES = REPO / ".cache" / "libvirt"
_CONSOLES = "console"

_QEMU_CONF = REPO / "tests" / "lab" / "qemu.conf"
_LIBVIRTD_CONF = """\
auth_unix_rw = "none"
auth_unix_ro = "none"
keepalive_interval = -1
host_uuid = "{uuid}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
"""


@dataclass(frozen=True)
class HookCall:
    """One call of the hook, as the log has it: all of it was so when the call came."""

    guest: str
    op: str
    sub: str
    extra: str
    #: Seconds since the epoch.
    when: float
    xml: str
    links: dict[str, dict[str, Any]]

    @property
    def taps(self) -> list[str]:
        """The names of the TAPs there were."""
        return sorted(
            name
            for name, link in self.links.items()
            if link.get("linkinfo", {}).get("info_kind") == "tun"
        )

    @property
    def targets(self) -> list[str | None]:
        """The target device of each interface of the XML, None where it names none."""
        return targets(self.xml)


class Host(Place):
    """One host with a libvirtd of its own."""

    def __init__(self, name: str = "host", *, kvm: bool = False, fresh: bool = True) -> None:
        """Describe a host; as a context manager it starts with its libvirtd, and ends with all.

        Without `fresh` it works on the shared knowledge of QEMU itself (`_CAPABILITIES`).
        """
        super().__init__(name)
        self.kvm = kvm
        self._fresh = fresh
        etc = self.folder / "etc/libvirt"
        shutil.copy(_QEMU_CONF, etc / "qemu.conf")
        (etc / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(uuid=uuid.uuid4()))
        self._calls = self.folder / "calls"
        for folder in (etc / "hooks/qemu.d", self._calls, self.folder / _CONSOLES):
            folder.mkdir(parents=True)
        hook = etc / "hooks/qemu.d/10-log"
        hook.write_text(_HOOK_LOG.read_text().replace("@FOLDER@", str(self._calls)))
        hook.chmod(0o755)

    def __enter__(self) -> Self:
        try:
            if self._fresh:
                shutil.copytree(_capabilities(), self.folder / "cache", dirs_exist_ok=True)
            else:
                _CAPABILITIES.mkdir(parents=True, exist_ok=True)
                (self.folder / "cache").rmdir()
                (self.folder / "cache").symlink_to(_CAPABILITIES)
            self.start()
            self.start_libvirtd()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    # ---- libvirtd

    def start_libvirtd(self) -> None:
        """Start it; the first virsh waits until it is ready."""
        self.run("libvirtd", "-d", "-p", "/run/libvirtd.pid")

    def stop_libvirtd(self, signal: str = "TERM") -> None:
        """End it by a signal; running VMs stay."""
        pid = self.path("/run/libvirtd.pid").read_text().strip()
        self.sh(f"kill -{signal} {pid}")
        wait_for(lambda: int(pid) not in self.processes(), why="libvirtd stays")

    def kill_libvirtd(self) -> None:
        """Let it die without a word."""
        self.stop_libvirtd("KILL")

    def restart_libvirtd(self) -> None:
        """Stop and start it, as an upgrade would."""
        self.stop_libvirtd()
        self.start_libvirtd()
        self.virsh("list")

    def log(self) -> str:
        """Return what libvirtd has complained of."""
        file = self.folder / "log/libvirtd.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def uri(self) -> str:
        """Where other hosts reach it."""
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt-sock"

    def virsh(self, *args: str, status: int | None = 0) -> Done:
        """Run virsh; check its exit status unless that is None."""
        done = self.run("virsh", "-q", *args, status=None)
        if status is not None:
            assert done.status == status, f"virsh {args}: {done}\n{self.log()[-2000:]}"
        return done

    # ---- domains

    def domain(
        self,
        name: str,
        *interfaces: str,
        addresses: tuple[str, ...] = (),
        metadata: str = "",
        cpus: int = 1,
        args: str = "",
    ) -> str:
        """Return the XML of a domain that boots the test guest on this host (`domain_xml`)."""
        return domain_xml(
            name,
            *interfaces,
            console=self.folder / _CONSOLES / name,
            addresses=addresses,
            metadata=metadata,
            kvm=self.kvm,
            cpus=cpus,
            args=args,
        )

    def define(self, xml: str) -> None:
        """Make a domain known, or change it."""
        self.virsh("define", str(self.file("domain.xml", xml)))

    def boot(self, xml: str, seconds: float = 90) -> dict[str, dict[str, str]]:
        """Define and start a domain; return what its guest says of its NICs once it is up."""
        self.define(xml)
        name = str(ET.fromstring(xml).findtext("name"))  # noqa: S314 - the test's own
        self.virsh("start", name)
        return self.wait_guest(name, seconds)

    def file(self, name: str, text: str) -> Path:
        """Return a file with that text, at the same path for the test and the place."""
        path = self.folder / name
        path.write_text(text)
        return path

    def state(self, name: str) -> str:
        """Return what libvirt says of a domain: running, shut off, ..."""
        return self.virsh("domstate", name).out.strip()

    def wait_state(self, name: str, state: str, seconds: float = 20) -> None:
        """Wait until libvirt says that of a domain."""
        wait_for(lambda: self.state(name) == state, seconds, f"{name} is not {state}")

    def live_xml(self, name: str) -> str:
        """Return the domain's XML as libvirt has it now."""
        return self.virsh("dumpxml", name).out

    def qemu(self, name: str) -> int:
        """Return the pid of a domain's QEMU, as the place has it."""
        return int(self.path(f"/run/libvirt/qemu/{name}.pid").read_text())

    def qemu_argv(self, name: str) -> str:
        """Return the command line of a domain's QEMU."""
        return self.processes()[self.qemu(name)]

    def console(self, name: str) -> str:
        """Return what a guest has said."""
        file = self.folder / _CONSOLES / name
        return file.read_text(errors="replace") if file.exists() else ""

    def wait_guest(self, name: str, seconds: float = 90) -> dict[str, dict[str, str]]:
        """Wait until a guest is up; return what it says of each of its NICs."""
        wait_for(
            lambda: "vmnet-guest: ready" in self.console(name), seconds, f"{name} does not boot"
        )
        return guest_facts(self.console(name))

    # ---- hooks

    def put_hook(self, name: str, text: str) -> None:
        """Make a further hook, or change one: the text of a sh script."""
        path = self.path(f"{_HOOKS}/{name}")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def remove_hook(self, name: str) -> None:
        """Remove one of them."""
        self.path(f"{_HOOKS}/{name}").unlink()

    def install_hook(self, *args: str) -> Done:
        """Install vmnet's hook, by vmnet."""
        return self.vmnet("hook", "install", *args)

    def hook_calls(self, guest: str | None = None) -> list[HookCall]:
        """Return the calls of the hook in their order, perhaps those for one guest."""
        calls = [_call(entry) for entry in self._calls.iterdir() if entry.suffix != ".new"]
        calls.sort(key=lambda call: call.when)
        return [call for call in calls if guest in (None, call.guest)]

    def operations(self, guest: str | None = None) -> list[str]:
        """Return the names of the operations that ran, in their order."""
        return [call.op for call in self.hook_calls(guest)]

    def forget_calls(self) -> None:
        """Let the log of the hook begin anew."""
        for entry in self._calls.iterdir():
            shutil.rmtree(entry)

    # ---- vmnet

    def config(self, text: str) -> None:
        """Write vmnet's configuration."""
        path = self.path("/etc/vmnet/vmnet.toml")
        path.write_text(text)
        path.chmod(0o644)

    def leftovers(self) -> list[str]:
        """Return what guests left behind: TAPs, tags, vmnet's files, processes but libvirtd's.

        A mark of a guest that was to come is a hint that goes stale by itself: it does not count.
        """
        found = [f"link {name}" for name, link in self.links().items() if _left(name, link)]
        files = [path for path in self.path("/run/vmnet").rglob("*") if path.suffix != ".mark"]
        found += [f"file {path}" for path in files]
        tables = self.run("nft", "list", "tables").out.splitlines()
        found += [table for table in tables if table == "table bridge vmnet"]
        ours = ("/bin/sh", "cat", "libvirtd")
        found += [
            f"process {pid} {argv or '(zombie)'}"
            for pid, argv in self.processes().items()
            if argv.partition(" ")[0] not in ours
        ]
        return found


def _left(name: str, link: dict[str, Any]) -> bool:
    return (
        name.startswith(("vmn", "vnet"))
        or link.get("ifalias", "").startswith("vmnet/")
        or link.get("linkinfo", {}).get("info_kind") == "tun"
    )


def targets(xml: str) -> list[str | None]:
    """Return the target device of each interface of a domain's XML."""
    devices = [nic.find("target") for nic in ET.fromstring(xml).iter("interface")]  # noqa: S314
    return [None if device is None else device.get("dev") for device in devices]


def _call(entry: Path) -> HookCall:
    guest, op, sub, extra = (entry / "call").read_text().splitlines()
    links = {link["ifname"]: link for link in json.loads((entry / "links").read_text())}
    when = float(entry.name.rpartition("-")[0])
    return HookCall(guest, op, sub, extra, when, (entry / "xml").read_text(), links)


@cache
def _capabilities() -> Path:
    """Let libvirt find out about QEMU, once a session at most; return what it wrote."""
    with Host("probe", fresh=False) as host:
        host.virsh("domcapabilities", "--virttype", "qemu", "--machine", "pc")
    return _CAPABILITIES


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long something took (`pytest -s`, or `-rP`)."""
    start = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - start:.2f} s")  # noqa: T201 - for whoever reads the run
