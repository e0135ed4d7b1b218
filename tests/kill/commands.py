"""The commands that the matrix goes through: what is there before, and how the host is mended."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.kill.strace import INSTALLED
from tests.support.lab import Done, Lab, descriptors

_TUNSETIFF = 0x400454CA
_TAP_NO_PI_VNET_HDR = 0x0002 | 0x1000 | 0x4000
#: Stands for the worker's TAP in a command line.
TAP = "{tap}"
_SCRIPT = [sys.executable, "-m", "vmnet.entry.ifscript"]


@dataclass(frozen=True)
class Command:
    """One row of the matrix.

    Attributes:
        name: for the test's id.
        argv: how a user starts it.
        prepare: makes what the command is to work on.
        same: runs the same in a warm process.
        away: takes away all that it made.
        status: its exit status when nothing goes wrong.
        instead: what is done after a kill, if not the same once more.
        in_steps: a killed run may stop between two states; the next goes on from there.
        each_by_itself: it goes on past failures, link by link.
    """

    name: str
    argv: tuple[str, ...]
    prepare: Callable[[Lab], None]
    same: Callable[[Lab], Done]
    away: Callable[[Lab], Done]
    status: int = 0
    instead: Callable[[Lab], Done] | None = None
    in_steps: bool = False
    each_by_itself: bool = False

    def __str__(self) -> str:
        """Return a name for a test's id."""
        return self.name


def home(lab: Lab) -> None:
    """Make two bridges that are not vmnet's, one of them with an MTU that somebody set."""
    lab.sh(
        "ip link add br0 address 02:00:00:00:00:b0 type bridge; ip link set br0 up;"
        "ip link add br1 address 02:00:00:00:00:b1 type bridge; ip link set br1 mtu 9000 up"
    )


def _nothing(_: Lab) -> None:
    pass


def _attached(*args: str) -> Callable[[Lab], None]:
    def prepare(lab: Lab) -> None:
        lab.vmnet("attach", "vm1", "--bridge", "br0", *args)

    return prepare


def _attached_many(lab: Lab) -> None:
    for nic in ("0", "1", "2"):
        lab.vmnet("attach", "vm1", "--bridge", "br0", "--nic", nic)


def done_well(lab: Lab, *args: str) -> None:
    """Run a command that has to succeed."""
    lab.vmnet(*args)


def _vmnet(*args: str) -> Callable[[Lab], Done]:
    return lambda lab: lab.vmnet(*args, status=None)


def _row(
    name: str,
    args: list[str],
    prepare: Callable[[Lab], None],
    away: Callable[[Lab], Done],
    **more: Any,
) -> Command:
    return Command(name, (INSTALLED, *args), prepare, _vmnet(*args), away, **more)


