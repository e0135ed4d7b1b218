"""NICs on bridges of Open vSwitch: its datapath in the daemon, its database as others see it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.netns.commands import until
from tests.netns.places import put_tmpfs
from tests.support.lab import VENV_BIN, Done, Lab, checked
from tests.support.ovs import Switch, switch

TAP = "vmnp556o2g2d-0"
_IDS = {"attached-mac", "iface-id", "iface-status", "vm-id"}


@pytest.fixture
def ovs(lab: Lab) -> Iterator[Switch]:
    """A switch with two bridges, and a bridge of Linux."""
    put_tmpfs("/run")
    with switch() as running:
        running.bridge("ovs0")
        running.bridge("ovs1")
        lab.vmnet("bridge", "create", "br0")
        yield running


def _attach(lab: Lab, *words: str) -> Any:
    return lab.vmnet("attach", "vm1", *words, "--json").json


def _code(done: Done) -> str:
    code = json.loads(done.err)["error"]["code"]
    assert isinstance(code, str)
    return code


def _refused(lab: Lab, *words: str, status: int) -> str:
    return _code(lab.vmnet(*words, "--json", status=status))


def _ids(ovs: Switch, table: str) -> dict[str, str]:
    return dict(ovs.row(table, TAP)["external_ids"][1])


def _home(ovs: Switch) -> list[list[str]]:
    return [ovs.ports("ovs0"), ovs.ports("ovs1")]


def _nothing_left(lab: Lab, ovs: Switch) -> None:
    assert _home(ovs) == [[], []]
    assert set(lab.links()) == {"ovs-netdev", "ovs0", "ovs1", "br0"}
    assert ovs.vsctl("list", "qos") == ""


def test_attach_binds_the_port_and_again_is_an_empty_plan(lab: Lab, ovs: Switch) -> None:
    done = _attach(lab, "--bridge", "ovs0")
    assert _home(ovs) == [[TAP], []]
    interface = ovs.row("interface", TAP)
    assert interface["ifindex"] == lab.link(TAP)["ifindex"]
    ids = _ids(ovs, "interface")
    assert ids == {
        "attached-mac": done["mac"],
        "iface-id": "vm1-0",
        "iface-status": "active",
        "vm-id": "vm1",
    }
    assert ovs.row("port", TAP)["other_config"] == ["map", [["transient", "true"]]]
    assert _attach(lab, "--bridge", "ovs0")["steps"] == []
    assert _attach(lab)["steps"] == []
    assert lab.vmnet("list", "--json").json["nics"][0]["bridge"] == "ovs0"
    lab.vmnet("detach", "vm1")
    _nothing_left(lab, ovs)


def test_a_guest_is_told_to_finish_what_the_datapath_does_not(lab: Lab, ovs: Switch) -> None:
    done = _attach(lab, "--bridge", "ovs0")["qemu"]
    assert ",vnet_hdr=off" in done["netdev"]
    assert ",csum=off,gso=off,host_tso4=off" in done["device"]
    on_linux = lab.vmnet("attach", "vm2", "--bridge", "br0", "--json").json["qemu"]
    assert "vnet_hdr" not in on_linux["netdev"]
    assert "csum" not in on_linux["device"]
    words = ("run", "vm3", "--nic", "bridge=ovs0,model=e1000e", "--", "true")
    assert "device model e1000e leaves checksums to the host" in lab.vmnet(*words, status=8).err


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["--vlan", "10"], (10, [], "access")),
        (["--trunk", "10,20-21"], ([], [10, 20, 21], "trunk")),
        (["--trunk", "10", "--native", "5"], (5, 10, "native-untagged")),
    ],
)
def test_vlans_are_set_kept_and_lifted(
    lab: Lab, ovs: Switch, asked: list[str], wanted: tuple[Any, ...]
) -> None:
    _attach(lab, "--bridge", "ovs0", *asked)
    row = ovs.row("port", TAP)
    assert (row["tag"], row["trunks"], row["vlan_mode"]) == tuple(map(_in_set, wanted))
    assert _attach(lab)["steps"] == []
    assert len(_attach(lab, "--vlan", "none")["steps"]) == 2  # the tag's, and the port's
    row = ovs.row("port", TAP)
    assert (row["tag"], row["trunks"], row["vlan_mode"]) == (["set", []],) * 3
    assert set(_ids(ovs, "interface")) == _IDS


def _in_set(value: Any) -> Any:
    return ["set", value] if isinstance(value, list) else value


def test_a_rate_is_a_queue_that_goes_with_the_port(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0", "--rate-in", "10mbit")
    assert "rate 10Mbit" in checked(["tc", "class", "show", "dev", TAP]).out
    assert _attach(lab)["steps"] == []
    _attach(lab, "--rate-in", "20mbit")
    assert "rate 20Mbit" in checked(["tc", "class", "show", "dev", TAP]).out
    assert len(ovs.vsctl("--bare", "--columns=_uuid", "list", "qos").split()) == 1
    lab.vmnet("detach", "vm1")
    _nothing_left(lab, ovs)


@pytest.mark.parametrize(
    "asked",
    [
        ["--guard"],
        ["--isolated"],
        ["--address", "10.0.0.1"],
        ["--dhcp-guard"],
        ["--rate-out", "1mbit"],
        ["--no-flood"],
    ],
)
def test_what_such_a_bridge_does_not_carry_is_refused(
    lab: Lab, ovs: Switch, asked: list[str]
) -> None:
    words = ("attach", "vm1", "--bridge", "ovs0", *asked)
    assert _refused(lab, *words, status=8) == "ovs-cannot"
    _nothing_left(lab, ovs)


def test_a_tap_does_not_change_the_sort_of_its_bridge(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0")
    assert _refused(lab, "attach", "vm1", "--bridge", "br0", status=5) == "other-switch"
    lab.vmnet("detach", "vm1")
    _attach(lab, "--bridge", "br0")
    assert _refused(lab, "attach", "vm1", "--bridge", "ovs0", status=5) == "other-switch"
    assert _home(ovs) == [[], []]


def test_it_moves_between_two_bridges_of_open_vswitch(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0", "--vlan", "10", "--rate-in", "5mbit")
    port = _attach(lab, "--bridge", "ovs1")["port"]
    assert (port["vlan"], port["rate-in"]) == ("10", "5mbit")
    assert _home(ovs) == [[], [TAP]]
    assert ovs.row("port", TAP)["tag"] == 10
    assert ovs.row("interface", TAP)["ifindex"] == lab.link(TAP)["ifindex"]
    assert "rate 5Mbit" in checked(["tc", "class", "show", "dev", TAP]).out
    assert _attach(lab)["steps"] == []


def test_the_port_of_a_tap_that_is_gone_is_taken_away_first(lab: Lab, ovs: Switch) -> None:
    """One transaction would not mend it: the daemon would go on with the link that is gone."""
    _attach(lab, "--bridge", "ovs0")
    lab.sh(f"ip link del {TAP}")
    assert _home(ovs) == [[TAP], []]
    steps = _attach(lab, "--bridge", "ovs0")["steps"]
    assert "take port" in steps[0]
    assert ovs.row("interface", TAP)["ifindex"] == lab.link(TAP)["ifindex"]


def test_gc_takes_away_ports_without_a_tap_and_nobody_elses(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0", "--rate-in", "1mbit")
    lab.sh("ip tuntap add dev hand0 mode tap")
    ovs.vsctl("add-port", "ovs0", "hand0", "--", "add-port", "ovs1", "ghost0")
    lab.sh(f"ip link del {TAP}")
    shown = lab.vmnet("gc", "--dry-run", "--json").json
    assert [fate["link"] for fate in shown["links"]] == [TAP]
    lab.vmnet("gc")
    assert _home(ovs) == [["hand0"], ["ghost0"]]
    assert ovs.vsctl("list", "qos") == ""


def test_gc_elsewhere_leaves_the_ports_of_this_namespace(lab: Lab, ovs: Switch) -> None:
    """Whose TAPs it cannot see; the socket it can."""
    _attach(lab, "--bridge", "ovs0")
    vmnet = VENV_BIN / "vmnet"
    line = f"ip link add ovs0 type veth peer name x; {vmnet} gc; {vmnet} detach vm1"
    lab.sh(f"unshare --net sh -ec '{line}'")
    assert _home(ovs) == [[TAP], []]


def test_a_port_made_by_hand_is_taken_over_with_its_tap(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0")
    ovs.vsctl("del-port", "ovs0", TAP)
    ovs.vsctl("add-port", "ovs0", TAP)
    assert _attach(lab)["steps"] == [f"set VLANs, rate and ids of port '{TAP}' of Open vSwitch"]
    assert set(_ids(ovs, "interface")) == _IDS
    lab.vmnet("detach", "vm1")
    _nothing_left(lab, ovs)


def test_an_emptied_database_is_filled_again(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0", "--vlan", "10")
    ovs.vsctl("emer-reset")
    ovs.vsctl("--if-exists", "del-br", "ovs0")
    ovs.bridge("ovs0")
    _attach(lab, "--vlan", "10")
    assert _home(ovs)[0] == [TAP]
    assert ovs.row("port", TAP)["tag"] == 10


def test_what_went_with_a_port_is_to_be_said_again(lab: Lab, ovs: Switch) -> None:
    """A NIC that was in one VLAN would be in all of them."""
    asked = ("--vlan", "10", "--rate-in", "5mbit")
    _attach(lab, "--bridge", "ovs0", *asked)
    ovs.vsctl("--", "set", "port", TAP, "qos=[]", "--", "del-port", "ovs0", TAP)
    assert _refused(lab, "attach", "vm1", status=5) == "port-lost"
    assert _refused(lab, "attach", "vm1", "--vlan", "10", status=5) == "port-lost"
    assert _home(ovs) == [[], []]
    _attach(lab, *asked)
    assert ovs.row("port", TAP)["tag"] == 10
    ovs.vsctl("del-port", "ovs0", TAP)
    ovs.vsctl("add-port", "ovs0", TAP)
    assert _refused(lab, "attach", "vm1", status=5) == "port-lost"
    assert _attach(lab, "--no-guard", "--vlan", "11")["port"] == {"vlan": "11", "guard": "off"}
    assert _attach(lab)["steps"] == []
    # What somebody sets at a port that is there is theirs.
    ovs.vsctl("set", "port", TAP, "tag=12")
    assert _attach(lab)["port"]["vlan"] == "12"


def test_without_its_daemon_nothing_is_made_and_all_can_be_taken_away(
    lab: Lab, ovs: Switch
) -> None:
    _attach(lab, "--bridge", "ovs0")
    ovs.kill_daemon()
    assert _refused(lab, "attach", "vm2", "--bridge", "ovs0", status=13) == "ovs-no-daemon"
    lab.vmnet("detach", "vm1")
    ovs.start_daemon()
    _nothing_left(lab, ovs)


def test_without_its_database_the_tap_goes_and_the_port_is_swept_later(
    lab: Lab, ovs: Switch
) -> None:
    _attach(lab, "--bridge", "ovs0")
    ovs.kill_database()
    assert _refused(lab, "attach", "vm2", "--bridge", "ovs0", status=5) == "not-a-bridge"
    assert "what it has of it is for `vmnet gc`" in lab.vmnet("detach", "vm1").err
    assert TAP not in lab.links()
    ovs.start_database()
    until(lambda: ovs.row("interface", "ovs0")["ifindex"] != ["set", []])  # it comes back by itself
    assert _home(ovs) == [[TAP], []]
    lab.vmnet("gc")
    _nothing_left(lab, ovs)


def test_a_bridge_without_a_datapath_is_an_error(lab: Lab, ovs: Switch) -> None:
    """`ovs-vsctl add-br` reports success for it."""
    ovs.vsctl("--no-wait", "add-br", "ovs2", "--", "set", "bridge", "ovs2", "datapath_type=system")
    words = ("attach", "vm1", "--bridge", "ovs2")
    assert _refused(lab, *words, status=8) == "ovs-no-datapath"
    ovs.vsctl("--no-wait", "del-br", "ovs2")
    _nothing_left(lab, ovs)


def test_what_answers_wrongly_late_or_not_at_all_is_said_and_nothing_is_made(
    lab: Lab, ovs: Switch
) -> None:
    words = ("attach", "vm1", "--bridge", "ovs0")
    assert ovs.database is not None
    ovs.database.send_signal(signal.SIGSTOP)
    assert _refused(lab, *words, status=13) == "ovs-silent"
    ovs.database.send_signal(signal.SIGCONT)
    ovs.database.kill()
    ovs.database.wait()
    assert _refused(lab, *words, status=13) == "ovs-not-running"
    assert TAP not in lab.links()
    ovs.start_database(anew=True, without=("Interface", "ifindex"))
    assert _refused(lab, *words, status=13) == "ovs-schema"
    assert TAP not in lab.links()


def test_status_shows_a_port_that_is_gone_and_a_daemon_that_is(lab: Lab, ovs: Switch) -> None:
    def codes(status: int) -> list[str]:
        words = ("status", "vm1", "--sample", "0", "--json")
        (nic,) = lab.vmnet(*words, status=status).json["nics"]
        return [trouble["code"] for trouble in nic["troubles"]]

    _attach(lab, "--bridge", "ovs0")
    assert codes(0) == []
    ovs.vsctl("del-port", "ovs0", TAP)
    assert codes(11) == ["drift"]
    lab.vmnet("status", "vm1", "--repair", "--sample", "0")
    assert _home(ovs) == [[TAP], []]
    ovs.kill_daemon()
    assert codes(11) == ["ovs-no-daemon"]


def test_run_leaves_no_port_behind_its_program(lab: Lab, ovs: Switch) -> None:
    lab.vmnet("run", "vm1", "--nic", "bridge=ovs0", "--", "sh", "-c", "exit 7", status=7)
    until(lambda: _home(ovs) == [[], []])
    _nothing_left(lab, ovs)


def test_the_lines_of_a_dry_run_give_the_same(lab: Lab, ovs: Switch) -> None:
    words = ("attach", "vm1", "--bridge", "ovs0", "--vlan", "10", "--rate-in", "5mbit")
    lines = lab.vmnet(*words, "--dry-run").out
    _replay(ovs, lines)
    row = ovs.row("port", TAP)
    assert (row["tag"], row["vlan_mode"]) == (10, "access")
    assert "rate 5Mbit" in checked(["tc", "class", "show", "dev", TAP]).out
    assert _attach(lab)["steps"] == []
    _replay(ovs, lab.vmnet("attach", "vm1", "--vlan", "none", "--rate-in", "none", "--dry-run").out)
    assert _attach(lab)["steps"] == []
    _replay(ovs, lab.vmnet("detach", "vm1", "--dry-run").out)
    _nothing_left(lab, ovs)


def test_so_do_those_for_a_port_with_a_queue_that_moves_and_goes(lab: Lab, ovs: Switch) -> None:
    _attach(lab, "--bridge", "ovs0", "--rate-in", "5mbit")
    _replay(ovs, lab.vmnet("attach", "vm1", "--bridge", "ovs1", "--dry-run").out)
    assert _home(ovs) == [[], [TAP]]
    assert _attach(lab)["steps"] == []
    _replay(ovs, lab.vmnet("detach", "vm1", "--dry-run").out)
    _nothing_left(lab, ovs)


def _replay(ovs: Switch, lines: str) -> None:
    ovs.sh(lines)
