"""A bridge that is missing, none at all, full, or goes away meanwhile."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.netns.places import in_child
from tests.netns.seen import seen
from tests.support.lab import Lab, checked
from vmnet.errors import NotFound
from vmnet.kernel import nft
from vmnet.model.nft import change_text
from vmnet.model.portfacts import Entry

#: net/bridge/br_private.h BR_MAX_PORTS.
MOST_PORTS = 1023


def test_a_missing_bridge_is_said_with_those_there_are(lab: Lab) -> None:
    for name in ("br1", "lan"):
        lab.vmnet("bridge", "create", name)
    for command in (("attach", "vm1", "--bridge", "br0"),
                    ("run", "vm1", "--nic", "bridge=br0", "--", "true")):  # fmt: skip
        done = lab.vmnet(*command, status=4)
        assert "no bridge 'br0' here" in done.err
        assert "br1" in done.err
        assert "lan" in done.err
        assert "vmnet bridge create br0" in done.err
    assert set(lab.links()) == {"br1", "lan"}


MACVLAN = "ip link add p0 type veth peer name p1; ip link add link p0 name br0 type macvlan"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        ("ip link add br0 type veth peer name p0", "veth"),
        ("ip tuntap add dev br0 mode tap", "tun"),
        (MACVLAN, "macvlan"),
    ],
)
def test_a_link_that_is_no_bridge_is_said(lab: Lab, make: str, kind: str) -> None:
    lab.sh(make)
    before = lab.state()
    # Named, or found as the one to fall back to.
    for options in (("--bridge", "br0"), ()):
        done = lab.vmnet("attach", "vm1", *options, status=5)
        assert f"link 'br0' is not a Linux bridge but of kind {kind}" in done.err
    assert lab.state() == before


def test_the_loopback_is_no_bridge(lab: Lab) -> None:
    assert "kind hardware" in lab.vmnet("attach", "vm1", "--bridge", "lo", status=5).err


def test_another_name_of_a_bridge_is_no_bridges_name(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh("ip link property add dev br0 altname lan")
    before = lab.state()
    done = lab.vmnet("attach", "vm1", "--bridge", "lan", status=4)
    assert "no bridge 'lan' here (bridges: br0)" in done.err
    done = lab.vmnet("bridge", "create", "lan", status=5)
    assert "a link has that for its name or other name" in done.err
    lab.vmnet("bridge", "delete", "lan", status=4)
    assert lab.state() == before


def test_our_taps_name_as_another_name_of_a_link_is_a_conflict(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    name = lab.vmnet("attach", "vm1", "--dry-run", "--json").json["tap"]
    lab.sh(f"ip link property add dev br0 altname {name}")
    before = lab.state()
    assert name in lab.vmnet("attach", "vm1", status=5).err
    assert lab.state() == before


def test_our_second_name_as_another_links_is_a_conflict(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh("ip link property add dev br0 altname vmnet-vm1-0")
    before = seen(lab)
    done = lab.vmnet("attach", "vm1", status=5)
    assert "vmnet-vm1-0" in done.err
    assert "another link has it" in done.err
    assert seen(lab) == before


def test_a_full_bridge_is_said_and_nothing_is_left(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    pairs = MOST_PORTS // 2 + 1
    lines = [f"link add a{n} type veth peer name b{n}" for n in range(pairs)]
    ports = [f"{side}{n}" for n in range(pairs) for side in "ab"][:MOST_PORTS]
    lines += [f"link set dev {port} master br0" for port in ports]
    checked(["ip", "-batch", "-"], input="\n".join(lines))
    links = len(lab.links())
    for command in (("attach", "vm1"), ("run", "vm1", "--nic", "queues=2", "--", "true")):
        done = lab.vmnet(*command, status=5)
        assert "into bridge 'br0'" in done.err
        assert "EXFULL" in done.err
        assert "1023 ports" in done.err
        assert len(lab.links()) == links
    lab.sh("ip link set dev a0 nomaster")
    lab.vmnet("attach", "vm1")


@contextmanager
def _coming_and_going(lab: Lab, down: str, up: str) -> Iterator[None]:
    """Let another process change the host all the time."""
    line = f"while :; do {down}; {up}; done"
    other = subprocess.Popen(["sh", "-c", line], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        other.kill()
        other.wait()


def test_a_bridge_that_comes_and_goes_gives_all_or_nothing(lab: Lab) -> None:
    lab.sh("ip link add br0 type bridge; ip link set br0 up")
    with _coming_and_going(lab, "ip link del br0", "ip link add br0 type bridge"):
        for number in range(12):
            done = lab.vmnet("attach", f"vm{number}", "--bridge", "br0", status=None)
            assert done.status in (0, 4, 11), done
            there = [name for name in lab.links() if name.startswith("vmn")]
            assert bool(there) == (done.status == 0), done
            assert all("life=kept" in lab.link(name)["ifalias"] for name in there)
            lab.vmnet("detach", f"vm{number}")
    assert [name for name in lab.links() if name.startswith("vmn")] == []


def test_a_tap_that_somebody_removes_all_the_time_is_no_traceback(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    name = lab.vmnet("attach", "vm1", "--json").json["tap"]
    with _coming_and_going(lab, f"ip link del {name}", ":"):
        for verb in ("attach", "detach") * 8:
            assert lab.vmnet(verb, "vm1", status=None).status in (0, 4, 10, 11)
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


def test_a_tap_that_goes_before_the_filter_knows_it_is_gone(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("attach", "vm1", "--bridge", "br0")  # for its filter
    in_child(_change_for_a_link_that_is_gone)  # else the library stayed with other tests


def _change_for_a_link_that_is_gone() -> None:
    with pytest.raises(NotFound) as refused:
        nft.run("change the filter", change_text("gone0", (Entry("port"),), ()))
    assert refused.value.code == "link-gone"
