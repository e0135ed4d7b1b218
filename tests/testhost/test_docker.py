"""What docs/howto.md says of a host with Docker, on one that has Docker's rules and br_netfilter.

The rules are those that Docker 20.10 was seen to make, and those that Docker 28 says it makes, with
containers kept apart (`icc=false`), so that a remedy that undoes this is caught. Commands are the
document's own. Guests and containers are namespaces; `out` is a machine behind the host, which has
no route to the containers: they reach it by Docker's NAT, or not at all.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import blocks, examples, fits, section
from tests.support.lab import PATIENCE, REPO, Lab, checked, run
from tests.support.place import wait_for

_TEXT = section((REPO / "docs" / "howto.md").read_text(), "... share a host with Docker")
_OPEN, _OFF, _DOCKERS_ON, _ROUTED = blocks(_TEXT, "sh")
_SETTINGS = Path("/proc/sys/net/bridge")

_DOCKER_20 = """*filter
:FORWARD DROP
:DOCKER -
:DOCKER-USER -
:DOCKER-ISOLATION-STAGE-1 -
:DOCKER-ISOLATION-STAGE-2 -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""
_DOCKER_28 = """*filter
:FORWARD DROP
:DOCKER -
:DOCKER-BRIDGE -
:DOCKER-CT -
:DOCKER-FORWARD -
:DOCKER-INTERNAL -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER ! -i docker0 -o docker0 -j DROP
-A DOCKER-BRIDGE -o docker0 -j DOCKER
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i docker0 -o docker0 -j DROP
-A DOCKER-FORWARD -i docker0 ! -o docker0 -j ACCEPT
COMMIT
"""
_NAT = """*nat
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
"""
#: For IPv6 Docker 20.10 makes no DOCKER-USER.
_DOCKER_20_IPV6 = "".join(
    line for line in _DOCKER_20.splitlines(keepends=True) if "DOCKER-USER" not in line
)
_RULES = {"20.10": (_DOCKER_20, _DOCKER_20_IPV6), "28": (_DOCKER_28, _DOCKER_28)}

#: Each neighbour: its addresses, the bridge its cable ends in (none: the host's eth0), its way out.
_NEIGHBOURS = {
    "guest1": ("10.0.0.1/24", "fd00::1/64", "br0", "10.0.0.254"),
    "guest2": ("10.0.0.2/24", "fd00::2/64", "br0", "10.0.0.254"),
    "box1": ("172.17.0.2/16", "fd17::2/64", "docker0", "172.17.0.1"),
    "box2": ("172.17.0.3/16", "fd17::3/64", "docker0", "172.17.0.1"),
    "out": ("192.0.2.2/24", "fd02::2/64", "", ""),
}


