"""`vmnet attach`: what the kernel shows afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.netns import taps
from tests.netns.places import NOBODY
from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.sh("ip link add br0 type bridge; ip link set br0 up")


def test_attach_makes_a_tap_that_is_ready(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--json").json
    tap = lab.link(done["tap"])
    assert tap["master"] == "br0"
    assert tap["linkinfo"]["info_kind"] == "tun"
    assert tap["linkinfo"]["info_data"]["type"] == "tap"
    assert tap["linkinfo"]["info_data"]["persist"] is True
    assert tap["linkinfo"]["info_data"]["vnet_hdr"] is True
    assert tap["linkinfo"]["info_data"]["multi_queue"] is False
    assert tap["linkinfo"]["info_data"]["user"] == "root"
    assert tap["address"] == "fe" + done["mac"][2:]
    assert "UP" in tap["flags"]
    assert tap["inet6_addr_gen_mode"] == "none"
    assert set(tap["altnames"]) == {"vmnet-vm1-0", "vmnet-mac-" + done["mac"].replace(":", "")}
    assert tap["ifalias"].startswith("vmnet/1 vm=vm1 nic=0 gen=")
    assert "own=made life=kept" in tap["ifalias"]


def test_attaching_again_is_an_empty_plan(lab: Lab) -> None:
    first = lab.vmnet("attach", "vm1", "--json").json
    before = lab.state()
    again = lab.vmnet("attach", "vm1", "--json").json
    assert again["steps"] == []
    assert lab.state() == before
    assert again["qemu"] == first["qemu"]
    lab.vmnet("detach", "vm1")
    assert lab.leftovers() == []
    assert set(lab.links()) == {"br0"}


def test_the_printed_arguments_name_the_tap_and_the_guests_mac(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--no-vhost")
    (name,) = set(lab.links()) - {"br0"}
    words = done.out.split()
    assert words[0::2] == ["-netdev", "-device"]
    assert f"ifname={name},script=,downscript=,vhost=off" in words[1]
    assert f"mac=52{lab.link(name)['address'][2:]}" in words[3]
    assert f"tap {name} on bridge br0" in done.err


def test_four_queues_give_a_multi_queue_tap(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--queues", "4", "--json").json
    assert lab.link(done["tap"])["linkinfo"]["info_data"]["multi_queue"] is True
    assert "queues=4" in done["qemu"]["netdev"]
    assert "mq=on,vectors=10" in done["qemu"]["device"]
    # A second descriptor is what the kernel refuses to any other TAP.
    with taps.opened(done["tap"], taps.MANY), taps.opened(done["tap"], taps.MANY):
        assert lab.link(done["tap"])["linkinfo"]["info_data"]["numqueues"] == 2


def test_a_mac_that_is_asked_for_is_the_guests_and_fe_is_the_hosts(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--mac", "52-54-00-AB-CD-EF", "--json").json
    assert done["mac"] == "52:54:00:ab:cd:ef"
    assert "mac=52:54:00:ab:cd:ef" in done["qemu"]["device"]
    tap = lab.link(done["tap"])
    assert tap["address"] == "fe:54:00:ab:cd:ef"
    assert "vmnet-mac-525400abcdef" in tap["altnames"]


def test_a_lower_mtu_is_the_taps_and_the_guest_is_told(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--mtu", "1400", "--json").json
    assert lab.link(done["tap"])["mtu"] == 1400
    assert "host_mtu=1400" in done["qemu"]["device"]


@pytest.mark.parametrize("owner", ["nobody", str(NOBODY)])
def test_only_the_owner_may_connect_to_the_tap(lab: Lab, owner: str) -> None:
    name = lab.vmnet("attach", "vm1", "--owner", owner, "--json").json["tap"]
    assert lab.link(name)["linkinfo"]["info_data"]["user"] == "nobody"
    assert taps.can_attach(name, NOBODY)
    assert not taps.can_attach(name, 4242)


def test_only_the_owner_may_connect_to_the_queues(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--owner", "4242", "--queues", "2", "--json").json
    assert taps.can_attach(done["tap"], 4242, taps.MANY)
    assert not taps.can_attach(done["tap"], NOBODY, taps.MANY)


def test_nics_of_one_vm_are_links_of_their_own(lab: Lab) -> None:
    names = [lab.vmnet("attach", "vm1", "--nic", n, "--json").json["tap"] for n in ("0", "1", "99")]
    assert set(lab.links()) == {"br0", *names}
    assert len({lab.link(name)["address"] for name in names}) == 3
    assert "vmnet-vm1-99" in lab.link(names[2])["altnames"]
    assert "nic=99" in lab.link(names[2])["ifalias"]


def test_an_emulated_model_gets_a_plain_device(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--model", "e1000", "--json").json
    assert done["qemu"]["device"].startswith("e1000,")
    assert "mq=" not in done["qemu"]["device"]
    assert "host_mtu" not in done["qemu"]["device"]
    assert done["data_path"]["path"] == "emulated"
    assert done["data_path"]["reason"] == "model-not-virtio"
    assert done["tap"] in lab.links()


def test_an_emulated_model_with_two_queues_is_refused(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--model", "e1000", "--queues", "2", status=2)
    assert "e1000 has one queue" in done.err
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("queues", ["0", "-1", "257", "99999999999"])
def test_a_number_of_queues_that_no_tap_can_have_is_refused(lab: Lab, queues: str) -> None:
    done = lab.vmnet("attach", "vm1", "--queues", queues, status=2)
    assert "queues are not in 1..256" in done.err
    assert set(lab.links()) == {"br0"}


def test_all_queues_that_the_kernel_has_can_be_opened(lab: Lab) -> None:
    done = lab.vmnet("run", "vm1", "--nic", "queues=256", "--", "printf", "%s\\n")
    assert re.search(r",fds=([0-9]+:){255}[0-9]+,", done.out)
    assert "mq=on,vectors=514" in done.out


def test_a_named_network_says_bridge_mtu_and_queues(lab: Lab, tmp_path: Path) -> None:
    lab.sh("ip link add brnet type bridge; ip link set brnet mtu 9000 up")
    config = tmp_path / "vmnet.toml"
    config.write_text('[network.lan]\nbridge = "brnet"\nmtu = 4000\nqueues = 2\nvhost = "off"\n')
    done = lab.vmnet("--config", str(config), "attach", "vm1", "--network", "lan", "--json").json
    tap = lab.link(done["tap"])
    assert (tap["master"], tap["mtu"]) == ("brnet", 4000)
    assert tap["linkinfo"]["info_data"]["multi_queue"] is True
    assert done["data_path"]["reason"] == "asked-not"


def test_a_network_that_is_not_configured_is_named(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--network", "lan", status=4)
    assert "no network 'lan'" in done.err
    assert set(lab.links()) == {"br0"}


def test_bridge_and_network_exclude_each_other(lab: Lab) -> None:
    lab.vmnet("attach", "vm1", "--network", "lan", "--bridge", "br0", status=2)
    assert set(lab.links()) == {"br0"}


def test_the_configured_default_comes_before_br0(lab: Lab, tmp_path: Path) -> None:
    lab.sh("ip link add br7 type bridge; ip link set br7 up")
    config = tmp_path / "vmnet.toml"
    config.write_text('default = "lan"\n[network.lan]\nbridge = "br7"\n')
    name = lab.vmnet("--config", str(config), "attach", "vm1", "--json").json["tap"]
    assert lab.link(name)["master"] == "br7"
    name = lab.vmnet("--config", str(config), "attach", "vm2", "--bridge", "br0", "--json").json
    assert lab.link(name["tap"])["master"] == "br0"


def test_without_bridge_default_and_br0_the_error_says_how_to_make_one(lab: Lab) -> None:
    lab.sh("ip link del br0")
    done = lab.vmnet("attach", "vm1", status=4)
    assert "vmnet bridge create br0" in done.err
    assert lab.links() == {}
    assert lab.leftovers() == []


def test_a_dry_run_changes_nothing_and_needs_no_lock(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--dry-run")
    assert "ip tuntap add" in done.out
    assert set(lab.links()) == {"br0"}
    assert not Path("/run/vmnet").exists()


def test_the_json_of_a_dry_run_says_so(lab: Lab) -> None:
    done = lab.vmnet("attach", "vm1", "--dry-run", "--json").json
    assert done["dry_run"] is True
    assert done["steps"]
    assert any(line.startswith("ip link set dev") for line in done["shell"])


def test_a_bridge_that_is_down_is_used_and_said(lab: Lab) -> None:
    lab.sh("ip link set br0 down")
    done = lab.vmnet("attach", "vm1")
    assert "bridge 'br0' is down" in done.err
    assert len(lab.links()) == 2


def test_the_installed_command_does_the_same(lab: Lab) -> None:
    name = lab.cold("attach", "vm1", "--json").json["tap"]
    assert lab.link(name)["master"] == "br0"
    lab.cold("detach", "vm1")
    assert set(lab.links()) == {"br0"}
