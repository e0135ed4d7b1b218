"""Commands on a bridge of Open vSwitch that are killed: what is there before, and what is seen.

Each cell has a database and a switch of its own. Only the command itself is traced, so that the
calls that count are its own: libnftables' process has nothing to do with Open vSwitch.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.kill.matrix import NEVER, run_files, shape, strangers
from tests.kill.strace import INSTALLED, Fault, Traced, traced
from tests.kill.uplinks import is_change
from tests.kill.workers import in_workers
from tests.netns.commands import until
from tests.support.lab import Done, Lab, own_namespaces
from tests.support.ovs import RUN_DIR, Switch, switch

_KILL = "signal=KILL"
_CALLS = ("sendto", "recvfrom", "sendmsg", "ioctl", "connect", "unlink")
_TABLES = {
    "Port": "name,tag,trunks,vlan_mode,external_ids,other_config",
    "Interface": "name,type,ifindex,error,external_ids",
    "QoS": "type,other_config,external_ids",
    "Queue": "external_ids",
}
_OF_THE_MOMENT = re.compile(r"(?<=gen=)[0-9a-f]{8}")
_OWN_OF_A_SWITCH = ("ovs0", "ovs1", "ovs-netdev")
#: Operations of the database's that change it (RFC 7047, 5.2), and its locks.
_CHANGES = ("insert", "mutate", "update", "delete", '\\"lock\\"')
_OWN_IOCTL = re.compile(r"\d+, (TUN|SIOC)")

State = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One row.

    Attributes:
        name: for the test's id.
        argv: how a user starts it, less the program.
        prepare: makes what the command is to work on.
        again: what is done after a kill.
        status: its exit status when nothing goes wrong.
        away: what takes all of it away after that.
    """

    name: str
    argv: tuple[str, ...]
    prepare: Callable[[Lab], None]
    again: tuple[str, ...]
    status: int = 0
    away: tuple[tuple[str, ...], ...] = (("detach", "vm1"), ("gc",))

    def __str__(self) -> str:
        """Return a name for a test's id."""
        return self.name


@dataclass(frozen=True)
class Cell:
    """One run that was killed.

    Attributes:
        run: what it did.
        home: the host without any NIC.
        again: what the next command did, and the host then.
        away: what those did that take all away.
        left: the host then.
        files: what is left in /run, but for Open vSwitch's own.
    """

    run: Traced
    home: State
    again: tuple[Done, State]
    away: list[Done]
    left: State
    files: list[str]

    def __str__(self) -> str:
        """Return what a person needs to find the fault."""
        return f"{self.run.hits} status={self.run.status}\n{self.run.err}\n{self.again[0]}"


def run_cell(command: Command, fault: Fault, k: int, *options: str) -> Cell:
    """Run a command with the fault in its k-th call, in a place of its own."""
    with own_namespaces(), switch() as ovs:
        lab = Lab()
        ovs.bridge("ovs0")
        ovs.bridge("ovs1")
        home = _state(lab, ovs)
        command.prepare(lab)
        run = traced([INSTALLED, *command.argv], [*fault.options(k), *options], forks=False)
        until(lambda: _strangers() == [])
        done = lab.vmnet(*command.again, status=None)
        until(lambda: _strangers() == [])
        again = _state(lab, ovs)
        away = [lab.vmnet(*words, status=None) for words in command.away]
        left, files = _state(lab, ovs), [f for f in run_files() if not f.startswith(str(RUN_DIR))]
    return Cell(run, home, (done, again), away, left, files)


def _strangers() -> list[str]:
    return [
        words
        for words in strangers()
        if "ovsdb-server" not in words and "ovs-vswitchd" not in words
    ]


def _state(lab: Lab, ovs: Switch) -> State:
    """Return links, rates and the database, without what differs between two hosts."""
    ovs.settle()
    links, indexes = shape(lab), {name: link["ifindex"] for name, link in lab.links().items()}
    for name, link in links.items():
        link.pop("ifindex", None)
        if name in _OWN_OF_A_SWITCH:
            link.clear()
    rates = {name: lab.sh(f"tc class show dev {name}").out for name in links}
    return {"links": links, "rates": rates, **_database(ovs, indexes)}


