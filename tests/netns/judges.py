"""The programs that obey the files of `vmnet host`, as their judges: each says what it made of one.

systemd-networkd and NetworkManager have no verb that does (NetworkManager's `--print-config` joins
files without looking at what they name), so they run, in the test's own namespaces.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.netns.places import put_tmpfs
from tests.support.lab import PATIENCE, REPO, Done, Lab, checked, run

NETWORKD = "/lib/systemd/systemd-networkd"
MODULES_LOAD = "/lib/systemd/systemd-modules-load"
#: Unpacked, not installed: tests/lab/networkmanager.sh.
_NM = REPO / ".cache" / "networkmanager"
_NM_ENV = {"LD_LIBRARY_PATH": str(_NM / "lib")}
_DEBUG = {"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console", "PATH": os.environ["PATH"]}
_BUS = "unix:path=/run/dbus/system_bus_socket"
_BUS_CONFIG = f"""\
<busconfig><type>custom</type><listen>{_BUS}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
</policy></busconfig>
"""
_SECONDS = 30 * PATIENCE


def fresh_etc() -> None:
    """Let /etc be that of a host on which nobody set anything, with this one's users."""
    kept = {name: Path("/etc", name).read_bytes() for name in ("passwd", "group", "machine-id")}
    put_tmpfs("/etc")
    for name, data in kept.items():
        Path("/etc", name).write_bytes(data)
    Path("/etc/nsswitch.conf").write_text("passwd: files\ngroup: files\n")
    for folder in ("systemd/network", "udev/rules.d", "modules-load.d"):
        Path("/etc", folder).mkdir(parents=True)


def see_sysfs(*, writable: bool) -> None:
    """Let /sys show the test's links; where it cannot be written, networkd waits for no udev."""
    checked(["mount", "-t", "sysfs", "-o", "rw" if writable else "ro", "sysfs", "/sys"])


# ---- udev


def link_setup(link: str) -> Done:
    """Let udev do with a link what it does with a new one."""
    argv = ["udevadm", "test-builtin", "net_setup_link", f"/sys/class/net/{link}"]
    return run(argv, env=_DEBUG)


def put_vhost_device() -> Path:
    """Let there be a node /dev/vhost-net, root's, and a device of that name in /sys.

    A tree of files in its place: udev takes one when it is told not to insist on sysfs.
    """
    put_tmpfs("/sys")
    device, kind = Path("/sys/devices/virtual/misc/vhost-net"), Path("/sys/class/misc")
    device.mkdir(parents=True)
    kind.mkdir(parents=True)
    (device / "uevent").write_text("MAJOR=10\nMINOR=238\nDEVNAME=vhost-net\n")
    (device / "dev").write_text("10:238\n")
    (device / "subsystem").symlink_to(kind)
    (kind / "vhost-net").symlink_to(device)
    node = Path("/dev/vhost-net")
    os.mknod(node, 0o600 | 0o020000, os.makedev(10, 238))
    return node


