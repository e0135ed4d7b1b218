"""A domain's wish against the network it names: less may be asked for there, never more.

Job: the refusals, and what may pass at a NIC's port once both have said their part.
Leaves to others: the rest of a domain's NIC (`vmnet.plan.domain`).
Privilege: none.
"""

from __future__ import annotations

from vmnet.errors import Conflict
from vmnet.model.domain import Interface, NicWish
from vmnet.model.names import shorten
from vmnet.model.network import Network
from vmnet.model.port import (
    NONE,
    USUAL,
    Port,
    beyond,
    port_settings,
    port_texts,
    settle_port,
)
from vmnet.model.vhost import Policy


def check_ceiling(interface: Interface, wish: NicWish, network: Network, *, made: bool) -> None:
    """Raise `Conflict` if the XML or the metadata goes beyond the network."""
    if not made and interface.bridge not in ("", network.bridge):
        raise _elsewhere(interface, network)
    if network.mtu is not None and (interface.mtu or 0) > network.mtu:
        raise Conflict(
            f"MTU {interface.mtu} is over the {network.mtu} of network {network.name!r}",
            code="beyond-network",
            remedy=f"ask for at most {network.mtu} in <mtu size=>",
        )
    if wish.vhost is not None and not _narrower(wish.vhost, network.vhost):
        raise Conflict(
            f"vhost={wish.vhost} goes beyond vhost={network.vhost} of network {network.name!r}",
            code="beyond-network",
            remedy="leave vhost out of the metadata",
        )


def ceiled_port(wish: NicWish, network: Network) -> Port:
    """Return what may pass: what the network lets, less what the wish leaves out of it."""
    port = settle_port(network.port, wish.port)
    key = beyond(port, network.port)
    if key:
        ours = port_settings(network.port).get(key, NONE)
        asked = port_settings(port).get(key, NONE)
        raise Conflict(
            f"{key}={asked} goes beyond {key}={ours} of network {network.name!r}",
            code="beyond-network",
            remedy=f"leave {key} out of the metadata, or ask for less",
        )
    return port


def _elsewhere(interface: Interface, network: Network) -> Conflict:
    says, remedy = "the XML says", "name the network's bridge in <source>"
    if interface.network:  # of which libvirt tells the bridge in `start`, not before
        says = f"libvirt's network {shorten(interface.network)!r} is on"
        remedy = "put libvirt's network on the same bridge"
    return Conflict(
        f"{says} bridge {shorten(interface.bridge)!r}, but network {network.name!r} of this host "
        f"is on {network.bridge!r}",
        code="beyond-network",
        remedy=f"{remedy}, or name another network in the metadata",
    )


def _narrower(wished: Policy, given: Policy) -> bool:
    return given in (Policy.AUTO, Policy.PREFER) or wished is given


def port_sources(wish: NicWish, network: Network, of_network: str) -> dict[str, str]:
    """Return where each setting of the port comes from, by its key."""
    own = port_texts(wish.port)
    settled = port_settings(settle_port(network.port, wish.port))
    usual = port_settings(USUAL)
    found = {}
    for key, value in settled.items():
        theirs = "every NIC" if usual.get(key) == value else of_network
        found[key] = "the domain's metadata" if key in own else theirs
    return found
