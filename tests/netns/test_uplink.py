"""A NIC of the host's in a bridge: a connection through it lives, and the way back is kept.

The NIC is one end of a veth pair, its network another namespace with a server that echoes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.netns.commands import until
from tests.support.lab import VENV_BIN, Lab, checked, run

_SERVER = """
import socket, sys
server = socket.create_server(("10.1.0.1", 7))
print("ready", flush=True)
while True:
    peer, _ = server.accept()
    while data := peer.recv(64):
        peer.sendall(data)
"""
_NIC = [
    "ip address add 10.1.0.2/24 dev eth1",
    "ip address add 10.1.0.3/24 dev eth1 label eth1:x",
    "ip address add 2001:db8::2/64 dev eth1 nodad",
    "ip route add default via 10.1.0.1 metric 50",
    "ip route add 10.9.0.0/16 via 10.1.0.1 table 42 src 10.1.0.2",
    "ip -6 route add 2001:db8:9::/48 via 2001:db8::1",
]


@dataclass
class Network:
    """The network that the NIC is on.

    Attributes:
        pid: a process in the namespace at its other end.
        connection: a connection to it, made before anything is changed.
    """

    pid: int
    connection: socket.socket

    def answers(self) -> bool:
        """Whether the connection still carries data both ways."""
        self.connection.sendall(b"x")
        return self.connection.recv(64) == b"x"


@pytest.fixture
def network(lab: Lab) -> Iterator[Network]:
    """A host with a bridge and a NIC, on a network."""
    argv = ["unshare", "-n", "sh", "-c", 'echo $$; read go; exec "$0" -c "$1"']
    process = subprocess.Popen(
        [*argv, sys.executable, _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pid = int(process.stdout.readline())
        lab.sh(f"ip link set lo up; ip link add eth1 type veth peer name far netns {pid}")
        inside = "ip link set far up; ip address add 10.1.0.1/24 dev far; ip link set lo up"
        checked(["nsenter", "-t", str(pid), "-n", "sh", "-ec", inside])
        lab.sh("ip link set eth1 up; " + "; ".join(_NIC))
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        lab.vmnet("bridge", "create", "br0")
        with socket.create_connection(("10.1.0.1", 7), timeout=10) as connection:
            # A link-local address is given away only when it is known to be the only one.
            until(lambda: "tentative" not in lab.sh("ip -6 address show dev eth1").out)
            yield Network(pid, connection)
    finally:
        process.kill()
        process.communicate()


def _host(lab: Lab) -> dict[str, Any]:
    """Return all that a person sees of the host's network, less what only time changes."""
    found: dict[str, Any] = {
        # A bridge that has had a carrier keeps a route for multicast.
        family: lab.sh(
            f"ip {family} route show table all | sed 's/ linkdown//; /ff00::.* dev br0/d' | sort"
        ).out
        for family in ("-4", "-6")
    }
    for link in json.loads(run(["ip", "-j", "address"]).out):
        rows = [
            {k: v for k, v in each.items() if not k.endswith("life_time") and k != "protocol"}
            for each in link["addr_info"]
        ]
        found[link["ifname"]] = (link["address"], link.get("master"), rows)
    return found


def _of(lab: Lab, link: str) -> list[str]:
    _, _, rows = _host(lab)[link]
    return [each["local"] for each in rows if each["scope"] == "global"]


def test_a_connection_lives_through_adding_and_removing(lab: Lab, network: Network) -> None:
    before = _host(lab)
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer")
    assert network.answers()
    assert _of(lab, "br0") == ["10.1.0.2", "10.1.0.3", "2001:db8::2"]
    assert _of(lab, "eth1") == []
    assert lab.link("eth1")["master"] == "br0"
    assert "dev br0" in lab.sh("ip route get 192.0.2.1").out
    assert "10.9.0.0/16 via 10.1.0.1 dev br0" in lab.sh("ip route show table 42").out
    again = lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer", "--json")
    assert again.json["steps"] == []
    lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    assert network.answers()
    assert _host(lab) == before


