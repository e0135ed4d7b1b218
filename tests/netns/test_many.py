"""Many TAPs removed together: `gc`, `detach`, `down`; each as safe as one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

import vmnet
from tests.netns import commands, locks, taps
from tests.netns.places import in_child
from tests.support.lab import VENV_BIN, Lab, checked
from vmnet.kernel.closing import AT_ONCE, Closing
from vmnet.kernel.links import Netlink
from vmnet.model.step import DropTap, Move, Plan, Ref
from vmnet.service.base import carry_out

#: More than are closed at once, so that there are two batches.
_MANY = AT_ONCE + 6


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _attach(vms: Iterable[str], nics: int = 1) -> dict[str, str]:
    """Attach in one process, and not in this one: what it loads other tests must not have.

    Returns:
        The TAP of each VM's first NIC.
    """
    names = list(vms)

    def work() -> dict[str, str]:
        found = {}
        for vm in names:
            for nic in reversed(range(nics)):
                found[vm] = vmnet.attach(vmnet.Wish(vm=vm, nic=nic, bridge="br0")).tap
        return found

    made: dict[str, str] = in_child(work)
    return made


def _filtered(lab: Lab) -> set[str]:
    """Return the links of which the filter has entries."""
    listing = json.loads(lab.sh("nft -j list table bridge vmnet").out)["nftables"]
    sets = [each["set"] for each in listing if "set" in each and each["set"]["name"] != "strict"]
    elements = [element for one in sets for element in one.get("elem", ())]
    return {e["concat"][0] if isinstance(e, dict) else e for e in elements}


def test_gc_takes_all_but_the_held_and_the_locked(lab: Lab) -> None:
    found = _attach(f"vm{number}" for number in range(_MANY))
    stay = {found["vm0"], found["vm33"], found[f"vm{_MANY - 1}"]}
    with taps.held(found["vm0"]), taps.held(found["vm33"]), locks.locked(f"vm=3Avm{_MANY - 1}"):
        told = lab.vmnet("gc", "--idle", "0", "--json").json["links"]
        assert set(lab.links()) == {"br0", *stay}
        assert _filtered(lab) == stay
    actions = {link["link"]: link["action"] for link in told if link["link"] in found.values()}
    assert {link for link, action in actions.items() if action == "leave"} == stay
    lab.vmnet("gc", "--idle", "0")  # of those that were held a mark is made
    lab.vmnet("gc", "--idle", "0")
    assert set(lab.links()) == {"br0"}


def test_the_nics_of_one_vm_go_together_and_the_held_stay(lab: Lab) -> None:
    tap = _attach(["vm1"], nics=9)["vm1"]
    with taps.held(tap):
        done = lab.vmnet("detach", "vm1", status=6)
        assert "pid" in done.err
        assert set(lab.links()) == {"br0", tap}
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("limit", [24, 64])
def test_few_descriptors_are_enough(lab: Lab, limit: int) -> None:
    _attach(f"vm{number}" for number in range(20))
    checked(["prlimit", f"--nofile={limit}", str(VENV_BIN / "vmnet"), "gc", "--idle", "0"])
    assert set(lab.links()) == {"br0"}


def test_down_takes_many_and_waits_for_what_is_locked(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    rules = [f"[[vm.vm{number}]]\n" for number in range(_MANY)]
    config.write_text(
        'default = "lan"\n[bridge.br1]\n[network.lan]\nbridge = "br1"\n' + "".join(rules)
    )
    lab.vmnet("--config", str(config), "up")
    with locks.locked("vm=3Avm7"):
        down = commands.start("--config", str(config), "down")
        commands.until(lambda: len(lab.links()) < 60)
    done = down.wait()
    assert done.status == 0, done.err
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == ["br0"]


def test_down_of_many_names_each_that_stays(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    rules = [f"[[vm.vm{number}]]\n" for number in range(5)]
    config.write_text('default = "lan"\n[network.lan]\nbridge = "br0"\n' + "".join(rules))
    lab.vmnet("--config", str(config), "up")
    names = {row["vm"]: row["tap"] for row in lab.vmnet("list", "--json").json["nics"]}
    with ExitStack() as stack:
        for vm in ("vm1", "vm3"):
            stack.enter_context(taps.held(names[vm]))
        done = lab.vmnet("--config", str(config), "down", "--json", status=None)
        assert set(lab.links()) == {"br0", names["vm1"], names["vm3"]}
        assert _filtered(lab) == {names["vm1"], names["vm3"]}
    parts = {part["what"]: bool(part["error"]) for part in done.json["parts"]}
    assert parts == {f"vm vm{n} nic 0": n in (1, 3) for n in range(5)}


def test_a_dry_run_of_down_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    config.write_text('default = "lan"\n[network.lan]\nbridge = "br0"\n[[vm.a]]\n[[vm.b]]\n')
    lab.vmnet("--config", str(config), "up")
    before = lab.state()
    done = lab.vmnet("--config", str(config), "down", "--dry-run")
    assert done.out.count("ip tuntap del") == 2
    assert lab.state() == before


def test_a_tap_that_is_opened_before_the_close_stays_with_who_opened_it(lab: Lab) -> None:
    tap = lab.vmnet("attach", "vm1", "--queues", "2", "--json").json["tap"]
    link = lab.link(tap)
    with Netlink() as netlink, ExitStack() as qemu:
        with Closing() as closing:
            plan = Plan((Move(DropTap(Ref(tap, link["ifindex"]), multi_queue=True)),))
            carry_out(netlink, plan, closing=closing)
            qemu.enter_context(taps.opened(tap, taps.MANY))
        assert lab.link(tap)["ifindex"] == link["ifindex"]
    assert set(lab.links()) == {"br0"}
