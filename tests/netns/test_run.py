"""`vmnet run`: the process it becomes, and what is left when that has ended."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.netns.commands import Started, start, until
from tests.support.lab import Done, Lab

#: Says which descriptors it has, then the words that were appended to its command line.
SHOW = ("sh", "-c", 'ls -l /proc/self/fd; printf "%s\\n" "$@"', "qemu")


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0", "--mtu", "9000")


def _words(done: Done) -> list[str]:
    """Return the words that `SHOW` got."""
    lines = done.out.splitlines()
    return lines[lines.index("-netdev") :]


def _descriptors(done: Done) -> dict[int, str]:
    """Return the descriptors that `SHOW` found, but for that of its own looking."""
    found = re.findall(r" (\d+) -> (.*)$", done.out, re.MULTILINE)
    mine = {file.name for file in Path("/proc/self/fd").iterdir() if _leaks(int(file.name))}
    return {int(fd): at for fd, at in found if not at.startswith("/proc/") and fd not in mine}


def _leaks(fd: int) -> bool:
    """Say whether the test runner was started with a descriptor that every program inherits."""
    try:
        return fd > 2 and os.get_inheritable(fd)
    except OSError:
        return False


def _fds_in(netdev: str) -> list[int]:
    found = re.search(r",fds=([0-9:]+)", netdev)
    assert found
    return [int(fd) for fd in found[1].split(":")]


@contextmanager
def _running(lab: Lab, *options: str) -> Iterator[tuple[Started, dict[str, Any]]]:
    """Let `sleep 1000` be the VM; yield it and its newest TAP; it is killed in the end."""
    before = set(lab.links())
    started = start("run", "vm1", *options, "--", "sh", "-c", "exec sleep 1000")
    try:
        until(lambda: Path(f"/proc/{started.pid}/comm").read_text() == "sleep\n")
        (name,) = (set(lab.links()) - before) or before - {"br0"}
        yield started, lab.link(name)
    finally:
        os.kill(started.pid, signal.SIGKILL)
        assert started.wait().status == -signal.SIGKILL


@pytest.mark.parametrize("queues", [1, 2, 5])
def test_it_inherits_the_descriptors_it_is_told_of_and_no_other(lab: Lab, queues: int) -> None:
    done = lab.vmnet("run", "vm1", "--nic", f"queues={queues}", "--no-vhost", "--", *SHOW)
    netdev = _words(done)[1]
    fds = _fds_in(netdev)
    assert len(set(fds)) == queues
    assert set(_descriptors(done)) == {0, 1, 2, *fds}
    assert all(_descriptors(done)[fd] == "/dev/net/tun" for fd in fds)
    assert netdev.startswith("tap,id=vmnet0,")
    assert netdev.endswith(",vhost=off")


def test_each_descriptor_is_a_queue_of_the_vms_tap(lab: Lab) -> None:
    program = "cat /proc/self/fdinfo/* 2>/dev/null; true"
    done = lab.vmnet("run", "vm1", "--nic", "queues=3", "--", "sh", "-c", program)
    held = re.findall(r"^iff:\t(.*)$", done.out, re.MULTILINE)
    assert len(held) == 3
    assert len(set(held)) == 1
    assert held[0] in done.err


def test_the_device_fits_the_queues(lab: Lab) -> None:
    one = _words(lab.vmnet("run", "vm1", "--nic", "mtu=1500", "--", *SHOW))
    assert re.fullmatch(r"virtio-net-pci,netdev=vmnet0,id=vmnet0-nic,mac=52(:..){5}", one[3])
    four = _words(lab.vmnet("run", "vm1", "--nic", "queues=4,mtu=4000", "--", *SHOW))
    assert four[3].endswith(",mq=on,vectors=10,host_mtu=4000")


def test_while_it_runs_its_tap_is_plugged_in_and_not_persistent(lab: Lab) -> None:
    with _running(lab, "--nic", "queues=2,mtu=4000") as (_, tap):
        info = tap["linkinfo"]["info_data"]
        assert (info["persist"], info["numqueues"], info["vnet_hdr"]) == (False, 2, True)
        assert (tap["master"], tap["mtu"]) == ("br0", 4000)
        assert {"UP", "LOWER_UP"} <= set(tap["flags"])
        assert tap["inet6_addr_gen_mode"] == "none"
        assert "own=made life=process" in tap["ifalias"]
        assert list(Path("/run/vmnet").iterdir()) == []
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_its_tap_goes_with_it_however_it_ends(lab: Lab, number: signal.Signals) -> None:
    for options in ((), ("--nic", "queues=3")):
        started = start("run", "vm1", *options, "--", "sh", "-c", f"kill -{number.value} $$")
        assert started.wait().status == -number
        assert set(lab.links()) == {"br0"}
        assert lab.leftovers() == ["br0"]


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_its_exit_status_is_passed_on(lab: Lab, status: int) -> None:
    lab.vmnet("run", "vm1", "--", "sh", "-c", f"exit {status}", status=status)
    assert set(lab.links()) == {"br0"}


def test_list_and_who_show_it(lab: Lab) -> None:
    with _running(lab) as (started, tap):
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert (row["tap"], row["life"], row["held"]) == (tap["ifname"], "process", True)
        assert [(h["pid"], h["command"]) for h in row["holders"]] == [(started.pid, "sleep 1000")]


def test_a_vm_that_runs_is_not_started_twice_nor_detached(lab: Lab) -> None:
    with _running(lab) as (started, tap):
        for command in (("run", "vm1", "--", "true"), ("detach", "vm1")):
            done = lab.vmnet(*command, status=6)
            assert f"held by pid {started.pid} (sleep 1000)" in done.err
        lab.vmnet("gc")
        assert lab.link(tap["ifname"])["ifindex"] == tap["ifindex"]
        lab.vmnet("run", "vm2", "--", "true")


def test_a_tap_that_attach_made_is_used_and_stays(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--queues", "2", "--mtu", "1400", "--json").json["tap"]
    before = lab.link(name)
    with _running(lab) as (_, tap):
        assert tap["ifindex"] == before["ifindex"]
        assert tap["linkinfo"]["info_data"]["numqueues"] == 2
    assert "life=kept" in lab.link(name)["ifalias"]
    assert lab.link(name)["mtu"] == 1400
    lab.vmnet("detach", "vm1")


def test_several_nics_are_appended_in_order(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br1")
    nics = ("--nic", "bridge=br0,queues=2", "--nic", "bridge=br1,mac=52:54:00:00:00:01")
    done = lab.vmnet("run", "vm1", *nics, "--", *SHOW)
    words = _words(done)
    assert words[0::2] == ["-netdev", "-device"] * 2
    assert "id=vmnet0," in words[1]
    assert "netdev=vmnet1,id=vmnet1-nic,mac=52:54:00:00:00:01" in words[7]
    fds = _fds_in(words[1]) + _fds_in(words[5])
    assert len(set(fds)) == 3
    assert set(_descriptors(done)) == {0, 1, 2, *fds}


def test_if_one_nic_fails_none_is_made(lab: Lab) -> None:
    nics = ("--nic", "bridge=br0", "--nic", "bridge=br0,queues=3", "--nic", "bridge=none")
    done = lab.vmnet("run", "vm1", *nics, "--", "true", status=4)
    assert "no bridge 'none'" in done.err
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == ["br0"]


def test_if_one_nic_fails_what_attach_made_is_as_before(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    before = lab.state()
    nics = ("--nic", "bridge=br0,mtu=1400", "--nic", "bridge=none")
    lab.vmnet("run", "vm1", *nics, "--", "true", status=4)
    assert lab.state() == before


def test_places_in_the_command_line_are_filled(lab: Lab) -> None:
    nics = ("--nic", "nic=3", "--nic", "nic=5,model=e1000")
    line = ("{netdev5}", "x{device5}y", "a{netdev3}", "{device3}", "{other}", "{}")
    done = lab.vmnet("run", "vm1", *nics, "--", "printf", "%s\\n", *line)
    words = done.out.splitlines()
    assert words[0].startswith("tap,id=vmnet5,fds=")
    assert words[1].startswith("xe1000,netdev=vmnet5,")
    assert words[1].endswith("y")
    assert words[2].startswith("atap,id=vmnet3,")
    assert words[3].startswith("virtio-net-pci,netdev=vmnet3,")
    assert words[4:] == ["{other}", "{}"]


def test_the_only_nic_needs_no_number(lab: Lab) -> None:
    done = lab.vmnet("run", "vm1", "--nic", "nic=7", "--", "printf", "%s\\n", "{netdev} {device}")
    assert re.fullmatch(r"tap,id=vmnet7,\S+ virtio-net-pci,netdev=vmnet7,\S+\n", done.out)


@pytest.mark.parametrize("place", ["{netdev}", "{device2}", "{netdev99999}"])
def test_a_place_for_no_nic_is_refused_before_anything_is_made(lab: Lab, place: str) -> None:
    nics = ("--nic", "nic=0", "--nic", "nic=1")
    done = lab.vmnet("run", "vm1", *nics, "--", "true", place, status=2)
    assert f"{place} in the command line names no NIC" in done.err


def test_the_programs_own_words_stay_as_they_are(lab: Lab) -> None:
    words = ["-device", "a,b=c", "--nic", "x", "$HOME", "two words", "", "caf\udce9"]
    done = lab.vmnet("run", "vm1", "--", "printf", "<%s>\\n", *words)
    lines = done.out.splitlines()
    assert lines[: len(words)] == [f"<{word}>" for word in words[:-1]] + ["<caf\ufffd>"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("bridge", "'bridge' is not key=value"),
        ("colour=red", "'colour=red' is not key=value"),
        ("queues=2,queues=3", "'queues' is given twice"),
        ("queues=x", "queues='x' is not a number of queue pairs"),
        ("queues=-1", "queues='-1' is not"),
        ("queues=0", "0 queues are not in 1..256"),
        ("queues=257", "257 queues are not in 1..256"),
        ("queues=99999999999", "queues='99999999999' is not"),
        ("mtu=67", "MTU 67 is not in"),
        ("mtu=9001", "MTU 9001 is larger than the 9000"),
        ("mac=fe:00:00:00:00:01", "begins with fe:"),
        ("bridge=br0,network=lan", "both a bridge and a network"),
        ("bridge=0123456789abcdef", "has 16 bytes"),
        ("vhost=yes", "vhost='yes' is not on, off, auto or require"),
        ("model=a;b", "device model 'a;b'"),
        ("model=e1000,queues=2", "e1000 has one queue"),
        ("nic=100", "NIC number 100"),
        ("network=lan", "no network 'lan'"),
        ("\x1b[31m", "is not key=value"),
    ],
)
def test_a_nic_that_cannot_be_is_refused(lab: Lab, spec: str, said: str) -> None:
    done = lab.vmnet("run", "vm1", "--nic", spec, "--", "true", status=None)
    assert done.status in (2, 4)
    assert said in done.err
    assert "\x1b" not in done.err
    assert set(lab.links()) == {"br0"}


def test_two_nics_of_one_number_are_refused(lab: Lab) -> None:
    lab.vmnet("run", "vm1", "--nic", "nic=1", "--nic", "", "--", "true", status=2)
    assert set(lab.links()) == {"br0"}


def test_a_dry_run_says_what_it_would_become_and_makes_nothing(lab: Lab) -> None:
    done = lab.vmnet("run", "vm1", "--dry-run", "--", "qemu-of-mine-that-is-not-here", status=127)
    done = lab.vmnet("run", "vm1", "--dry-run", "--nic", "queues=2", "--", "true")
    assert "ip tuntap add" in done.out
    assert "becomes true" in done.out
    data = lab.vmnet("run", "vm1", "--dry-run", "--json", "--", "true").json
    assert data["command"] == ["true"]
    assert data["nics"][0]["qemu"] is None
    assert set(lab.links()) == {"br0"}


def test_what_was_chosen_is_said_on_standard_error_unless_quiet(lab: Lab) -> None:
    done = lab.vmnet("run", "vm1", "--nic", "model=e1000", "--", "true")
    assert "data path: emulated (model-not-virtio" in done.err
    assert done.out == ""
    assert lab.vmnet("run", "vm1", "--quiet", "--", "true").err == ""
