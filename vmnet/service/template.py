"""Snippets of domain XML, filled in for one NIC.

Job: `vmnet template`: the wish and the interface as a person pastes them.
Leaves to others: the same for a domain that is there (`vmnet.service.live`).
Privilege: none.
"""

from __future__ import annotations

from vmnet.formats.config import Config
from vmnet.formats.domain import nics_xml
from vmnet.formats.interface import fill, libvirt_model, settings
from vmnet.kernel import host
from vmnet.kernel.files import template as text_of
from vmnet.model.domain import NicWish
from vmnet.model.mac import derive
from vmnet.model.names import link_name
from vmnet.model.nic import Wish
from vmnet.service.domains import network_of


def template(wish: Wish, config: Config, *, by_libvirt: bool) -> str:
    """Return the `<metadata>` and the `<interface>` of a NIC.

    Args:
        wish: the NIC; what it leaves open comes from its network.
        config: the configuration.
        by_libvirt: libvirt makes the TAP, else vmnet.

    Raises:
        NotFound, InvalidInput: no such network.
    """
    network = network_of(wish.network, config)
    mac = wish.mac or derive(host.machine_id(), wish.vm, str(wish.nic))
    values = settings(
        mac=mac,
        tap=link_name(wish.vm, wish.nic),
        bridge=network.bridge,
        model=libvirt_model(wish.model),
        queues=wish.queues or network.queues,
        mtu=wish.mtu or network.mtu,
        driver="",
    )
    new = NicWish(mac, wish.nic, network.name, port=wish.port)
    metadata = fill(text_of("metadata.xml"), {"nics_xml": nics_xml([new])})
    name = "interface-bridge.xml" if by_libvirt else "interface-ethernet.xml"
    return f"{metadata}\n{fill(text_of(name), values)}"