class Host:
    """The lab as a host with guests on vmnet's bridge and containers on Docker's."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.vmnet("bridge", "create", "br0")
        lab.sh(
            "ip link set lo up; ip address add 10.0.0.254/24 dev br0; mkdir /run/netns\n"
            "ip link add docker0 address 02:42:00:00:00:01 type bridge; ip link set docker0 up\n"
            "ip address add 172.17.0.1/16 dev docker0\n"
            "sysctl -qw net.ipv4.ip_forward=1"
        )
        for name, (ipv4, ipv6, bridge, way) in _NEIGHBOURS.items():
            near = f"v-{name}" if bridge else "eth0"
            lab.sh(
                f"ip netns add {name}; ip link add {near} type veth peer name eth0 netns {name}\n"
                f"ip link set {near} {f'master {bridge}' if bridge else ''} up\n"
                f"ip -n {name} address add {ipv4} dev eth0\n"
                f"ip -n {name} address add {ipv6} dev eth0 nodad; ip -n {name} link set eth0 up\n"
                + (f"ip -n {name} route add default via {way}" if way else "")
            )
        lab.sh(
            "ip address add 192.0.2.1/24 dev eth0; ip -n out route add 10.0.0.0/24 via 192.0.2.1"
        )

    def docker(self, ipv4: str, ipv6: str) -> None:
        """Make the rules that Docker makes when it starts."""
        checked(["iptables-restore"], input=_NAT + ipv4)
        checked(["ip6tables-restore"], input=ipv6)
        # A connection is remembered for longer than a test takes.
        for kind in ("icmp", "icmpv6"):
            self.sh(f"sysctl -qw net.netfilter.nf_conntrack_{kind}_timeout=3600")

    def sh(self, block: str) -> None:
        """Run a block of the document."""
        self.lab.sh(block)

    def passes(self, *pairs: tuple[str, str]) -> None:
        """Expect that every ping of these, from a neighbour to an address, is answered."""
        assert _answers(pairs, 5 * PATIENCE) == dict.fromkeys(pairs, "2 packets received")

    def dropped(self, *pairs: tuple[str, str]) -> None:
        """Expect that no ping of these is answered."""
        assert _answers(pairs, 1) == dict.fromkeys(pairs, "0 packets received")

    def policy_dropped(self) -> int:
        """Return how many packets the policy of iptables' FORWARD has dropped."""
        (count,) = re.findall(r"policy DROP (\d+) packets", checked(["iptables", "-nvxL"]).out)
        return int(count)


def _answers(pairs: tuple[tuple[str, str], ...], seconds: int) -> dict[tuple[str, str], str]:
    """Ping twice each, all at once, and return what ping(1) says of the answers."""
    running = {}
    for source, address in pairs:
        inside = ["nsenter", f"--net=/run/netns/{source}", "busybox", "ping"]
        inside += ["-6"] if ":" in address else ["-4"]
        inside += ["-c", "2", "-i", "0.1", "-W", str(seconds), address]
        running[source, address] = subprocess.Popen(inside, stdout=subprocess.PIPE, text=True)
    found = {}
    for pair, process in running.items():
        out, _ = process.communicate(timeout=30 * PATIENCE)
        (found[pair],) = re.findall(r"\d+ packets received", out)
    return found


_GUESTS = (("guest1", "10.0.0.2"), ("guest1", "fd00::2"))
_CONTAINERS = (("box1", "172.17.0.3"), ("box1", "fd17::3"))
_NATTED = ("box1", "192.0.2.2")
_ROUTE = ("guest1", "192.0.2.2")


@pytest.fixture(scope="module", autouse=True)
def module() -> Iterator[None]:
    """No br_netfilter before this file's tests, nor after them."""
    _unload()
    yield
    _unload()


def _unload() -> None:
    # xt_physdev asks for br_netfilter once in its life. A namespace's end may still hold a module.
    remove = ["modprobe", "-r", "xt_physdev", "br_netfilter"]
    wait_for(lambda: run(remove).status == 0, 10, "br_netfilter stays loaded")
    assert not (_SETTINGS / "bridge-nf-call-iptables").exists()


@pytest.fixture
def host(lab: Lab) -> Host:
    return Host(lab)


def test_without_br_netfilter_bridged_frames_pass_until_a_rule_with_physdev_loads_it(
    host: Host,
) -> None:
    host.passes(_ROUTE)
    host.docker(*_RULES["20.10"])
    host.passes(*_GUESTS)
    host.dropped(_ROUTE)
    (asked, _) = next(examples(_TEXT))
    assert "No such file or directory" in run(["sh", "-c", asked]).err
    host.sh("iptables -A DOCKER-USER -m physdev --physdev-is-bridged -j ACCEPT")
    assert (_SETTINGS / "bridge-nf-call-iptables").read_text() == "1\n"
    host.dropped(*_GUESTS)


