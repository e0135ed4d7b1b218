"""`vmnet patch` with an end on a bridge of Open vSwitch, whose datapath is in its daemon."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.netns.commands import until
from tests.netns.ends import TEN_MB, Place, moved, pings, place
from tests.netns.places import put_tmpfs
from tests.support.lab import Lab, checked
from tests.support.ovs import Switch, switch
from tests.wires.patches import code, links, listed, patch


@pytest.fixture
def ovs(lab: Lab) -> Iterator[Switch]:
    """A switch with two bridges, and a bridge of Linux."""
    put_tmpfs("/run")
    lab.sh("ip link set lo up")
    with switch() as running:
        running.bridge("ovs0")
        running.bridge("ovs1")
        lab.vmnet("bridge", "create", "br0")
        yield running


def _ports(ovs: Switch) -> list[str]:
    return [*ovs.ports("ovs0"), *ovs.ports("ovs1")]


def _nothing_left(lab: Lab, ovs: Switch) -> None:
    assert links(lab) == {}
    assert _ports(ovs) == []


def _moves_both_ways(far: Place) -> None:
    assert pings("10.0.0.9")
    assert moved(far.argv(), [], "10.0.0.9") == TEN_MB
    assert moved([], far.argv(), "10.0.0.1") == TEN_MB


def test_from_a_bridge_of_linux_over_one_of_open_vswitch_into_a_namespace(
    lab: Lab, ovs: Switch
) -> None:
    """A datapath in a daemon finishes no checksums: TCP shows who does."""
    with place() as far:
        inside = (f"pid:{far.pid}", "--address", "10.0.0.9/24")
        assert patch(lab, "br0", "ovs0") != []
        assert patch(lab, "ovs0", *inside) != []
        assert len(_ports(ovs)) == 2
        lab.sh("ip address add 10.0.0.1/24 dev br0")
        _moves_both_ways(far)
        assert (patch(lab, "br0", "ovs0"), patch(lab, "ovs0", *inside)) == ([], [])
        assert sorted(listed(lab)) == [
            ("br0", "ovs0", False),
            ("ovs0", f"pid:{far.pid}", False),
        ]
        lab.vmnet("unpatch", "ovs0", inside[0])
        assert "eth0" not in far.sh("ip link")
        lab.vmnet("unpatch", "ovs0", "br0")
    _nothing_left(lab, ovs)


def test_checksumming_that_somebody_switched_on_is_switched_off_again(
    lab: Lab, ovs: Switch
) -> None:
    patch(lab, "br0", "ovs0")
    (on_linux,) = [name for name, link in links(lab).items() if link.get("master") == "br0"]
    lab.sh(f"ethtool -K {on_linux} tx on")
    (step,) = patch(lab, "br0", "ovs0")
    assert on_linux in step
    assert "tx-checksumming: off" in checked(["ethtool", "-k", on_linux]).out


@pytest.mark.parametrize("what", ["del-port", "other-bridge", "link", "emptied"])
def test_what_was_taken_is_seen_and_mended(lab: Lab, ovs: Switch, what: str) -> None:
    patch(lab, "br0", "ovs0")
    (port,) = ovs.ports("ovs0")
    match what:
        case "del-port":
            ovs.vsctl("del-port", "ovs0", port)
        case "other-bridge":
            ovs.vsctl("del-port", "ovs0", port, "--", "add-port", "ovs1", port)
        case "link":
            lab.sh(f"ip link del {port}")
        case _:
            ovs.vsctl("emer-reset")
            ovs.vsctl("--if-exists", "del-br", "ovs0")
            ovs.bridge("ovs0")
    if what != "link":  # of which nothing is here to be shown
        assert listed(lab) == [("br0", "ovs0", True)]
    assert patch(lab, "br0", "ovs0") != []
    assert (ovs.ports("ovs0"), ovs.ports("ovs1")) == ([port], [])
    assert ovs.row("interface", port)["ifindex"] == lab.link(port)["ifindex"]
    assert patch(lab, "br0", "ovs0") == []
    lab.vmnet("unpatch", "br0", "ovs0")
    _nothing_left(lab, ovs)


def test_a_daemon_that_restarts_goes_on_with_it(lab: Lab, ovs: Switch) -> None:
    with place() as far:
        patch(lab, "br0", "ovs0")
        patch(lab, "ovs0", f"pid:{far.pid}", "--address", "10.0.0.9/24")
        lab.sh("ip address add 10.0.0.1/24 dev br0")
        assert pings("10.0.0.9")
        ovs.kill_daemon()
        assert code(lab, "patch", "br0", "ovs1", status=13) == "ovs-no-daemon"
        ovs.start_daemon()
        assert patch(lab, "br0", "ovs0") == []
        until(lambda: pings("10.0.0.9", 1))
        _moves_both_ways(far)


def test_without_its_daemon_or_database_what_is_there_can_go(lab: Lab, ovs: Switch) -> None:
    patch(lab, "br0", "ovs0")
    ovs.kill_daemon()
    lab.vmnet("unpatch", "br0", "ovs0")
    ovs.start_daemon()
    _nothing_left(lab, ovs)
    patch(lab, "br0", "ovs0")
    ovs.kill_database()
    assert "vmnet gc" in lab.vmnet("unpatch", "br0", "ovs0").err
    assert links(lab) == {}
    ovs.start_database()
    until(lambda: ovs.row("interface", "ovs0")["ifindex"] != ["set", []])
    assert len(ovs.ports("ovs0")) == 1
    (fate,) = lab.vmnet("gc", "--dry-run", "--json").json["links"]
    assert fate["link"] == ovs.ports("ovs0")[0]
    lab.vmnet("gc")
    _nothing_left(lab, ovs)


def test_a_database_that_is_stuck_keeps_nobody_from_looking_and_taking_away(
    lab: Lab, ovs: Switch
) -> None:
    lab.vmnet("attach", "vm1", "--bridge", "br0")
    lab.vmnet("attach", "vm2", "--bridge", "ovs0")
    patch(lab, "br0", "ovs0")
    assert ovs.database is not None
    ovs.database.send_signal(signal.SIGSTOP)
    try:
        assert len(lab.vmnet("list", "--json").json["nics"]) == 2
        lab.vmnet("detach", "vm1")
        assert "vmnet gc" in lab.vmnet("detach", "vm2").err
        assert "vmnet gc" in lab.vmnet("unpatch", "br0", "ovs0").err
        assert links(lab) == {}
        assert code(lab, "patch", "br0", "ovs0", status=13) == "ovs-silent"
    finally:
        ovs.database.send_signal(signal.SIGCONT)
    lab.vmnet("gc")
    _nothing_left(lab, ovs)


def test_gc_takes_half_made_pairs_and_ports_of_nothing_and_leaves_the_rest(
    lab: Lab, ovs: Switch
) -> None:
    patch(lab, "br0", "ovs1")
    whole = set(links(lab))
    lab.sh(
        "ip link add vmp0123456789-a type veth peer name vmp0123456789-b;"
        "ip link add vmpmine-a type veth peer name vmpmine-b"
    )
    ovs.vsctl("add-port", "ovs0", "ghost0")
    mark = 'external_ids:vmnet="vmnet/1 patch a=br7 b=ovs0 gen=00000000"'
    ovs.vsctl("add-port", "ovs0", "vmp9876543210-a", "--", "set", "port", "vmp9876543210-a", mark)
    gone = {fate["link"][:-2] for fate in lab.vmnet("gc", "--json").json["links"]}
    assert gone == {"vmp0123456789", "vmp9876543210"}
    assert ovs.ports("ovs0") == ["ghost0"]
    assert {"vmpmine-a", "vmpmine-b"} <= set(lab.links())
    assert set(links(lab)) == whole
    assert patch(lab, "br0", "ovs1") == []
    assert lab.vmnet("gc", "--json").json["links"] == []


def test_a_loop_is_refused_also_through_open_vswitch(lab: Lab, ovs: Switch) -> None:
    lab.vmnet("bridge", "create", "br1")
    patch(lab, "br0", "ovs0")
    patch(lab, "ovs0", "br1")
    assert code(lab, "patch", "br0", "br1", status=5) == "patch-loop"
    lab.vmnet("unpatch", "ovs0", "br1")
    ovs.vsctl(
        *("add-port", "ovs0", "one", "--", "set", "interface", "one", "type=patch"),
        *("options:peer=two", "--", "add-port", "ovs1", "two", "--", "set", "interface", "two"),
        *("type=patch", "options:peer=one"),
    )
    assert code(lab, "patch", "br0", "ovs1", status=5) == "patch-loop"
    assert code(lab, "patch", "ovs0", "ovs1", status=5) == "patch-loop"
    ovs.vsctl("del-port", "one", "--", "del-port", "two")
    assert patch(lab, "ovs0", "ovs1") != []


def test_a_bridge_without_a_datapath_is_an_error(lab: Lab, ovs: Switch) -> None:
    words = ("add-br", "ovs2", "--", "set", "bridge", "ovs2", "datapath_type=system")
    ovs.vsctl("--no-wait", *words)
    assert code(lab, "patch", "br0", "ovs2", status=8) == "ovs-no-datapath"
    ovs.vsctl("--no-wait", "del-br", "ovs2")
    _nothing_left(lab, ovs)


def test_the_lines_of_a_dry_run_make_the_same(lab: Lab, ovs: Switch) -> None:
    with place() as far:
        for words in (("br0", "ovs0"), ("ovs0", f"pid:{far.pid}", "--address", "10.0.0.9/24")):
            lines = lab.vmnet("patch", *words, "--dry-run").out
            assert _ports(ovs) == []
            ovs.sh(lines)
            assert patch(lab, *words) == [], lines
            ovs.sh(lab.vmnet("unpatch", *words[:2], "--dry-run").out)
            _nothing_left(lab, ovs)
