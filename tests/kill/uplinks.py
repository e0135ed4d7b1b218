"""A host whose network goes through a NIC or a bridge: how it is made, seen, and killed for."""

from __future__ import annotations

import ast
import json
import re
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kill.strace import INSTALLED, Traced, under_strace
from tests.netns.commands import until
from tests.netns.guardians import guardians
from tests.support.lab import Lab, checked

#: No address is tried for a second, so that no test has to wait for it.
_HOME = (
    "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; ip link set lo up;"
    "ip link add eth1 address 02:00:00:00:00:e1 type veth peer name gw address 02:00:00:00:00:e2;"
    "ip address add 10.9.0.1/24 dev eth1; ip address add 10.9.0.2/24 dev eth1;"
    "ip address add fd00:9::1/64 dev eth1; ip link set eth1 up; ip link set gw up;"
    "ip route add default via 10.9.0.254; ip route add 198.51.100.0/24 via 10.9.0.254 metric 50;"
    "ip -6 route add default via fd00:9::fe"
)
_MESSAGE = re.compile(r'(?:\d+ +)?sendmsg\(\d+, \{msg_name=NULL.*?iov_base=("(?:[^"\\]|\\.)*")')
_OF_THE_MOMENT = re.compile(r"(?<=gen=)[0-9a-f]{8}| until=\d+")
#: linux/rtnetlink.h: of each kind's four messages NEW, DEL, GET and SET, the one that asks.
_GET = 2
#: How long a command is held up, and how long another may take, in seconds.
_HELD_SECONDS, _SECONDS = 20, 30


def put_home(lab: Lab) -> None:
    """Make a NIC eth1 with addresses and routes, and its other end."""
    lab.sh(_HOME)
    until(_is_home)


def _is_home() -> bool:
    """Say whether the kernel has made eth1's own address, and tries none any more."""
    shown = checked(["ip", "address", "show", "dev", "eth1"]).out
    return "inet6 fe80" in shown and "tentative" not in shown


def put_bridge(lab: Lab) -> None:
    """Make that NIC, and a bridge br0."""
    put_home(lab)
    lab.vmnet("bridge", "create", "br0")


def network(lab: Lab) -> dict[str, Any]:
    """Return the addresses of NIC and bridge, and all routes that somebody made."""
    found: dict[str, Any] = {}
    for link in json.loads(checked(["ip", "-j", "address"]).out):
        name = link["ifname"]
        if name in ("eth1", "br0"):
            alias = lab.link(name).get("ifalias", "")
            had = sorted(link["addr_info"], key=lambda address: str(address["local"]))
            found[name] = (link["address"], link.get("master"), had)
            found[f"{name} alias"] = _OF_THE_MOMENT.sub("", alias)
    for family in ("-4", "-6"):
        routes = json.loads(checked(["ip", "-j", family, "route"]).out)
        kept = [route for route in routes if route.get("protocol") != "kernel"]
        found[family] = sorted(kept, key=str)
    return found


def around_changes(log: str) -> list[int]:
    """Return in which `sendmsg`, from 1, to die, by what strace wrote of one process.

    The first, each that changes something, and the one after it.
    """
    messages = [line for line in log.splitlines() if _MESSAGE.match(line)]
    changes = [place for place, line in enumerate(messages, 1) if is_change(line)]
    assert changes
    wanted = {1, *changes, *(place + 1 for place in changes)}
    return sorted(place for place in wanted if place <= len(messages))


def is_change(line: str) -> bool:
    """Say whether a line of strace's is a `sendmsg` that changes something."""
    found = _MESSAGE.match(line)
    if found is None:
        return False
    kind: int = struct.unpack_from("=H", ast.literal_eval(f"b{found[1]}"), 4)[0]
    return kind % 4 != _GET


def add(*more: str) -> list[str]:
    """Return the command line that makes eth1 an uplink."""
    return [INSTALLED, "bridge", "add-uplink", "br0", "eth1", *more]


@contextmanager
def held_up(call: str, k: int, here: Callable[[], bool]) -> Iterator[None]:
    """Run `add-uplink` until it is about to make a call and something is so; kill it at the end."""
    hold = f"inject={call}:delay_enter={_HELD_SECONDS * 1000000}:when={k}"
    options = ["-e", f"trace={call}", "-e", hold, "-o", "/dev/null"]
    with under_strace(add("--confirm-within", "1"), options, forks=False) as process:
        until(lambda: here() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        yield


def is_moved() -> bool:
    """Say whether eth1 is an uplink."""
    return "master br0" in checked(["ip", "link", "show", "dev", "eth1"]).out


def killed_guardian(options: list[str]) -> Traced:
    """Kill an `add-uplink` that has moved all, and trace what its guardian does then."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with held_up("write", 1, is_moved):
            (pid,) = guardians()
            tracer = _attached(pid, ["-o", str(log), *options])
        with tracer:
            _, err = tracer.communicate(timeout=_SECONDS)
        return Traced(tracer.returncode, "", err, log.read_text(errors="replace"))


def _attached(pid: int, options: list[str]) -> subprocess.Popen[str]:
    """Start a strace that has a process in its hands."""
    argv = ["strace", *options, "-p", str(pid)]
    tracer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    line = tracer.stderr.readline()
    assert "attached" in line, line
    return tracer
