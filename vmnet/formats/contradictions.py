"""What no part of the configuration shows by itself: two of them that cannot both be.

Job: the look at the whole, once each part is a value.
Leaves to others: the parts (`vmnet.formats.config`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from vmnet.errors import InvalidInput
from vmnet.formats.hostconfig import BridgeRule, NicRule
from vmnet.model.network import Network
from vmnet.model.port import Port, settle_port


class _Tap(Protocol):
    """What is said of a TAP of QEMU's own, as far as it matters here."""

    @property
    def mac(self) -> str | None:
        """The guest's MAC."""


def contradictions(
    networks: Mapping[str, Network],
    default: str | None,
    bridges: tuple[BridgeRule, ...],
    nics: tuple[NicRule, ...],
    taps: Mapping[str, _Tap],
) -> Iterator[tuple[str, str]]:
    """Yield what cannot be, each as where it stands and why.

    Args:
        networks: the networks by name.
        default: the network of a NIC that names none.
        bridges: those that `vmnet up` makes.
        nics: those that it attaches.
        taps: TAPs of QEMU's own, by name.
    """
    yield from _uplinks(bridges)
    yield from _strict(networks)
    yield from _macs(nics, taps)
    own = {bridge.name: bridge for bridge in bridges}
    for network in networks.values():
        yield from _on_bridge(f"network.{network.name}", network.port, network.mtu, network, own)
    for nic in nics:
        network_of = networks.get(nic.wish.network or default or "")
        yield from _nic(nic, network_of, own)


def _uplinks(bridges: tuple[BridgeRule, ...]) -> Iterator[tuple[str, str]]:
    names = {bridge.name for bridge in bridges}
    taken: dict[str, str] = {}
    for bridge in bridges:
        at = f"bridge.{bridge.name}.uplinks"
        for nic in bridge.uplinks:
            if nic in names:
                yield at, f"names bridge {nic!r}, and a bridge cannot be a port of one"
            if nic in taken:
                yield at, f"names {nic!r}, which is a port of bridge {taken[nic]!r} already"
            taken[nic] = bridge.name


def _strict(networks: Mapping[str, Network]) -> Iterator[tuple[str, str]]:
    strict = {network.bridge: network.name for network in networks.values() if network.strict}
    for network in networks.values():
        if not network.strict and network.bridge in strict:
            yield (
                f"network.{network.name}.strict",
                (
                    f"is missing: a bridge is strict as a whole, and network "
                    f"{strict[network.bridge]!r} makes {network.bridge!r} so"
                ),
            )


def _macs(nics: tuple[NicRule, ...], taps: Mapping[str, _Tap]) -> Iterator[tuple[str, str]]:
    wished = [
        *((f"vm.{nic.wish.vm} nic {nic.wish.nic}", nic.wish.mac) for nic in nics),
        *((f"tap.{name}", tap.mac) for name, tap in taps.items()),
    ]
    users: dict[str, str] = {}
    for at, mac in wished:
        if mac is not None and mac in users:
            yield at, f"has the MAC {mac}, which {users[mac]} has too"
        if mac is not None:
            users[mac] = at


def _nic(
    nic: NicRule, network: Network | None, own: Mapping[str, BridgeRule]
) -> Iterator[tuple[str, str]]:
    at = f"vm.{nic.wish.vm} nic {nic.wish.nic}"
    if network is None:
        return
    try:
        port = settle_port(network.port, nic.wish.port)
    except InvalidInput as error:
        yield at, f"cannot be on network {network.name!r}: {error.message}"
        return
    prefixes = [str(each) for each in port.addresses if each.version == 4 and not each.single]
    if prefixes:
        yield (
            at,
            (
                f"says no address of its own: network {network.name!r} guards "
                f"{', '.join(prefixes)}, and IPv4 is checked one by one"
            ),
        )
    yield from _on_bridge(at, port, nic.wish.mtu or network.mtu, network, own)


def _on_bridge(
    at: str, port: Port, mtu: int | None, network: Network, own: Mapping[str, BridgeRule]
) -> Iterator[tuple[str, str]]:
    """Yield what a bridge that the configuration itself makes cannot do."""
    bridge = own.get(network.bridge)
    if bridge is None:
        return
    if port.vlans is not None and not bridge.vlan_filtering:
        yield at, f"has a VLAN, and bridge.{bridge.name} no vlan-filtering = true"
    if mtu is not None and bridge.mtu is not None and mtu > bridge.mtu:
        yield at, f"has MTU {mtu}, and bridge.{bridge.name} only {bridge.mtu}"
