"""Hot-plug into a real QEMU, without a guest.

A paused guest never lets go of a PCI device; of one on USB, QEMU needs nobody's leave.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest import Vm
from tests.support.lab import Lab
from tests.support.monitor import ask, killing, paused
from vmnet.model.names import link_name

TAP = link_name("vm1", 0)
PORTS = [f"pcie-root-port,id=rp{n},slot={n + 1}" for n in range(2)]
#: What is asked of QEMU for one queue without vhost-net: getfd, netdev_add, device_add.
STEPS_OF_ATTACH = 3


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "q"


@pytest.fixture
def usb(lab: Lab, socket: Path) -> Iterator[Vm]:
    """A QEMU with a USB controller, and a bridge."""
    lab.vmnet("bridge", "create", "br0")
    with paused(socket, "-device", "qemu-xhci") as qemu:
        yield qemu
    assert list(lab.links()) == ["br0"]
    assert not list(Path("/run").rglob("*.lock"))


def attach(lab: Lab, socket: Path, *more: str, status: int | None = 0) -> Any:
    return lab.vmnet("attach", "vm1", "--qmp", str(socket), "--json", *more, status=status)


def detach(lab: Lab, socket: Path, *more: str, status: int | None = 0) -> Any:
    return lab.vmnet("detach", "vm1", "--qmp", str(socket), "--json", *more, status=status)


def has(socket: Path, path: str) -> list[str]:
    (answer,) = ask(socket, {"execute": "qom-list", "arguments": {"path": path}})
    return [each["name"] for each in answer.get("return", [])]


@pytest.mark.parametrize(
    "options",
    [[], ["--queues", "2"], ["--queues", "16", "--mtu", "1400"], ["--model", "e1000"]],
)
def test_a_running_pc_gets_a_nic_whose_tap_lives_as_long_as_it(
    lab: Lab, socket: Path, options: list[str]
) -> None:
    lab.vmnet("bridge", "create", "br0")
    with paused(socket) as qemu:
        done = attach(lab, socket, *options).json
        assert done["plugged"] == {"pid": qemu.pid, "device": "vmnet0-nic", "bus": None}
        assert "vmnet0-nic" in has(socket, "/machine/peripheral")
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert row["life"] == "process"
        assert [(h["pid"], h["queues"]) for h in row["holders"]] == [(qemu.pid, done["queues"])]
        assert lab.link(TAP)["master"] == "br0"
        assert attach(lab, socket, *options).json["steps"] == []
        qemu.kill()
    assert list(lab.links()) == ["br0"]


def test_a_dry_run_changes_nothing(lab: Lab, socket: Path, usb: Vm) -> None:
    done = lab.vmnet("attach", "vm1", "--qmp", str(socket), "--dry-run")
    assert '# qmp {"execute": "netdev_add"' in done.out
    assert list(lab.links()) == ["br0"]
    attach(lab, socket, "--model", "usb-net")
    before = lab.state()
    assert '"device_del"' in lab.vmnet("detach", "vm1", "--qmp", str(socket), "--dry-run").out
    assert lab.state() == before


def test_plugged_and_unplugged_again_and_again(lab: Lab, socket: Path, usb: Vm) -> None:
    for _ in range(3):
        assert attach(lab, socket, "--model", "usb-net").json["steps"]
        assert TAP in lab.links()
        assert len(detach(lab, socket).json["links"]) == 1
        assert list(lab.links()) == ["br0"]
        assert "vmnet0-nic" not in has(socket, "/machine/peripheral")
    assert detach(lab, socket).json["links"] == []


def test_two_nics_at_once_and_one_left(lab: Lab, socket: Path, usb: Vm) -> None:
    lab.vmnet("bridge", "create", "br1")
    attach(lab, socket, "--model", "usb-net")
    attach(lab, socket, "--model", "usb-net", "--nic", "1", "--bridge", "br1")
    detach(lab, socket, "--nic", "0")
    assert set(lab.links()) == {"br0", "br1", link_name("vm1", 1)}
    detach(lab, socket)
    lab.vmnet("bridge", "delete", "br1")


def test_a_kept_tap_is_used_and_stays(lab: Lab, socket: Path, usb: Vm) -> None:
    lab.vmnet("attach", "vm1")
    attach(lab, socket, "--model", "usb-net")
    (row,) = lab.vmnet("list", "--json").json["nics"]
    assert (row["life"], [h["pid"] for h in row["holders"]]) == ("kept", [usb.pid])
    detach(lab, socket)
    assert not lab.vmnet("list", "--json").json["nics"][0]["held"]
    lab.vmnet("detach", "vm1")


def test_a_plugged_nic_moves_to_another_bridge(lab: Lab, socket: Path, usb: Vm) -> None:
    lab.vmnet("bridge", "create", "br1")
    attach(lab, socket)
    attach(lab, socket, "--bridge", "br1")
    assert lab.link(TAP)["master"] == "br1"
    usb.kill()
    lab.vmnet("bridge", "delete", "br1")


def test_q35_gets_it_at_a_free_port_and_says_what_to_start_with_when_none_is(
    lab: Lab, socket: Path
) -> None:
    lab.vmnet("bridge", "create", "br0")
    options = ["-device", PORTS[1], "-device", PORTS[0], "-device", "pcie-root-port,slot=3"]
    with paused(socket, *options, machine="q35"):
        for nic, bus in ("0", "rp0"), ("1", "rp1"):
            assert attach(lab, socket, "--nic", nic).json["plugged"]["bus"] == bus
        failed = attach(lab, socket, "--nic", "2", status=8)
        assert "no-hotplug" in failed.err
        assert "-device pcie-root-port,id=rp0,slot=1" in failed.err
        assert '"undo_errors": []' in failed.err
        assert link_name("vm1", 2) not in lab.links()
        again = attach(lab, socket, "--nic", "2", status=8)
        assert again.err == failed.err


def test_a_guest_that_keeps_it_is_an_error_that_changes_nothing_else(
    lab: Lab, socket: Path, usb: Vm
) -> None:
    attach(lab, socket)
    before = lab.state()
    for _ in range(2):
        assert "guest-keeps" in detach(lab, socket, "--wait", "0", status=6).err
    assert lab.state() == before
    assert "vmnet0-nic" in has(socket, "/machine/peripheral")
    assert attach(lab, socket).json["steps"] == []


def test_another_vms_nic_is_not_touched(lab: Lab, socket: Path, usb: Vm) -> None:
    attach(lab, socket, "--model", "usb-net")
    before = lab.state()
    for verb in ("attach", "detach"):
        done = lab.vmnet(verb, "vm2", "--qmp", str(socket), "--nic", "0", "--json", status=5)
        assert "device-taken" in done.err
    assert lab.vmnet("detach", "vm2", "--qmp", str(socket), "--json").json["links"] == []
    assert lab.state() == before


def test_the_monitor_is_somewhere_else_or_taken(lab: Lab, socket: Path, usb: Vm) -> None:
    assert "qmp-missing" in attach(lab, socket.with_name("x"), status=4).err
    assert "bad-socket" in attach(lab, socket.with_name("x" * 120), status=2).err
    with paused(socket.with_name("other")) as other:
        other.kill()
        assert "qmp-missing" in attach(lab, socket.with_name("other"), status=4).err
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as first:
        first.connect(str(socket))
        first.recv(10)
        assert "qmp-busy" in attach(lab, socket, "--wait", "1", status=6).err
    assert list(lab.links()) == ["br0"]


def test_options_that_contradict_it(lab: Lab, socket: Path) -> None:
    assert "qmp-options" in attach(lab, socket, "--owner", "nobody", status=2).err
    assert "qmp-options" in detach(lab, socket, "--force", status=2).err
    assert "two-meanings" in attach(lab, socket, "--live", status=2).err


def test_the_library_is_an_extra(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qemu.qmp", None)
    done = lab.vmnet("detach", "vm1", "--qmp", "/run/q", status=8)
    assert "-m pip install qemu.qmp`" in done.err


def test_what_qemu_refuses_is_undone_in_qemu_too(lab: Lab, socket: Path, usb: Vm) -> None:
    failed = attach(lab, socket, "--model", "no-such-model", status=13)
    assert "qemu-refused" in failed.err
    assert list(lab.links()) == ["br0"]
    netdev = {"type": "tap", "id": "vmnet0", "fds": "vmnet0-tap0"}
    (answer,) = ask(socket, {"execute": "netdev_add", "arguments": netdev})
    assert "vmnet0-tap0" in answer["error"]["desc"], "the name is free again"


@pytest.mark.parametrize("then", ["attach", "detach"])
@pytest.mark.parametrize("at", [(k, v) for k in (1, 2, 3, 4) for v in ("before", "sent")], ids=str)
def test_an_attach_killed_at_any_step_leaves_nothing_that_the_next_call_does_not_mend(
    lab: Lab, socket: Path, usb: Vm, at: tuple[int, str], then: str
) -> None:
    k, victim = at
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, victim, k)
        done = attach(lab, socket, "--model", "usb-net", status=None)
    assert done.status == (-signal.SIGKILL if k <= STEPS_OF_ATTACH else 0)
    if then == "attach":
        attach(lab, socket, "--model", "usb-net")
        assert attach(lab, socket, "--model", "usb-net").json["steps"] == []
        assert has(socket, "/machine/peripheral").count("vmnet0-nic") == 1
    detach(lab, socket)
    assert list(lab.links()) == ["br0"]
    _nothing_is_open(usb)


@pytest.mark.parametrize("victim", ["before", "sent"])
@pytest.mark.parametrize("k", [1, 2])
def test_a_detach_killed_at_any_step_is_finished_by_the_next(
    lab: Lab, socket: Path, usb: Vm, k: int, victim: str
) -> None:
    attach(lab, socket, "--model", "usb-net")
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, victim, k)
        assert detach(lab, socket, status=None).status == -signal.SIGKILL
    detach(lab, socket)
    assert list(lab.links()) == ["br0"]
    _nothing_is_open(usb)
    attach(lab, socket, "--model", "usb-net")


def _nothing_is_open(qemu: Vm) -> None:
    """See that a QEMU has no TAP open that has lost its link either."""
    opened = [fd.readlink().name for fd in Path(f"/proc/{qemu.pid}/fd").iterdir()]
    assert "tun" not in opened


@pytest.mark.parametrize("k", range(1, STEPS_OF_ATTACH + 1))
def test_a_qemu_killed_midway_is_said_and_leaves_nothing(
    lab: Lab, socket: Path, usb: Vm, k: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, "qemu", k, usb.pid)
        done = attach(lab, socket, "--wait", "2", status=4)
    assert "qemu-gone" in done.err
    usb.process.wait(10)
    assert list(lab.links()) == ["br0"]
