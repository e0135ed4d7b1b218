"""Domains whose NICs have a wish, of both kinds, on hosts with vmnet's hook."""

from __future__ import annotations

import sys
from enum import StrEnum
from uuid import UUID

from tests.support.domains import address, bridge_nic, mac, metadata, tap_nic
from tests.support.libvirtd import Host
from tests.support.place import wait_for
from vmnet.model.names import link_name

#: `lan` is NIC 0 of every guest here, `dmz` its NIC 1.
CONFIG = """\
default = "lan"
[network.lan]
bridge = "br0"
[network.dmz]
bridge = "br1"
"""
_NETWORKS = ("lan", "dmz")

STARTED = ["prepare", "start", "started"]
ENDED = ["stopped", "release"]


class By(StrEnum):
    """Who makes a NIC's TAP."""

    VMNET = "vmnet"
    LIBVIRT = "libvirt"


#: A guest with one of each: NIC 0 is vmnet's.
BOTH = (By.VMNET, By.LIBVIRT)


def ready(host: Host, config: str = CONFIG) -> None:
    """Give a host, which has br0, the bridge br1, vmnet's configuration and its hook."""
    host.bridge("br1", "10.99.1.1/24")
    host.config(config)
    host.install_hook("--python", sys.executable)


def tap(vm: int, nic: int = 0) -> str:
    """Return the name of the TAP that vmnet makes."""
    return link_name(f"vm{vm}", nic)


def interface(by: By, vm: int, nic: int = 0, inner: str = "", bridge: str = "") -> str:
    """Return the interface of a NIC, on its own network's bridge unless another is named."""
    if by is By.VMNET:
        return tap_nic(mac(vm, nic), tap(vm, nic), inner)
    return bridge_nic(mac(vm, nic), bridge or f"br{nic}", inner)


def wish(vm: int, nic: int = 0, more: str = "") -> str:
    """Return the attributes of a NIC's wish."""
    network = "" if "network=" in more else f'network="{_NETWORKS[nic]}"'
    return f'mac="{mac(vm, nic)}" nic="{nic}" {network} {more}'


def wished(host: Host, vm: int = 1, kinds: tuple[By, ...] = BOTH, args: str = "") -> str:
    """Return the XML of a guest with NICs of these kinds, each with a wish."""
    nics = [interface(by, vm, nic) for nic, by in enumerate(kinds)]
    wishes = [wish(vm, nic) for nic in range(len(kinds))]
    return domain(host, vm, nics, wishes, args)


def domain(
    host: Host, vm: int, nics: list[str], wishes: list[str] | None = None, args: str = ""
) -> str:
    """Return the XML of a guest with these interfaces and these wishes, None for no metadata."""
    xml = host.domain(
        f"vm{vm}",
        *nics,
        addresses=tuple(address(vm, nic) for nic in range(max(2, len(nics)))),
        metadata="" if wishes is None else metadata(*wishes),
        args=args,
    )
    # An UUID of its own, so that it can be defined again with changes.
    return xml.replace("</name>", f"</name><uuid>{UUID(int=vm, version=4)}</uuid>", 1)


def paused(host: Host, xml: str) -> None:
    """Define and start a domain whose guest runs nothing: enough for what hosts do."""
    host.define(xml)
    host.virsh("start", "--paused", _name(xml))


def refused(host: Host, xml: str) -> str:
    """Define a domain that does not start; return what virsh says of it."""
    host.define(xml)
    return host.virsh("start", "--paused", _name(xml), status=1).err


def _name(xml: str) -> str:
    return xml.partition("<name>")[2].partition("</name>")[0]


def tags(host: Host) -> dict[str, str]:
    """Return vmnet's tags by the names of the TAPs that carry them, as `ip` has them."""
    return {
        name: link["ifalias"]
        for name, link in host.links().items()
        if link.get("ifalias", "").startswith("vmnet/")
    }


def wait_clean(host: Host, seconds: float = 10) -> None:
    """Wait until nothing of any guest is left: an end that nobody waits for takes its time."""
    left: list[str] = []

    def clean() -> bool:
        left[:] = host.leftovers()
        return not left

    try:
        wait_for(clean, seconds)
    except AssertionError:
        raise AssertionError(f"left: {left}") from None
