"""`vmnet patch`: pairs of links between bridges and namespaces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netns.commands import start, until
from tests.netns.ends import TEN_MB, Place, moved, pings, place
from tests.netns.places import be_nobody, put_tmpfs, vmnet_after
from tests.support.lab import Lab, checked, run
from tests.wires.patches import TAG, code, links, listed, patch


@pytest.fixture(autouse=True)
def _bridges(lab: Lab) -> None:
    lab.sh("ip link set lo up")
    for name in ("br0", "br1"):
        lab.vmnet("bridge", "create", name)


def _own_run() -> None:
    put_tmpfs("/run")
    Path("/run/netns").mkdir()


@pytest.fixture
def named(lab: Lab) -> Iterator[str]:
    """A namespace that `ip netns` made."""
    _own_run()
    lab.sh("ip netns add web; ip -n web link set lo up")
    yield "netns:web"
    run(["ip", "netns", "del", "web"])


def test_two_bridges_are_joined_and_the_second_time_is_empty(lab: Lab) -> None:
    before = set(lab.links())
    assert patch(lab, "br0", "br1") != []
    assert sorted(link["master"] for link in links(lab).values()) == ["br0", "br1"]
    assert patch(lab, "br0", "br1") == []
    assert patch(lab, "br1", "br0") == []
    assert listed(lab) == [("br0", "br1", False)]
    (line,) = [each for each in lab.vmnet("list").out.splitlines() if each.startswith("br0 ")]
    first, second = sorted(links(lab))
    assert line.split() == ["br0", "br1", first, second, "br0", "br1", "1500", "up"]
    lab.vmnet("unpatch", "br1", "br0")
    assert set(lab.links()) == before


def test_ten_megabytes_go_from_a_namespace_over_two_bridges_to_this_one(lab: Lab) -> None:
    with place() as far:
        patch(lab, "br0", "br1")
        patch(lab, "br1", f"pid:{far.pid}", "--address", "10.0.0.9/24", "--address", "fd00::9/64")
        lab.sh("ip address add 10.0.0.1/24 dev br0; ip address add fd00::1/64 dev br0 nodad")
        until(lambda: "tentative" not in far.sh("ip address"))
        assert pings("10.0.0.9")
        assert far.pings("fd00::1")
        assert moved(far.argv(), [], "10.0.0.9") == TEN_MB
        assert moved([], far.argv(), "10.0.0.1") == TEN_MB


def _inside(far: Place, name: str = "eth0") -> dict[str, Any]:
    (link,) = json.loads(far.sh(f"ip -j -d address show dev {name}"))
    assert isinstance(link, dict)
    return link


def test_a_namespace_has_its_link_whole_and_changed_in_place(lab: Lab) -> None:
    with place() as far:
        end = f"pid:{far.pid}"
        patch(lab, "br0", end, "--as", "net0", "--address", "10.0.0.9/24", "--mtu", "1400")
        link = _inside(far, "net0")
        assert link["mtu"] == 1400
        assert link["ifalias"].startswith(TAG)
        assert link["address"].startswith("52:")
        assert [a["local"] for a in link["addr_info"] if a["family"] == "inet"] == ["10.0.0.9"]
        patch(lab, "br0", end, "--as", "net0", "--address", "10.0.0.8/24")
        again = _inside(far, "net0")
        assert [a["local"] for a in again["addr_info"] if a["family"] == "inet"] == ["10.0.0.8"]
        assert (again["ifindex"], again["address"]) == (link["ifindex"], link["address"])
        (here,) = links(lab).values()
        assert here["inet6_addr_gen_mode"] == "none"
        lab.vmnet("unpatch", "br0", end, "--as", "net0")
        assert "net0" not in far.sh("ip link")
        assert links(lab) == {}


def test_a_container_that_restarted_is_joined_again_with_the_same_mac(lab: Lab) -> None:
    """As containers restart: another namespace under the name, while the old one ends late."""
    _own_run()
    macs = []
    with place() as first, place() as second:
        for container in (first, second):
            lab.sh(f"touch /run/netns/web; mount --bind {container.path} /run/netns/web")
            patch(lab, "br0", "netns:web", "--address", "10.0.0.9/24")
            macs.append(_inside(container)["address"])
            assert len(links(lab)) == 1
            lab.sh("umount /run/netns/web")
        assert "eth0" not in first.sh("ip link")
    assert macs[0] == macs[1]
    # With the last process of a namespace the pair goes by itself.
    until(lambda: links(lab) == {})


def test_what_is_broken_is_seen_and_mended(lab: Lab, named: str) -> None:
    patch(lab, "br0", named, "--address", "10.0.0.9/24")
    (name,) = links(lab)
    for damage in (
        f"ip link set {name} nomaster",
        f"ip link set {name} down",
        "ip -n web link set eth0 down",
    ):
        lab.sh(damage)
        assert listed(lab) == [("br0", named, True)], damage
        assert patch(lab, "br0", named) != [], damage
        until(lambda: listed(lab) == [("br0", named, False)])
    lab.sh("ip -n web address flush dev eth0")
    assert len(patch(lab, "br0", named, "--address", "10.0.0.9/24")) == 1
    assert patch(lab, "br0", named, "--address", "10.0.0.9/24") == []


def test_of_a_namespace_that_is_gone_the_rest_can_be_taken_away(lab: Lab) -> None:
    _own_run()
    with place() as far:
        lab.sh(f"touch /run/netns/web; mount --bind {far.path} /run/netns/web")
        patch(lab, "br0", "netns:web")
        lab.sh("umount /run/netns/web; rm /run/netns/web")
        assert code(lab, "patch", "br0", "netns:web", status=4) == "place-missing"
        lab.vmnet("unpatch", "br0", "netns:web")
        assert links(lab) == {}
        assert code(lab, "unpatch", "br0", "netns:web", status=4) == "patch-missing"


def test_the_lines_of_a_dry_run_make_the_same(lab: Lab, named: str) -> None:
    words = ("br0", named, "--address", "10.0.0.9/24")
    lines = lab.vmnet("patch", *words, "--dry-run").out
    assert links(lab) == {}
    patch(lab, *words)
    checked(["sh", "-e"], input=lab.vmnet("unpatch", *words[:2], "--dry-run").out)
    assert links(lab) == {}
    checked(["sh", "-e"], input=lines)
    assert patch(lab, *words) == []
    lab.vmnet("unpatch", *words[:2])
    checked(["sh", "-e"], input=lab.vmnet("patch", "br0", "br1", "--dry-run").out)
    assert patch(lab, "br0", "br1") == []


def test_a_loop_is_refused_however_it_would_come_to_be(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br2")
    patch(lab, "br0", "br1")
    patch(lab, "br1", "br2")
    assert code(lab, "patch", "br2", "br0", status=5) == "patch-loop"
    lab.vmnet("unpatch", "br0", "br1")
    patch(lab, "br2", "br0")
    assert code(lab, "patch", "br0", "br1", status=5) == "patch-loop"
    lab.vmnet("unpatch", "br0", "br2")
    # Somebody's own pair, and a macvlan on a bridge.
    lab.sh(
        "ip link add p0 type veth peer name p1;ip link set p0 master br0; ip link set p1 master br1"
    )
    assert code(lab, "patch", "br0", "br1", status=5) == "patch-loop"
    lab.sh("ip link del p0; ip link add link br0 name m0 type macvlan; ip link set m0 master br1")
    assert code(lab, "patch", "br0", "br1", status=5) == "patch-loop"


def test_bad_ends_are_refused_in_words_and_nothing_is_left(lab: Lab, named: str) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    before = lab.state()
    lab.sh("ip -n web link add eth0 type veth peer name other")
    cases = {
        ("br0", "br0"): (2, "patch-itself"),
        ("br0", "none"): (4, "bridge-missing"),
        ("br0", "lo"): (5, "not-a-bridge"),
        ("br0", f"pid:{process.pid}"): (4, "place-missing"),
        ("br0", f"pid:{os.getpid()}"): (5, "place-here"),
        ("br0", "netns:none"): (4, "place-missing"),
        ("br0", named): (5, "patch-foreign"),
        ("br0", "br1", "--address", "10.0.0.1/24"): (2, "bad-patch"),
        ("br0", named, "--mtu", "67"): (2, "bad-mtu"),
        ("br0", named, "--as", "a/b"): (2, "bad-link-name"),
        ("br0", named, "--address", "10.0.0.0/24"): (2, "bad-address"),
    }
    for text in ("pid:0", "pid:-1", "pid:x", "netns:", "netns:../x", "netns:a/b", "other:x", ":x"):
        cases["br0", text] = (2, "bad-end")
    for words, (status, expected) in cases.items():
        assert code(lab, "patch", *words, status=status) == expected, words
    assert lab.state() == before


def test_a_process_of_another_user_is_none_to_reach_into(lab: Lab) -> None:
    with place() as far:
        words = ("patch", "br0", f"pid:{far.pid}", "--dry-run", "--json")
        done = vmnet_after(be_nobody, *words, status=7)
        assert json.loads(done.err)["error"]["code"] == "place-permission"


def test_a_strict_bridge_says_what_to_write(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    config.write_text('[network.n]\nbridge = "br0"\nstrict = true\n')
    if lab.vmnet("--config", str(config), "attach", "vm1", "--network", "n", status=None).status:
        return  # this kernel has no `meta ibrname`: the test host does it (tests/testhost)
    assert code(lab, "patch", "br0", "br1", status=5) == "bridge-strict"


def test_of_two_calls_at_once_that_would_make_a_loop_one_is_refused(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br2")
    patch(lab, "br0", "br1")
    both = [start("patch", "br1", "br2"), start("patch", "br2", "br0")]
    assert sorted(one.wait().status for one in both) == [0, 5]


def test_a_link_of_ours_that_somebody_half_made_is_made_anew(lab: Lab) -> None:
    patch(lab, "br0", "br1")
    first, second = sorted(links(lab))
    lab.vmnet("unpatch", "br0", "br1")
    lab.sh(f"ip link add {first} type veth peer name {second}")
    assert patch(lab, "br0", "br1") != []
    assert listed(lab) == [("br0", "br1", False)]
    lab.vmnet("unpatch", "br0", "br1")
    lab.sh(f"ip link add {first} type bridge")
    assert code(lab, "patch", "br0", "br1", status=5) == "patch-foreign"


def test_a_process_of_ones_own_namespaces_can_be_killed(lab: Lab) -> None:
    """A container by its process: with it go the links."""
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sleep", "60"]
    with subprocess.Popen(words) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: children.read_text().split() != [])
        (child,) = children.read_text().split()
        until(lambda: os.readlink(f"/proc/{child}/ns/net") != os.readlink("/proc/self/ns/net"))
        patch(lab, "br0", f"pid:{child}", "--address", "10.0.0.9/24")
        lab.sh("ip address add 10.0.0.1/24 dev br0")
        assert pings("10.0.0.9")
        process.send_signal(signal.SIGKILL)
    until(lambda: links(lab) == {})


def test_a_bridge_keeps_the_address_that_its_lowest_port_gives_it(lab: Lab) -> None:
    """Or its neighbours would send to the old one until they forget it."""
    lab.sh("ip link add nic0 address 52:54:00:00:00:01 type veth peer name far0")
    lab.sh("ip link add host0 type bridge; ip link set nic0 master host0")
    assert lab.link("host0")["address"] == "52:54:00:00:00:01"
    patch(lab, "br0", "host0")
    assert lab.link("host0")["address"] == "52:54:00:00:00:01"
    assert all(link["address"].startswith("fe:") for link in links(lab).values())
