"""Hot-plug with real vhost-net into a guest under KVM."""

from __future__ import annotations

from pathlib import Path

from tests.support.guest import GUEST_IP, bridge_with_address, guest_argv, pings, started
from tests.support.lab import Lab
from tests.support.monitor import monitor_argv, wait_listening
from tests.testhost.test_vhost import _kernel_workers, _workers_move_with_packets


def test_two_queues_on_vhost_are_plugged_in_ping_and_leave_nothing(
    lab: Lab, tmp_path: Path
) -> None:
    bridge_with_address(lab)
    console, socket = tmp_path / "console", tmp_path / "q"
    words = ["vm1", "--qmp", str(socket), "--wait", "60", "--json"]
    wish = ["--require-vhost", "--queues", "2"]
    argv = guest_argv(console, GUEST_IP, accel="kvm", smp=2) + monitor_argv(socket)
    with started(argv, console) as guest:
        wait_listening(guest, socket)
        guest.wait_ready(400)
        for _ in range(2):
            done = lab.vmnet("attach", *words, *wish).json
            assert done["data_path"]["reason"] == "vhost-ok"
            assert any('"vhostforce": true' in line for line in done["shell"])
            assert pings(GUEST_IP, tries=100)
            _workers_move_with_packets(lab, done["tap"], guest.pid, 2)
            again = lab.vmnet("attach", *words, *wish).json
            assert (again["steps"], again["data_path"]["reason"]) == ([], "vhost-ok")
            lab.vmnet("detach", *words)
            assert list(lab.links()) == ["br0"]
            assert _kernel_workers(guest.pid) == []
            assert _opened(guest.pid) == set()
        without = lab.vmnet("attach", *words, "--no-vhost").json
        assert without["data_path"]["reason"] == "asked-not"
        refused = lab.vmnet("attach", *words, "--require-vhost", status=9)
        assert "plugged-without" in refused.err
        assert pings(GUEST_IP, tries=100)


def _opened(pid: int) -> set[str]:
    """Return which of the nodes of TAPs and vhost-net a process has open."""
    names = {fd.readlink().name for fd in Path(f"/proc/{pid}/fd").iterdir()}
    return names & {"tun", "vhost-net"}
