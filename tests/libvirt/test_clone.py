"""A domain that was cloned or renamed: its XML still has the original's addresses and names."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.domains import bridge_nic, mac, metadata
from tests.support.libvirtd import Host, targets
from vmnet.model.names import link_name

CLONE = "52:54:00:aa:bb:01"


@pytest.fixture
def vm1(host: Host) -> Host:
    """The host with vmnet's hook, and a domain that vmnet gave a NIC."""
    host.config('[network.lan]\nbridge = "br0"\n')
    host.install_hook("--python", sys.executable)
    host.define(host.domain("vm1"))
    host.vmnet("attach", "vm1", "--network", "lan", "--queues", "2")
    return host


def clone(host: Host) -> None:
    """Do what virt-clone does: another name and UUID, other addresses, all else the same."""
    text = re.sub("<uuid>.*</uuid>", "", host.live_xml("vm1"))
    text = text.replace("<name>vm1<", "<name>clone<")
    host.define(re.sub("<mac address='.*'/>", f"<mac address='{CLONE}'/>", text))


def config(host: Host, name: str) -> str:
    return host.virsh("dumpxml", "--inactive", name).out


def test_a_clone_does_not_start_on_the_originals_tap_and_is_told_what_to_do(vm1: Host) -> None:
    clone(vm1)
    refused = vm1.virsh("start", "--paused", "clone", status=1).err
    assert "which nobody makes" in refused
    vm1.virsh("start", "--paused", "vm1")
    tap = vm1.links()[link_name("vm1", 0)]
    # Of a TAP with several queues QEMU would get one more, and half of vm1's packets.
    refused = vm1.virsh("start", "--paused", "clone", status=1).err
    assert "that of VM 'vm1'" in refused
    assert vm1.links()[link_name("vm1", 0)] == tap
    told = re.search("try: `vmnet (.*?)`", refused)
    assert told is not None
    vm1.vmnet(*told[1].split())
    assert config(vm1, "clone").count("<vmnet:nic ") == 1
    assert targets(config(vm1, "clone")) == [link_name("clone", 0)]
    vm1.virsh("start", "--paused", "clone")
    assert vm1.ports("br0") == sorted([link_name("clone", 0), link_name("vm1", 0)])


def test_a_clone_is_not_given_the_originals_address(vm1: Host) -> None:
    clone(vm1)
    done = vm1.vmnet("attach", "clone", "--json").json
    assert done["mac"] not in config(vm1, "vm1")
    assert config(vm1, "clone").count("<interface ") == 2
    assert config(vm1, "clone").count("<vmnet:nic ") == 1


def test_of_a_renamed_domain_and_a_new_one_of_its_name_both_start(vm1: Host) -> None:
    vm1.virsh("domrename", "vm1", "old")
    vm1.define(vm1.domain("vm1"))
    vm1.vmnet("attach", "vm1", "--network", "lan")
    vm1.virsh("start", "--paused", "old")
    refused = vm1.virsh("start", "--paused", "vm1", status=1).err
    told = re.search("try: `vmnet (.*?)`", refused)
    assert told is not None
    assert "attach old " in told[1]
    vm1.vmnet(*told[1].split())
    vm1.virsh("destroy", "old")
    for name in ("old", "vm1"):
        vm1.virsh("start", "--paused", name)
    assert vm1.ports("br0") == sorted([link_name("old", 0), link_name("vm1", 0)])


def test_attaching_again_leaves_alone_what_was_not_asked_for(vm1: Host) -> None:
    inner = "<mtu size='1500'/><driver name='qemu'/>"
    wish = metadata(f'mac="{mac(2)}" network="lan"')
    vm1.define(vm1.domain("vm2", bridge_nic(mac(2), inner=inner), metadata=wish))
    vm1.virsh("start", "--paused", "vm2")
    before = vm1.live_xml("vm2"), config(vm1, "vm2")
    assert "nothing to do" in vm1.vmnet("attach", "vm2").err
    assert (vm1.live_xml("vm2"), config(vm1, "vm2")) == before
    vm1.vmnet("attach", "vm2", "--config", "--vhost")
    assert "<driver" not in config(vm1, "vm2")


def test_an_mtu_that_is_asked_for_is_told_where_it_is_not_the_bridges(vm1: Host) -> None:
    vm1.sh("ip link set br0 mtu 9000")
    vm1.vmnet("attach", "vm1", "--nic", "1", "--mtu", "1500", "--network", "lan")
    vm1.virsh("start", "--paused", "vm1")
    links = vm1.links()
    assert (links[link_name("vm1", 0)]["mtu"], links[link_name("vm1", 1)]["mtu"]) == (9000, 1500)