@pytest.mark.parametrize("release", _RULES)
def test_each_remedy_helps_and_costs_docker_what_the_document_says(
    host: Host, release: str, tmp_path: Path
) -> None:
    host.sh("modprobe br_netfilter")
    host.passes(*_GUESTS, *_CONTAINERS)
    host.docker(*_RULES[release])
    before = host.policy_dropped()
    host.dropped(*_GUESTS, *_CONTAINERS)
    assert host.policy_dropped() == before + 2
    host.passes(("guest1", "10.0.0.254"), _NATTED)
    for command, expected in examples(_TEXT):
        done = run(["sh", "-c", f"exec 2>&1; {command}"])
        assert fits(done.out, expected), f"$ {command}\n{done.out}\nthe document says:\n{expected}"

    _rules_open_the_bridge_only(host)
    host.dropped(*_GUESTS)
    _off_is_off_for_all_but_what_is_taken_back(host, tmp_path)
    host.dropped(*_GUESTS)
    _a_router_lets_guests_out_and_not_into_containers(host)
    _what_does_not_help(host)


def _rules_open_the_bridge_only(host: Host) -> None:
    known = _connections()
    host.sh(_OPEN)
    host.passes(*_GUESTS, _NATTED)
    host.dropped(*_CONTAINERS)
    assert _connections() > known
    # As Docker's unit does it at each start: whether they were there or not, they are there once.
    (unit,) = blocks(_TEXT, "ini")
    for _ in range(2):
        for command in re.findall(r"^ExecStartPost=-(.*)$", unit, re.MULTILINE):
            run(command.split())
    accepts = checked(["sh", "-c", "iptables -S; ip6tables -S"]).out.count(
        "-i br0 -o br0 -j ACCEPT"
    )
    assert accepts == 2
    host.passes(*_GUESTS)
    host.sh(_OPEN.replace("-I", "-D"))


def _off_is_off_for_all_but_what_is_taken_back(host: Host, tmp_path: Path) -> None:
    known = _connections()
    host.sh(_OFF)
    host.passes(*_GUESTS)
    assert _connections() == known
    host.passes(*_CONTAINERS, _NATTED)
    host.sh(_DOCKERS_ON)
    host.passes(*_GUESTS, _NATTED)
    host.dropped(*_CONTAINERS)
    host.sh(_DOCKERS_ON.replace(" 1", " 0"))
    host.sh(_OFF.replace("=0", "=1"))
    host.dropped(*_GUESTS)
    # The file for the next boot says the same.
    (settings,) = blocks(_TEXT, "conf")
    (tmp_path / "bridge.conf").write_text(settings)
    host.sh(f"sysctl -p {tmp_path}/bridge.conf")
    host.passes(*_GUESTS)
    host.sh(_OFF.replace("=0", "=1"))


def _a_router_lets_guests_out_and_not_into_containers(host: Host) -> None:
    host.dropped(_ROUTE)
    host.sh(_ROUTED)
    host.passes(_ROUTE, _NATTED)
    host.dropped(("guest1", "172.17.0.2"), ("out", "10.0.0.1"))


def _what_does_not_help(host: Host) -> None:
    (flag, physdev) = re.findall(r"^- `(ip link[^`]*|-m physdev[^`]*)`", _TEXT, re.MULTILINE)
    shown = host.lab.link("br0")["linkinfo"]["info_data"]
    assert [shown[f"nf_call_{kind}"] for kind in ("iptables", "ip6tables")] == [0, 0]
    host.sh(flag)
    host.dropped(*_GUESTS)
    for family in ("bridge", "ip"):
        chain = "type filter hook forward priority 0; accept;"
        checked(["nft", "-f", "-"], input=f"table {family} t {{\nchain c {{ {chain} }}\n}}\n")
    host.dropped(*_GUESTS)
    host.sh(f"iptables -I DOCKER-USER {physdev}; ip6tables -I FORWARD {physdev}")
    host.passes(*_GUESTS, *_CONTAINERS)


def _connections() -> int:
    """Return how many connections this host keeps track of."""
    return int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
