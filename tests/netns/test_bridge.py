"""`vmnet bridge create` and `delete`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.netns.places import put_over, see_own_sysfs, sys_class_net
from tests.netns.seen import seen
from tests.support.lab import Lab

#: net_device.addr_assign_type: set by hand, so that no port changes it.
NET_ADDR_SET = "3"


def _info(lab: Lab, name: str) -> dict[str, object]:
    info = lab.link(name)["linkinfo"]
    assert info["info_kind"] == "bridge"
    data = info["info_data"]
    assert isinstance(data, dict)
    return data


def test_a_bridge_has_an_address_of_its_own_no_stp_no_ipv6_and_is_up(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    bridge = lab.link("br0")
    see_own_sysfs()
    assert sys_class_net("br0", "addr_assign_type") == NET_ADDR_SET
    assert _info(lab, "br0")["stp_state"] == 0
    assert _info(lab, "br0")["mcast_snooping"] == 0
    assert bridge["inet6_addr_gen_mode"] == "none"
    assert bridge["mtu"] == 1500
    assert "UP" in bridge["flags"]
    assert bridge["ifalias"].startswith("vmnet/1 vm= nic=0 gen=")
    assert "own=made life=kept" in bridge["ifalias"]


def test_its_address_is_stable_for_this_host_and_name(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("bridge", "create", "br1")
    first = lab.link("br0")["address"]
    assert first.startswith("52:")
    assert lab.link("br1")["address"] != first
    lab.vmnet("bridge", "delete", "br0")
    lab.vmnet("bridge", "create", "br0")
    assert lab.link("br0")["address"] == first
    lab.vmnet("bridge", "delete", "br0")
    put_over("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", tmp_path)
    lab.vmnet("bridge", "create", "br0")
    assert lab.link("br0")["address"] != first


@pytest.mark.parametrize("port", ["00:00:00:00:00:02", "fe:ff:ff:ff:ff:ff"])
def test_no_port_changes_its_address(lab: Lab, port: str) -> None:
    lab.vmnet("bridge", "create", "br0")
    address = lab.link("br0")["address"]
    lab.sh(f"ip link add p0 address {port} type veth peer name p1; ip link set p0 master br0 up")
    assert lab.link("br0")["address"] == address
    lab.sh("ip link del p0")
    assert lab.link("br0")["address"] == address


@pytest.mark.parametrize("options", [(), ("--mtu", "1500"), ("--mtu", "1499"), ("--mtu", "9000")])
def test_no_port_pulls_its_mtu_down(lab: Lab, options: tuple[str, ...]) -> None:
    lab.vmnet("bridge", "create", "br0", *options)
    mtu = lab.link("br0")["mtu"]
    assert mtu == int(options[-1] if options else "1500")
    lab.sh("ip link add p0 mtu 1280 type veth peer name p1; ip link set p0 master br0 up")
    assert lab.link("br0")["mtu"] == mtu


def test_creating_it_again_changes_nothing(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0", "--mtu", "4000")
    before = lab.state()
    assert "nothing to do" in lab.vmnet("bridge", "create", "br0").err
    assert lab.vmnet("bridge", "create", "br0", "--json").json["steps"] == []
    assert lab.state() == before


def test_creating_it_again_changes_what_is_different(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    before = lab.link("br0")
    lab.sh("ip link set br0 down")
    lab.vmnet("bridge", "create", "br0", "--mtu", "4000")
    bridge = lab.link("br0")
    assert bridge["ifindex"] == before["ifindex"]
    assert bridge["ifalias"] == before["ifalias"]
    assert bridge["mtu"] == 4000
    assert "UP" in bridge["flags"]


def test_a_dry_run_makes_nothing(lab: Lab) -> None:
    assert "type bridge" in lab.vmnet("bridge", "create", "br0", "--dry-run").out
    assert lab.links() == {}
    lab.vmnet("bridge", "create", "br0")
    assert lab.vmnet("bridge", "delete", "br0", "--dry-run").out.strip() == "ip link delete dev br0"
    assert "br0" in lab.links()


def test_delete_takes_it_away_and_says_when_there_is_none(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("bridge", "delete", "br0")
    assert lab.links() == {}
    assert lab.leftovers() == []
    assert "no bridge 'br0'" in lab.vmnet("bridge", "delete", "br0", status=4).err


@pytest.mark.parametrize(
    "make",
    [
        "ip link add br0 type bridge",
        "ip link add br0 type bridge; ip link set br0 up",
        "ip link add br0 type bridge; ip link set br0 alias mine",
        "ip link add br0 type veth peer name p1",
        "ip tuntap add dev br0 mode tap",
    ],
)
def test_a_link_that_vmnet_did_not_make_is_neither_taken_nor_deleted(lab: Lab, make: str) -> None:
    lab.sh(make)
    before = lab.state()
    assert "vmnet did not make it" in lab.vmnet("bridge", "create", "br0", status=5).err
    assert "not made by vmnet" in lab.vmnet("bridge", "delete", "br0", status=5).err
    lab.vmnet("bridge", "delete", "br0", "--force", status=5)
    lab.vmnet("gc")
    assert lab.state() == before


IN_USE = {
    "port": ("ip link add p0 type veth peer name p1; ip link set p0 master br0", "ports p0"),
    "address": ("ip address add 192.0.2.1/24 dev br0", "addresses 192.0.2.1/24"),
    "address6": ("ip address add 2001:db8::1/64 dev br0 nodad", "addresses 2001:db8::1/64"),
    "route": ("ip route add 198.51.100.0/24 dev br0", "routes 198.51.100.0/24"),
    "route6": ("ip route add 2001:db8:1::/48 dev br0", "routes 2001:db8:1::/48"),
    "default": ("ip route add default dev br0", "routes default/0"),
    "table": ("ip route add 198.51.100.0/24 dev br0 table 7", "routes 198.51.100.0/24"),
    "macvlan": ("ip link add link br0 name mv0 type macvlan", "links on it mv0"),
}


@pytest.mark.parametrize(("use", "said"), IN_USE.values(), ids=IN_USE)
def test_a_bridge_in_use_is_not_deleted(lab: Lab, use: str, said: str) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh(use)
    before = lab.state()
    done = lab.vmnet("bridge", "delete", "br0", status=5)
    assert "bridge 'br0' is in use" in done.err
    assert said in done.err
    assert "--force" in done.err
    lab.vmnet("gc", "--idle", "0")
    assert lab.state() == before


@pytest.mark.parametrize(("use", "said"), IN_USE.values(), ids=IN_USE)
def test_force_deletes_it_and_says_what_was_lost(lab: Lab, use: str, said: str) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh(use)
    done = lab.vmnet("bridge", "delete", "br0", "--force")
    assert said in done.err
    assert "lose their network" in done.err
    assert "br0" not in lab.links()


def test_two_ports_are_both_named(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    names = [lab.vmnet("attach", vm, "--json").json["tap"] for vm in ("vm1", "vm2")]
    done = lab.vmnet("bridge", "delete", "br0", status=5)
    assert all(name in done.err for name in names)


def _leave_half_made(lab: Lab, name: str, rest: str = "") -> None:
    """Leave what a `bridge create` leaves that was killed after its first step."""
    lab.vmnet("bridge", "create", name)
    address = lab.link(name)["address"]
    lab.sh(
        f"ip link del {name}; ip link add {name} address {address} type bridge"
        f" stp_state 0 mcast_snooping 0; {rest}"
    )


def test_a_half_made_bridge_is_completed(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br1")
    lab.vmnet("bridge", "delete", "br1")
    lab.vmnet("bridge", "create", "br0")
    whole = seen(lab)["br0"]
    lab.vmnet("bridge", "delete", "br0")
    _leave_half_made(lab, "br0")
    lab.vmnet("bridge", "create", "br0")
    assert seen(lab)["br0"] | {"ifindex": 0} == whole | {"ifindex": 0}
    lab.sh("ip link add p0 mtu 1280 type veth peer name p1; ip link set p0 master br0 up")
    assert lab.link("br0")["mtu"] == 1500


def test_a_link_that_sits_on_another_namespaces_link_of_that_index_does_not_matter(
    lab: Lab,
) -> None:
    """The other end of a pair that leads elsewhere shows that namespace's index."""
    lab.vmnet("bridge", "create", "br0")
    index = lab.link("br0")["ifindex"]
    far = f"ip link add x index {index} type veth peer name y netns $PPID"
    lab.sh(f"unshare --net sh -ec '{far}'")
    assert lab.link("y")["link_index"] == index
    lab.vmnet("bridge", "delete", "br0")
    assert "br0" not in lab.links()


