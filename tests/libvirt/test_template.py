"""What `vmnet template` prints, judged by libvirt: by its schema, at a start and a hot-plug."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.libvirt.wished import By, domain, ready, tags, tap
from tests.support.libvirtd import Host, targets
from vmnet.formats.domain import parse_domain

_PARTS = re.compile(r"<metadata>\n(.*)</metadata>\n(<interface .*</interface>)\n", re.DOTALL)
OPTIONS = [
    (),
    ("--network", "dmz"),
    ("--nic", "7"),
    ("--mac", "52:54:00:aa:bb:cc"),
    ("--mtu", "1400"),
    ("--model", "e1000"),
    ("--queues", "4", "--mtu", "1280", "--network", "dmz", "--nic", "99"),
]


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _parts(host: Host, by: By, *options: str) -> tuple[str, str]:
    """Return the metadata's content and the interface."""
    printed = host.vmnet("template", "vm1", "--by", by, *options).out
    match = re.fullmatch(
        r"<metadata>\n(.*)</metadata>\n(<interface .*</interface>)\n", printed, re.DOTALL
    )
    assert match, printed
    return match[1], match[2]


def _pasted(host: Host, wishes: str, interface: str) -> str:
    xml = domain(host, 1, [interface])
    assert "<metadata></metadata>" in xml
    return xml.replace("<metadata></metadata>", f"<metadata>{wishes}</metadata>")


def test_all_are_valid_and_what_is_pasted_starts(host: Host) -> None:
    for by, options in product(By, OPTIONS):
        wishes, interface = _parts(host, by, *options)
        pasted = host.file("pasted.xml", _pasted(host, wishes, interface))
        host.virsh("define", "--validate", str(pasted))
        # As libvirt wrote it down, so it is read: the one interface, and the wish for it.
        found = parse_domain(host.virsh("dumpxml", "vm1").out.encode())
        assert [wish.mac for wish in found.wishes] == [each.mac for each in found.interfaces]
        if options not in (OPTIONS[0], OPTIONS[-1]):
            continue
        host.virsh("start", "--paused", "vm1")
        number = options[options.index("--nic") + 1] if "--nic" in options else "0"
        (alias,) = tags(host).values()
        assert f"vm=vm1 nic={number} " in alias
        assert ("br=br1" in alias) is ("dmz" in options)
        host.virsh("destroy", "vm1")
        assert host.leftovers() == []


@pytest.mark.parametrize("by", By)
def test_an_interface_can_be_plugged_in_as_it_is_printed(host: Host, by: By) -> None:
    wishes, interface = _parts(host, by)
    host.define(_pasted(host, wishes, ""))
    host.virsh("start", "--paused", "vm1")
    if by is By.VMNET:  # whose TAP libvirt expects to be there
        host.sh(f"ip tuntap add dev {tap(1)} mode tap vnet_hdr")
    nic = host.file("nic.xml", interface)
    host.virsh("attach-device", "vm1", str(nic), "--live")
    assert targets(host.live_xml("vm1")) == [tap(1) if by is By.VMNET else "vnet0"]
