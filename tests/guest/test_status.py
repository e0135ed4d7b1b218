"""`vmnet status` beside guests that run: what they use of what they have, and what moves."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.netns.commands import until
from tests.support.guest import (
    GUEST_IP,
    bridge_with_address,
    guest_argv,
    pings,
    started,
    vmnet_run,
)
from tests.support.lab import Lab


def _status(lab: Lab, sample: str = "0") -> Any:
    (nic,) = lab.vmnet("status", "vm1", "--sample", sample, "--json", status=None).json["nics"]
    return nic


def test_a_guest_with_one_processor_uses_one_of_two_queues(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab)
    args = shlex.split(lab.vmnet("attach", "vm1", "--queues", "2").out)
    console = tmp_path / "console"
    with started(guest_argv(console, GUEST_IP) + args, console) as guest:
        guest.wait_ready()
        assert pings(GUEST_IP)
        nic = _status(lab)
        assert nic["queues"] == {"asked": 2, "open": 2, "used": 1}
        assert [holder["pid"] for holder in nic["holders"]] == [guest.pid]
        assert nic["asked"]["command_line"] == {"vhost": False, "model": "virtio-net-pci"}
        assert nic["data_path"]["path"] == "userspace"
        assert nic["troubles"] == []
        ping = ["busybox", "ping", "-c", "60", "-i", "0.02", "-q", GUEST_IP]
        with subprocess.Popen(ping, stdout=subprocess.DEVNULL):
            moved = _status(lab, "0.5")["moved"]
        assert moved["to_guest"] >= 10
        assert moved["from_guest"] >= 10
        guest.kill()
    until(lambda: _status(lab)["data_path"]["reason"] == "not-running")
    assert _status(lab)["queues"] == {"asked": 2, "open": 0, "used": 0}


def test_an_emulated_nic_of_run_is_called_so(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    argv = vmnet_run("vm1", "bridge=br0,model=e1000") + guest_argv(console, GUEST_IP)
    with started(argv, console) as guest:
        guest.wait_ready()
        path = _status(lab)["data_path"]
        assert (path["path"], path["reason"]) == ("emulated", "model-not-virtio")
        assert path["certain"] is True
        guest.kill()
