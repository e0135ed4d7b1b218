"""(g) What a policy costs: to set it up, and each packet."""

from __future__ import annotations

import fcntl
import os
import struct
import tempfile
from contextlib import ExitStack
from pathlib import Path

import vmnet
from tests.bench.measure import Sample, Series, Subject, call, in_turn, process
from tests.bench.places import BRIDGE, Crowd, check_same, home, place, plan, state
from tests.bench.show import TIMES, Table, against, progress
from tests.netns.frames import ether, ipv4
from tests.support.lab import VENV_BIN, Lab

_VMNET = str(VENV_BIN / "vmnet")
_FIRST = "vmnet attach, full policy"
_POLICY = [
    *("--address", "10.0.0.5,10.0.0.6,2001:db8::5", "--dhcp-guard", "--ra-guard", "--isolated"),
    *("--rate-in", "100mbit", "--rate-out", "100mbit"),
]
_GUEST, _MAC, _ADDRESS = "bench", "52:54:00:00:00:01", "10.0.0.5"
#: Frames a sample of the data path; some hundred milliseconds.
_FRAMES = 50_000
_CROWDS = (10, 1000)
_TUNSETIFF, _TAP_NO_PI_VNET_HDR = 0x400454CA, 0x0002 | 0x1000 | 0x4000


def measure(rounds: int) -> list[Table]:
    """Time both."""
    return [_attach(rounds), _packets(rounds)]


def _attach(rounds: int) -> Table:
    progress(f"g: attach with a full policy, {rounds} rounds")
    with place() as lab, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script")
        _check(lab, script)
        found = in_turn(rounds, _subjects(lab, script))
    return Table(
        title="(g) attach with guard, entry, anti-spoofing and rates both ways",
        command="./dev bench g",
        head=(*TIMES, "vmnet/it"),
        rows=against(found, _FIRST),
        notes=(
            "vmnet/it: how many times as long vmnet attach with a full policy takes.",
            "Without a VLAN: where a kernel filters none, none can be measured.",
            "The script is what `vmnet plan` prints: ip, bridge, tc, nft; same state (checked).",
        ),
        data={name: series.data() for name, series in found.items()},
    )


def _subjects(lab: Lab, script: Path) -> dict[str, Subject]:
    def by_vmnet(*options: str) -> Subject:
        return lambda n: _and_away(f"vm{n}", ["attach", f"vm{n}", "--bridge", BRIDGE, *options])

    def by_script(number: int) -> Sample:
        _write(lab, script, f"vm{number}")
        sample = process(["sh", "-e", str(script)])
        vmnet.detach(f"vm{number}")
        return sample

    return {
        _FIRST: by_vmnet(*_POLICY),
        "vmnet attach": by_vmnet(),
        "vmnet attach --no-guard": by_vmnet("--no-guard"),
        "sh script, full policy": by_script,
    }


def _and_away(vm: str, words: list[str]) -> Sample:
    sample = process([_VMNET, *words])
    vmnet.detach(vm)
    return sample


def _write(lab: Lab, script: Path, vm: str) -> None:
    script.write_text(lab.vmnet("plan", vm, "--bridge", BRIDGE, *_POLICY).out)


def _check(lab: Lab, script: Path) -> None:
    tap, ways = plan("vm1").tap, {}
    process([_VMNET, "attach", "vm1", "--bridge", BRIDGE, *_POLICY])
    ways["vmnet"] = state(lab, tap)
    vmnet.detach("vm1")
    _write(lab, script, "vm1")
    process(["sh", "-e", str(script)])
    ways["script"] = state(lab, tap)
    vmnet.detach("vm1")
    check_same(ways)


def _packets(rounds: int) -> Table:
    progress(f"g: frames through the filter with {_CROWDS} guests, {rounds} rounds")
    with home(), ExitStack() as stack:
        places = {count: Crowd(stack, count) for count in _CROWDS}
        subjects: dict[str, Subject] = {}
        for count, crowd in places.items():
            crowd.enter()
            subjects[f"guarded, {count} guests"] = _sending(crowd, stack, guard=True)
        subjects[f"no guard, {_CROWDS[-1]} guests"] = _sending(crowd, stack, guard=False)
        found = in_turn(rounds, subjects)
    first = next(iter(found))
    rate = {name: _FRAMES / series.median * 1000 for name, series in found.items()}
    return Table(
        title=f"(g) {_FRAMES} frames of a guest with an address list through its bridge",
        command="./dev bench g",
        head=(*TIMES, "frames/s", "it/first"),
        rows=[
            (*row, f"{rate[name]:.0f}", f"{found[name].over(found[first]):.2f}")
            for name, row in zip(found, (line[:-1] for line in against(found, first)), strict=True)
        ],
        notes=("One process writes to the TAP; the frames end in a port of the bridge.",),
        data={name: _with_rate(series, rate[name]) for name, series in found.items()},
    )


def _with_rate(series: Series, rate: float) -> dict[str, float | int]:
    return {**series.data(), "frames_per_second": round(rate)}


def _sending(crowd: Crowd, stack: ExitStack, *, guard: bool) -> Subject:
    """Return a subject that sends frames as the guest of one more TAP in a crowd."""
    vm = _GUEST if guard else f"{_GUEST}-open"
    mac = _MAC if guard else _MAC[:-1] + "2"
    words = ["address=" + _ADDRESS] if guard else ["guard=off"]
    asked = dict(word.split("=") for word in words)
    wish = vmnet.Wish(vm=vm, bridge=BRIDGE, mac=mac, port=vmnet.parse_port(asked))
    tap = vmnet.attach(wish).tap
    _sink()
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", tap.encode(), _TAP_NO_PI_VNET_HDR))
    frame = bytes(10) + ether(mac, 0x0800, ipv4(_ADDRESS, bytes(64)), to="02:00:00:00:00:99")

    def send(_: int) -> Sample:
        return call(lambda: [os.write(fd, frame) for _ in range(_FRAMES)])

    return send


def _sink() -> None:
    """Make a port of the bridge where frames end, once a place."""
    lab = Lab()
    if "sink" not in lab.links():
        lab.sh(
            "ip link add sink address 02:00:00:00:00:98 type veth peer name drain; "
            f"ip link set sink master {BRIDGE} up; ip link set drain up; "
            # Known, or each frame would go to all ports.
            "bridge fdb add 02:00:00:00:00:99 dev sink master static"
        )
