"""`vmnet up` and `down`: the host as the configuration wishes it, again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.netns import taps
from tests.netns.seen import seen
from tests.support.lab import Done, Lab, checked, own_namespaces

_CONFIG = """
default = "lan"
[bridge.br0]
mtu = 4000
[bridge.br1]
uplinks = ["eth1"]
[network.lan]
bridge = "br0"
rate-out = "100mbit"
[network.dmz]
bridge = "br1"
isolated = true
[[vm.web]]
owner = "nobody"
address = "10.0.0.5"
[[vm.web]]
network = "dmz"
[[vm.db]]
queues = 2
"""


@pytest.fixture
def config(lab: Lab, tmp_path: Path) -> Path:
    lab.sh("ip link add eth1 type veth peer name far; ip link set eth1 up; ip link set far up")
    path = tmp_path / "vmnet.toml"
    path.write_text(_CONFIG)
    return path


def vmnet(lab: Lab, config: Path, *words: str, status: int | None = 0) -> Done:
    return lab.vmnet("--config", str(config), *words, status=status)


def _made(lab: Lab) -> dict[str, Any]:
    """Return what vmnet made; what the bridge learns behind the uplink comes and goes."""
    return {name: link for name, link in seen(lab).items() if name not in ("eth1", "far")}


def _changed(done: Done) -> list[str]:
    return [part["what"] for part in done.json["parts"] if part["steps"]]


def test_up_again_changes_nothing_and_down_leaves_nothing(lab: Lab, config: Path) -> None:
    before = set(lab.links())
    assert len(_changed(vmnet(lab, config, "up", "--json"))) == 6
    assert lab.link("eth1")["master"] == "br1"
    there = _made(lab)
    assert _changed(vmnet(lab, config, "up", "--json")) == []
    assert _made(lab) == there
    assert len(_changed(vmnet(lab, config, "down", "--json"))) == 6
    assert set(lab.links()) == before
    assert lab.leftovers() == []
    assert _changed(vmnet(lab, config, "down", "--json")) == []


def test_what_a_crash_has_taken_comes_back_and_the_rest_stays(lab: Lab, config: Path) -> None:
    vmnet(lab, config, "up")
    there = {name: link["ifindex"] for name, link in lab.links().items()}
    names = [name for name in there if name.startswith("vmn")]
    lab.sh(f"ip link delete {names[0]}; nft delete table bridge vmnet")
    vmnet(lab, config, "up")
    now = {name: link["ifindex"] for name, link in lab.links().items()}
    assert now.keys() == there.keys()
    same = {name for name in now if now[name] == there[name]}
    assert {"br0", "br1", *names[1:]} <= same
    assert _changed(vmnet(lab, config, "up", "--json")) == []


def test_its_lines_make_the_same(lab: Lab, config: Path) -> None:
    config.write_text(_CONFIG.replace('uplinks = ["eth1"]', ""))
    checked(["sh", "-e"], input=vmnet(lab, config, "up", "--dry-run").out)
    assert _changed(vmnet(lab, config, "up", "--json")) == []


def test_what_fails_does_not_stop_the_rest(lab: Lab, config: Path) -> None:
    lab.sh("ip link add br0 type bridge")
    done = vmnet(lab, config, "up", "--json", status=None)
    assert done.status != 0
    failed = [part["what"] for part in done.json["parts"] if part["error"]]
    assert failed == ["bridge br0"]
    assert lab.link("eth1")["master"] == "br1"


def test_down_leaves_a_running_vm_alone(lab: Lab, config: Path) -> None:
    vmnet(lab, config, "up")
    tap = lab.vmnet("attach", "web", "--json").json["tap"]
    with taps.held(tap):
        done = vmnet(lab, config, "down", status=None)
        assert done.status in (5, 6, 12)
        assert lab.link(tap)["master"] == "br0"
    vmnet(lab, config, "down")
    assert lab.leftovers() == []


def test_after_a_reboot_all_is_as_it_was(lab: Lab, config: Path) -> None:
    """Of a network namespace nothing stays, as of a host: links, /run, the filter."""
    config.write_text(_CONFIG.replace('uplinks = ["eth1"]', ""))
    vmnet(lab, config, "up")
    there = _made(lab)
    with own_namespaces():
        after = Lab()
        vmnet(after, config, "up")
        again = _made(after)
        assert _changed(vmnet(after, config, "up", "--json")) == []
    for name, link in [*there.items(), *again.items()]:
        link.pop("ifindex", None)
        if name.startswith("vmi"):  # nobody sees an ifb's address: the kernel draws it
            link.pop("address")
    assert again == there


def test_the_lines_of_up_and_down_make_and_take_all_with_an_uplink_that_has_addresses(
    lab: Lab, config: Path
) -> None:
    """What a dry run says of a thing counts with what was planned before it."""
    lab.sh("ip address add 10.9.0.1/24 dev eth1; ip route add default via 10.9.0.254")
    before, links = lab.sh("ip -4 address show dev eth1; ip route").out, set(lab.links())
    checked(["sh", "-e"], input=vmnet(lab, config, "up", "--dry-run").out)
    assert _changed(vmnet(lab, config, "up", "--json")) == []
    assert "default via 10.9.0.254 dev br1" in lab.sh("ip route").out
    down = vmnet(lab, config, "down", "--dry-run", "--json")
    assert {part["what"]: part["error"] for part in down.json["parts"] if part["error"]} == {}
    assert len(_changed(down)) == 6
    checked(["sh", "-e"], input=vmnet(lab, config, "down", "--dry-run").out)
    assert _changed(vmnet(lab, config, "down", "--json")) == []
    assert set(lab.links()) == links
    assert lab.sh("ip -4 address show dev eth1; ip route").out == before


def test_a_dry_run_of_down_names_what_stays(lab: Lab, config: Path) -> None:
    vmnet(lab, config, "up")
    lab.sh("ip address add 10.1.0.1/24 dev br0")
    done = vmnet(lab, config, "down", "--dry-run", status=5)
    assert "'br0' is in use: addresses 10.1.0.1/24" in done.err
    assert "'br1'" not in done.err


def test_what_changes_in_the_default_network_comes_to_the_nics(lab: Lab, config: Path) -> None:
    vmnet(lab, config, "up")
    config.write_text(_CONFIG.replace("100mbit", "50mbit"))
    assert _changed(vmnet(lab, config, "up", "--json")) == ["vm web nic 0", "vm db nic 0"]
    assert _changed(vmnet(lab, config, "up", "--json")) == []


def test_after_somebody_flushed_all_rules_up_restores_them(lab: Lab, config: Path) -> None:
    """As a reload of the host's own nftables.conf does; in the default network as in another."""
    vmnet(lab, config, "up")
    there = _made(lab)
    lab.sh("nft flush ruleset")
    vmnet(lab, config, "up")
    assert _made(lab) == there
    assert _changed(vmnet(lab, config, "up", "--json")) == []


def test_each_failure_says_what_it_is_about(lab: Lab, config: Path) -> None:
    config.write_text(_CONFIG.replace('"nobody"', '"nosuch"'))
    done = vmnet(lab, config, "up", status=None)
    assert "vm web nic 0: no user 'nosuch' here" in done.err
