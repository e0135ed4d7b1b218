"""`vmnet graph`, against what `ip` shows."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import Any

import pytest

from tests.netns import taps
from tests.netns.ends import place
from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _bridges(lab: Lab) -> None:
    for name in ("br0", "br1"):
        lab.vmnet("bridge", "create", name)
    lab.sh("ip link add eth1 type veth peer name far; ip link set eth1 master br0 up")
    lab.sh("ip link set far up")


def _attach(lab: Lab, *words: str) -> str:
    tap = lab.vmnet("attach", *words, "--json").json["tap"]
    assert isinstance(tap, str)
    return tap


def _graph(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = lab.vmnet("graph", "--json").json
    assert found["schema"] == "vmnet.graph/1"
    return found


def test_each_link_is_there_once_and_below_its_master(lab: Lab) -> None:
    with place() as far:
        lab.vmnet("patch", "br0", "br1")
        lab.vmnet("patch", "br1", f"pid:{far.pid}")
        _attach(lab, "vm1", "--bridge", "br0")
        _attach(lab, "vm1", "--nic", "1", "--bridge", "br1")
        _attach(lab, "vm2", "--routed", "--address", "10.9.0.5")
        _attach(lab, "vm3", "--direct", "far")
        lab.vmnet("tun", "create", "tun0", "--address", "10.8.0.1/24")
        found, links = _graph(lab), lab.links()
        tree = lab.vmnet("graph").out
        dot = lab.vmnet("graph", "--dot").out
        mermaid = lab.vmnet("graph", "--mermaid").out
    no_links = ("vm", "namespace")
    names = Counter(item["name"] for item in found["items"] if item["sort"] not in no_links)
    assert names == dict.fromkeys(links, 1)
    ports = {join["inner"]: join["outer"] for join in found["joins"] if join["what"] == "port"}
    assert ports == {name: link["master"] for name, link in links.items() if "master" in link}
    heads = [line.lstrip("│├└─ ").split("  ")[0] for line in tree.splitlines()]
    assert all(heads.count(name) == 1 for name in links)
    assert all(dot.count(f'"{name}\\n') + dot.count(f'"{name}"') == 1 for name in links)
    assert all(mermaid.count(f'"{name}<br/>') + mermaid.count(f'"{name}"') == 1 for name in links)
    plain = subprocess.run(
        ["dot", "-Tplain"], input=dot, capture_output=True, text=True, check=True
    )
    assert plain.stdout.count("\nnode ") == len(found["items"])


def test_trouble_and_who_moves_the_packets_are_told(lab: Lab) -> None:
    tap = _attach(lab, "vm1", "--bridge", "br0")
    away = _attach(lab, "vm2", "--bridge", "br0")
    lab.sh(f"ip link set {away} nomaster; ip link set eth1 down")
    with taps.held(tap):
        items = {item["name"]: item for item in _graph(lab)["items"]}
    assert items[tap]["path"] == "userspace"
    assert (items[away]["trouble"], items["eth1"]["trouble"]) == ("not in br0", "down")
    assert f"{away}  tap of vm2, nic 0, not running  ! not in br0" in lab.vmnet("graph").out


@pytest.mark.parametrize("name", ["\x1b[2J\u202ev", 'a"b<svg>', "-x", "vm x"])
def test_a_tenants_name_acts_nowhere(lab: Lab, name: str) -> None:
    lab.vmnet("attach", "--bridge", "br0", "--", name)
    lab.sh(r"ip link set far alias \"$(printf '\033[31m</svg>')\"; ip link set far master br1")
    for form in ((), ("--dot",), ("--mermaid",)):
        out = lab.vmnet("graph", *form).out
        assert not set("\x1b\u202e") & set(out)
    names = [item["name"] for item in _graph(lab)["items"] if item["sort"] == "vm"]
    assert names == [name]


def test_two_forms_are_refused_and_nothing_is_nothing(lab: Lab) -> None:
    error = lab.vmnet("graph", "--dot", "--mermaid", status=2).err
    assert "exclude each other" in error
    lab.sh("ip link del eth1; ip link del br0; ip link del br1")
    done = lab.vmnet("graph")
    assert (done.out, json.loads(lab.vmnet("graph", "--json").out)["items"]) == ("", [])
    assert "nothing of vmnet's" in done.err
