"""Settings of a port that can never be: refused in words, and nothing is left."""

from __future__ import annotations

import json

import pytest

from tests.netns.frames import IP, UDP, ether, ipv4, udp
from tests.netns.traffic import GOOD, OWN4, guest, judge, v4, v6
from tests.netns.wire import attach, bare_bridges, passed
from tests.support.lab import Lab
from vmnet.model.names import link_name

DATA = ipv4(OWN4, udp(4000, 4001))
_MAPPED = "::ffff:10.0.0.1"
_BAD: dict[str, list[tuple[str, ...]]] = {
    "bad-vlan": [
        *(
            ("--vlan", text)
            for text in ("0", "4095", "4096", "-1", "1,2", "1-2", "x", "", "\u0661")
        ),
        *(("--trunk", text) for text in ("0", "4095", "10-5", "1-4095", "10,", "1-2-3", "-", "x")),
        ("--trunk", "10", "--native", "0"),
        ("--trunk", "10", "--native", "4095"),
        ("--trunk", "10,20", "--native", "10"),
        ("--trunk", "10", "--native", "10"),
        ("--native", "10"),
        ("--vlan", "10", "--trunk", "20"),
        ("--vlan", "10", "--native", "20"),
    ],
    "bad-rate": [
        *(("--rate-in", text) for text in ("0", "7bit", "11999", "-5mbit", "", "1e6", "nan")),
        *(
            ("--rate-out", text)
            for text in ("0mbit", "10MBIT", " 1mbit", "1mbit\n", "8mbps", "0x10")
        ),
        ("--rate-in", "1000000gbit1"),
        ("--rate-in", "12000000000001bit"),
        ("--rate-in", "99999gbit"),
        ("--rate-out", "9" * 30),
    ],
    "bad-address": [
        *(
            ("--address", text)
            for text in ("", "x", "10.0.0.256", "10.0.0.5/24", "10.0.0.1,,10.0.0.2")
        ),
        *(
            ("--address", text)
            for text in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1")
        ),
        *(("--address", text) for text in ("ff02::1", "fe80::1%br0", _MAPPED, "2001:db8::/48")),
        ("--address", ",".join(f"10.0.0.{n}" for n in range(1, 66))),
    ],
    "address-needed": [("--address", "10.0.0.0/24"), ("--address", "10.0.0.4/31")],
    "bad-port": [
        ("--no-guard", "--address", OWN4),
        ("--no-guard", "--dhcp-guard"),
        ("--no-guard", "--ra-guard"),
    ],
}
_CASES = [(code, options) for code, all_of in _BAD.items() for options in all_of]


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    bare_bridges()
    lab.vmnet("bridge", "create", "br0")


def test_what_can_never_be_is_refused_and_nothing_is_left(lab: Lab) -> None:
    for code, options in _CASES:
        done = lab.vmnet("attach", "vm1", "--bridge", "br0", *options, "--json", status=2)
        error = json.loads(done.err)["error"]
        assert (error["code"], bool(error["remedy"])) == (code, True), options
    assert set(lab.links()) == {"br0"}
    assert lab.sh("nft list ruleset").out == ""


def test_a_port_that_is_there_stays_as_it_is_after_a_refusal(lab: Lab) -> None:
    with guest(lab, "--address", OWN4, "--rate-in", "20mbit") as ends:
        before = lab.state(), lab.sh("nft list ruleset; tc qdisc").out
        for _, options in _CASES:
            lab.vmnet("attach", "vm1", *options, status=2)
        assert (lab.state(), lab.sh("nft list ruleset; tc qdisc").out) == before
        judge(ends, {"own": v4(OWN4)}, {"alien": v4("10.0.0.6")})


def test_vlans_on_a_bridge_that_does_not_filter_them(lab: Lab) -> None:
    for options in [("--vlan", "10"), ("--trunk", "10,20-29"), ("--trunk", "10", "--native", "5")]:
        done = lab.vmnet("attach", "vm1", "--bridge", "br0", *options, "--json", status=5)
        assert json.loads(done.err)["error"]["code"] == "no-vlan-filtering"
    assert set(lab.links()) == {"br0"}
    assert lab.sh("nft list ruleset").out == ""


def test_odd_ways_to_write_an_address_mean_it(lab: Lab) -> None:
    odd = "::10.0.0.7,2001:DB8:0:0:0::5,10.0.0.5/32,10.0.0.5"
    with guest(lab, "--address", odd) as ends:
        assert lab.vmnet("attach", "vm1", "--address", odd, "--json").json["steps"] == []
        data = udp(4000, 4001)
        good = {
            "IPv4": v4(OWN4),
            "odd": v6(data, UDP, "::a00:7"),
            "5": v6(data, UDP, "2001:db8::5"),
        }
        judge(ends, good, {"alien": v6(data, UDP, "::a00:8")})


def test_two_nics_may_have_one_address_and_each_its_own_mac(lab: Lab) -> None:
    # So does what floats from guest to guest (VRRP).
    attach(lab, "vm2", "52:54:00:00:00:02", "--address", OWN4)
    words = ("attach", "vm3", "--bridge", "br0", "--address")
    said = f"address {OWN4} is also that of '{link_name('vm2', 0)}' (VM 'vm2', NIC 0)"
    assert said in lab.vmnet(*words, f"10.0.0.99,{OWN4}", "--dry-run", "--json").json["notes"]
    assert lab.vmnet(*words, "10.0.0.99", "--json").json["notes"] == []
    lab.vmnet("bridge", "create", "br1")
    elsewhere = ("attach", "vm4", "--bridge", "br1", "--address", OWN4)
    assert lab.vmnet(*elsewhere, "--json").json["notes"] == []
    with guest(lab, "--address", OWN4) as ends:
        assert passed(*ends, {"shared": v4(OWN4)}, GOOD) == {"shared"}
        assert passed(*ends, {"another's": ether("52:54:00:00:00:02", IP, DATA)}, GOOD) == set()


_U32 = "protocol ip u32 match u32 0 0 flowid :1"
_FOREIGN = {
    "root": ("tc qdisc add dev {tap} root handle 7: htb", "--rate-in"),
    "another bucket": (
        "tc qdisc add dev {tap} root handle 7: tbf rate 1mbit burst 10k latency 50ms",
        "--rate-in",
    ),
    "ingress": (
        "tc qdisc add dev {tap} ingress; tc filter add dev {tap} parent ffff: {u32}",
        "--rate-out",
    ),
    "clsact": (
        "tc qdisc add dev {tap} clsact; tc filter add dev {tap} ingress {u32}",
        "--rate-out",
    ),
    "clsact with nothing in it": ("tc qdisc add dev {tap} clsact", "--rate-out"),
}


@pytest.mark.parametrize("what", _FOREIGN)
def test_a_qdisc_of_somebody_else_is_refused_in_words_and_stays(lab: Lab, what: str) -> None:
    lines, option = _FOREIGN[what]
    tap = lab.vmnet("attach", "vm1", "--bridge", "br0", "--json").json["tap"]
    lab.sh(lines.format(tap=tap, u32=_U32))
    before = lab.sh(f"tc qdisc; tc filter show dev {tap} ingress").out
    done = lab.vmnet("attach", "vm1", option, "10mbit", "--json", status=5)
    assert json.loads(done.err)["error"]["code"] == "qdisc-foreign"
    lab.vmnet("attach", "vm1")
    assert lab.sh(f"tc qdisc; tc filter show dev {tap} ingress").out == before
    assert set(lab.links()) == {"br0", tap}
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}
