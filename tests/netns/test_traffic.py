"""`vmnet top` and `metrics`, against what `ip -s` counts, and in a real terminal."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.netns import taps
from tests.netns.commands import start, until
from tests.netns.frames import IP, ether, ipv4, udp
from tests.support.lab import VENV_BIN, Lab, checked, run

_FRAMES = 40


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _attach(lab: Lab, vm: str, *words: str) -> dict[str, Any]:
    done: dict[str, Any] = lab.vmnet("attach", vm, *words, "--json").json
    return done


def _send(fd: int, mac: str) -> None:
    """Send as the guest does."""
    frame = ether("ff:ff:ff:ff:ff:ff", IP, ipv4("10.0.0.2", udp(1, 2, bytes(900))), mac)
    for _ in range(_FRAMES):
        os.write(fd, bytes(10) + frame)


def _counted(tap: str) -> dict[str, Any]:
    """Return what `ip` counts."""
    (link,) = json.loads(checked(["ip", "-j", "-s", "link", "show", "dev", tap]).out)
    stats: dict[str, Any] = link["stats64"]
    return stats


def test_once_says_what_went_through_from_the_guests_side(lab: Lab) -> None:
    done = _attach(lab, "vm1")
    lab.vmnet("attach", "vm2")
    with taps.opened(done["tap"]) as fd:
        _send(fd, done["mac"])
        looking = start("top", "--once", "--json", "--interval", "2", "--sort", "out")
        time.sleep(1)  # it has looked once
        _send(fd, done["mac"])
        answer = looking.wait().json
    assert answer["schema"] == "vmnet.top/1"
    first, second = answer["nics"]
    assert (first["vm"], second["vm"]) == ("vm1", "vm2")
    stats = _counted(done["tap"])
    total = first["total"]
    assert (total["from_guest"], total["bytes_from_guest"]) == (
        stats["rx"]["packets"],
        stats["rx"]["bytes"],
    )
    assert total["to_guest"] == stats["tx"]["packets"]
    assert total["from_guest"] == 2 * _FRAMES
    seconds, rates = answer["seconds"], first["per_second"]
    assert rates["from_guest"] == pytest.approx(_FRAMES / seconds, rel=0.1)
    assert rates["bits_from_guest"] == pytest.approx(
        8 * stats["rx"]["bytes"] / 2 / seconds, rel=0.1
    )
    assert rates["to_guest"] == second["per_second"]["from_guest"] == 0


def test_metrics_are_what_ip_counts(lab: Lab) -> None:
    done = _attach(lab, "vm1")
    with taps.opened(done["tap"]) as fd:
        _send(fd, done["mac"])
        text = lab.vmnet("metrics").out
    stats = _counted(done["tap"])
    values = {
        (sample.name, sample.labels.get("state", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["vm"] == "vm1"
    }
    assert values["vmnet_nic_transmit_packets_total", ""] == stats["rx"]["packets"] == _FRAMES
    assert values["vmnet_nic_transmit_bytes_total", ""] == stats["rx"]["bytes"]
    assert values["vmnet_nic_queues", "open"] >= 1  # the warm command has it open too


def test_what_cannot_be_is_said(lab: Lab) -> None:
    assert "cannot be sorted by" in lab.vmnet("top", "--once", "--sort", "x", status=2).err
    assert lab.vmnet("top", "vm1", "--json", "--interval", "0.1").json["nics"] == []


def test_a_tenants_name_does_not_act_on_a_terminal(lab: Lab) -> None:
    lab.vmnet("attach", "--", "v\x1b[2J\u202em")
    out = lab.vmnet("top", "--once", "--interval", "0.1").out
    assert "\x1b" not in out
    assert "v\\x1b[2J\\u202em" in out


class _Terminal:
    """A tmux of 80 columns and 12 lines, in the test's own namespaces."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        size = ["-x", "80", "-y", "12"]
        env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        checked([*self._tmux, "new-session", "-d", *size, "--", *argv], env=env)

    def keys(self, *keys: str) -> None:
        checked([*self._tmux, "send-keys", *keys])

    def shown(self) -> list[str]:
        return run([*self._tmux, "capture-pane", "-p"]).out.splitlines()

    def ended(self) -> bool:
        return run([*self._tmux, "has-session"]).status != 0


def test_the_screen_sorts_filters_and_ends_by_keys(lab: Lab, tmp_path: Path) -> None:
    for number in range(3):
        lab.vmnet("attach", f"vm{number}-of-a-tenant-with-a-long-name-that-goes-on")
    lab.vmnet("attach", "v\x1b[2J\u202em")
    screen = _Terminal(tmp_path, str(VENV_BIN / "vmnet"), "top", "--interval", "0.3")
    until(lambda: any(line.startswith("vm0-of") for line in screen.shown()))
    shown = screen.shown()
    assert shown[0].split()[:3] == ["VM", "NIC", "PATH"]
    assert shown[0].split()[-2:] == ["CPU%", "RUNS"]
    assert all(len(line) <= 80 for line in shown)
    assert [line[:2] for line in shown[1:5]] == ["v\\", "vm", "vm", "vm"]
    assert "from the guest's side" in shown[5]
    screen.keys("o")
    until(lambda: any("sorted by OUT" in line for line in screen.shown()))
    screen.keys("/", "v", "m", "1", "Enter")
    until(lambda: [line[:3] for line in screen.shown()[1:3]] == ["vm1", "per"])
    screen.keys("q")
    until(screen.ended)
