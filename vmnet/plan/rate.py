"""What is missing of a NIC's rates.

Job: the difference between wished rates and what the kernel shows. Towards the guest the TAP sends:
a bucket on it. What the guest sends the TAP receives: an ifb, through which it goes, has the
bucket; where the kernel has no ifb, what is too much is dropped.
Another rate costs no frame. To have one or none does: while a link gets or loses a qdisc the kernel
gives it nothing to send, for some milliseconds (net/sched/sch_api.c qdisc_graft).
Leaves to others: whether there is an ifb to be had (`vmnet.service`, which tries).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmnet.errors import Conflict
from vmnet.model.host import Link
from vmnet.model.names import ifb_name
from vmnet.model.nic import Nic
from vmnet.model.portfacts import Outflow, PortFacts, Way
from vmnet.model.portstep import (
    AddIngress,
    CreateIfb,
    DropIngress,
    DropRate,
    Police,
    Redirect,
    SetRate,
)
from vmnet.model.rate import Shape, shape_of
from vmnet.model.ref import Ref
from vmnet.model.step import DeleteLink, Move, QuietIpv6, SetAlias, SetUp
from vmnet.model.tag import Tag, format_tag

#: The kernel keeps times, not bytes; at a high rate a tick of 64 ns is some of them.
_CLOSE = 0.02


def rate_moves(
    nic: Nic, tag: Tag, link: Ref, facts: PortFacts, ifb: Link | None, *, police: bool
) -> list[Move]:
    """Return what brings a NIC's rates to what is wished.

    Args:
        nic: the wish.
        tag: that of its TAP; the ifb gets the same.
        link: the TAP.
        facts: what the kernel shows of it.
        ifb: the link that has the name of the NIC's ifb, or None.
        police: drop what is too much from the guest instead of shaping it.

    Raises:
        Conflict: the link has a qdisc, or the ifb's name a link, of somebody else's.
    """
    moves = _inflow_moves(nic, link, facts)
    if nic.port.rate_out is None:
        return moves + _without_outflow(nic, link, facts, ifb)
    if facts.foreign_filter:
        raise _foreign(f"what tap {link.name!r} receives goes through a filter", "ingress", "out")
    shape = shape_of(nic.port.rate_out)
    out = facts.outflow
    policed = out is not None and out.way is Way.POLICED
    if policed and out is not None and _same(out.shape, shape, limit=False):
        return moves
    if police:
        return moves + _police_moves(link, out, shape)
    alias = format_tag(replace(tag, idle=None, queues=1))
    return moves + _ifb_moves(_checked(nic, ifb, tag, alias), link, out, shape)


def _inflow_moves(nic: Nic, link: Ref, facts: PortFacts) -> list[Move]:
    wanted = None if nic.port.rate_in is None else shape_of(nic.port.rate_in)
    there = facts.inflow
    back = DropRate(link) if there is None else SetRate(link, there)
    if wanted is None:
        return [] if there is None else [Move(DropRate(link), back)]
    if facts.foreign_qdisc:
        what = f"tap {link.name!r} has a qdisc {facts.foreign_qdisc!r}"
        raise _foreign(what, "root", "in")
    return [] if _same(there, wanted) else [Move(SetRate(link, wanted), back)]


def _foreign(what: str, where: str, way: str) -> Conflict:
    return Conflict(
        f"{what} that vmnet did not put there",
        code="qdisc-foreign",
        remedy=f"take it away (`tc qdisc del dev TAP {where}`; of libvirt: <bandwidth>), or leave "
        f"--rate-{way} out",
    )


def _same(there: Shape | None, wanted: Shape, *, limit: bool = True) -> bool:
    return (
        there is not None
        and there.rate == wanted.rate
        and (not limit or there.limit == wanted.limit)
        and abs(there.burst - wanted.burst) <= max(64, _CLOSE * wanted.burst)
    )


def _without_outflow(nic: Nic, link: Ref, facts: PortFacts, ifb: Link | None) -> list[Move]:
    moves = []
    out = facts.outflow
    if out is not None and (out.shape is not None or out.ifb):
        moves.append(Move(DropIngress(link)))
    if ifb is not None and is_ifb_of(ifb, nic):
        moves.append(Move(DeleteLink(Ref(ifb.name, ifb.index))))
    return moves


def is_ifb_of(ifb: Link, nic: Nic) -> bool:
    """Say whether a link is the ifb that vmnet made for a NIC, or began to."""
    tag = ifb.tag
    half_made = not ifb.alias and not ifb.up and ifb.name == ifb_name(nic.vm, nic.nic)
    return ifb.kind == "ifb" and (half_made or (tag is not None and tag.is_for(nic.vm, nic.nic)))


def _police_moves(link: Ref, out: Outflow | None, shape: Shape) -> list[Move]:
    clear = [Move(DropIngress(link))] if out is not None else []
    return [*clear, Move(AddIngress(link), DropIngress(link)), Move(Police(link, shape))]


@dataclass(frozen=True)
class _Ifb:
    """The ifb of a NIC: its name, the link if it is there, one to be made anew, its tag."""

    name: str
    there: Link | None
    stale: Link | None
    alias: str


def _checked(nic: Nic, ifb: Link | None, tag: Tag, alias: str) -> _Ifb:
    name = ifb_name(nic.vm, nic.nic)
    if ifb is not None and not is_ifb_of(ifb, nic):
        raise Conflict(
            f"a link {name!r} is already there and is not vmnet's",
            code="ifb-foreign",
            remedy=f"rename or remove it: `ip -d link show {name}`; or leave --rate-out out",
        )
    stale = ifb is not None and (ifb.tag is None or ifb.tag.generation != tag.generation)
    return _Ifb(name, None if stale else ifb, ifb if stale else None, alias)


def _ifb_moves(ifb: _Ifb, link: Ref, out: Outflow | None, shape: Shape) -> list[Move]:
    ref = Ref(ifb.name, ifb.there.index if ifb.there else 0)
    through = out is not None and ifb.there is not None and out.ifb == ifb.there.index
    bucket = out.shape if out is not None and through else None
    moves: list[Move] = []
    if ifb.stale is not None:
        moves.append(Move(DeleteLink(Ref(ifb.name, ifb.stale.index))))
    if ifb.there is None:
        moves.append(Move(CreateIfb(ifb.name), DeleteLink(ref)))
        moves += [Move(QuietIpv6(ref)), Move(SetAlias(ref, ifb.alias))]
    if not _same(bucket, shape):
        moves.append(Move(SetRate(ref, shape), None if bucket is None else SetRate(ref, bucket)))
    if ifb.there is None or not ifb.there.up:
        moves.append(Move(SetUp(ref)))
    if not through:
        moves += [Move(DropIngress(link))] if out is not None else []
        moves += [Move(AddIngress(link), DropIngress(link)), Move(Redirect(link, ref))]
    return moves
