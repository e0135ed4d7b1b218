"""Rates between two looks, how they are written, and what the keys of `vmnet top` do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vmnet.entry.say_top import HEAD, cells, ordered, short
from vmnet.entry.screen import View
from vmnet.model.traffic import Counters, Reading, Run, flow
from vmnet.model.vhost import DataPath
from vmnet.peers.prometheus import metrics

_BEFORE = Reading("vm1", 0, "tap0", 7, DataPath.VHOST, 4, 2, Counters(), Run())
_NOW = replace(_BEFORE, counters=Counters(100, 50, 125_000, 6_250, 3, 2), run=Run(0.5, 80))


def test_rates_are_per_second_and_from_the_guests_side() -> None:
    found = flow(_BEFORE, _NOW, 2.0)
    assert (found.bits_to_guest, found.bits_from_guest) == (500_000, 25_000)
    assert (found.to_guest, found.from_guest, found.dropped) == (50, 25, 2.5)
    assert (found.worker_cpu, found.worker_runs) == (0.25, 40)
    row = dict(zip(HEAD, cells(found), strict=True))
    assert row == {
        "VM": "vm1", "NIC": "0", "PATH": "vhost", "IN": "500k", "OUT": "25k", "PKT IN": "50",
        "PKT OUT": "25", "LOST": "2", "Q": "2/4", "CPU%": "25", "RUNS": "40",
    }  # fmt: skip


def test_counters_that_went_back_are_no_rate() -> None:
    found = flow(_NOW, _BEFORE, 1.0)
    assert (found.bits_to_guest, found.dropped, found.worker_cpu) == (0, 0, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.4, "0"), (999, "999"), (999.6, "1.0k"), (1234, "1.2k"), (9940, "9.9k"),
     (9960, "10k"), (34e6, "34M"), (100e9, "100G"), (3e15, "3000T")],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_order_and_filter() -> None:
    flows = [
        flow(replace(_BEFORE, vm=vm), replace(_NOW, vm=vm, counters=Counters(n, 0, n, 0)), 1.0)
        for vm, n in (("a1", 1), ("b", 3), ("a2", 2))
    ]
    assert [each.now.vm for each in ordered(flows, "vm")] == ["a1", "b", "a2"]
    assert [each.now.vm for each in ordered(flows, "in")] == ["b", "a2", "a1"]
    assert [each.now.vm for each in ordered(flows, "in", "a")] == ["a2", "a1"]


def _pressed(keys: str) -> View:
    view = View("vm")
    for key in keys:
        view.press(key)
    return view


@pytest.mark.parametrize(
    ("keys", "view"),
    [
        ("i", View("in")),
        ("x?Z", View("vm")),
        ("/web\rc", View("cpu", "web")),
        ("/wex\x7fb", View("vm", "web", typing=True)),
        ("/q", View("vm", "q", typing=True)),
        ("/web\x1b", View("vm")),
        ("  ", View("vm")),
        (" ", View("vm", held=True)),
        ("q", View("vm", ended=True)),
        ("\x03", View("vm", ended=True)),
    ],
)
def test_keys(keys: str, view: View) -> None:
    assert _pressed(keys) == view


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a\nb", "\x1b[31m", "</svg><script>", "\u202eab", "v\udcff", "{}=,"]
)
def test_no_name_breaks_the_text_for_prometheus(name: str) -> None:
    families = list(text_string_to_metric_families(metrics([replace(_NOW, vm=name)])))
    shown = name.encode("utf-8", "backslashreplace").decode()
    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels["vm"] for sample in samples} == {shown}
    values = {sample.name: sample.value for sample in samples}
    assert values["vmnet_nic_receive_bytes_total"] == 125_000
    assert values["vmnet_nic_transmit_packets_total"] == 50
    assert values["vmnet_vhost_worker_runs_total"] == 80
