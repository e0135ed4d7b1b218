"""`vmnet plan` and `--dry-run`: what a person types from them gives the same state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.netns.places import other_network
from tests.netns.seen import generation, seen, timeless
from tests.support.lab import Lab, checked

HOSTILE = [
    "a,vhost=on;$(touch x)",
    "`touch x`",
    'it\'s "quoted" \\ $HOME',
    "--dry-run",
    "x > x; touch x & touch x | touch x",
    "tab\tand\rreturn",
    "ünïcödé",
    "*",
    "~root",
    "!!",
    "# not a comment",
    "v" * 250,
]
BRIDGES = "ip link add br0 address 52:00:00:00:00:01 type bridge; ip link set br0 mtu 9000 up"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _replayed(lab: Lab, lines: str, *before: str) -> dict[str, Any]:
    """Return the state to which the lines lead in another, empty namespace."""
    with other_network():
        for line in before:
            lab.sh(line)
        done = checked(["sh", "-e"], input=lines)
        assert (done.out, done.err) == ("", "")
        return seen(lab)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--queues", "4"),
        ("--owner", "nobody"),
        ("--owner", "4242", "--queues", "2"),
        ("--mtu", "1400"),
        ("--mac", "52:54:00:00:00:01", "--nic", "7"),
        ("--model", "e1000"),
    ],
)
def test_a_plan_leads_to_what_attach_makes(lab: Lab, options: tuple[str, ...]) -> None:
    lab.sh(BRIDGES)
    lines = lab.vmnet("plan", "vm1", *options).out
    assert timeless(lines) == timeless(lab.vmnet("attach", "vm1", *options, "--dry-run").out)
    assert set(lab.links()) == {"br0"}
    lab.vmnet("attach", "vm1", *options)
    assert _replayed(lab, lines, BRIDGES) == seen(lab)


@pytest.mark.parametrize("vm", HOSTILE)
def test_no_name_is_run(lab: Lab, vm: str, tmp_path: Path) -> None:
    lab.sh(BRIDGES)
    lines = lab.vmnet("plan", "--", vm).out
    lab.vmnet("attach", "--", vm)
    assert _replayed(lab, lines, BRIDGES) == seen(lab)
    with other_network():
        lab.sh(BRIDGES)
        checked(["sh", "-e"], input=lines)
        detach = lab.vmnet("detach", "--dry-run", "--", vm).out
        checked(["sh", "-e"], input=detach)
        assert set(lab.links()) == {"br0"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bridge", ["$(touch>x)", "a;touch${IFS}x", "-x", "'", "master", "up"])
def test_no_bridge_name_is_run(lab: Lab, bridge: str, tmp_path: Path) -> None:
    made = lab.vmnet("bridge", "create", "--dry-run", "--", bridge).out
    lab.vmnet("bridge", "create", "--", bridge)
    lines = lab.vmnet("plan", "vm1", f"--bridge={bridge}").out
    lab.vmnet("attach", "vm1", f"--bridge={bridge}")
    assert _replayed(lab, made + lines) == seen(lab)
    assert list(tmp_path.iterdir()) == []


CHANGES = [
    ("--mtu", "1400"),
    ("--bridge", "br1"),
    ("--mac", "52:54:00:00:00:01"),
    ("--bridge", "br1", "--mtu", "1400", "--mac", "52:54:00:00:00:01"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_plan_of_a_change_leads_to_what_attach_makes(lab: Lab, change: tuple[str, ...]) -> None:
    before = BRIDGES, BRIDGES.replace("br0", "br1").replace("01 ", "02 ")
    for line in before:
        lab.sh(line)
    first = lab.vmnet("plan", "vm1", "--bridge", "br0").out
    checked(["sh", "-e"], input=first)
    name = next(name for name in lab.links() if name.startswith("vmn"))
    second = lab.vmnet("plan", "vm1", *change).out
    mark = generation(lab, name)
    lab.vmnet("attach", "vm1", *change)
    assert generation(lab, name) == mark
    assert _replayed(lab, first + second, *before) == seen(lab)


def test_the_plan_of_nothing_to_do_is_empty(lab: Lab) -> None:
    lab.sh(BRIDGES)
    lab.vmnet("attach", "vm1")
    done = lab.vmnet("plan", "vm1")
    assert done.out == ""
    assert "nothing to do" in done.err


def test_what_has_no_shell_form_is_a_comment(lab: Lab) -> None:
    lab.sh(BRIDGES)
    lab.vmnet("attach", "vm1")
    lines = lab.vmnet("plan", "vm1", "--owner", "4242").out.splitlines()
    assert all(line.startswith("# ") for line in lines)
    assert "opens 1 queue" in lines[0]
    assert "4242" in lines[1]
    run = lab.vmnet("run", "vm2", "--dry-run", "--", "true").out.splitlines()
    words = ("# ", "ip ", "bridge ", "printf ")
    assert all(line.startswith(words) for line in run)  # the filter's rules are there already
    assert any("goes with its process" in line for line in run)


def test_a_made_by_hand_tap_is_vmnets_own(lab: Lab) -> None:
    lab.sh(BRIDGES)
    checked(["sh", "-e"], input=lab.vmnet("plan", "vm1", "--queues", "2").out)
    assert lab.vmnet("attach", "vm1", "--json").json["steps"] == []
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("queues", ["1", "4"])
def test_the_plan_of_a_detach_leads_to_what_detach_makes(lab: Lab, queues: str) -> None:
    lab.sh(BRIDGES)
    lab.vmnet("attach", "vm1", "--queues", queues)
    lab.vmnet("attach", "vm1", "--nic", "1")
    checked(["sh", "-e"], input=lab.vmnet("detach", "vm1", "--dry-run").out)
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("options", [(), ("--mtu", "1500"), ("--mtu", "1499"), ("--mtu", "9000")])
def test_the_plan_of_a_bridge_leads_to_what_create_makes(
    lab: Lab, options: tuple[str, ...]
) -> None:
    lines = lab.vmnet("bridge", "create", "br0", "--dry-run", *options).out
    assert lab.links() == {}
    lab.vmnet("bridge", "create", "br0", *options)
    assert _replayed(lab, lines) == seen(lab)
    narrow = "ip link add p0 mtu 1280 type veth peer name p1; ip link set p0 master br0 up"
    lab.sh(narrow)
    assert _replayed(lab, lines + narrow)["br0"]["mtu"] == lab.link("br0")["mtu"] != 1280


def test_the_plan_of_a_bridge_delete_leads_to_what_delete_makes(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lines = lab.vmnet("bridge", "delete", "br0", "--dry-run").out
    checked(["sh", "-e"], input=lines)
    assert lab.links() == {}