def _bridge_of_vmnet(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br9")


def _mess(lab: Lab) -> None:
    """Leave behind what kills leave: half-made and orphaned TAPs, a half-made bridge, a lock."""
    for vm, life in (("vm1", "kept"), ("vm2", "building"), ("vm3", "process")):
        tap = lab.vmnet("attach", vm, "--bridge", "br0", "--json").json["tap"]
        alias = lab.link(tap)["ifalias"].replace("life=kept", f"life={life}")
        lab.sh(f"ip link set dev {tap} alias '{alias}'")
    _bridge_of_vmnet(lab)
    lab.sh("ip link set dev br9 down; ip link set dev br9 alias ''; touch /run/vmnet/1.vm=3Ax.lock")


def tap_name() -> str:
    """Return the name of the TAP that this process holds.

    No two workers have the same: vmnet asks of each holder of such a name whether it is the one in
    this namespace, and one question more or less would spoil the count.
    """
    return f"kill{os.getpid()}"


def hold_tap(lab: Lab) -> None:
    """Make a TAP as a QEMU does and hold it in this process, which is a cell's own."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", tap_name().encode(), _TAP_NO_PI_VNET_HDR))
    lab.sh(f"ip link set dev {tap_name()} address 02:00:00:00:00:07")


def let_go() -> None:
    """Close what `hold_tap` opened: the TAP vanishes, as with its QEMU."""
    for number, leads_to in descriptors().items():
        if leads_to == "/dev/net/tun":
            os.close(int(number))


def _plugged(lab: Lab) -> None:
    hold_tap(lab)
    lab.script("up", tap_name())


def _script(verb: str) -> Callable[[Lab], Done]:
    return lambda lab: lab.script(verb, tap_name(), status=None)


def _down_and_ended(lab: Lab) -> Done:
    done = lab.script("down", tap_name(), status=None)
    let_go()
    return done


def _script_row(verb: str, prepare: Callable[[Lab], None], **more: Any) -> Command:
    argv = (*_SCRIPT, verb, TAP)
    return Command(f"ifscript-{verb}", argv, prepare, _script(verb), _down_and_ended, **more)


_ATTACH = ["attach", "vm1", "--bridge", "br0"]
_DETACH = _vmnet("detach", "vm1")
_NICS = ["--nic", "bridge=br0,queues=2", "--nic", "bridge=br1"]

ATTACH = _row("attach", _ATTACH, _nothing, _DETACH)
QUEUES = _row(
    "attach-queues",
    [*_ATTACH, "--queues", "2", "--vhost", "--owner", "nobody"],
    _nothing,
    _DETACH,
)
CHANGE = _row(
    "attach-change",
    ["attach", "vm1", "--bridge", "br1", "--mtu", "1400", "--owner", "nobody"],
    _attached(),
    _DETACH,
    in_steps=True,
)
RUN = _row(
    "run",
    ["run", "vm1", *_NICS, "--", "sh", "-c", "exit 7"],
    _nothing,
    _DETACH,
    instead=_vmnet(*_ATTACH),
    status=7,
)
DETACH = _row(
    "detach",
    ["detach", "vm1"],
    _attached("--queues", "2"),
    _DETACH,
    instead=_vmnet(*_ATTACH, "--queues", "2"),
    in_steps=True,  # what is outside of the TAP goes after it
    each_by_itself=True,
)
DETACH_MANY = _row(
    "detach-many",
    ["detach", "vm1"],
    _attached_many,
    _DETACH,
    in_steps=True,  # each TAP by itself
    each_by_itself=True,
)
CREATE = _row(
    "bridge-create",
    ["bridge", "create", "br9"],
    _nothing,
    _vmnet("bridge", "delete", "br9"),
    in_steps=True,
)
RAISE = _row(
    "bridge-mtu",
    ["bridge", "create", "br9", "--mtu", "9000"],
    _bridge_of_vmnet,
    _vmnet("bridge", "delete", "br9"),
)
DELETE = _row(
    "bridge-delete",
    ["bridge", "delete", "br9"],
    _bridge_of_vmnet,
    _vmnet("bridge", "delete", "br9"),
    instead=_vmnet("bridge", "create", "br9"),
)
GC = _row("gc", ["gc"], _mess, _DETACH, in_steps=True, each_by_itself=True)
UP = _script_row("up", hold_tap)
DOWN = _script_row("down", _plugged, in_steps=True, each_by_itself=True)

_TUN = ["tun", "create", "tun0", "--address", "10.8.0.1/24", "--route", "10.77.0.0/16"]
_PATCH = ["patch", "br0", "br1"]
TUN = _row("tun-create", _TUN, _nothing, _vmnet("tun", "delete", "tun0"))
TUN_AWAY = _row(
    "tun-delete",
    ["tun", "delete", "tun0"],
    lambda lab: done_well(lab, *_TUN),
    _vmnet("tun", "delete", "tun0"),
    instead=_vmnet(*_TUN),
)
PATCH = _row("patch", _PATCH, _nothing, _vmnet("unpatch", "br0", "br1"), in_steps=True)
UNPATCH = _row(
    "unpatch",
    ["unpatch", "br0", "br1"],
    lambda lab: done_well(lab, *_PATCH),
    _vmnet("unpatch", "br0", "br1"),
    instead=_vmnet(*_PATCH),
)

_ROUTED = ["attach", "vm1", "--routed", "--address", "10.0.0.5,2001:db8::5", "--proxy", "br0"]
_DIRECT = ["attach", "vm1", "--direct", "br0", "--owner", "nobody"]
ROUTED = _row("attach-routed", _ROUTED, _nothing, _DETACH, in_steps=True)
ROUTED_AWAY = _row(
    "detach-routed",
    ["detach", "vm1"],
    lambda lab: done_well(lab, *_ROUTED),
    _DETACH,
    instead=_vmnet(*_ROUTED),
    in_steps=True,
)
DIRECT = _row("attach-direct", _DIRECT, _nothing, _DETACH, in_steps=True)
DIRECT_AWAY = _row(
    "detach-direct",
    ["detach", "vm1"],
    lambda lab: done_well(lab, *_DIRECT),
    _DETACH,
    instead=_vmnet(*_DIRECT),
)
DIRECT_RUN = _row(
    "run-direct",
    ["run", "vm1", "--nic", "direct=br0", "--", "sh", "-c", "exit 7"],
    _nothing,
    _DETACH,
    instead=_vmnet(*_DIRECT),
    status=7,
    in_steps=True,
)
WIRES = [TUN, TUN_AWAY, PATCH, UNPATCH, ROUTED, ROUTED_AWAY, DIRECT, DIRECT_AWAY, DIRECT_RUN]
ALL = [ATTACH, QUEUES, CHANGE, RUN, DETACH, DETACH_MANY, CREATE, DELETE, GC, UP, DOWN]
#: What every day has time for; the others are in `./dev test-long`.
DAILY = (ATTACH, RUN, DETACH, CREATE, UP, DOWN, PATCH)


def rows(commands: Iterable[Command]) -> list[Any]:
    """Return commands as parameters of a test, those too long for every day marked."""
    long = pytest.mark.long
    return [
        pytest.param(each, id=str(each), marks=[] if each in DAILY else [long]) for each in commands
    ]
