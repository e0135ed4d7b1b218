"""Policies after a change: of the wish, the bridge, the VM, or the filter by somebody's hand."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.netns.frames import ARP, ICMP6, IP, UDP, arp, ether, ipv4, router_advert, udp
from tests.netns.traffic import (
    ALIEN4,
    LISTED,
    LOCAL,
    MAC,
    OTHER,
    OWN4,
    alien,
    guest,
    judge,
    own,
    v4,
    v6,
)
from tests.netns.wire import attach, bare_bridges, end, enter, passed, uplink
from tests.support.lab import Lab

FULL = (*LISTED, "--dhcp-guard", "--ra-guard")
IMPOSTOR = {"impostor": ether(OTHER, IP, ipv4(OWN4, udp(4000, 4001)))}


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    bare_bridges()
    lab.vmnet("bridge", "create", "br0")


def bad() -> dict[str, bytes]:
    """Return what a port with all policies keeps back."""
    servers = {
        "DHCP server": v4(OWN4, udp(67, 68)),
        "DHCPv6 server": v6(udp(547, 546), UDP),
        "router": v6(router_advert(LOCAL), ICMP6),
    }
    return alien() | servers | IMPOSTOR


def steps(lab: Lab, *options: str) -> list[str]:
    steps = lab.vmnet("attach", "vm1", *options, "--json").json["steps"]
    assert isinstance(steps, list)
    return steps


def test_twice_is_once_with_every_policy(lab: Lab) -> None:
    with guest(lab, *FULL, "--isolated", "--no-flood") as ends:
        assert steps(lab) == []
        assert steps(lab, *FULL, "--isolated", "--no-flood") == []
        judge(ends, own(), bad())


def test_a_bridge_made_anew_gets_all_of_it_again(lab: Lab) -> None:
    with guest(lab, *FULL, "--isolated") as ends:
        lab.sh("ip link del br0")
        lab.vmnet("bridge", "create", "br0")
        enter("br0")
        # What it was set to is not known any more, and it is not let in with less.
        assert _refused(lab, status=5) == "port-lost"
        assert "master" not in lab.link(ends[0].name)
        # Nor with some of it: what is not said would be gone without a word.
        done = lab.vmnet("attach", "vm1", "--rate-in", "10mbit", "--json", status=5)
        assert json.loads(done.err)["error"]["code"] == "port-lost"
        assert len(steps(lab, *FULL, "--isolated")) > 0
        judge(ends, own(), bad())
        assert steps(lab) == []


def test_a_usual_port_comes_back_to_a_bridge_made_anew_by_itself(lab: Lab) -> None:
    with guest(lab) as ends:
        lab.sh("ip link del br0")
        lab.vmnet("bridge", "create", "br0")
        enter("br0")
        assert len(steps(lab)) > 0
        judge(ends, own(), IMPOSTOR)
        lab.sh("nft flush ruleset")
        judge(ends, own(), IMPOSTOR)


def test_a_port_that_somebody_took_out_and_put_back_is_still_filtered(lab: Lab) -> None:
    with guest(lab, *FULL) as ends:
        lab.sh(f"ip link set {ends[0].name} nomaster; ip link set {ends[0].name} master br0")
        judge(ends, own(), bad())
        assert len(steps(lab, *FULL)) > 0
        assert lab.link(ends[0].name)["linkinfo"]["info_slave_data"]["locked"]
        judge(ends, own(), bad())


def test_other_addresses_take_effect_at_once_and_nothing_is_lost(lab: Lab) -> None:
    both = "10.0.0.9"
    numbers = itertools.count()

    def pass_three() -> set[str]:
        data = udp(4000, 4001, next(numbers).to_bytes(8, "big"))
        return passed(near, far, {"old": v4(OWN4, data), "new": v4(ALIEN4, data)}, v4(both, data))

    with guest(lab, "--address", f"{OWN4},{both}") as (near, far):
        pid = lab.start("attach", "vm1", "--address", f"{ALIEN4},{both}")
        order = [pass_three()]
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            order.append(pass_three())
        order.append(pass_three())
    # Of two frames one passes, from some moment on the new one; that may come between them.
    ranks = [[{"old"}, {"old", "new"}, {"new"}].index(one) for one in order]
    assert ranks == sorted(ranks)
    assert (ranks[0], ranks.count(1) <= 1, ranks[-1]) == (0, True, 2)


def test_policies_come_and_go_while_the_tap_is_held(lab: Lab) -> None:
    router = {"router": v6(router_advert(LOCAL), ICMP6)}
    with guest(lab) as ends:
        judge(ends, own() | router, IMPOSTOR)
        lab.vmnet("attach", "vm1", "--ra-guard")
        judge(ends, own(), router | IMPOSTOR)
        lab.vmnet("attach", "vm1", "--no-ra-guard", "--address", OWN4)
        judge(ends, {"IPv4": v4(OWN4)}, router | {"alien": v4(ALIEN4)})
        lab.vmnet("attach", "vm1", "--address", "none")
        judge(ends, own() | router, IMPOSTOR)
        lab.vmnet("attach", "vm1", "--no-guard")
        judge(ends, own() | router | IMPOSTOR, {})
        lab.vmnet("attach", "vm1", "--guard")
        judge(ends, own() | router, IMPOSTOR)


def test_the_next_tap_of_a_name_has_nothing_of_the_last_ones(lab: Lab) -> None:
    with guest(lab, *FULL, "--isolated") as ends:
        name = ends[0].name
    # Behind vmnet's back: all that it had in the filter stays there, of an index that is gone.
    lab.sh(f"ip link del {name}")
    with guest(lab) as ends:
        assert ends[0].name == name
        judge(ends, own() | alien_but_not_hidden(), IMPOSTOR)
    lab.vmnet("detach", "vm1")
    assert lab.sh("nft list ruleset").out == ""


def test_the_next_vm_of_a_mac_has_nothing_of_the_last_ones(lab: Lab) -> None:
    attach(lab, "vm1", MAC, *FULL)
    lab.vmnet("detach", "vm1")
    name = attach(lab, "vm2", MAC, "--address", ALIEN4)
    with uplink() as far, end(name) as near:
        judge((near, far), {"its own": v4(ALIEN4)}, {"the last one's": v4(OWN4), **IMPOSTOR})


def test_another_vms_mac_does_not_help(lab: Lab) -> None:
    attach(lab, "vm2", OTHER, "--address", ALIEN4)
    with guest(lab, "--address", OWN4) as ends:
        mixed = {
            "its MAC, the other's address": v4(ALIEN4),
            "the other's MAC and address": ether(OTHER, IP, ipv4(ALIEN4, udp(1, 2))),
            "ARP for the other": ether(MAC, ARP, arp(OTHER, ALIEN4, "10.0.0.1", 2)),
        }
        judge(ends, {"own": v4(OWN4)}, mixed)


def alien_but_not_hidden() -> dict[str, bytes]:
    """Return what a guest without a list may send in others' names."""
    return {"alien IPv4": v4(ALIEN4), "alien IPv6": v6(udp(1, 2), UDP, "2001:db8::6")}