@pytest.mark.parametrize("command", [("gc",), ("bridge", "delete", "br0")], ids=["gc", "delete"])
def test_a_half_made_bridge_is_removed(lab: Lab, command: tuple[str, ...]) -> None:
    _leave_half_made(lab, "br0")
    lab.vmnet(*command)
    assert lab.links() == {}


def test_a_dry_run_of_gc_leaves_a_half_made_bridge(lab: Lab) -> None:
    _leave_half_made(lab, "br0")
    assert "would remove br0" in lab.vmnet("gc", "--dry-run").out
    assert "br0" in lab.links()


@pytest.mark.parametrize(
    "rest",
    [
        "ip link set br0 up",
        "ip link set br0 alias mine",
        "ip address add 192.0.2.1/24 dev br0",
        "ip link add p0 type veth peer name p1; ip link set p0 master br0",
        "ip link add link br0 name mv0 type macvlan",
        "ip link set br0 address 52:54:00:00:00:01",
    ],
)
def test_what_somebody_made_use_of_is_no_leftover(lab: Lab, rest: str) -> None:
    _leave_half_made(lab, "br0", rest)
    before = lab.state()
    lab.vmnet("gc")
    lab.vmnet("bridge", "delete", "br0", status=5)
    assert lab.state() == before


BAD_NAMES = ["", "x" * 16, "x" * 300, "a/b", "a b", "a:b", "%d", "br%d", "two\nlines", "brü", ".."]


@pytest.mark.parametrize("name", [*BAD_NAMES, "br\udce9"])
def test_a_name_that_no_link_can_have_is_refused(lab: Lab, name: str) -> None:
    for verb in ("create", "delete"):
        assert "bridge name" in lab.vmnet("bridge", verb, "--", name, status=2).err
    assert "bridge name" in lab.vmnet("attach", "vm1", f"--bridge={name}", status=2).err
    assert lab.links() == {}
    assert lab.leftovers() == []


def test_a_name_of_fifteen_bytes_is_taken(lab: Lab) -> None:
    name = "-#$(y);&'\"\\_1zz"
    assert len(name) == 15
    lab.vmnet("bridge", "create", "--", name)
    assert name in lab.links()
    lab.vmnet("attach", "vm1", f"--bridge={name}")
    assert sum(link.get("master") == name for link in lab.links().values()) == 1
    lab.vmnet("detach", "vm1")
    lab.vmnet("bridge", "delete", "--", name)
    assert lab.links() == {}
