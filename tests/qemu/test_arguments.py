"""A real QEMU without a guest: it takes what vmnet prints and passes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.support.guest import QEMU, paused_argv, started, vmnet_run
from tests.support.lab import REPO, Lab, run

HOSTILE = "a,vhost=on;$(touch x)"


def _held(lab: Lab) -> bool:
    """Say whether QEMU has opened its NIC."""
    return any(
        holder["command"].startswith(QEMU)
        for nic in lab.vmnet("list", "--json").json["nics"]
        for holder in nic["holders"]
    )


@pytest.mark.parametrize("vm", ["vm1", HOSTILE, "máquina ✓", "x" * 250])
@pytest.mark.parametrize("options", [[], ["--queues", "2"], ["--queues", "16", "--mtu", "1400"]])
def test_qemu_opens_what_attach_prints(
    lab: Lab, tmp_path: Path, vm: str, options: list[str]
) -> None:
    lab.vmnet("bridge", "create", "br0")
    args = shlex.split(lab.vmnet("attach", vm, *options).out)
    with started(paused_argv() + args, tmp_path / "none") as qemu:
        qemu.wait_for(lambda: _held(lab))
        (holder,) = lab.vmnet("who", args[1].split("ifname=")[1].split(",")[0], "--json").json[
            "holders"
        ]
        assert holder["pid"] == qemu.pid
        assert holder["queues"] == (int(options[1]) if options else 1)
    lab.vmnet("detach", vm)
    assert list(lab.links()) == ["br0"]
    assert not Path("x").exists()


def test_qemu_takes_an_emulated_nic(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    args = shlex.split(lab.vmnet("attach", "vm1", "--model", "e1000").out)
    assert args[3].startswith("e1000,")
    with started(paused_argv() + args, tmp_path / "none") as qemu:
        qemu.wait_for(lambda: _held(lab))


@pytest.mark.parametrize("nic", ["bridge=br0", "bridge=br0,queues=4", "bridge=br0,model=e1000"])
def test_qemu_inherits_what_run_opens(lab: Lab, tmp_path: Path, nic: str) -> None:
    lab.vmnet("bridge", "create", "br0")
    with started(vmnet_run("vm1", nic) + paused_argv(), tmp_path / "none") as qemu:
        qemu.wait_for(lambda: b"-netdev" in Path(f"/proc/{qemu.pid}/cmdline").read_bytes())
        command = Path(f"/proc/{qemu.pid}/cmdline").read_bytes().decode().split("\0")
        netdev = command[command.index("-netdev") + 1]
        fds = netdev.split("fds=")[1].split(",")[0].split(":")
        assert len(fds) == (4 if "queues=4" in nic else 1)
        qemu.wait_for(lambda: _held(lab))
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert [h["queues"] for h in row["holders"]] == [len(fds)]
    assert list(lab.links()) == ["br0"]


def test_run_passes_on_the_status_of_a_qemu_that_exits_at_once(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    bad = run([*vmnet_run("vm1", "bridge=br0"), QEMU, "-machine", "nonsense"])
    assert bad.status == 1
    assert "unsupported machine type" in bad.err
    version = run([*vmnet_run("vm1", "bridge=br0"), QEMU, "--version"])
    assert version.status == 0
    assert list(lab.links()) == ["br0"]


def test_places_in_the_command_line_are_filled(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    argv = [*vmnet_run("vm1", "bridge=br0"), *paused_argv()]
    argv += ["-netdev", "{netdev}", "-device", "{device},romfile="]
    with started(argv, tmp_path / "none") as qemu:
        qemu.wait_for(lambda: b"romfile" in Path(f"/proc/{qemu.pid}/cmdline").read_bytes())
        command = Path(f"/proc/{qemu.pid}/cmdline").read_bytes()
        assert command.count(b"-netdev") == 1
        qemu.wait_for(lambda: _held(lab))


def test_a_script_that_cannot_plug_in_keeps_qemu_from_starting(lab: Lab) -> None:
    netdev = f"tap,id=n0,ifname=tapx,script={REPO}/hooks/qemu-ifup,downscript="
    done = run([*paused_argv(), "-netdev", netdev, "-device", "virtio-net-pci,netdev=n0"])
    assert done.status == 1
    assert "vmnet: no bridge or network was given" in done.err
    assert lab.links() == {}


def test_qemu_runs_the_down_script_while_the_tap_is_there(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    hooks = REPO / "hooks"
    netdev = f"tap,id=n0,ifname=tapx,script={hooks}/qemu-ifup,downscript={hooks}/qemu-ifdown"
    argv = [*paused_argv(), "-netdev", netdev, "-device", "virtio-net-pci,netdev=n0"]
    with started(argv, tmp_path / "none") as qemu:
        # The script has the TAP open too, until it is done.
        qemu.wait_for(lambda: lab.links().get("tapx", {}).get("master") == "br0")
        qemu.wait_for(lambda: len(lab.vmnet("who", "tapx", "--json").json["holders"]) == 1)
        qemu.kill(15)
    assert list(lab.links()) == ["br0"]
