"""`vmnet up` and `down` of TUNs and patches, beside bridges of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vmnet
from tests.netns.places import put_tmpfs
from tests.support.lab import Done, Lab, checked, run

_CONFIG = """
[bridge.br0]
[bridge.br1]
[tun.tun0]
owner = "nobody"
address = ["10.8.0.1/24", "fd00:8::1/64"]
route = ["10.77.0.0/16"]
[[patch]]
ends = ["br0", "br1"]
[[patch]]
ends = ["br0", "netns:web"]
as = "lan0"
address = ["10.0.0.9/24"]
mtu = 1400
[[vm.web]]
routed = true
address = "10.1.0.5"
proxy = "eth1"
[[vm.web]]
direct = "eth1"
mode = "private"
"""


@pytest.fixture
def config(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    put_tmpfs("/run")
    Path("/run/netns").mkdir()
    lab.sh("ip netns add web; ip link add eth1 type veth peer name far; ip link set eth1 up")
    path = tmp_path / "vmnet.toml"
    path.write_text(_CONFIG)
    yield path
    run(["ip", "netns", "del", "web"])


def _vmnet(lab: Lab, config: Path, *words: str) -> Done:
    return lab.vmnet("--config", str(config), *words)


def _changed(done: Done) -> list[str]:
    assert [part["error"] for part in done.json["parts"] if part["error"]] == []
    return [part["what"] for part in done.json["parts"] if part["steps"]]


def _web(lab: Lab) -> dict[str, Any]:
    (link,) = lab.ip("-n", "web", "address", "show", "dev", "lan0")
    assert isinstance(link, dict)
    return link


def test_up_makes_wires_and_down_takes_them(lab: Lab, config: Path) -> None:
    assert len(_changed(_vmnet(lab, config, "up", "--json"))) == 7
    assert lab.link("tun0")["linkinfo"]["info_data"]["user"] == "nobody"
    assert "10.77.0.0/16 dev tun0" in checked(["ip", "route"]).out
    assert (_web(lab)["mtu"], _web(lab)["addr_info"][0]["local"]) == (1400, "10.0.0.9")
    assert _changed(_vmnet(lab, config, "up", "--json")) == []
    lab.sh("ip netns del web; ip netns add web")
    assert _changed(_vmnet(lab, config, "up", "--json")) == ["patch br0 netns:web"]
    assert len(_changed(_vmnet(lab, config, "down", "--json"))) == 7
    assert [path for path in lab.leftovers() if "netns" not in path] == []
    assert set(lab.links()) == {"eth1", "far"}
    assert _changed(_vmnet(lab, config, "down", "--json")) == []


def test_the_lines_of_a_dry_run_do_the_same(lab: Lab, config: Path) -> None:
    checked(["sh", "-e"], input=_vmnet(lab, config, "up", "--dry-run").out)
    assert _changed(_vmnet(lab, config, "up", "--json")) == []
    checked(["sh", "-e"], input=_vmnet(lab, config, "down", "--dry-run").out)
    assert set(lab.links()) == {"eth1", "far"}
    assert _changed(_vmnet(lab, config, "down", "--json")) == []


def test_down_leaves_what_a_program_has_open(lab: Lab, config: Path) -> None:
    _vmnet(lab, config, "up")
    with vmnet.open_tun("tun0"):
        done = lab.vmnet("--config", str(config), "down", "--json", status=6)
        assert [part["what"] for part in done.json["parts"] if part["error"]] == ["tun tun0"]
    _vmnet(lab, config, "down")
    assert set(lab.links()) == {"eth1", "far"}
