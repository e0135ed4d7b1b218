"""`vmnet status` on real vhost-net: what it calls proof is in /proc too."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

from tests.support.guest import (
    GUEST_IP,
    bridge_with_address,
    guest_argv,
    pings,
    started,
    vmnet_run,
)
from tests.support.lab import Lab, run

NODE = Path("/dev/vhost-net")


def _status(lab: Lab, sample: str = "0", status: int = 0) -> list[dict[str, Any]]:
    nics: list[dict[str, Any]]
    nics = lab.vmnet("status", "--sample", sample, "--json", status=status).json["nics"]
    return nics


def test_a_guest_on_vhost_is_proven_by_its_workers(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab)
    args = shlex.split(lab.vmnet("attach", "vm1", "--require-vhost", "--queues", "2").out)
    console = tmp_path / "console"
    argv = guest_argv(console, GUEST_IP, accel="kvm", smp=2) + args
    with started(argv, console) as guest:
        guest.wait_ready(400)
        assert pings(GUEST_IP)
        ping = ["busybox", "ping", "-c", "5000", "-i", "0.02", "-w", "100", "-q", GUEST_IP]
        with subprocess.Popen(ping, stdout=subprocess.DEVNULL) as pinging:
            (nic,) = _status(lab, "2")
            pinging.kill()
        path = nic["data_path"]
        assert (path["path"], path["reason"], path["certain"]) == ("vhost", "vhost-ok", True)
        (holder,) = nic["holders"]
        assert (holder["pid"], holder["vhost_fds"], holder["queues"]) == (guest.pid, 2, 2)
        comms = run(["sh", "-c", f"grep -lx vhost-{guest.pid} /proc/[0-9]*/comm"]).out.split()
        tids = {int(path.split("/")[2]) for path in comms}
        assert {worker["tid"] for worker in holder["workers"]} == tids
        assert nic["moved"]["to_guest"] >= 8
        assert nic["moved"]["wakes"] >= 8
        assert nic["queues"]["used"] == 2
        assert nic["troubles"] == []
        guest.kill()


def test_of_two_nics_the_one_without_vhost_is_told_from_the_other(lab: Lab, tmp_path: Path) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    run_ = vmnet_run("vm1", "bridge=br0,vhost=require", "bridge=br0,vhost=off")
    with started(run_ + guest_argv(console, GUEST_IP, accel="kvm"), console) as guest:
        guest.wait_ready(400)
        fast, slow = _status(lab)
        assert (fast["data_path"]["path"], slow["data_path"]["path"]) == ("vhost", "userspace")
        assert slow["data_path"]["reason"] == "asked-not"
        assert "1 descriptor of /dev/vhost-net for 2 queues" in slow["data_path"]["detail"]
        guest.kill()


def test_a_guest_that_fell_back_at_its_start_is_one_line_with_the_reason(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    config = tmp_path / "vmnet.toml"
    config.write_text('default = "n"\n[network.n]\nbridge = "br0"\nvhost = "prefer"\n')
    console, away = tmp_path / "console", NODE.with_name("vhost-net.away")
    argv = vmnet_run("vm1", "") + guest_argv(console, GUEST_IP, accel="kvm")
    argv[1:1] = ["--config", str(config)]
    words = ("--config", str(config), "status", "--sample", "0")
    NODE.rename(away)
    try:
        with started([*argv, "-S"], console) as guest:
            guest.wait_for(lambda: bool(lab.vmnet("list", "--json").json["nics"]), 60)
            guest.wait_for(lambda: "not-running" not in lab.vmnet(*words, status=None).out, 60)
            out = lab.vmnet(*words, status=11).out
            (line,) = [line for line in out.splitlines() if "asked for vhost" in line]
            assert "(vhost=prefer of network 'n'), running in userspace" in line
            assert "/dev/vhost-net: No such file or directory" in line
            assert "mknod" in out
            away.rename(NODE)
            assert "start the VM again: it can be had now" in lab.vmnet(*words, status=11).out
            guest.kill()
    finally:
        if away.exists():
            away.rename(NODE)
