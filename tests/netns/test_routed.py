"""A routed NIC: a TAP that is no port of a bridge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.netns.seen import seen
from tests.netns.taps import held
from tests.support.lab import Lab

_BOTH = ("--routed", "--address", "10.0.0.5,2001:db8::5")


@pytest.fixture(autouse=True)
def _links(lab: Lab) -> None:
    lab.sh("ip link set lo up; ip link add eth1 type veth peer name far; ip link set eth1 up")


def _routes(lab: Lab) -> set[str]:
    rows = [row for f in ("-4", "-6") for row in _rows(lab, f"ip -j {f} route show proto 118")]
    return {f"{row['dst']} {row['dev']}" for row in rows}


def _proxies(lab: Lab) -> set[str]:
    rows = [row for f in ("-4", "-6") for row in _rows(lab, f"ip -j {f} neighbour show proxy")]
    return {f"{row['dst']} {row['dev']} {row.get('protocol')}" for row in rows}


def _rows(lab: Lab, command: str) -> list[Any]:
    rows = json.loads(lab.sh(command).out or "[]")
    assert isinstance(rows, list)
    return rows


def _code(lab: Lab, *words: str, status: int) -> str:
    done = lab.vmnet("attach", "vm1", *words, "--json", status=status)
    code = json.loads(done.err)["error"]["code"]
    assert isinstance(code, str)
    return code


def test_it_has_addresses_routes_and_proxies_and_again_is_an_empty_plan(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", *_BOTH, "--proxy", "eth1", "--json").json
    tap = done["tap"]
    assert done["wire"] == {"routed": "on", "proxy": "eth1"}
    assert done["bridge"] is None
    link = lab.link(tap)
    assert "master" not in link
    (address,) = _rows(lab, f"ip -j -4 address show dev {tap}")
    assert [a["local"] for a in address["addr_info"]] == ["169.254.1.1"]
    assert _routes(lab) == {f"10.0.0.5 {tap}", f"2001:db8::5 {tap}"}
    assert _proxies(lab) == {"10.0.0.5 eth1 118", "2001:db8::5 eth1 118"}
    for key in ("forwarding", "proxy_arp", "rp_filter"):
        assert lab.sh(f"cat /proc/sys/net/ipv4/conf/{tap}/{key}").out == "1\n"
        assert lab.sh(f"cat /proc/sys/net/ipv4/conf/eth1/{key}").out == "0\n"
    for words in ((), (*_BOTH, "--proxy", "eth1")):
        assert lab.vmnet("attach", "vm1", *words, "--json").json["steps"] == []
    (row,) = lab.vmnet("list", "--json").json["nics"]
    assert row["wire"] == {"routed": "on", "proxy": "eth1"}
    lab.vmnet("detach", "vm1")
    assert (_routes(lab), _proxies(lab), set(lab.links())) == (set(), set(), {"eth1", "far"})


def test_what_is_changed_leaves_nothing_of_what_was(lab: Lab) -> None:
    tap = lab.vmnet("attach", "vm1", *_BOTH, "--proxy", "eth1", "--json").json["tap"]
    lab.vmnet("attach", "vm1", "--address", "10.0.0.6")
    assert _routes(lab) == {f"10.0.0.6 {tap}"}
    assert _proxies(lab) == {"10.0.0.6 eth1 118"}
    lab.vmnet("attach", "vm1", "--routed", "--address", "10.0.0.6", "--rate-in", "10mbit")
    assert _proxies(lab) == set()
    assert "tbf" in lab.sh(f"tc qdisc show dev {tap}").out
    done = lab.vmnet("attach", "vm1", "--json").json
    assert done["port"] == {"guard": "off", "address": "10.0.0.6", "rate-in": "10mbit"}
    assert done["steps"] == []


def test_what_somebody_took_away_is_mended(lab: Lab) -> None:
    tap = lab.vmnet("attach", "vm1", *_BOTH, "--proxy", "eth1", "--json").json["tap"]
    before = seen(lab)
    lab.sh(f"ip neighbour del proxy 10.0.0.5 dev eth1; ip route del 10.0.0.5 dev {tap}")
    lab.vmnet("attach", "vm1", *_BOTH, "--proxy", "eth1")
    assert seen(lab) == before
    lab.sh(f"ip link set {tap} down")
    assert _routes(lab) == set()
    assert _code(lab, status=5) == "port-lost"
    lab.vmnet("attach", "vm1", *_BOTH, "--proxy", "eth1")
    assert _routes(lab) == {f"10.0.0.5 {tap}", f"2001:db8::5 {tap}"}
    assert _proxies(lab) == {"10.0.0.5 eth1 118", "2001:db8::5 eth1 118"}
    assert seen(lab) == before


def test_what_is_left_of_a_dead_tap_is_for_gc_and_others_stay(lab: Lab) -> None:
    lab.sh("ip neighbour add proxy 10.0.0.99 dev eth1")
    tap = lab.vmnet("attach", "vm1", *_BOTH, "--proxy", "eth1", "--json").json["tap"]
    lab.vmnet("attach", "vm2", "--routed", "--address", "10.0.0.7", "--proxy", "eth1")
    lab.sh(f"ip link del {tap}")
    fates = lab.vmnet("gc", "--json").json["links"]
    assert [fate["link"] for fate in fates if fate["action"] == "remove"] == ["eth1", "eth1"]
    assert _proxies(lab) == {"10.0.0.7 eth1 118", "10.0.0.99 eth1 None"}


def test_run_leaves_no_proxy_behind(lab: Lab) -> None:
    spec = "routed=on,address=10.0.0.5,proxy=eth1"
    lab.vmnet("run", "vm1", "--nic", spec, "--", "true")
    lab.vmnet("detach", "vm1")
    assert _proxies(lab) == set()
    assert set(lab.links()) == {"eth1", "far"}


def test_the_lines_of_a_dry_run_give_the_same(lab: Lab) -> None:
    words = ("attach", "vm1", *_BOTH, "--proxy", "eth1", "--rate-in", "10mbit")
    lines = lab.vmnet(*words, "--dry-run").out
    assert lab.links().keys() == {"eth1", "far"}
    lab.sh(lines)
    by_hand = (_routes(lab), _proxies(lab), seen(lab))
    assert lab.vmnet(*words, "--json").json["steps"] == []
    assert (_routes(lab), _proxies(lab), seen(lab)) == by_hand
    lab.sh(lab.vmnet("detach", "vm1", "--dry-run").out)
    assert (_routes(lab), _proxies(lab)) == (set(), set())


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("--routed",), "address-needed", 2),
        (("--routed", "--address", "10.0.0.5", "--vlan", "5"), "routed-cannot", 8),
        (("--routed", "--address", "10.0.0.5", "--guard"), "routed-cannot", 8),
        (("--routed", "--address", "10.0.0.5", "--isolated"), "routed-cannot", 8),
        (("--routed", "--address", "10.0.0.0/24", "--proxy", "eth1"), "bad-address", 2),
        (("--routed", "--address", "10.0.0.5", "--proxy", "nix"), "link-missing", 4),
        (("--routed", "--address", "10.9.0.1"), "address-taken", 5),
        (("--routed", "--address", "10.8.0.1"), "address-taken", 5),
        (("--routed", "--address", "10.0.0.5", "--bridge", "br0"), "wire-and-bridge", 2),
        (("--routed", "--direct", "eth1"), "two-wires", 2),
        (("--proxy", "eth1"), "bad-wire", 2),
        (("--bridge", "br0", "--mode", "vepa"), "bad-wire", 2),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    lab: Lab, words: tuple[str, ...], code: str, status: int
) -> None:
    lab.sh("ip address add 10.9.0.1/24 dev eth1; ip route add 10.8.0.1/32 dev eth1")
    before = seen(lab)
    assert _code(lab, *words, status=status) == code
    assert (seen(lab), _routes(lab), _proxies(lab)) == (before, set(), set())


def test_an_address_of_another_guest_is_refused(lab: Lab) -> None:
    lab.vmnet("attach", "vm2", "--routed", "--address", "10.0.0.5")
    assert _code(lab, *_BOTH, status=5) == "address-taken"


def test_a_nic_stays_the_kind_of_wire_it_is(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("attach", "vm1", *_BOTH)
    assert _code(lab, "--bridge", "br0", status=5) == "other-wire"
    lab.vmnet("attach", "vm2", "--bridge", "br0")
    lab.vmnet("attach", "vm2", "--routed", "--address", "10.0.0.9", status=5)
    assert lab.vmnet("attach", "vm2", "--json").json["steps"] == []


def test_a_host_without_ipv6_has_none_for_its_guests(lab: Lab) -> None:
    lab.sh("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
    assert _code(lab, *_BOTH, status=8) == "no-ipv6"
    lab.vmnet("attach", "vm1", "--routed", "--address", "10.0.0.5")
    assert lab.vmnet("attach", "vm1", "--json").json["steps"] == []


def test_what_a_running_guest_has_is_changed_under_it(lab: Lab) -> None:
    tap = lab.vmnet("attach", "vm1", *_BOTH, "--json").json["tap"]
    with held(tap):
        lab.vmnet("attach", "vm1", "--address", "10.0.0.6")
        assert _routes(lab) == {f"10.0.0.6 {tap}"}
        lab.vmnet("detach", "vm1", status=6)
        assert _routes(lab) == {f"10.0.0.6 {tap}"}
