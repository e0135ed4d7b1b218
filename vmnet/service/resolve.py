"""From a wish to a NIC with nothing left open.

Job: what the wish leaves out, from the network, the NIC as it is, the configuration and this host;
and the vhost decision.
Leaves to others: the rule of that decision (`vmnet.model.vhost`).
Privilege: none; trying `/dev/vhost-net` as another user needs CAP_SETUID.
"""

from __future__ import annotations

import os
from dataclasses import replace

from vmnet.errors import Conflict, NotFound
from vmnet.formats.config import Config
from vmnet.kernel import devices, host
from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import facts_of, look_at_filter
from vmnet.model.host import Link
from vmnet.model.mac import derive
from vmnet.model.network import Network
from vmnet.model.nic import Nic, Wish, check_queues
from vmnet.model.port import USUAL, Port, port_digest, settle_port
from vmnet.model.tag import Tag
from vmnet.model.vhost import Policy, Reason, Verdict, decide, needs_look
from vmnet.model.wire import Routed, Wire
from vmnet.plan.port import port_of

#: The bridge that serves when nothing else is said and it is there.
FALLBACK_BRIDGE = "br0"


def resolve(
    wish: Wish, config: Config, netlink: Netlink, there: Link | None, owner: int | None
) -> Nic:
    """Fill in what the wish leaves open.

    First what the wish says, then the network it names, then what the NIC has already, then the
    configured default, then what every NIC gets.
    """
    tag = there.tag if there is not None else None
    wire = _wire(wish, tag)
    network = config.network(wish.network) if wish.network is not None else None
    open_place = wish.bridge is None and wire is None and tag is None
    if network is None and open_place and config.default is not None:
        network = config.network(config.default)
    bridge = wish.bridge or (network.bridge if network else "") or (tag.bridge if tag else "")
    bridge = "" if wire is not None else bridge or _fallback_bridge(netlink)
    policy = network or network_behind(wish, config, bridge)
    kept = there if tag is not None and network is None else None
    queues = wish.queues or (network.queues if network else None) or (tag.queues if tag else 1)
    check_queues(queues, wish.model)
    port = network.port if network else _kept_port(netlink, wish, there)
    return Nic(
        vm=wish.vm,
        nic=wish.nic,
        bridge=bridge,
        mac=wish.mac or (tag.mac if tag else "") or _guest_mac(wish),
        mtu=wish.mtu or (network.mtu if network else None) or _kept_mtu(netlink, kept),
        queues=queues,
        vhost=wish.vhost or (policy.vhost if policy else Policy.AUTO),
        model=wish.model,
        owner=owner,
        port=settle_port(port, wish.port),
        strict=network.strict if network else False,
        trusted=network.uplinks if network else (),
        wire=wire,
    )


def _wire(wish: Wish, tag: Tag | None) -> Wire | None:
    """Return the wire that is wished, or the one that a NIC has which is to stay as it is."""
    if wish.wire is None and wish.bridge is None and wish.network is None and tag is not None:
        return tag.wire
    return wish.wire


def network_behind(wish: Wish, config: Config, bridge: str) -> Network | None:
    """Return the default network if a NIC that is attached is on its bridge.

    Its vhost policy holds then: the TAP does not remember it.
    """
    if wish.bridge is not None or config.default is None:
        return None
    network = config.network(config.default)
    return network if network.bridge == bridge else None


def _kept_port(netlink: Netlink, wish: Wish, there: Link | None) -> Port:
    """Return what may pass at a NIC's port as it is: a TAP that left its bridge has lost it.

    Raises:
        Conflict: so it is, and nothing is asked for in its place.
    """
    tag = there.tag if there is not None else None
    if there is not None and tag is not None and isinstance(tag.wire, Routed):
        return _routed_port(netlink, wish, there)
    if there is None or tag is None or not tag.port:
        return USUAL
    place = netlink.link(tag.bridge)
    if place is not None and place.kind != "bridge":
        return USUAL  # Open vSwitch's database remembers: `vmnet.service.views`
    bridge = netlink.link_by_index(there.master) if there.master else None
    facts = facts_of(netlink, there, bridge, tag.mac, look_at_filter(needed=False))
    port = port_of(facts, bridge, tag.mac)
    if port_digest(port) == tag.port:
        return port
    if wish.port.guard is not None or port_digest(settle_port(USUAL, wish.port)) == tag.port:
        return USUAL
    raise Conflict(
        f"what may pass at tap {there.name!r} is not what it was set to: it left its bridge, or "
        "somebody changed it",
        code="port-lost",
        remedy="give all its options again as they were, or --network NAME; or say it all anew: "
        "--guard and what else is to hold",
    )


def _routed_port(netlink: Netlink, wish: Wish, there: Link) -> Port:
    """Return what is routed to a TAP, and its rates: one that was down has lost its routes.

    Raises:
        Conflict: so it is, and nothing is asked for in their place.
    """
    from vmnet.kernel.routed import guest_addresses  # noqa: PLC0415 - not for bridges

    facts = facts_of(netlink, there, None, "", look_at_filter(needed=False))
    port = port_of(facts, None, "")
    addresses = guest_addresses(netlink, there)
    if not addresses and wish.port.addresses is None:
        raise Conflict(
            f"nothing is routed to tap {there.name!r} any more: it was down, or somebody took the "
            "routes away",
            code="port-lost",
            remedy="give its addresses again: --address IP,...",
        )
    return replace(port, guard=True, addresses=addresses)


def _guest_mac(wish: Wish) -> str:
    return derive(host.machine_id(), wish.vm, str(wish.nic))


def _kept_mtu(netlink: Netlink, link: Link | None) -> int | None:
    """Return the MTU a NIC has of its own: one that is lower than its bridge's."""
    if link is None or not link.master:
        return None
    bridge = netlink.link_by_index(link.master)
    return link.mtu if bridge is not None and link.mtu < bridge.mtu else None


def _fallback_bridge(netlink: Netlink) -> str:
    if netlink.link(FALLBACK_BRIDGE) is not None:
        return FALLBACK_BRIDGE
    raise NotFound(
        "no bridge or network was given, the configuration has no default, and there is no "
        f"{FALLBACK_BRIDGE!r}",
        code="no-bridge",
        remedy=f"`vmnet bridge create {FALLBACK_BRIDGE}` makes one, or give --bridge NAME",
    )


def owner_of(owner: int | None, there: Link | None) -> int:
    """Return the uid QEMU will run as: the one asked for, the TAP's, or this process's."""
    if owner is not None:
        return owner
    if there is not None and there.tun is not None and there.tun.owner is not None:
        return there.tun.owner
    if there is not None and there.macvtap is not None:
        from vmnet.kernel.macvtaps import owner_of_node  # noqa: PLC0415 - not for TAPs

        known = owner_of_node(there.name, there.index)
        return os.geteuid() if known is None else known
    return os.geteuid()


def judge_vhost(nic: Nic) -> Verdict:
    """Decide on vhost for a QEMU that will open the node itself, as its user."""
    if not needs_look(nic.vhost, nic.model):
        return decide(nic.vhost, nic.model, None)
    return decide(nic.vhost, nic.model, devices.try_vhost(nic.queues, nic.owner))


def open_vhost(nic: Nic) -> tuple[list[int], Verdict]:
    """Open vhost-net for a NIC, a descriptor a queue or none, and decide."""
    if not needs_look(nic.vhost, nic.model):
        return [], decide(nic.vhost, nic.model, None)
    fds, finding = devices.open_vhost(nic.queues)
    verdict = decide(nic.vhost, nic.model, finding)
    return fds if finding.reason is Reason.OK else [], verdict
