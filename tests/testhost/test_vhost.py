"""Real vhost-net, real KVM: what the plain machine cannot show."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vmnet
from tests.support.guest import (
    GUEST_IP,
    Vm,
    bridge_with_address,
    guest_argv,
    pings,
    started,
)
from tests.support.lab import Lab, checked, run
from vmnet.service.sync import ASLEEP_WAKES

NODE = Path("/dev/vhost-net")
NOBODY = 65534


@pytest.fixture
def node() -> Iterator[Path]:
    """The node, put back as it was."""
    mode = NODE.stat().st_mode & 0o777
    yield NODE
    if NODE.exists():
        NODE.chmod(mode)


def test_probe_passes_frames_through_the_rings_of_vhost_net_both_ways(lab: Lab) -> None:
    checks = {check.name: check for check in vmnet.prove()}
    assert {name: check.outcome for name, check in checks.items()} == dict.fromkeys(checks, "works")
    assert checks["vhost-net rings"].detail.startswith("a frame each way")


def test_two_queues_on_vhost_ping_and_their_workers_move_with_the_packets(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    done = lab.vmnet("attach", "vm1", "--require-vhost", "--queues", "2", "--json").json
    assert done["data_path"]["reason"] == "vhost-ok"
    assert ",vhost=on,queues=2" in done["qemu"]["netdev"]
    console = tmp_path / "console"
    argv = guest_argv(console, GUEST_IP, accel="kvm", smp=2) + done["qemu"]["args"]
    with started(argv, console) as guest:
        nic = guest.wait_ready(400)["eth0"]
        assert (nic["driver"], nic["rxqueues"]) == ("virtio_net", "2")
        assert pings(GUEST_IP)
        _workers_move_with_packets(lab, done["tap"], guest.pid, 2)
        # A QEMU that the emulated KVM has let down has nothing open that could be refused.
        assert guest.process.poll() is None, f"QEMU ended: {guest.end()}; {guest.console()}"
        refused = lab.vmnet("detach", "vm1", status=6)
        assert f"pid {guest.pid}" in refused.err


def test_workers_of_a_guest_without_a_driver_sleep_for_good(lab: Lab, tmp_path: Path) -> None:
    """By which `vmnet sync` tells that vhost-net was asked for, is set up, and not used."""
    bridge_with_address(lab)
    done = lab.vmnet("attach", "vm1", "--require-vhost", "--json").json
    console = tmp_path / "console"
    argv = guest_argv(console, GUEST_IP, accel="kvm") + done["qemu"]["args"]
    with started([*argv, "-S"], console) as guest:
        guest.wait_for(lambda: lab.vmnet("who", done["tap"], "--json").json["holders"] != [], 60)
        time.sleep(2)
        assert 0 < _wakes(lab, done["tap"]) <= ASLEEP_WAKES
    with started(argv, console) as guest:
        guest.wait_ready(400)
        assert pings(GUEST_IP)
        assert _wakes(lab, done["tap"]) > ASLEEP_WAKES


def _wakes(lab: Lab, tap: str) -> int:
    (holder,) = lab.vmnet("who", tap, "--json").json["holders"]
    (worker,) = holder["workers"]
    return int(worker["wakes"])


def _workers_move_with_packets(lab: Lab, tap: str, pid: int, count: int) -> None:
    (holder,) = lab.vmnet("who", tap, "--json").json["holders"]
    assert (holder["pid"], holder["vhost_fds"]) == (pid, count)
    workers = [worker["tid"] for worker in holder["workers"]]
    assert workers == _kernel_workers(pid)
    assert len(workers) == count
    still = _ticks(workers)
    time.sleep(1)
    idle = _ticks(workers) - still
    before = _ticks(workers)
    checked(["busybox", "ping", "-c", "200", "-i", "0.01", "-W", "5", GUEST_IP])
    moved = _ticks(workers) - before
    assert moved > 2 * idle + 2, f"{moved} ticks for 200 pings, {idle} idle"


def _kernel_workers(pid: int) -> list[int]:
    """Find the workers as a person would: by name, in /proc."""
    done = run(["sh", "-c", f"grep -lx 'vhost-{pid}' /proc/[0-9]*/comm"])
    return sorted(int(path.split("/")[2]) for path in done.out.split())


def _ticks(tids: list[int]) -> int:
    total = 0
    for tid in tids:
        words = Path(f"/proc/{tid}/stat").read_text().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total


def test_run_hands_over_vhost_descriptors_and_an_mtu_that_reaches_the_guest(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    console = tmp_path / "console"
    argv = guest_argv(console, GUEST_IP, accel="kvm", smp=2)
    nic = "bridge=br0,queues=2,mtu=1400,vhost=require"
    with _running(lab, console, "run", "vm1", "--nic", nic, "--", *argv) as guest:
        seen = guest.wait_ready(400)["eth0"]
        assert (seen["mtu"], seen["rxqueues"]) == ("1400", "2")
        assert pings(GUEST_IP)
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert [h["vhost_fds"] for h in row["holders"]] == [2]
        _workers_move_with_packets(lab, row["tap"], guest.pid, 2)
    assert list(lab.links()) == ["br0"]


@contextmanager
def _running(lab: Lab, console: Path, *args: str) -> Iterator[Vm]:
    """A guest started by the command in a warm process: a cold start takes long here."""
    pid = lab.start(*args)
    try:
        yield Vm(_Forked(pid), console)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class _Forked(subprocess.Popen[bytes]):
    """What `Vm` needs of a process that subprocess did not start."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __del__(self) -> None:
        """Nothing: it is reaped where it was forked."""

    def poll(self) -> int | None:
        """Return None as long as it runs."""
        return None if Path(f"/proc/{self.pid}/exe").exists() else 1


