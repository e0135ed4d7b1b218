"""Clearing up: what vmnet made and nobody uses any more.

Job: `vmnet gc`, link by link, each under the lock of its VM.
Leaves to others: the verdict (`vmnet.plan.gc`).
Privilege: CAP_NET_ADMIN in the network namespace; root, to see who holds what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

from vmnet.errors import Busy, VmnetError
from vmnet.kernel import host, signals
from vmnet.kernel.closing import Closing, at_once
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import remove_leftovers
from vmnet.kernel.observe import bridge_view, holders_of, holders_of_all
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.host import Holders, Link
from vmnet.model.names import PREFIX, is_made_name
from vmnet.model.ovs import DropOvsPort
from vmnet.model.portstep import ForgetLink, RemoveFilter, SetStrict
from vmnet.model.step import DeleteLink, Move, Plan, Ref
from vmnet.model.tag import Tag
from vmnet.model.wirestep import DropProxy
from vmnet.model.words import describe
from vmnet.plan.bridge import is_leftover, plan_bridge_delete
from vmnet.plan.direct import is_bare_macvtap
from vmnet.plan.gc import Fate, judge
from vmnet.service.base import (
    FILTER_LOCK,
    Locks,
    carry_out,
    locked_for,
    of_refusal,
    opened,
    tagged,
)
from vmnet.service.outside import clear
from vmnet.service.patchleftovers import collect_patches
from vmnet.service.uplinks import overdue, put_back_overdue
from vmnet.service.views import at_switch


def collect(
    *, idle: int | None = None, dry_run: bool = False
) -> tuple[list[Fate], list[VmnetError]]:
    """Remove what vmnet made and nobody uses any more.

    Args:
        idle: also remove kept TAPs unused for that many seconds.
        dry_run: judge only.

    Returns:
        What became of each link, and the failures; neither stops the rest.
    """
    fates: list[Fate] = []
    errors: list[VmnetError] = []
    with signals.deferred(), opened() as netlink:
        found = list(tagged(netlink))
        # One search serves all of them, and none is made where nothing is to be done.
        search = cache(lambda: holders_of_all(link for link, _ in found))
        work = _Work(netlink, idle, search, dry_run=dry_run)
        some = at_once()
        for start in range(0, len(found), some):
            fates += work.collect(found[start : start + some], errors)
        for link in list(netlink.links(PREFIX.encode())):
            if is_bare_macvtap(link) and is_made_name(link.name):
                with _going_on(errors):
                    fates += _collect_bare(netlink, link, dry_run=dry_run)
        # A bridge whose making was cut short has no tag and is not yet up; others need no look.
        for name in [b.name for b in netlink.bridges() if not (b.alias or b.up)]:
            with _going_on(errors):
                fates += _collect_bridge(netlink, name, dry_run=dry_run)
        for name, nic in overdue(netlink):
            with _going_on(errors):
                fates += _put_back(name, nic, dry_run=dry_run)
        with _going_on(errors):
            fates += collect_patches(netlink, dry_run=dry_run)
        gone = frozenset(fate.link for fate in fates if fate.action == "remove")
        with _going_on(errors):
            plan = clear(netlink, gone=gone, dry_run=dry_run, wait=0)
            fates += _left(plan, {link.index for link, _ in found})
    if not dry_run:
        remove_leftovers()
    return fates, errors


@contextmanager
def _going_on(errors: list[VmnetError]) -> Iterator[None]:
    """Note a failure and go on; what somebody works on is no leftover."""
    try:
        yield
    except Busy:
        return
    except Refused as error:
        errors.append(of_refusal(error))
    except VmnetError as error:
        errors.append(error)


def _left(plan: Plan, known: set[int]) -> list[Fate]:
    """Return what was left of TAPs that were gone before, an entry a thing."""
    fates = []
    for move in plan.moves:
        what = "filter"
        match move.do:
            case RemoveFilter():  # which is empty: no leftover
                continue
            case ForgetLink(index) if index in known:
                continue
            case DeleteLink(link):
                what = link.name
            case SetStrict(bridge):
                what = bridge
            case DropOvsPort(name):
                what = name
            case DropProxy(link):
                what = link.name
        why = f"its TAP is gone: {describe(move.do)}"
        fates.append(Fate(what, "", 0, "remove", why, Plan((move,))))
    return fates


class _Work:
    """What the judging of every link needs."""

    def __init__(
        self,
        netlink: Netlink,
        idle: int | None,
        search: Callable[[], dict[str, Holders]],
        *,
        dry_run: bool,
    ) -> None:
        self._netlink = netlink
        self._idle = idle
        self._search = search
        self._dry_run = dry_run

    def collect(self, found: list[tuple[Link, Tag]], errors: list[VmnetError]) -> list[Fate]:
        """Judge some links and remove what is to go; it is gone before a lock is given back."""
        fates = []
        with Locks(dry_run=self._dry_run) as locks, Closing() as closing:
            for link, tag in found:
                signals.check()
                with _going_on(errors):
                    try:
                        locks.take(f"vm:{tag.vm_name}")
                        fates.append(self._collect_one(link, tag, closing))
                    except Busy as error:
                        fates.append(_left_alone(link, tag, error.message))
        return fates

    def _collect_one(self, link: Link, tag: Tag, closing: Closing) -> Fate:
        now = self._netlink.link_by_index(link.index)
        if now is None or now.tag is None or now.tag.generation != tag.generation:
            return _left_alone(link, tag, "it changed meanwhile")
        fate = judge(now, holders_of(now), host.boottime(), self._idle)
        if fate.plan.moves:  # a holder need not show: look again, and closely
            holders = self._search().get(now.name, Holders())
            fate = judge(now, holders, host.boottime(), self._idle)
        if not fate.plan.moves or fate.action != "remove":
            if not self._dry_run:
                carry_out(self._netlink, fate.plan, closing=closing)
            return fate
        with at_switch(self._netlink, now) as at:
            plan = at.first(fate.plan)
            if not self._dry_run:
                carry_out(self._netlink, plan, closing=closing, switch=at.switch)
        return replace(fate, plan=plan)


def _left_alone(link: Link, tag: Tag, why: str) -> Fate:
    return Fate(link.name, tag.vm_name, tag.nic, "leave", why, Plan())


def _collect_bare(netlink: Netlink, link: Link, *, dry_run: bool) -> list[Fate]:
    """Remove a macvtap that got no tag, if nobody is about to give it one.

    Its VM is not known: the lock is that of all that are being made.
    """
    with locked_for(FILTER_LOCK, wait=0, dry_run=dry_run):
        now = netlink.link_by_index(link.index)
        if now is None or not is_bare_macvtap(now):
            return []
        plan = Plan((Move(DeleteLink(Ref(now.name, now.index))),))
        if not dry_run:
            carry_out(netlink, plan)
        return [Fate(now.name, "", 0, "remove", "its making was cut short", plan)]


def _put_back(bridge: str, nic: str, *, dry_run: bool) -> list[Fate]:
    plan = put_back_overdue(bridge, nic, dry_run=dry_run)
    why = f"nobody confirmed it as an uplink of {bridge} in time"
    return [Fate(nic, "", 0, "put-back", why, plan)] if plan.moves else []


def _collect_bridge(netlink: Netlink, name: str, *, dry_run: bool) -> list[Fate]:
    with locked_for(f"bridge:{name}", wait=0, dry_run=dry_run):
        view = bridge_view(netlink, name)
        if not is_leftover(view):
            return []
        plan = plan_bridge_delete(name, view, force=False)
        if not dry_run:
            carry_out(netlink, plan)
        return [Fate(name, "", 0, "remove", "its making was cut short", plan)]
