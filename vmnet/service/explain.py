"""Where each setting of a VM's NICs comes from.

Job: `vmnet explain`: the settings as they are resolved for an attach or a hook, with their sources.
Leaves to others: resolving (`vmnet.service.resolve`, `vmnet.plan.domain`).
Privilege: reading links needs none; asking libvirt, what its connection asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.errors import NotFound
from vmnet.formats.config import Config
from vmnet.formats.domain import parse_domain
from vmnet.kernel.links import Netlink
from vmnet.model.host import Link
from vmnet.model.names import check_vm_name, shorten
from vmnet.model.nic import Nic, Wish
from vmnet.model.port import USUAL, port_settings
from vmnet.model.tag import Tag
from vmnet.model.wire import wire_phrase
from vmnet.peers.libvirt import Libvirt
from vmnet.plan.domain import DomainNic
from vmnet.service.base import opened, tagged
from vmnet.service.domains import look
from vmnet.service.resolve import network_behind, resolve
from vmnet.service.views import Views


@dataclass(frozen=True)
class Setting:
    """One setting of a NIC.

    Attributes:
        name: what it is.
        value: as text.
        source: which source won.
    """

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Explained:
    """One NIC.

    Attributes:
        nic: its number.
        tap: its TAP's name; empty if libvirt has not named it yet.
        settings: in a fixed order.
    """

    nic: int
    tap: str
    settings: tuple[Setting, ...]


def explain_domain(vm: str, uri: str | None, config: Config) -> tuple[list[Explained], list[str]]:
    """Return the NICs of a libvirt domain and notes about those without a wish.

    Raises:
        NotFound: libvirt has no such domain.
        VmnetError: a wish is beyond what the configuration has: the hook would refuse it too.
    """
    with Libvirt(uri) as peer:
        state = peer.existing(check_vm_name(vm))
    nics, notes = look(parse_domain(state.live or state.config), config)
    with opened() as netlink:
        return [_domain_nic(netlink, config, each) for each in nics], notes


def _domain_nic(netlink: Netlink, config: Config, each: DomainNic) -> Explained:
    values = _values(each.nic)
    values["network"] = each.wish.network or str(config.default)
    bridge = netlink.link(each.nic.bridge)
    if each.nic.mtu is None and bridge is not None:
        values["mtu"] = str(bridge.mtu)
    order = (name for name in _ORDER if name in each.sources)
    names = ("network", *order, *port_settings(each.nic.port))
    settings = tuple(Setting(n, values[n], each.sources[n]) for n in names)
    return Explained(each.nic.nic, each.interface.target, settings)


def explain_plain(vm: str, config: Config) -> list[Explained]:
    """Return the NICs that were attached for a VM without libvirt.

    Raises:
        NotFound: there are none.
    """
    with opened() as netlink:
        found = [_plain(netlink, config, vm, link, tag) for link, tag in tagged(netlink, vm)]
    if not found:
        raise NotFound(
            f"nothing is attached for {shorten(vm)!r}",
            code="not-attached",
            remedy="`vmnet list` shows what is; `vmnet plan` what an attach would do",
        )
    return found


_ORDER = ("bridge", "wire", "mac", "mtu", "queues", "vhost", "model")


def _plain(netlink: Netlink, config: Config, vm: str, link: Link, tag: Tag) -> Explained:
    """Resolve the wish that asks for nothing: what attaching again would have."""
    owner = link.tun.owner if link.tun is not None else None
    wish = Wish(vm, tag.nic)
    nic = resolve(wish, config, netlink, link, owner)
    with Views(netlink) as views:
        nic = views.settled(nic, wish, link, link.name)
    values = _values(nic)
    own = nic.mtu is not None
    policy = network_behind(wish, config, nic.bridge)
    sources = {
        "bridge": "the TAP's own tag",
        "mac": "the TAP's own tag" if tag.mac else "this host and the VM's name",
        "wire": "the TAP's own tag",
        "mtu": f"bridge {nic.bridge!r}" if nic.bridge and not own else "the TAP itself",
        "queues": "the TAP's own tag",
        "vhost": f"network {policy.name!r}" if policy is not None else "every NIC",
        "model": "every NIC",
    }
    if not own:
        values["mtu"] = str(link.mtu)
    port = port_settings(nic.port)
    usual = port_settings(USUAL)
    sources |= {k: "every NIC" if usual.get(k) == v else "the port itself" for k, v in port.items()}
    order = [name for name in (*_ORDER, *port) if values[name]]
    settings = tuple(Setting(name, values[name], sources[name]) for name in order)
    return Explained(tag.nic, link.name, settings)


def _values(nic: Nic) -> dict[str, str]:
    return {
        "bridge": nic.bridge,
        "wire": "" if nic.wire is None else wire_phrase(nic.wire),
        "mac": nic.mac,
        "mtu": str(nic.mtu) if nic.mtu is not None else "the bridge's",
        "queues": str(nic.queues),
        "vhost": nic.vhost.value,
        "model": nic.model,
        **port_settings(nic.port),
    }
