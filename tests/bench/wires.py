"""(i) Wires: what attaching to each takes, and ten megabytes of a guest's over each."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import vmnet
from tests.bench.measure import Sample, Series, Subject, in_turn, process
from tests.bench.show import TIMES, Table, against, figure, progress
from tests.netns.commands import until
from tests.netns.ends import TEN_MB, Place, place
from tests.netns.places import put_tmpfs
from tests.support.dpdk import serving
from tests.support.guest import guest_argv, shared_memory, started, told, vmnet_run
from tests.support.lab import REPO, VENV_BIN, Lab, checked, own_namespaces, run
from tests.support.ovs import Switch, environment, switch

_VMNET = str(VENV_BIN / "vmnet")
_LINUX = "vmnet attach, Linux bridge"
_ADD_PORT = "ovs-vsctl add-port, the TAP there"
_PLAIN = "Linux bridge"
_PLAIN_HOST, _PLAIN_GUEST = "10.98.0.1", "10.98.0.11"
_HOST, _GUEST = "10.99.0.1", "10.99.0.11"
_FORWARDED = 7007


def measure(rounds: int) -> list[Table]:
    """Time both."""
    return [_attach(rounds), _bytes(rounds)]


# ---- attach


def _attach(rounds: int) -> Table:
    progress(f"i: attach on each wire, {rounds} rounds")
    with _links() as (lab, _), switch() as ovs:
        ovs.bridge("ovs0")
        lab.sh("ip tuntap add dev hand0 mode tap; ip link set hand0 up")
        ours = {
            _LINUX: ["--bridge", "br0"],
            "vmnet attach, Open vSwitch": ["--bridge", "ovs0"],
            "vmnet attach --routed": ["--routed", "--address", _GUEST],
            "vmnet attach --direct": ["--direct", "eth1"],
        }
        subjects: dict[str, Subject] = {name: _making(words) for name, words in ours.items()}
        subjects[_ADD_PORT] = _adding(ovs)
        found = in_turn(rounds, subjects)
    first = found[_LINUX]
    return Table(
        title="(i) attach, the whole process, on each wire",
        command="./dev bench i",
        head=(*TIMES, "first/it"),
        rows=against(found, _LINUX),
        notes=(
            "first/it: how many times as long attach on a Linux bridge takes.",
            "Open vSwitch: its datapath in the daemon, which is waited for by both.",
        ),
        data={
            name: {**series.data(), "first_over_it": round(first.over(series), 3)}
            for name, series in found.items()
        },
    )


@contextmanager
def _links() -> Iterator[tuple[Lab, Place]]:
    """A place with a bridge, and a NIC whose other end is elsewhere."""
    with own_namespaces(), place() as lan:
        lab = Lab()
        put_tmpfs("/run")
        vmnet.create_bridge("br0")
        lab.sh(
            f"ip link set lo up; ip address add {_PLAIN_HOST}/24 dev br0;"
            f"ip link add eth1 type veth peer name eth0 netns {lan.pid}; ip link set eth1 up"
        )
        lan.sh(f"ip link set eth0 up; ip address add {_HOST}/24 dev eth0")
        yield lab, lan


def _making(words: list[str]) -> Subject:
    def run(number: int) -> Sample:
        vm = f"vm{number}"
        sample = process([_VMNET, "attach", vm, *words])
        vmnet.detach(vm)
        return sample

    return run


def _adding(ovs: Switch) -> Subject:
    vsctl = REPO / ".cache" / "ovs" / "bin" / "ovs-vsctl"
    own = environment().items() - os.environ.items()
    words = ["env", *(f"{key}={value}" for key, value in own)]

    def run(_: int) -> Sample:
        sample = process([*words, str(vsctl), "add-port", "ovs0", "hand0"])
        ovs.vsctl("del-port", "ovs0", "hand0")
        return sample

    return run


# ---- bytes


@dataclass(frozen=True)
class _Wire:
    """One to measure.

    Attributes:
        nic: what `vmnet run --nic` is told.
        make: makes what it needs, and takes it away in the end.
        giver: words that run a command where the bytes come from.
        target: address and port at which the guest is reached.
        words: what the guest is told beside its address.
        qemu: what else QEMU is told.
    """

    nic: str
    make: Callable[[Lab, Path], AbstractContextManager[int]]
    giver: Callable[[Place], list[str]] = lambda _: []
    target: tuple[str, int] = (_GUEST, 7)
    words: tuple[str, ...] = (f"vmip0={_GUEST}/24",)
    qemu: tuple[str, ...] = ()


@contextmanager
def _nothing(_lab: Lab, _folder: Path) -> Iterator[int]:
    yield 0


@contextmanager
def _second_bridge(lab: Lab, _folder: Path) -> Iterator[int]:
    vmnet.create_bridge("br1")
    lab.sh(f"ip address add {_HOST}/24 dev br1")
    yield 0


@contextmanager
def _switched(lab: Lab, _folder: Path) -> Iterator[int]:
    with switch() as ovs:
        ovs.bridge("ovs0")
        lab.sh(f"ip address add {_HOST}/24 dev ovs0")
        yield 0


@contextmanager
def _default_route(lab: Lab, _folder: Path) -> Iterator[int]:
    """What passt takes for the way out; nothing goes there."""
    lab.sh("ip address add 10.97.0.2/24 dev eth1; ip route add default via 10.97.0.1")
    yield 0


@contextmanager
def _served(lab: Lab, folder: Path) -> Iterator[int]:
    with serving(folder / "rings", "served0") as process_:
        until(lambda: "served0" in lab.links() and (folder / "rings").exists())
        lab.sh(f"ip address add {_HOST}/24 dev served0; ip link set served0 up")
        yield process_.pid


def _wires(folder: Path) -> dict[str, _Wire]:
    no_msix = ("-global", "virtio-net-pci.vectors=0")  # QEMU 7.2 emulating ends with it
    return {
        "Linux bridge again": _Wire("bridge=br1", _second_bridge),
        "Open vSwitch, netdev": _Wire("bridge=ovs0", _switched),
        "macvtap": _Wire("direct=eth1", _nothing, Place.argv),
        "routed": _Wire(
            f"routed=on,address={_GUEST}",
            _nothing,
            words=(f"vmip0={_GUEST}/32", "vmgw0=169.254.1.1"),
        ),
        "user mode, passt": _Wire(
            f"user=on,forward={_FORWARDED}:7",
            _default_route,
            target=("127.0.0.1", _FORWARDED),
            words=("vmip0=10.97.0.2/24", "vmgw0=10.97.0.1"),
        ),
        "vhost-user, testpmd": _Wire(
            f"vhost-user={folder / 'rings'}", _served, qemu=(*shared_memory(), *no_msix)
        ),
    }


def _bytes(rounds: int) -> Table:
    found: dict[str, tuple[Series, Series]] = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for name, wire in _wires(folder).items():
            progress(f"i: ten megabytes to a guest and back, {name}, {rounds} rounds")
            found[name] = _beside_the_plain(rounds, folder, name, wire)
            for file in folder.iterdir():
                file.unlink()
    return _table(found)


def _beside_the_plain(rounds: int, folder: Path, name: str, wire: _Wire) -> tuple[Series, Series]:
    """Return the times on a Linux bridge, and those on this wire, taken in turn."""
    plain, other = folder / "plain", folder / "other"
    with ExitStack() as stack:
        lab, lan = stack.enter_context(_links())
        serving_pid = stack.enter_context(wire.make(lab, folder))
        argv = vmnet_run("vm0", "bridge=br0") + guest_argv(plain, _PLAIN_GUEST)
        near = stack.enter_context(started(argv, plain))
        argv = [*vmnet_run("vm1", wire.nic), *told(other, *wire.words), *wire.qemu]
        far = stack.enter_context(started(argv, other))
        for guest in (near, far):
            guest.wait_ready(120)
        for giver, target in (([], (_PLAIN_GUEST, 7)), (wire.giver(lan), wire.target)):
            until(partial(_answers, giver, *target))

        def on_the_plain_bridge(_: int) -> Sample:
            with _paused(serving_pid):
                return _echoed([], _PLAIN_GUEST, 7)

        series = in_turn(
            rounds,
            {
                _PLAIN: on_the_plain_bridge,
                name: lambda _: _echoed(wire.giver(lan), *wire.target),
            },
        )
    return series[_PLAIN], series[name]


@contextmanager
def _paused(pid: int) -> Iterator[None]:
    """Stop a program that polls, or it would take a processor from the other's guest."""
    if not pid:
        yield
        return
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _answers(giver: list[str], address: str, port: int) -> bool:
    return run(_echo(giver, address, port, 1000)).status == 0


