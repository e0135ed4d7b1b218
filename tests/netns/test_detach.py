"""`vmnet detach`: all that attach made goes, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.netns import taps
from tests.netns.seen import seen
from tests.support.lab import Lab

LONG = "x" * 250
HOSTILE = [
    "a,vhost=on;$(touch x)",
    "`touch x` && touch x | touch x > x",
    "--nic",
    "-n",
    " leading and trailing ",
    "mit Ümläüten und 漢字",
    "quo'te\"s\\",
    "tab\tand\x1b[31mred",
    "vm1 nic=7 own=managed life=process",
    "%s%n{0}$HOME",
    "..",
    LONG,
    "ü" * 120,
]


@pytest.fixture(autouse=True)
def _bridge(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.sh("ip link add br0 type bridge; ip link set br0 up")
    monkeypatch.chdir(tmp_path)


def test_detach_takes_away_all_and_leaves_the_bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br1")
    before = seen(lab)
    lab.vmnet("attach", "vm1", "--bridge", "br1")
    lab.vmnet("attach", "vm1", "--bridge", "br1", "--nic", "1", "--queues", "4")
    done = lab.vmnet("detach", "vm1")
    assert done.err.count("removed vmn") == 2
    assert seen(lab) == before
    assert lab.leftovers() == ["br1"]


def test_detach_twice_is_fine(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    lab.vmnet("detach", "vm1")
    assert "nothing is attached" in lab.vmnet("detach", "vm1").err
    assert lab.vmnet("detach", "vm1", "--json").json["links"] == []


def test_detach_of_one_nic_leaves_the_others(lab: Lab) -> None:
    names = [lab.vmnet("attach", "vm1", "--nic", n, "--json").json["tap"] for n in ("0", "1", "2")]
    lab.vmnet("detach", "vm1", "--nic", "1")
    assert set(lab.links()) == {"br0", names[0], names[2]}
    lab.vmnet("detach", "vm1", "--nic", "1")
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


def test_detach_leaves_other_vms(lab: Lab) -> None:
    vms = ("vm1", "vm11", "vm1-0", "vm", "VM1")
    names = {vm: lab.vmnet("attach", vm, "--json").json["tap"] for vm in vms}
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0", *names.values()} - {names["vm1"]}


def test_detach_needs_no_record_but_the_kernels(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    lab.sh(f"rm -rf /run/vmnet; ip link set dev {name} down name renamed")
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


def test_a_dry_run_leaves_all_as_it_is(lab: Lab) -> None:
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    before = lab.state()
    done = lab.vmnet("detach", "vm1", "--dry-run")
    gone = [f"ip tuntap del dev {name} mode tap", "nft delete table bridge vmnet"]
    assert done.out.splitlines() == gone
    assert lab.state() == before


def test_detach_goes_on_past_errors_and_reports_all(lab: Lab) -> None:
    names = [lab.vmnet("attach", "vm1", "--nic", str(n), "--json").json["tap"] for n in range(4)]
    with taps.held(names[0]) as first, taps.held(names[2]) as third:
        done = lab.vmnet("detach", "vm1", status=12)
        assert set(lab.links()) == {"br0", names[0], names[2]}
        assert f"pid {first} (sleep 1000)" in done.err
        assert f"pid {third} (sleep 1000)" in done.err
        error = lab.vmnet("detach", "vm1", "--json", status=12).err
        assert error.count('"code": "tap-held"') == 2
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("nic", ["-1", "100", "x"])
def test_a_nic_that_cannot_be_is_refused(lab: Lab, nic: str) -> None:
    lab.vmnet("attach", "vm1")
    lab.vmnet("detach", "vm1", "--nic", nic, status=2)
    lab.vmnet("attach", "vm2", "--nic", nic, status=2)
    assert len(lab.links()) == 2


@pytest.mark.parametrize("vm", HOSTILE)
def test_any_name_that_libvirt_takes_comes_and_goes(lab: Lab, vm: str, tmp_path: Path) -> None:
    done = lab.vmnet("attach", "--json", "--", vm).json
    tap = lab.link(done["tap"])
    assert done["vm"] == vm
    assert len(done["tap"]) <= 15
    assert all(len(name.encode()) <= 127 for name in tap["altnames"])
    assert vm not in tap["altnames"]
    assert lab.vmnet("attach", "--json", "--", vm).json["steps"] == []
    assert "\x1b" not in lab.vmnet("list").out
    lab.vmnet("detach", "--", vm)
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("vm", ["", "two\nlines", "a/b", "x" * 256, "ü" * 128])
def test_a_name_that_no_vm_can_have_is_refused(lab: Lab, vm: str) -> None:
    for command in ("attach", "detach", "plan"):
        done = lab.vmnet(command, "--", vm, status=2)
        assert "VM name" in done.err
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == []


def test_a_name_that_is_not_utf_8_is_refused(lab: Lab) -> None:
    for command in ("attach", "detach", "plan", "list", "run"):
        rest = ["true"] if command == "run" else []
        lab.vmnet(command, "--", "caf\udce9", *rest, status=2)
    assert set(lab.links()) == {"br0"}


def test_two_long_names_with_one_beginning_stay_apart(lab: Lab) -> None:
    first = lab.vmnet("attach", LONG + "1", "--json").json
    second = lab.vmnet("attach", LONG + "2", "--json").json
    assert first["tap"] != second["tap"]
    assert first["mac"] != second["mac"]
    lab.vmnet("detach", LONG + "3")
    lab.vmnet("detach", LONG + "1")
    assert set(lab.links()) == {"br0", second["tap"]}
    assert lab.vmnet("attach", LONG + "2", "--json").json["steps"] == []


@pytest.mark.parametrize("life", ["building", "process", "kept"])
def test_a_link_that_is_no_tap_is_not_ours_whatever_its_alias_says(lab: Lab, life: str) -> None:
    alias = f"vmnet/1 vm=vm1 nic=0 gen=00000000 own=made life={life}"
    lab.sh(
        "ip link add v0 type veth peer name v1; ip link add brx type bridge;"
        f"for l in v0 br0 brx; do ip link set dev $l alias '{alias}'; done"
    )
    lab.vmnet("detach", "vm1")
    lab.vmnet("detach", "vm1", "--force")
    lab.vmnet("gc", "--idle", "0")
    lab.vmnet("gc", "--idle", "0")
    assert set(lab.links()) == {"br0", "brx", "v0", "v1"}
    assert lab.vmnet("list", "--json").json["nics"] == []


@pytest.mark.parametrize(
    "alias",
    [
        "vmnet/2 vm=vm1 nic=0 gen=00000000 own=made life=kept",
        "vmnet/1 vm=vm1 nic=0",
        "vmnet/1 vm=vm1 nic=x gen=00000000 own=made life=kept",
        "vmnet/1 vm=vm1 nic=0 gen=00000000 own=mine life=kept",
        "vmnet",
    ],
)
def test_a_tag_that_cannot_be_read_is_foreign(lab: Lab, alias: str) -> None:
    lab.sh(f"ip tuntap add dev tap7 mode tap; ip link set dev tap7 alias '{alias}'")
    lab.vmnet("detach", "vm1")
    lab.vmnet("gc", "--idle", "0")
    assert lab.link("tap7")["ifalias"] == alias
