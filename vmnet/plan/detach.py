"""What may be taken away of a NIC.

Job: the steps that remove what attach made from one link, and nothing else.
Leaves to others: finding the links of a VM (`vmnet.kernel.links`), going on past errors
(`vmnet.service`).
Privilege: none.
"""

from __future__ import annotations

from vmnet.model.host import Holders, Link
from vmnet.model.portfacts import Entry
from vmnet.model.portstep import ChangeFilter
from vmnet.model.step import (
    DeleteLink,
    DropAltname,
    DropTap,
    Move,
    OpenQueues,
    Plan,
    Ref,
    SetAlias,
    SetMaster,
    Step,
)
from vmnet.model.tag import Own, Tag
from vmnet.plan.refusals import describe, held, is_held


def plan_detach(link: Link, holders: Holders, *, force: bool, in_use: bool | None = None) -> Plan:
    """Return the steps that undo an attach.

    Args:
        link: a link with vmnet's tag.
        holders: who has it open.
        force: take it away from a running VM; the plan's notes say what breaks.
        in_use: what is known better than the link shows: that the kernel told of a holder, or that
            there is none by the time the plan is carried out.

    Raises:
        Busy: a process holds it, and `force` is not given.
    """
    tag = link.tag
    if tag is None or not link.is_nic:
        return Plan()
    if link.macvtap is not None:
        return _detach_macvtap(link, tag, holders, force=force)
    in_use = is_held(link, holders) if in_use is None else in_use
    if in_use and not force:
        raise held(link, holders, "detach it")
    notes = (_breaks(link, tag, holders),) if in_use else ()
    if tag.own is Own.MANAGED:
        moves = plan_unmanage(link, tag).moves
        # A holder that does not show: opened first, it is refused by the kernel.
        return Plan(moves if in_use else (Move(_opened(link)), *moves), notes)
    ref = Ref(link.name, link.index)
    if in_use:
        return Plan((Move(DeleteLink(ref)),), notes)
    multi_queue = link.tun is not None and link.tun.multi_queue
    return Plan((Move(DropTap(ref, multi_queue)),))


def _detach_macvtap(link: Link, tag: Tag, holders: Holders, *, force: bool) -> Plan:
    """Return the step that deletes one: nothing in the kernel keeps it for who has it open.

    Raises:
        Busy: somebody has, or it cannot be seen that nobody has.
    """
    in_use = bool(holders.known)
    if (in_use or holders.blind) and not force:
        raise held(link, holders, "delete it")
    notes = (_breaks(link, tag, holders),) if in_use else ()
    return Plan((Move(DeleteLink(Ref(link.name, link.index))),), notes)


def _opened(link: Link) -> OpenQueues:
    multi_queue = link.tun is not None and link.tun.multi_queue
    return OpenQueues(Ref(link.name, link.index), 1, multi_queue)


def plan_unmanage(link: Link, tag: Tag, entries: frozenset[Entry] = frozenset()) -> Plan:
    """Return the steps that let go of a TAP somebody else made: it stays, untagged.

    Args:
        link: the TAP.
        tag: its tag.
        entries: what vmnet's filter has about it.
    """
    ref = Ref(link.name, link.index)
    steps: list[Step] = []
    if entries:
        steps.append(ChangeFilter(ref, (), tuple(sorted(entries))))
    if link.master:
        steps.append(SetMaster(ref, None))
    # The tag may hold less of a long name than the other name does.
    steps += [
        DropAltname(ref, altname)
        for altname in link.altnames
        if altname.startswith("vmnet-") and altname.endswith(f"-{tag.nic}")
    ]
    steps.append(SetAlias(ref, ""))
    return Plan(tuple(Move(step) for step in steps))


def _breaks(link: Link, tag: Tag, holders: Holders) -> str:
    return (
        f"VM {tag.vm_name!r} loses NIC {tag.nic} ({link.name!r}) while {describe(holders)} runs: "
        "it gets no packet any more until it is started anew"
    )
