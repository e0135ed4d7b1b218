"""What nobody uses any more.

Job: the verdict on each link that carries vmnet's tag: leave it, mark it, or remove it.
Leaves to others: trying the lock of its VM, reading links and processes, doing (`vmnet.service`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmnet.model.host import Holders, Link
from vmnet.model.step import Move, Plan, Ref, SetAlias
from vmnet.model.tag import IdleMark, Life, Own, Tag, format_tag
from vmnet.plan.detach import plan_detach
from vmnet.plan.refusals import describe, is_held

#: How long the TAP of a libvirt domain may be unused before it counts as left behind, in seconds.
DOMAIN_GRACE = 300


@dataclass(frozen=True)
class Fate:
    """What becomes of one link.

    Attributes:
        link: its name.
        vm: its VM's name.
        nic: its NIC's number.
        action: `remove`; `release` what vmnet did not make: it stays, untagged; `put-back` an
            uplink that nobody confirmed; `mark` or `leave`.
        why: one line.
        plan: the steps; empty to leave it.
    """

    link: str
    vm: str
    nic: int
    action: str
    why: str
    plan: Plan


def judge(link: Link, holders: Holders, boottime: int, idle_age: int | None) -> Fate:
    """Return the fate of a link whose VM's lock is held by the caller.

    Args:
        link: a TAP with vmnet's tag.
        holders: who has it open.
        boottime: CLOCK_BOOTTIME now, in seconds.
        idle_age: remove kept TAPs unused for that many seconds; None leaves them all.
    """
    tag = link.tag
    if tag is None:
        return Fate(link.name, "", 0, "leave", "not vmnet's", Plan())
    if is_held(link, holders):
        return _fate(link, tag, "leave", f"held by {describe(holders)}", Plan())
    if link.macvtap is not None and holders.blind:
        return _fate(link, tag, "leave", f"who holds it cannot be seen: {holders.blind}", Plan())
    if link.macvtap is not None and tag.life is Life.KEPT:
        # Nothing counts how often one was opened.
        return _fate(link, tag, "leave", "kept until it is detached", Plan())
    if tag.life is Life.KEPT:
        return _judge_kept(link, tag, boottime, idle_age)
    if tag.life is Life.DOMAIN:
        # Its domain may be on its way: libvirt opens the TAP some time after `prepare`.
        return _judge_kept(link, tag, boottime, max(idle_age or 0, DOMAIN_GRACE))
    why = (
        "its making was cut short"
        if tag.life is Life.BUILDING
        else "the process it was made for is gone"
    )
    action = "release" if tag.own is Own.MANAGED else "remove"
    return _fate(link, tag, action, why, plan_detach(link, holders, force=False))


def _judge_kept(link: Link, tag: Tag, boottime: int, idle_age: int | None) -> Fate:
    if idle_age is None:
        return _fate(link, tag, "leave", "kept until it is detached (see --idle)", Plan())
    mark = tag.idle
    if mark is None or mark.carrier_ups != link.carrier_ups or mark.since > boottime:
        fresh = replace(tag, idle=IdleMark(boottime, link.carrier_ups))
        step = SetAlias(Ref(link.name, link.index), format_tag(fresh))
        why = "used since the last look: counted as idle from now"
        return _fate(link, tag, "mark", why, Plan((Move(step),)))
    idle = boottime - mark.since
    if idle < idle_age:
        return _fate(link, tag, "leave", f"idle for {idle} s of {idle_age} s", Plan())
    plan = plan_detach(link, Holders(), force=False)
    return _fate(link, tag, "remove", f"idle for {idle} s", plan)


def _fate(link: Link, tag: Tag, action: str, why: str, plan: Plan) -> Fate:
    return Fate(link.name, tag.vm_name, tag.nic, action, why, plan)