# ---- the filter in somebody else's hands


def _delete_rule(chain: str) -> Callable[[Lab], object]:
    def change(lab: Lab) -> None:
        rows = json.loads(lab.sh(f"nft -j list chain bridge vmnet {chain}").out)["nftables"]
        handle = [row["rule"]["handle"] for row in rows if "rule" in row][-1]
        lab.sh(f"nft delete rule bridge vmnet {chain} handle {handle}")

    return change


def _replace_rule(chain: str, *, which: int) -> Callable[[Lab], object]:
    def change(lab: Lab) -> None:
        rows = json.loads(lab.sh(f"nft -j list chain bridge vmnet {chain}").out)["nftables"]
        handle = [row["rule"]["handle"] for row in rows if "rule" in row][which]
        lab.sh(f"nft replace rule bridge vmnet {chain} handle {handle} counter")

    return change


def _nft(line: str) -> Callable[[Lab], object]:
    return lambda lab: lab.sh(f"nft '{line}'")


_CHANGES = {
    "all is gone": _nft("flush ruleset"),
    "no rules": _nft("flush table bridge vmnet"),
    "a chain without rules": _nft("flush chain bridge vmnet guest"),
    "no way in": _nft("flush chain bridge vmnet ingress"),
    "all accepted at first": _nft("insert rule bridge vmnet ingress accept"),
    "all accepted for guests": _nft("insert rule bridge vmnet guest accept"),
    "no ports": _nft("flush set bridge vmnet port"),
    "no MACs": _nft("flush set bridge vmnet mac"),
    "no lists": _nft("flush set bridge vmnet listed"),
    "no addresses": _nft("flush set bridge vmnet addr4"),
    "no guarded ports": _nft("flush set bridge vmnet ra_guard"),
    "asleep": _nft("add table bridge vmnet { flags dormant ; }"),
    "one rule less of a guest": _delete_rule("guest"),
    "one rule less of addresses": _delete_rule("address"),
    "a rule of a guest is another": _replace_rule("guest", which=0),
    "the last rule is another": _replace_rule("address", which=-1),
    "one rule less on control frames": _delete_rule("control"),
}


@pytest.mark.parametrize("change", _CHANGES.values(), ids=list(_CHANGES))
def test_a_filter_that_somebody_changed_is_put_right(
    lab: Lab, change: Callable[[Lab], object]
) -> None:
    with guest(lab, *FULL) as ends:
        change(lab)
        assert steps(lab, *FULL) != []
        judge(ends, own(), bad())
        assert steps(lab) == []


def test_another_table_of_the_name_is_left_alone(lab: Lab) -> None:
    lab.sh("nft add table bridge vmnet; nft add chain bridge vmnet mine")
    before = lab.sh("nft list ruleset").out
    assert _refused(lab, status=5) == "foreign-table"
    assert lab.sh("nft list ruleset").out == before
    assert set(lab.links()) == {"br0"}
    lab.vmnet("attach", "vm1", "--no-guard")
    lab.vmnet("detach", "vm1")
    lab.vmnet("gc")
    assert lab.sh("nft list ruleset").out == before
    assert set(lab.links()) == {"br0"}


def test_without_the_library_there_is_no_guard_and_nothing_is_left(lab: Lab) -> None:
    with guest(lab):
        pass
    lab.vmnet("detach", "vm1")
    for path in Path("/usr/lib").glob("*/libnftables.so.1"):
        lab.sh(f"mount --bind /dev/null {path}")
    assert _refused(lab, status=8) == "nft-missing"
    assert set(lab.links()) == {"br0"}
    with guest(lab, "--no-guard") as ends:
        judge(ends, own() | IMPOSTOR, {})
    assert steps(lab) == []
    lab.vmnet("detach", "vm1")
    lab.vmnet("gc")
    assert set(lab.links()) == {"br0"}


def _refused(lab: Lab, *options: str, status: int) -> str:
    """Return the code with which a VM is refused."""
    done = lab.vmnet("attach", "vm1", "--bridge", "br0", *options, "--json", status=status)
    code = json.loads(done.err)["error"]["code"]
    assert isinstance(code, str)
    return code