def device_event() -> Done:
    """Let udev do with /dev/vhost-net what it does when the module is loaded."""
    argv = ["udevadm", "test", "--action=add", "/sys/class/misc/vhost-net"]
    return run(argv, env={**_DEBUG, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"})


# ---- networkd


def networkd_manages(lab: Lab, *links: str) -> tuple[set[str], list[str]]:
    """Run systemd-networkd until it has made up its mind about these links.

    Returns:
        Which of them it manages, and what it says of the files.
    """
    for folder in ("links", "leases", "lldp"):
        Path("/run/systemd/netif", folder).mkdir(parents=True)
    checked(["chown", "-R", "systemd-network:systemd-network", "/run/systemd/netif"])
    see_sysfs(writable=False)
    with _program([NETWORKD], _DEBUG) as told:
        wanted = re.compile(r"(\S+): State changed: \S+ -> (?:unmanaged|configuring)")
        log = _until(told, lambda text: {*wanted.findall(text)} >= {*links})
        managed = {link for link in links if _admin_state(lab, link) != "unmanaged"}
    return managed, re.findall(r"^/etc/systemd/network/\S+:\d+: .*", log, re.MULTILINE)


def _admin_state(lab: Lab, link: str) -> str:
    """Return what networkd's own file about a link says; it is written a moment after the log."""
    path = Path(f"/run/systemd/netif/links/{lab.link(link)['ifindex']}")
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        found = re.search(r"^ADMIN_STATE=(unmanaged|configur\w+)", _text(path), re.MULTILINE)
        if found:
            return found[1]
        select.select([], [], [], 0.02)
    raise AssertionError(_text(path))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# ---- NetworkManager


def nm_config(*args: str) -> Done:
    """Let NetworkManager read its files and say what it has got."""
    return run([*_nm_argv(), "--print-config", *args], env=_NM_ENV)


def _nm_argv() -> list[str]:
    """Return the program and where its files are; what it would remember goes to /run."""
    main = Path("/run/nm.conf")
    main.touch()
    places = {
        "--config": main,
        "--config-dir": "/etc/NetworkManager/conf.d",
        "--system-config-dir": "/run/nm.none",
        "--intern-config": "/run/nm-intern.conf",
        "--state-file": "/run/nm.state",
        "--pid-file": "/run/nm.pid",
    }
    return [str(_NM / "NetworkManager"), *(f"{key}={value}" for key, value in places.items())]


@contextmanager
def networkmanager() -> Iterator[None]:
    """Run NetworkManager, with a bus of its own, until it has made up its mind about all links."""
    put_tmpfs("/var/lib")
    see_sysfs(writable=False)
    Path("/run/dbus").mkdir()
    config = Path("/run/dbus/bus.conf")
    config.write_text(_BUS_CONFIG)
    bus = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=2"]
    with _program(bus, {}) as listening:
        _until(listening, lambda text: "unix:path=" in text)
        with _program([*_nm_argv(), "--debug"], _NM_ENV) as told:
            _until(told, lambda text: "manager: startup complete" in text)
            yield


def nm_state(link: str) -> int:
    """Return what a link is to the running NetworkManager: 10 is unmanaged, 100 activated."""
    path = _ask("call", "/org/freedesktop/NetworkManager", "GetDeviceByIpIface", "s", link)
    device = path.removeprefix('o "').removesuffix('"')
    return int(_ask("get-property", device, "State").removeprefix("u "))


def _ask(verb: str, path: str, *words: str) -> str:
    name = "org.freedesktop.NetworkManager"
    interface = name if verb == "call" else f"{name}.Device"
    return checked(["busctl", f"--address={_BUS}", verb, name, path, interface, *words]).out.strip()


# ---- systemd


def unit_verified(tree: Path, unit: str) -> Done:
    """Let systemd read a unit of a tree that is to become a host, beside its own."""
    folder = tree / "usr/lib/systemd"
    if not folder.exists():
        folder.mkdir(parents=True)
        checked(["cp", "-a", "/lib/systemd/system", str(folder)])
    argv = ["systemd-analyze", f"--root={tree}", "--man=no", "verify", f"{tree}{unit}"]
    return run(argv)


# ---- modules


def put_modules() -> None:
    """Let the running kernel have the modules of the test guest's, in the test's view."""
    kernel = REPO / ".cache" / "kernel"
    release = (kernel / "release").read_text().strip()
    if not Path("/lib/modules").is_dir():
        for folder in ("upper", "work"):
            Path("/run/lib", folder).mkdir(parents=True)
        layers = "lowerdir=/usr/lib,upperdir=/run/lib/upper,workdir=/run/lib/work"
        checked(["mount", "-t", "overlay", "-o", layers, "overlay", "/usr/lib"])
        Path("/lib/modules").mkdir()
    put_tmpfs("/lib/modules")
    Path("/lib/modules", os.uname().release).symlink_to(kernel / "lib/modules" / release)


def load_modules() -> Done:
    """Let systemd-modules-load do its work, without the right to load anything."""
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    return run([setpriv, "--bounding-set=-sys_module", MODULES_LOAD], env=_DEBUG)


# ---- programs


@contextmanager
def _program(argv: list[str], env: dict[str, str]) -> Iterator[int]:
    """Run a program; yield what it says, and end it."""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env
    ) as process:
        assert process.stderr is not None
        try:
            yield process.stderr.fileno()
        finally:
            process.terminate()
            try:
                # What it still says has to go somewhere.
                process.communicate(timeout=_SECONDS)
            finally:
                process.kill()


def _until(fd: int, enough: Callable[[str], bool]) -> str:
    """Read what a program says until it is enough."""
    said, deadline = "", time.monotonic() + _SECONDS
    while not enough(said):
        left = deadline - time.monotonic()
        ready, _, _ = select.select([fd], [], [], max(left, 0))
        chunk = os.read(fd, 1 << 16) if ready else b""
        assert chunk, f"it ended, or said nothing more:\n{said[-4000:]}"
        said += chunk.decode("utf-8", "replace")
    return said