def _echoed(giver: list[str], address: str, port: int) -> Sample:
    return Sample(checked(_echo(giver, address, port, TEN_MB)).json["seconds"] * 1000, 0.0)


def _echo(giver: list[str], address: str, port: int, total: int) -> list[str]:
    bulk = str(REPO / "tests" / "support" / "bulk.py")
    return [*giver, sys.executable, bulk, "echo", address, str(port), str(total)]


def _table(found: dict[str, tuple[Series, Series]]) -> Table:
    return Table(
        title="(i) ten megabytes by TCP to an emulated guest and back, on each wire",
        command="./dev bench i",
        head=("milliseconds", "median", "min", "max", "MB/s", "it/bridge"),
        rows=[
            (
                name,
                *map(figure, (own.median, own.low, own.high)),
                figure(2 * TEN_MB / own.median / 1000),
                figure(own.over(plain)),
            )
            for name, (plain, own) in found.items()
        ],
        notes=(
            "it/bridge: how many times as long as on a Linux bridge beside it, in turn.",
            "The guests are emulated (no KVM here): trust ratios, not rates. No vhost-net.",
            "testpmd polls; it is stopped while the other guest is measured.",
        ),
        data={
            name: {"plain": plain.data(), "own": own.data(), "over": round(own.over(plain), 3)}
            for name, (plain, own) in found.items()
        },
    )