@pytest.mark.parametrize(("mode", "reason"), [(0o600, "permission"), (0o666, "vhost-ok")])
def test_the_decision_is_made_for_the_user_qemu_will_run_as(
    lab: Lab, node: Path, mode: int, reason: str
) -> None:
    lab.vmnet("bridge", "create", "br0")
    node.chmod(mode)
    done = lab.vmnet("attach", "vm1", "--owner", "nobody", "--vhost", "--json").json
    assert done["data_path"]["reason"] == reason
    on = "vhost=on" in done["qemu"]["netdev"]
    assert on is (reason == "vhost-ok")
    # Root could have opened it all along: only the user counts.
    assert lab.vmnet("attach", "vm2", "--json").json["data_path"]["reason"] == "vhost-ok"


def test_required_vhost_that_cannot_be_had_is_an_error_and_leaves_nothing(
    lab: Lab, node: Path
) -> None:
    lab.vmnet("bridge", "create", "br0")
    node.chmod(0o600)
    done = lab.vmnet("attach", "vm1", "--owner", "nobody", "--require-vhost", status=9)
    assert "user nobody may not open /dev/vhost-net" in done.err
    assert "usermod -aG kvm nobody" in done.err
    assert list(lab.links()) == ["br0"]
    lab.vmnet("detach", "vm1")
    lab.vmnet("bridge", "delete", "br0")
    assert lab.leftovers() == []


def test_too_few_descriptors_are_told_apart_and_none_stays_open(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, limits[1]))
        done = lab.vmnet("attach", "vm1", "--queues", "64", "--vhost", "--json").json
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert done["data_path"]["reason"] == "fd-limit"
    assert "vhost=off" in done["qemu"]["netdev"]


def test_a_node_that_is_not_vhost_net_is_seen_through(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    false_node = tmp_path / "false"
    lab.sh(f"mknod {shlex.quote(str(false_node))} c 1 3; mount --bind {false_node} {NODE}")
    done = lab.vmnet("attach", "vm1", "--vhost", "--json").json
    assert done["data_path"]["reason"] == "not-vhost-net"
    assert "vhost=off" in done["qemu"]["netdev"]


def test_a_module_that_is_not_loaded_is_named_with_the_command_that_loads_it(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh("rmmod vhost_net")  # modprobe -r would take tun along
    try:
        done = lab.vmnet("attach", "vm1", "--vhost")
        assert "not-loaded" in done.err
        assert "`modprobe vhost_net`" in done.err
        assert "vhost=off" in done.out
        failed = lab.vmnet("attach", "vm1", "--require-vhost", status=9)
        assert "modprobe vhost_net" in failed.err
    finally:
        lab.sh("modprobe vhost_net")
    again = lab.vmnet("attach", "vm1", "--vhost", "--json").json
    assert (again["steps"], again["data_path"]["reason"]) == ([], "vhost-ok")


def test_no_vhost_and_an_emulated_model_are_told_apart(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    off = lab.vmnet("attach", "vm1", "--no-vhost", "--json").json["data_path"]
    assert (off["path"], off["reason"]) == ("userspace", "asked-not")
    model = lab.vmnet("attach", "vm2", "--model", "e1000", "--json").json["data_path"]
    assert (model["path"], model["reason"]) == ("emulated", "model-not-virtio")
    lab.vmnet("attach", "vm3", "--model", "e1000", "--require-vhost", status=9)


def test_the_bridge_of_a_full_kernel_filters_and_snoops_nothing(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    data = lab.link("br0")["linkinfo"]["info_data"]
    assert (data["stp_state"], data["mcast_snooping"], data["vlan_filtering"]) == (0, 0, 0)


def test_each_command_starts_cold(lab: Lab) -> None:
    lab.cold("bridge", "create", "br0")
    assert "vhost=on" in lab.cold("attach", "vm1", "--vhost").out
    assert "ip tuntap add" in lab.cold("plan", "vm2").out
    assert "vm1" in lab.cold("list").out
    assert "nobody" in lab.cold("who", "vmnet-vm1-0").out
    assert "vhost=on" in lab.cold("run", "vm3", "--", "sh", "-c", 'echo "$@"', "sh").out
    lab.cold("detach", "vm1")
    lab.cold("gc")
    lab.cold("bridge", "delete", "br0")
    lab.cold("config", "check")
    assert lab.leftovers() == []