def _database(ovs: Switch, indexes: dict[str, int]) -> State:
    words = [["--", f"--columns={columns}", "list", table] for table, columns in _TABLES.items()]
    answers = ovs.vsctl("--format=json", *(word for each in words for word in each)).splitlines()
    found = {}
    for table, answer in zip(_TABLES, answers, strict=True):
        told = json.loads(_OF_THE_MOMENT.sub("*", answer))
        rows = [dict(zip(told["headings"], row, strict=True)) for row in told["data"]]
        for row in rows:
            if "ifindex" in row:
                row["ifindex"] = "its own" if row["ifindex"] == indexes.get(row["name"]) else "no"
        found[table] = sorted(rows, key=str)
    found["homes"] = [{bridge: sorted(ovs.ports(bridge))} for bridge in ("ovs0", "ovs1")]
    return found


@cache
def undisturbed(command: Command) -> Cell:
    """Return a run in which nothing is killed, and all its calls are written down."""
    every = Fault(",".join(_CALLS), _KILL)
    (cell,) = in_workers(lambda k: run_cell(command, every, k, "-s", "4096"), [NEVER])
    assert not cell.run.touched
    assert cell.run.status == command.status, str(cell)
    return cell


def jobs(command: Command) -> list[tuple[Fault, int]]:
    """Return where to kill: at each call that changes something, and at the next one, of any kind.

    What changes the database is a `sendto`; a command that is killed at the next `recvfrom` does
    not know what came of it. Calls between that only ask leave nothing else behind.
    """
    counts: Counter[str] = Counter()
    wanted = []
    before = True
    for line in undisturbed(command).run.log.splitlines():
        call = line.partition("(")[0]
        if call not in _CALLS:  # a signal, an end
            continue
        counts[call] += 1
        changes = _changes(line)
        if changes or (before and not _of_python(line)):
            wanted.append((Fault(call, _KILL), counts[call]))
        before = changes or (before and _of_python(line))
    return wanted


def _changes(line: str) -> bool:
    call, _, rest = line.partition("(")
    if call == "sendto":
        return any(word in rest for word in _CHANGES)
    if call == "ioctl":
        return _OWN_IOCTL.match(rest) is not None
    return is_change(line) or (call == "unlink" and "/run/" in rest)


def _of_python(line: str) -> bool:
    """Say whether it is one of the interpreter's questions for a terminal."""
    return line.startswith("ioctl(") and _OWN_IOCTL.match(line.partition("(")[2]) is None


def _attach(*words: str) -> tuple[str, ...]:
    return ("attach", "vm1", "--bridge", *words)


def _attached(*words: str) -> Callable[[Lab], None]:
    def prepare(lab: Lab) -> None:
        lab.vmnet(*_attach(*words))

    return prepare


def _mess(lab: Lab) -> None:
    """Leave behind a port with a queue whose TAP is gone, and a half-made TAP with its port."""
    tap = lab.vmnet(*_attach("ovs0", "--rate-in", "5mbit"), "--json").json["tap"]
    lab.sh(f"ip link del {tap}")
    tap = lab.vmnet("attach", "vm2", "--bridge", "ovs1", "--json").json["tap"]
    alias = lab.link(tap)["ifalias"].replace("life=kept", "life=building")
    lab.sh(f"ip link set dev {tap} alias '{alias}'")


def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _patched(lab: Lab) -> None:
    _bridge(lab)
    lab.vmnet("patch", "br0", "ovs0")


_FULL = _attach("ovs0", "--vlan", "10", "--rate-in", "5mbit")
_OTHER = _attach("ovs0", "--vlan", "11", "--rate-in", "6mbit")
_RUN = ("run", "vm1", "--nic", "bridge=ovs0,rate-in=5mbit", "--", "sh", "-c", "exit 7")
_PATCH = ("patch", "br0", "ovs0")
_APART = (("unpatch", "br0", "ovs0"), ("bridge", "delete", "br0"), ("gc",))
_GC, _DETACH = ("gc",), ("detach", "vm1")

ATTACH = Command("attach", _FULL, lambda _: None, _FULL)
CHANGE = Command("change", _OTHER, _attached(*_FULL[3:]), _OTHER)
MOVE = Command("move", _attach("ovs1"), _attached(*_FULL[3:]), _attach("ovs1"))
DETACH = Command("detach", _DETACH, _attached(*_FULL[3:]), _DETACH)
RUN = Command("run", _RUN, lambda _: None, _FULL, status=7)
RUN_GC = Command("run-gc", _RUN, lambda _: None, _GC, status=7)
COLLECT = Command("gc", _GC, _mess, _GC)
PATCH = Command("patch", _PATCH, _bridge, _PATCH, away=_APART)
UNPATCH = Command("unpatch", ("unpatch", "br0", "ovs0"), _patched, _PATCH, away=_APART)

ALL = [ATTACH, CHANGE, MOVE, DETACH, RUN, RUN_GC, COLLECT, PATCH, UNPATCH]
