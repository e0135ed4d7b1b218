"""`vmnet bridge add-uplink`, `confirm` and `remove-uplink`: the host keeps its network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kill.strace import INSTALLED
from tests.netns.commands import start, until
from tests.netns.guardians import guardians
from tests.netns.places import other_network
from tests.support.lab import REPO, Lab, checked, run
from vmnet.kernel.guardian import Guardian
from vmnet.model.hoststep import StartGuardian
from vmnet.model.step import Ref

_PINGER = REPO / "tests" / "support" / "pinger.py"
_FAR = "192.0.2.1"
_HOME = (
    "ip link set lo up;"
    "ip link add eth1 address 02:00:00:00:00:e1 type veth peer name gw;"
    "ip address add 10.9.0.1/24 dev eth1; ip address add 10.9.0.2/24 dev eth1;"
    "ip address add fd00:9::1/64 dev eth1 nodad; ip link set eth1 up;"
)
_ROUTES = (
    "ip route add default via 10.9.0.254; ip route add 198.51.100.0/24 via 10.9.0.254 metric 50;"
    "ip -6 route add default via fd00:9::fe;"
)
_PEER = (
    "ip link set lo up; ip address add 192.0.2.1/32 dev lo; ip address add 10.9.0.254/24 dev gw;"
    "ip -6 address add fd00:9::fe/64 dev gw nodad; ip link set gw up"
)


@pytest.fixture
def gateway(lab: Lab) -> Iterator[int]:
    """A NIC eth1 with addresses and routes, br0, and a gateway in a namespace of its own."""
    process = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        lab.sh(_HOME + f"ip link set gw netns {process.pid}")
        checked(["nsenter", "-t", str(process.pid), "-n", "sh", "-ec", _PEER])
        lab.sh(_ROUTES)
        # Its own address comes some time after its carrier, and is tried for a second.
        until(lambda: "fe80" in run(["ip", "-6", "address", "show", "dev", "eth1"]).out)
        until(lambda: "tentative" not in run(["ip", "-6", "address"]).out)
        lab.vmnet("bridge", "create", "br0")
        yield process.pid
        for name in ("eth1", "br0"):  # its guardian ends with its tag
            run(["ip", "link", "del", name])


def _network(lab: Lab) -> dict[str, Any]:
    """Return the addresses of both links, and all routes that somebody made."""
    found: dict[str, Any] = {}
    for name in ("eth1", "br0"):
        (link,) = json.loads(checked(["ip", "-j", "address", "show", "dev", name]).out)
        found[name] = (link["address"], link.get("master"), link["addr_info"])
        found[name + " alias"] = lab.link(name).get("ifalias") if name == "eth1" else None
    for family in ("-4", "-6"):
        routes = json.loads(checked(["ip", "-j", family, "route"]).out)
        kept = [route for route in routes if route.get("protocol") != "kernel"]
        found[family] = sorted(kept, key=str)
    return found


@contextmanager
def _pings() -> Iterator[dict[str, Any]]:
    """Ask beyond the gateway every 10 ms; the report is there when all is over."""
    report: dict[str, Any] = {}
    argv = [sys.executable, str(_PINGER), "count", _FAR, "0.01"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield report
        out, _ = process.communicate()
        report.update(json.loads(out))


def _is_port(lab: Lab) -> bool:
    return lab.link("eth1").get("master") == "br0"


@pytest.mark.usefixtures("gateway")
def test_pings_live_and_remove_gives_all_back(lab: Lab) -> None:
    before = _network(lab)
    with _pings() as report:
        for _ in range(5):
            lab.vmnet("bridge", "add-uplink", "br0", "eth1")
            assert _is_port(lab)
            lab.vmnet("bridge", "confirm", "br0")
            lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    # A ping of the very moment may be lost; a connection sends again.
    assert report["sent"] > 10
    assert report["gap"] < 0.5
    assert _network(lab) == before


@pytest.mark.usefixtures("gateway")
def test_the_bridge_has_what_the_nic_had_and_the_second_time_is_empty(lab: Lab) -> None:
    before = _network(lab)
    lab.vmnet("bridge", "add-uplink", "br0", "eth1")
    after = _network(lab)
    assert after["eth1"] == (before["eth1"][0], "br0", [])
    assert after["br0"][0] == before["eth1"][0]
    assert [a["local"] for a in after["br0"][2]] == [a["local"] for a in before["eth1"][2]]
    assert {route["dev"] for family in ("-4", "-6") for route in after[family]} == {"br0"}
    assert lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--json").json["steps"] == []
    assert lab.vmnet("bridge", "confirm", "br0", "--json").json["steps"] != []
    assert lab.vmnet("bridge", "confirm", "br0", "--json").json["steps"] == []
    lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    assert lab.vmnet("bridge", "remove-uplink", "br0", "eth1", "--json").json["steps"] == []


@pytest.mark.usefixtures("gateway")
def test_all_is_put_back_when_nobody_confirms_and_then_it_is_too_late(lab: Lab) -> None:
    before = _network(lab)
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "1")
    assert _is_port(lab)
    until(lambda: _network(lab) == before)
    assert "no uplink of vmnet's" in lab.vmnet("bridge", "confirm", "br0", status=4).err


@pytest.mark.usefixtures("gateway")
def test_what_is_confirmed_stays(lab: Lab) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "1")
    lab.vmnet("bridge", "confirm", "br0")
    assert "until=" not in lab.link("eth1")["ifalias"]
    until(lambda: not guardians())
    assert _is_port(lab)


@pytest.mark.usefixtures("gateway")
def test_a_guardian_outlives_the_signals_of_a_lost_connection(lab: Lab) -> None:
    before = _network(lab)
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "2")
    (pid,) = guardians()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    until(lambda: _network(lab) == before)


def test_a_deadline_before_the_change_does_not_end_the_guardian(lab: Lab, tmp_path: Path) -> None:
    looked, changed = tmp_path / "looked", tmp_path / "changed"

    def put_back() -> bool:
        looked.touch()
        changed.unlink(missing_ok=True)
        return True

    with Guardian(0, lambda: True, put_back) as guardian:
        guardian.do(StartGuardian(Ref("eth1", 2), 1))
        until(looked.exists)
        changed.touch()
        guardian.settle()
    until(lambda: not changed.exists())
    until(lambda: not guardians())
    assert lab.links() == {}


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28])
def test_killed_at_any_message_all_is_put_back(lab: Lab, k: int, tmp_path: Path) -> None:
    before = _network(lab)
    # Without -f the guardian is not traced: it is to live.
    inject = ["-e", "trace=sendto,sendmsg,write", "-o", str(tmp_path / "log")]
    inject += ["-e", f"inject=sendto,sendmsg,write:signal=KILL:when={k}"]
    add = [INSTALLED, "bridge", "add-uplink", "br0", "eth1", "--confirm-within", "2"]
    done = run(["strace", *inject, *add])
    assert done.status in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done
    until(lambda: not guardians() and _network(lab) == before)


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("_again", range(5))
def test_of_two_bridges_that_want_a_nic_at_once_one_has_it_whole(lab: Lab, _again: int) -> None:
    lab.vmnet("bridge", "create", "br1")
    before = _network(lab)
    add = [start("bridge", "add-uplink", name, "eth1", "--no-timer") for name in ("br0", "br1")]
    done = dict(zip(("br0", "br1"), [each.wait() for each in add], strict=True))
    assert sorted(each.status for each in done.values()) == [0, 5], done
    (winner,) = (name for name, each in done.items() if each.status == 0)
    assert lab.link("eth1")["master"] == winner
    assert {route["dev"] for family in ("-4", "-6") for route in _network(lab)[family]} == {winner}
    lab.vmnet("bridge", "remove-uplink", winner, "eth1")
    assert _network(lab) == before
    lab.vmnet("bridge", "delete", "br1")


@pytest.mark.usefixtures("gateway")
@pytest.mark.parametrize("mended_by", [("gc",), ("bridge", "remove-uplink", "br0", "eth1")])
def test_where_the_guardian_was_killed_too_the_next_command_puts_back(
    lab: Lab, mended_by: tuple[str, ...]
) -> None:
    before = _network(lab)
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "1")
    (pid,) = guardians()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not guardians())
    if mended_by == ("gc",):
        until(lambda: lab.vmnet("gc", "--dry-run", "--json").json["links"] != [])
        assert _is_port(lab)
    lab.vmnet(*mended_by)
    assert _network(lab) == before
    assert lab.vmnet("gc", "--json").json["links"] == []


@pytest.mark.usefixtures("gateway")
def test_gc_leaves_an_uplink_that_was_confirmed_or_has_time(lab: Lab) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "300")
    assert lab.vmnet("gc", "--json").json["links"] == []
    lab.vmnet("bridge", "confirm", "br0")
    assert lab.vmnet("gc", "--json").json["links"] == []
    assert _is_port(lab)


@pytest.mark.usefixtures("gateway")
def test_a_bridge_with_the_hosts_addresses_is_not_deleted_even_by_force(lab: Lab) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer")
    before = _network(lab)
    for more in ((), ("--force",)):
        done = lab.vmnet("bridge", "delete", "br0", *more, status=5)
        assert "vmnet bridge remove-uplink br0 eth1" in done.err
    assert _network(lab) == before
    lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    lab.vmnet("bridge", "delete", "br0")


@pytest.mark.usefixtures("gateway")
def test_the_lines_of_a_dry_run_lead_to_the_same(lab: Lab) -> None:
    before = _network(lab)
    lines = lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer", "--dry-run").out
    assert _network(lab) == before
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer")
    made = _timeless(_network(lab))
    back = lab.vmnet("bridge", "remove-uplink", "br0", "eth1", "--dry-run").out
    checked(["sh", "-e"], input=back)
    assert _network(lab) == before
    checked(["sh", "-e"], input=lines)
    assert _timeless(_network(lab)) == made
    lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    assert _network(lab) == before


def _timeless(network: dict[str, Any]) -> str:
    return re.sub(r"gen=[0-9a-f]{8}", "gen=*", json.dumps(network))


_VETH = "ip link add eth1 type veth peer name eth9; "
_LEASE = "ip address add 10.9.0.1/24 dev eth1 valid_lft 600 preferred_lft 300"
_MEMBER = "ip link add br9 type bridge; ip link set eth1 master br9"
_REFUSED = [
    ("uplink-kind", "ip tuntap add eth1 mode tap", 5),
    ("uplink-kind", "ip link add eth1 type bridge", 5),
    ("uplink-member", _VETH + _MEMBER, 5),
    ("uplink-foreign", _VETH + "ip link set eth1 master br0", 5),
    ("uplink-alias", _VETH + "ip link set eth1 alias mine", 5),
    ("uplink-managed", _VETH + _LEASE, 5),
    ("uplink-loop", _VETH + "ip link set eth9 master br0", 5),
    ("uplink-mtu", _VETH + "ip link set eth1 mtu 1400", 5),
    ("nic-missing", "true", 4),
]


@pytest.mark.parametrize(("code", "line", "status"), _REFUSED)
def test_what_cannot_be_an_uplink_is_refused(lab: Lab, code: str, line: str, status: int) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh(line)
    before = lab.state()
    done = lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--json", status=status)
    error = json.loads(done.err)["error"]
    assert error["code"] == code
    assert bool(error.get("paste")) == (code == "uplink-managed")
    assert lab.state() == before


def test_loopback_is_refused(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    assert "no Ethernet" in lab.vmnet("bridge", "add-uplink", "br0", "lo", status=5).err


_NETWORKD = "/run/systemd/netif/links"
_MANAGERS = {
    "networkd": (_NETWORKD, "ADMIN_STATE=configured", "MACAddress="),
    "netplan": (
        _NETWORKD,
        "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-eth1.network",
        "netplan try",
    ),
    "NetworkManager": ("/run/NetworkManager/devices", "managed=true", "nmcli connection add"),
    "ifupdown": ("/run/network", "eth1=eth1", "bridge_ports"),
}


@pytest.mark.parametrize("kind", _MANAGERS)
def test_a_nic_of_another_program_is_refused_with_what_to_write(lab: Lab, kind: str) -> None:
    folder, text, word = _MANAGERS[kind]
    lab.vmnet("bridge", "create", "br0")
    lab.sh("ip link add eth1 type veth peer name eth9; ip link set eth1 up")
    lab.sh("ip address add 10.9.0.1/24 dev eth1")
    name = "ifstate" if kind == "ifupdown" else str(lab.link("eth1")["ifindex"])
    Path(folder).mkdir(parents=True)
    (Path(folder) / name).write_text(text + "\n")
    # What the files say is about process 1's network: let that be this one.
    alone = ["unshare", "--pid", "--fork", "--mount-proc", INSTALLED]
    done = run([*alone, "bridge", "add-uplink", "br0", "eth1"])
    assert done.status == 5
    assert f"let {kind} make eth1" in done.err, done
    assert word in done.err


def test_another_place_is_not_touched(lab: Lab) -> None:
    lab.sh("ip link add eth1 type veth peer name eth9")
    lab.vmnet("bridge", "create", "br0")
    with other_network():
        assert "no bridge" in lab.vmnet("bridge", "add-uplink", "br0", "eth1", status=4).err


@pytest.mark.usefixtures("gateway")
def test_again_says_how_long_there_is_to_confirm(lab: Lab) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "300")
    (note,) = lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--json").json["notes"]
    assert re.search(r"in (29\d|30\d) s all is put back unless `vmnet bridge confirm br0`", note)
    lab.vmnet("bridge", "confirm", "br0")
    assert lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--json").json["notes"] == []


@pytest.mark.usefixtures("gateway")
def test_too_late_a_confirmation_says_that_nobody_put_it_back(lab: Lab) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "1")
    (pid,) = guardians()
    os.kill(pid, signal.SIGKILL)
    until(lambda: lab.vmnet("gc", "--dry-run", "--json").json["links"] != [])
    until(lambda: "over" in lab.vmnet("bridge", "confirm", "br0", "--dry-run").err)
    (note,) = lab.vmnet("bridge", "confirm", "br0", "--json").json["notes"]
    assert "whoever was to do that was killed" in note
    assert lab.vmnet("gc", "--json").json["links"] == []


@pytest.mark.usefixtures("gateway")
def test_of_a_bridge_that_is_gone_nothing_is_said_to_be_given_back(lab: Lab) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer")
    lab.sh("ip link delete br0")
    done = lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    assert "of the 7 addresses and routes that 'eth1' had are not on 'br0'" in done.err
    assert "back what it had" not in done.err
    assert "eth1 is its own again" in done.err
