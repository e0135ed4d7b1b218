"""A domain's XML asks for more than this host's configuration has: refused before anything is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.libvirt.wished import (
    ENDED,
    STARTED,
    By,
    domain,
    interface,
    paused,
    ready,
    refused,
    tags,
    tap,
    wish,
)
from tests.support.domains import bridge_nic, mac
from tests.support.libvirtd import Host
from tests.support.pair import Pair

CONFIG = """\
default = "lan"
[network.lan]
bridge = "br0"
mtu = 1400
vhost = "off"
[network.dmz]
bridge = "br1"
[network.fast]
bridge = "br1"
vhost = "require"
"""

#: What a domain asks for, as (interface, wish), and how it is told no.
BEYOND = {
    "bridge": (interface(By.LIBVIRT, 1, bridge="br1"), wish(1), "the XML says bridge 'br1'"),
    "unknown network": (
        interface(By.VMNET, 1),
        wish(1, 0, 'network="vault"'),
        "no network 'vault'",
    ),
    "vhost widened": (interface(By.VMNET, 1), wish(1, 0, 'vhost="prefer"'), "beyond vhost=off"),
    "vhost required": (interface(By.VMNET, 1), wish(1, 0, 'vhost="require"'), "beyond vhost=off"),
    "vhost let go": (
        interface(By.LIBVIRT, 1, bridge="br1"),
        wish(1, 0, 'network="fast" vhost="auto"'),
        "beyond vhost=require",
    ),
    "mtu": (
        interface(By.VMNET, 1, inner="<mtu size='1500'/>"),
        wish(1),
        "MTU 1500 is over the 1400 of network 'lan'",
    ),
    "mtu of libvirt's": (
        interface(By.LIBVIRT, 1, inner="<mtu size='9000'/>"),
        wish(1),
        "MTU 9000 is over the 1400 of network 'lan'",
    ),
    "unknown attribute": (interface(By.VMNET, 1), wish(1, 0, 'colour="7"'), "'colour' of nic"),
    "a VLAN that the network has not": (
        interface(By.VMNET, 1),
        wish(1, 0, 'vlan="7"'),
        "vlan=7 goes beyond vlan=none of network 'lan'",
    ),
    "no guard": (
        interface(By.LIBVIRT, 1),
        wish(1, 0, 'guard="off"'),
        "guard=off goes beyond guard=on of network 'lan'",
    ),
    "bad vhost": (interface(By.VMNET, 1), wish(1, 0, 'vhost="yes"'), "vhost='yes' is not one of"),
}


@pytest.fixture
def capped(host: Host) -> Host:
    ready(host, CONFIG)
    return host


def _asks(host: Host, what: str) -> str:
    nic, asked, _ = BEYOND[what]
    return domain(host, 1, [nic], [asked])


def test_at_prepare(capped: Host) -> None:
    for what, (_, _, why) in BEYOND.items():
        said = refused(capped, _asks(capped, what))
        assert why in said, what
        assert said.count("vmnet: ") == 1, what
        assert "(on host); try: " in said, what
        assert capped.operations() == ["prepare", *ENDED], what
        assert capped.leftovers() == [], what
        capped.forget_calls()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("urn:vmnet:nics:1", "urn:vmnet:nics:2", "is of another version of vmnet"),
        ("<vmnet:nic ", "<vmnet:link ", "is not known, expected nic"),
        (f'mac="{mac(1)}"', "", "a nic has no mac"),
    ],
)
def test_metadata_that_says_what_vmnet_does_not_know(
    capped: Host, old: str, new: str, why: str
) -> None:
    xml = domain(capped, 1, [interface(By.VMNET, 1)], [wish(1)])
    assert old in xml
    assert why in refused(capped, xml.replace(old, new))
    assert capped.leftovers() == []


def test_at_restore(capped: Host) -> None:
    paused(capped, domain(capped, 1, [interface(By.VMNET, 1)], [wish(1)]))
    saved = str(capped.folder / "saved")
    capped.virsh("save", "vm1", saved)
    capped.forget_calls()
    capped.config(CONFIG.replace("network.lan", "network.office").replace('"lan"', '"office"'))
    said = capped.virsh("restore", "--paused", saved, status=1).err
    assert "no network 'lan'" in said
    # Refused so early that libvirt has nothing to clear up.
    assert capped.operations() == ["restore"]
    assert capped.leftovers() == []
    capped.config(CONFIG)
    capped.virsh("restore", "--paused", saved)
    assert list(tags(capped)) == [tap(1)]


def test_at_migrate(pair: Pair) -> None:
    for host in (pair.a, pair.b):
        ready(host)
    nic = interface(By.VMNET, 1, inner="<mtu size='1500'/>")
    xml = domain(pair.a, 1, [nic], [wish(1, 0, 'vhost="prefer"')])
    pair.a.define(xml)
    pair.a.virsh("start", "--paused", "vm1")
    pair.a.forget_calls()
    for line, why in (("vhost = 'off'", "beyond vhost=off"), ("mtu = 1400", "MTU 1500 is over")):
        pair.b.config(f'[network.lan]\nbridge = "br0"\n{line}\n')
        with pair.migrating("vm1", pair.a) as migration:
            _, said = migration.communicate(timeout=60)
        assert migration.returncode == 1
        assert why in said
        assert "(on b)" in said
        assert (pair.a.operations(), pair.b.operations()) == ([], ["migrate"])
        assert pair.b.leftovers() == []
        assert pair.a.state("vm1") == "paused"
        pair.b.forget_calls()


# ---- which source wins


def _explained(host: Host) -> list[dict[str, Any]]:
    nics: list[dict[str, Any]] = host.vmnet("explain", "vm1", "--json").json["nics"]
    return [nic["settings"] for nic in nics]


def test_what_explain_says_is_what_the_kernel_shows(capped: Host) -> None:
    """One NIC says all in its XML, one leaves all to its network, one also its network."""
    mtu, queues = "<mtu size='1300'/>", "<driver queues='2'/>"
    nics = [
        interface(By.VMNET, 1, 0, mtu + queues),
        bridge_nic(mac(1, 1), "br1"),
        bridge_nic(mac(1, 2), "br0"),
    ]
    wishes = [wish(1), wish(1, 1, 'vhost="off"'), f'mac="{mac(1, 2)}" nic="2"']
    # An MTU that somebody set; else the bridge's would shrink to that of NIC 0.
    capped.sh("ip link set br0 mtu 1501; ip link set br0 mtu 1500")
    paused(capped, domain(capped, 1, nics, wishes))
    expected = [
        # network, bridge, MTU, queues, vhost: value and who said so
        ("lan", "br0", "1300", "2", "off", "metadata", "XML", "XML", "network 'lan'"),
        ("dmz", "br1", "1500", "1", "off", "metadata", "bridge 'br1'", "every", "metadata"),
        ("lan", "br0", "1400", "1", "off", "default", "network 'lan'", "every", "network 'lan'"),
    ]
    for seen, want in zip(_explained(capped), expected, strict=True):
        names = ("network", "bridge", "mtu", "queues", "vhost")
        assert tuple(seen[name]["value"] for name in names) == want[:5]
        for name, source in zip(("network", "mtu", "queues", "vhost"), want[5:], strict=True):
            assert source in seen[name]["source"], (name, seen)
    _kernel(capped)


def _kernel(host: Host) -> None:
    links = {alias.split()[2]: host.links()[name] for name, alias in tags(host).items()}
    shown = {
        nic: (link["master"], link["mtu"], link["linkinfo"]["info_data"]["multi_queue"])
        for nic, link in links.items()
    }
    assert shown == {
        "nic=0": ("br0", 1300, True),
        "nic=1": ("br1", 1500, False),
        "nic=2": ("br0", 1400, False),
    }
    assert host.operations() == STARTED


def test_without_a_default_a_wish_has_to_name_its_network(host: Host) -> None:
    ready(host, CONFIG.replace('default = "lan"\n', ""))
    said = refused(host, domain(host, 1, [interface(By.VMNET, 1)], [f'mac="{mac(1)}"']))
    assert "the wish names no network" in said
    assert host.leftovers() == []
    assert json.loads(host.vmnet("list", "--json").out)["nics"] == []


def test_an_mtu_that_would_shrink_the_bridge_is_noted(capped: Host) -> None:
    nic = interface(By.VMNET, 1, inner="<mtu size='1300'/>")
    xml = str(capped.file("small.xml", domain(capped, 1, [nic], [wish(1)])))
    said = capped.vmnet("hook", "test", xml).out
    assert "MTU 1300 is below the 1500 of bridge 'br0'" in said
