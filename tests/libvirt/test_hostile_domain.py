"""Domains whose XML reaches for what is another's: refused at the start, and nobody notices."""

from __future__ import annotations

import sys

import pytest

from tests.support.domains import bridge_nic, mac, metadata, tap_nic
from tests.support.libvirtd import Host
from vmnet.model.names import link_name

TAP = "vmnmine-1"


@pytest.fixture
def victim(host: Host) -> Host:
    """The host with a domain that has a TAP of vmnet's and one of libvirt's."""
    host.config('default = "lan"\n[network.lan]\nbridge = "br0"\n')
    host.install_hook("--python", sys.executable)
    nics = (bridge_nic(mac(1)), tap_nic(mac(1, 1), TAP))
    wishes = (f'mac="{mac(1)}"', f'mac="{mac(1, 1)}"')
    host.define(host.domain("vm1", *nics, metadata=metadata(*wishes)))
    host.virsh("start", "--paused", "vm1")
    return host


def ports(host: Host) -> dict[str, tuple[str, str, int]]:
    """Return tag, bridge and MTU of each link."""
    return {
        name: (link.get("ifalias", ""), link.get("master", ""), link["mtu"])
        for name, link in host.links().items()
    }


def test_what_is_another_domains_or_means_two_things_is_refused(victim: Host) -> None:
    before = ports(victim)
    twice = (bridge_nic(mac(2)), bridge_nic(mac(2), "br1"))
    for nics, why in (
        ((tap_nic(mac(2), TAP),), f"<target dev='{TAP}'> is the TAP of VM 'vm1', NIC 1"),
        ((tap_nic(mac(2), "br0"),), "is no TAP"),
        (twice, f"2 interfaces of domain 'vm2' have MAC {mac(2)}"),
        ((bridge_nic(mac(2), "br1"),), "network 'lan' of this host is on 'br0'"),
    ):
        victim.define(victim.domain("vm2", *nics, metadata=metadata(f'mac="{mac(2)}"')))
        done = victim.virsh("start", "--paused", "vm2", status=1)
        assert why in done.err
        assert done.err.count("vmnet: ") == 1
        assert ports(victim) == before
        victim.virsh("undefine", "vm2")
    free = tap_nic(mac(2), link_name("vm2", 0))
    victim.define(victim.domain("vm2", free, metadata=metadata(f'mac="{mac(2)}"')))
    victim.virsh("start", "--paused", "vm2")
    assert TAP in victim.links()


def test_the_mac_of_another_nic_does_not_take_its_wish(victim: Host) -> None:
    before = victim.live_xml("vm1")
    done = victim.vmnet("attach", "vm1", "--nic", "3", "--mac", mac(1), status=5)
    assert f"MAC {mac(1)} is that of NIC 0" in done.err
    assert victim.live_xml("vm1") == before


def test_a_configuration_that_was_broken_since_keeps_no_tap_behind(victim: Host) -> None:
    victim.config("nonsense [")
    victim.virsh("destroy", "vm1")
    assert victim.leftovers() == []
    done = victim.virsh("start", "--paused", "vm1", status=1)
    assert "is not TOML" in done.err
    assert victim.leftovers() == []
