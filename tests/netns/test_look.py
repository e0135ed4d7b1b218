"""`vmnet list` and `vmnet who`, against what `ip` and /proc show."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.netns import taps
from tests.netns.places import be_nobody, vmnet_after
from tests.support.lab import Lab
from vmnet.kernel.processes import _is_here


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0", "--mtu", "9000")


def _rows(lab: Lab, *args: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lab.vmnet("list", *args, "--json").json["nics"]
    return rows


def _who(lab: Lab, name: str) -> dict[str, Any]:
    found: dict[str, Any] = lab.vmnet("who", name, "--json").json
    return found


def test_list_says_what_ip_says(lab: Lab) -> None:
    lab.vmnet("attach", "vm1", "--mtu", "1400")
    lab.vmnet("attach", "vm1", "--nic", "1", "--queues", "2")
    lab.vmnet("attach", "vm2")
    rows = _rows(lab)
    assert [(row["vm"], row["nic"]) for row in rows] == [("vm1", 0), ("vm1", 1), ("vm2", 0)]
    assert {row["tap"] for row in rows} == set(lab.links()) - {"br0"}
    for row in rows:
        link = lab.link(row["tap"])
        assert row["bridge"] == link["master"]
        assert row["mtu"] == link["mtu"]
        assert row["index"] == link["ifindex"]
        assert row["altnames"] == link["altnames"]
        assert "fe" + row["mac"][2:] == link["address"]
        assert row["up"] is True
        assert row["held"] is False
        assert row["holders"] == []
    assert [row["queues"] for row in rows] == [1, 2, 1]


def test_the_table_has_a_line_for_each_nic(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    with taps.held(name) as pid:
        head, line = lab.vmnet("list").out.splitlines()
    assert " ".join(head.split()) == "VM NIC TAP BRIDGE GUEST MAC MTU Q LIFE PID"
    cells = line.split()
    assert cells[:4] == ["vm1", "0", name, "br0"]
    assert cells[5:] == ["9000", "1", "kept", str(pid)]


def test_list_of_one_vm_shows_no_other(lab: Lab) -> None:
    for vm in ("vm1", "vm11", "vm"):
        lab.vmnet("attach", vm)
    assert [row["vm"] for row in _rows(lab, "vm1")] == ["vm1"]
    assert _rows(lab, "vm111") == []


def test_list_shows_where_a_tap_is_now(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    lab.sh(f"ip link set dev {name} nomaster")
    assert _rows(lab)[0]["bridge"] is None
    lab.sh(f"ip link add other type bridge; ip link set dev {name} master other down")
    (row,) = _rows(lab)
    assert (row["bridge"], row["up"]) == ("other", False)


def test_list_shows_no_foreign_link(lab: Lab) -> None:
    lab.sh("ip tuntap add dev tap7 mode tap; ip link set dev tap7 master br0")
    assert _rows(lab) == []
    assert "no NIC is attached" in lab.vmnet("list").err


def test_list_makes_a_hostile_name_harmless(lab: Lab) -> None:
    vm = "red\x1b[31m\u202e\tvm"
    lab.vmnet("attach", "--", vm)
    assert _rows(lab)[0]["vm"] == vm
    out = lab.vmnet("list").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert len(out.splitlines()) == 2


def test_list_shows_a_very_long_name_shortened(lab: Lab) -> None:
    lab.vmnet("attach", "v" * 250)
    (row,) = _rows(lab, "v" * 250)
    assert row["vm"].startswith("vvvvv")
    assert row["vm"].endswith("…")


def test_list_needs_no_lock_and_makes_none(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    lab.sh("rm -rf /run/vmnet; mount -o remount,ro /run")
    assert len(_rows(lab)) == 1
    assert not Path("/run/vmnet").exists()


def test_who_tells_process_vm_queues_and_user(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--queues", "4", "--json").json["tap"]
    with taps.held(name, taps.MANY, 3) as pid:
        found = _who(lab, name)
        text = lab.vmnet("who", name).out
    assert found["held"] is True
    assert (found["tap"], found["bridge"]) == (name, "br0")
    assert (found["nic"]["vm"], found["nic"]["nic"]) == ("vm1", 0)
    assert found["holders"] == [
        {
            "pid": pid,
            "command": "sleep 1000",
            "user": "root",
            "queues": 3,
            "vhost_fds": 0,
            "workers": [],
        }
    ]
    assert f"pid {pid} (root): 3 queues" in text
    assert "sleep 1000" in text


def test_who_tells_that_nobody_has_it(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    assert _who(lab, name)["holders"] == []
    assert "nobody" in lab.vmnet("who", name).out


@pytest.mark.parametrize("mode", ["tap", "tun"])
def test_who_tells_of_foreign_devices_too(lab: Lab, mode: str) -> None:
    flags = taps.NO_PI | (taps.TAP if mode == "tap" else taps.TUN)
    with taps.held("foreign0", flags) as pid:
        found = _who(lab, "foreign0")
        assert "not vmnet's" in lab.vmnet("who", "foreign0").out
    assert found["nic"] is None
    assert [holder["pid"] for holder in found["holders"]] == [pid]


def test_who_knows_a_tap_by_its_other_names(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--json").json
    for altname in lab.link(done["tap"])["altnames"]:
        assert _who(lab, altname)["tap"] == done["tap"]
    lab.sh(f"ip link property add dev {done['tap']} altname short")
    assert _who(lab, "short")["tap"] == done["tap"]


def test_who_of_several_processes_names_each_with_its_queues(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--queues", "4", "--json").json["tap"]
    with taps.held(name, taps.MANY, 3) as three, taps.held(name, taps.MANY) as one:
        holders = {holder["pid"]: holder["queues"] for holder in _who(lab, name)["holders"]}
    assert holders == {three: 3, one: 1}


def test_who_shows_a_hostile_command_on_one_line(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    with taps.opened(name) as fd:
        script = "read line"
        holder = subprocess.Popen(
            ["sh", "-c", script, "a\nb\x1b[2J", "c" * 500], pass_fds=[fd], stdin=subprocess.PIPE
        )
    try:
        out = lab.vmnet("who", name).out
        (found,) = _who(lab, name)["holders"]
    finally:
        holder.communicate()
    assert found["pid"] == holder.pid
    assert "\x1b" not in out
    assert "a?b?[2J" in out
    assert len(found["command"]) <= 120


@pytest.mark.parametrize("name", ["none", "", "x" * 15, "x" * 16, "vmnet-none-0", "y" * 127])
def test_who_of_a_link_that_is_not_there(lab: Lab, name: str) -> None:
    assert "no link" in lab.vmnet("who", "--", name, status=4).err


@pytest.mark.parametrize("name", ["x" * 128, "x" * 5000, "caf\udce9", "ü" * 100, "a b/c\n"])
def test_who_of_a_name_that_no_link_can_have(lab: Lab, name: str) -> None:
    assert lab.vmnet("who", "--", name, status=None).status in (2, 4)


def test_who_of_something_else_says_what_it_is(lab: Lab) -> None:
    assert "of kind bridge" in lab.vmnet("who", "br0", status=5).err
    assert "of kind hardware" in lab.vmnet("who", "lo", status=5).err


def test_an_ordinary_user_may_look(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    with taps.held(name) as pid:
        (row,) = vmnet_after(be_nobody, "list", "--json").json["nics"]
        assert row["held"] is True
        assert pid not in [holder["pid"] for holder in row["holders"]]
        assert "may not be looked at by this user" in row["blind"]
        who = vmnet_after(be_nobody, "who", name)
        assert "held by a process that cannot be seen" in who.out
        assert vmnet_after(be_nobody, "list").out.splitlines()[1].split()[-1] == "?"


@pytest.mark.parametrize(
    "args",
    [
        ("attach", "vm2"),
        ("attach", "vm1", "--mtu", "1400"),
        ("detach", "vm1"),
        ("detach", "vm1", "--force"),
        ("bridge", "create", "br1"),
        ("bridge", "delete", "br0", "--force"),
        ("run", "vm2", "--", "true"),
    ],
)
def test_an_ordinary_user_may_change_nothing(lab: Lab, args: tuple[str, ...]) -> None:
    lab.vmnet("attach", "vm1")
    before = lab.state()
    done = vmnet_after(be_nobody, *args, status=7)
    assert "run as root" in done.err
    assert lab.state() == before


def test_gc_by_an_ordinary_user_removes_nothing(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    lab.sh(f"ip link set dev {name} alias 'vmnet/1 vm=vm1 nic=0 gen=0 own=made life=process'")
    before = lab.state()
    assert "run as root" in vmnet_after(be_nobody, "gc", status=7).err
    assert lab.state() == before
    # Nothing of vmnet's: nothing to be refused.
    lab.vmnet("detach", "vm1")
    vmnet_after(be_nobody, "gc")


def test_an_ordinary_user_may_plan(lab: Lab) -> None:
    assert "ip tuntap add" in vmnet_after(be_nobody, "plan", "vm1").out
    assert vmnet_after(be_nobody, "detach", "vm1", "--dry-run").out == ""


def test_a_process_that_ended_while_it_was_looked_at_holds_nothing() -> None:
    """In between two calls of one look: nobody can be held up there from outside."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not _is_here(ended.pid, 0)
    zombie = os.fork()
    if zombie == 0:
        os._exit(0)
    os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
    assert not _is_here(zombie, 0)
    os.waitpid(zombie, 0)
    with subprocess.Popen(["sleep", "20"]) as alive:
        assert not _is_here(alive.pid, 999)
        assert _is_here(alive.pid, 0)  # no TAP: the kernel does not tell where it is
        alive.kill()