def test_its_lines_lead_to_the_same(lab: Lab, network: Network) -> None:
    words = ("bridge", "add-uplink", "br0", "eth1", "--no-timer")
    checked(["sh", "-e"], input=lab.vmnet(*words, "--dry-run").out)
    assert network.answers()
    by_hand = _host(lab)
    lab.vmnet("bridge", "remove-uplink", "br0", "eth1")
    lab.vmnet(*words)
    assert _host(lab) == by_hand


def test_all_is_put_back_unless_confirmed(lab: Lab, network: Network) -> None:
    before = _host(lab)
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "2")
    assert network.answers()
    assert _of(lab, "br0")
    until(lambda: _host(lab) == before)
    assert network.answers()
    lab.vmnet("bridge", "confirm", "br0", status=4)


def test_what_is_confirmed_stays(lab: Lab, network: Network) -> None:
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--confirm-within", "2")
    lab.vmnet("bridge", "confirm", "br0")
    until(lambda: not _guardians())
    assert network.answers()
    assert _of(lab, "br0")


def _guardians() -> list[str]:
    mine = os.readlink("/proc/self/ns/net")
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (place / "comm").read_text().strip()
            if name == "vmnet-guardian" and os.readlink(place / "ns/net") == mine:
                found.append(place.name)
    return found


@pytest.mark.parametrize("k", range(1, 16))
def test_a_killed_vmnet_leaves_the_host_as_it_was(lab: Lab, network: Network, k: int) -> None:
    before = _host(lab)
    inject = f"inject=sendmsg:signal=KILL:when={k}"
    argv = [str(VENV_BIN / "vmnet"), "bridge", "add-uplink", "br0", "eth1"]
    words = ["strace", "-qq", "-o", os.devnull, "-e", "trace=sendmsg", "-e", inject]
    done = run([*words, *argv, "--confirm-within", "3"])
    assert done.status in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done
    until(lambda: _host(lab) == before)
    assert network.answers()
    until(lambda: not _guardians())
    # And what was half done does not stand in the way of the next one.
    lab.vmnet("bridge", "add-uplink", "br0", "eth1", "--no-timer")
    assert network.answers()


@pytest.mark.parametrize(
    ("make", "nic", "code"),
    [
        ("", "none0", "nic-missing"),
        ("", "lo", ""),
        ("", "br0", ""),
        ("ip link add br1 type bridge; ip link set eth1 master br1", "eth1", ""),
        ("ip tuntap add tap0 mode tap", "tap0", ""),
        ("ip address add 10.1.0.9/24 dev eth1 valid_lft 600 preferred_lft 600", "eth1", ""),
    ],
)
def test_what_cannot_be_an_uplink_is_refused_and_stays(
    lab: Lab, network: Network, make: str, nic: str, code: str
) -> None:
    lab.sh(make or "true")
    before = _host(lab)
    done = lab.vmnet("bridge", "add-uplink", "br0", nic, "--json", status=None)
    assert done.status in (2, 4, 5, 8)
    error = json.loads(done.err)["error"]
    assert error["remedy"]
    assert code in ("", error["code"])
    assert _host(lab) == before
    assert "master br1" in make or network.answers()


def test_networkds_nic_is_left_to_networkd(lab: Lab, network: Network) -> None:
    index = lab.link("eth1")["ifindex"]
    lab.sh("mkdir -p /run/systemd/netif/links /run/systemd/network")
    state = "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-eth1.network\n"
    lab.sh(f"printf '{state}' > /run/systemd/netif/links/{index}")
    done = lab.vmnet("bridge", "add-uplink", "br0", "eth1", status=5)
    assert "systemd-networkd" in done.err
    assert "Bridge=br0" in done.err  # what to write
    assert network.answers()
