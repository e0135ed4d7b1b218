"""All that is missing for what may pass at a NIC's port, and how fast.

Job: port, rates and filter together, for a TAP that is made and for one that is there.
Leaves to others: each of them (`vmnet.plan.port`, `.rate`, `.filter`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.host import Link, NicView
from vmnet.model.nic import Nic
from vmnet.model.portfacts import PortFacts
from vmnet.model.ref import Ref
from vmnet.model.step import Move
from vmnet.model.tag import Tag
from vmnet.plan.filter import filter_moves
from vmnet.plan.ovs import switch_of
from vmnet.plan.port import fresh, port_moves
from vmnet.plan.rate import rate_moves


@dataclass(frozen=True)
class Passage:
    """The moves, in the order they are to be carried out.

    Attributes:
        guard: the filter, which is to be in force before a frame can pass.
        rates: buckets, and the ifb.
        port: flags, VLANs and forwarding entry: rtnetlink messages about the port alone.
    """

    guard: tuple[Move, ...]
    rates: tuple[Move, ...]
    port: tuple[Move, ...]


def plan_passage(nic: Nic, tag: Tag, view: NicView, link: Ref, bridge: Link) -> Passage:
    """Return what is missing.

    Args:
        nic: the wish.
        tag: that of the TAP, as it is to be.
        view: the host.
        link: the TAP; with index 0 if this plan makes it.
        bridge: the bridge it is, or is to be, a port of.

    Raises:
        Conflict, Unsupported: the bridge or this host cannot do it, or something is somebody's.
    """
    if switch_of(view) is not None:
        return Passage((), (), ())
    facts = view.facts or PortFacts()
    if nic.wire is not None:
        return Passage((), _rates(nic, tag, view, link, facts), ())
    stays = view.tap is not None and view.tap.master == bridge.index and bool(facts.flags)
    if not stays:
        facts = fresh(facts, bridge)
    uplinks = [Ref(uplink.name, uplink.index) for uplink in view.uplinks]
    return Passage(
        guard=tuple(filter_moves(nic, link, view.filter, uplinks)),
        rates=_rates(nic, tag, view, link, facts),
        port=tuple(port_moves(nic, link, facts, bridge, arriving=tag.arriving)),
    )


def _rates(nic: Nic, tag: Tag, view: NicView, link: Ref, facts: PortFacts) -> tuple[Move, ...]:
    return tuple(rate_moves(nic, tag, link, facts, view.ifb, police=nic.police))
