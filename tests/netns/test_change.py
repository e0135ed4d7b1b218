"""Asking for something else: only the difference is changed, the rest stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.netns import taps
from tests.netns.places import NOBODY
from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _bridges(lab: Lab) -> None:
    for name in ("br0", "br1"):
        lab.vmnet("bridge", "create", name, "--mtu", "9000")


def _attach(lab: Lab, *options: str) -> Any:
    return lab.vmnet("attach", "vm1", *options, "--json").json


def test_a_new_mtu_is_one_step_on_the_same_link(lab: Lab) -> None:
    first = _attach(lab)
    before = lab.link(first["tap"])
    again = _attach(lab, "--mtu", "1400")
    assert again["steps"] == [f"set the MTU of link '{first['tap']}' to 1400"]
    assert lab.link(first["tap"]) == before | {"mtu": 1400}


def test_another_bridge_is_a_move_of_the_same_link(lab: Lab) -> None:
    first = _attach(lab, "--bridge", "br0")
    before = lab.link(first["tap"])
    again = _attach(lab, "--bridge", "br1")
    tap = lab.link(again["tap"])
    assert tap["master"] == "br1"
    assert tap["ifindex"] == before["ifindex"]
    assert tap["address"] == before["address"]
    assert "br=br1" in tap["ifalias"]
    assert len(again["steps"]) == 5  # open, move, entry, flags, tag
    assert _attach(lab)["steps"] == []
    assert lab.link(again["tap"])["master"] == "br1"


def test_a_new_owner_is_one_step_and_the_old_one_is_out(lab: Lab) -> None:
    name = _attach(lab, "--owner", "4242")["tap"]
    index = lab.link(name)["ifindex"]
    again = _attach(lab, "--owner", "nobody")
    assert again["steps"][1:] == [f"give tap '{name}' to uid {NOBODY}"]
    assert lab.link(name)["ifindex"] == index
    assert taps.can_attach(name, NOBODY)
    assert not taps.can_attach(name, 4242)


def test_a_new_owner_of_a_multi_queue_tap(lab: Lab) -> None:
    name = _attach(lab, "--owner", "4242", "--queues", "2")["tap"]
    _attach(lab, "--owner", "nobody")
    assert taps.can_attach(name, NOBODY, taps.MANY)
    assert not taps.can_attach(name, 4242, taps.MANY)


def test_a_new_mac_changes_both_ends_and_the_name(lab: Lab) -> None:
    first = _attach(lab)
    again = _attach(lab, "--mac", "52:54:00:00:00:01")
    tap = lab.link(first["tap"])
    assert tap["address"] == "fe:54:00:00:00:01"
    assert set(tap["altnames"]) == {"vmnet-vm1-0", "vmnet-mac-525400000001"}
    assert "mac=52:54:00:00:00:01" in again["qemu"]["device"]
    assert "mac=525400000001" in tap["ifalias"]
    # The old address is free again.
    lab.vmnet("attach", "vm2", "--mac", first["mac"])


def test_what_is_not_asked_for_stays(lab: Lab) -> None:
    wish = ["--bridge", "br1", "--mac", "52:54:00:00:00:01", "--mtu", "1400"]
    first = _attach(lab, *wish, "--owner", "4242", "--queues", "3")
    before = lab.state()
    again = _attach(lab)
    assert again["steps"] == []
    assert lab.state() == before
    for key in ("bridge", "mac", "mtu", "queues", "owner", "qemu"):
        assert again[key] == first[key]


def test_a_change_of_one_thing_leaves_the_others(lab: Lab) -> None:
    name = _attach(lab, "--mtu", "1400", "--owner", "4242", "--queues", "2")["tap"]
    _attach(lab, "--bridge", "br1")
    tap = lab.link(name)
    assert (tap["master"], tap["mtu"]) == ("br1", 1400)
    assert tap["linkinfo"]["info_data"]["user"] == 4242
    assert tap["linkinfo"]["info_data"]["multi_queue"] is True


def test_the_mtu_of_the_bridge_is_followed_where_none_was_asked_for(lab: Lab) -> None:
    name = _attach(lab)["tap"]
    lab.sh("ip link set br0 mtu 4000")
    again = _attach(lab)
    assert lab.link(name)["mtu"] == again["mtu"] == 4000


@pytest.mark.parametrize(("before", "after"), [("1", "4"), ("4", "1")])
def test_one_queue_and_many_cannot_be_exchanged(lab: Lab, before: str, after: str) -> None:
    _attach(lab, "--queues", before)
    state = lab.state()
    done = lab.vmnet("attach", "vm1", "--queues", after, "--mtu", "1400", status=5)
    assert "cannot change that on a live TAP" in done.err
    assert "vmnet detach" in done.err
    assert lab.state() == state


def test_many_queues_can_become_more(lab: Lab) -> None:
    name = _attach(lab, "--queues", "2")["tap"]
    again = _attach(lab, "--queues", "4")
    assert "queues=4" in again["qemu"]["netdev"]
    assert "vectors=10" in again["qemu"]["device"]
    assert " q=4 " in lab.link(name)["ifalias"]


def test_a_tap_that_was_set_down_comes_up_again(lab: Lab) -> None:
    name = _attach(lab)["tap"]
    lab.sh(f"ip link set dev {name} down")
    assert _attach(lab)["steps"] == [f"bring link '{name}' up"]
    assert "UP" in lab.link(name)["flags"]


def test_what_others_broke_is_mended(lab: Lab) -> None:
    name = _attach(lab)["tap"]
    whole = lab.link(name)
    lab.sh(
        f"ip link set dev {name} nomaster; ip link set dev {name} address fe:00:00:00:00:09;"
        f"ip link property del dev {name} altname vmnet-vm1-0"
    )
    _attach(lab)
    mended = lab.link(name)
    assert mended["master"] == "br0"
    assert mended["address"] == whole["address"]
    assert set(mended["altnames"]) == set(whole["altnames"])


def test_a_tap_moved_by_hand_is_not_stolen_back(lab: Lab) -> None:
    name = _attach(lab, "--bridge", "br0")["tap"]
    lab.sh(f"ip link add foreign type bridge; ip link set dev {name} master foreign")
    state = lab.state()
    done = lab.vmnet("attach", "vm1", "--bridge", "br0", status=5)
    assert "is a port of 'foreign'" in done.err
    assert f"ip link set {name} nomaster" in done.err
    lab.vmnet("attach", "vm1", "--bridge", "br1", status=5)
    assert lab.state() == state
    # Where it is now may be wished for.
    assert lab.vmnet("attach", "vm1", "--bridge", "foreign", "--json").json["bridge"] == "foreign"
    assert lab.link(name)["master"] == "foreign"


def test_another_network_brings_its_own_mtu(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    config.write_text('[network.a]\nbridge="br0"\nmtu=1400\n[network.b]\nbridge="br1"\nmtu=1300\n')
    name = ""
    for network, bridge, mtu in (("a", "br0", 1400), ("b", "br1", 1300), ("a", "br0", 1400)):
        options = ("attach", "vm1", "--network", network, "--json")
        name = lab.vmnet("--config", str(config), *options).json["tap"]
        assert (lab.link(name)["master"], lab.link(name)["mtu"]) == (bridge, mtu)
    lab.vmnet("attach", "vm1", "--mtu", "1350")
    assert lab.link(name)["mtu"] == 1350


def test_a_refused_change_is_undone_whole(lab: Lab) -> None:
    name = _attach(lab)["tap"]
    lab.sh("ip link add other type veth peer name o2; ip link property add dev other altname"
           " vmnet-mac-525400000001")  # fmt: skip
    state = lab.state()
    wish = ["--bridge", "br1", "--mtu", "1400", "--mac", "52:54:00:00:00:01"]
    done = lab.vmnet("attach", "vm1", *wish, status=5)
    assert "already used by 'other'" in done.err
    assert lab.state() == state
    assert lab.link(name)["master"] == "br0"
