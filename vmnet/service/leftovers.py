"""Clearing up: what vmnet made and nobody uses any more.

Job: `vmnet gc`, link by link, each under the lock of its VM.
Leaves to others: the verdict (`vmnet.plan.gc`).
Privilege: CAP_NET_ADMIN in the network namespace; root, to see who holds what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from vmnet.errors import Busy, VmnetError
from vmnet.kernel import host, signals
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import remove_leftovers
from vmnet.kernel.observe import bridge_view, holders_of, holders_of_all
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.host import Holders, Link
from vmnet.model.portstep import ForgetLink, RemoveFilter, SetStrict
from vmnet.model.step import DeleteLink, Plan
from vmnet.model.tag import Tag
from vmnet.model.words import describe
from vmnet.plan.bridge import is_leftover, plan_bridge_delete
from vmnet.plan.gc import Fate, judge
from vmnet.service.base import carry_out, locked_for, of_refusal, opened, tagged
from vmnet.service.outside import clear
from vmnet.service.uplinks import overdue, put_back_overdue


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
        search = cache(lambda: holders_of_all([link.name for link, _ in found]))
        for link, tag in found:
            signals.check()
            with _going_on(errors):
                fates.append(_collect_one(netlink, link, tag, idle, search, dry_run=dry_run))
        # A bridge whose making was cut short has no tag and is not yet up; others need no look.
        for name in [b.name for b in netlink.bridges() if not (b.alias or b.up)]:
            with _going_on(errors):
                fates += _collect_bridge(netlink, name, dry_run=dry_run)
        for name, nic in overdue(netlink):
            with _going_on(errors):
                fates += _put_back(name, nic, dry_run=dry_run)
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
        why = f"its TAP is gone: {describe(move.do)}"
        fates.append(Fate(what, "", 0, "remove", why, Plan((move,))))
    return fates


def _collect_one(
    netlink: Netlink,
    link: Link,
    tag: Tag,
    idle: int | None,
    search: Callable[[], dict[str, Holders]],
    *,
    dry_run: bool,
) -> Fate:
    try:
        with locked_for(f"vm:{tag.vm_name}", wait=0, dry_run=dry_run):
            now = netlink.link_by_index(link.index)
            if now is None or now.tag is None or now.tag.generation != tag.generation:
                return Fate(
                    link.name, tag.vm_name, tag.nic, "leave", "it changed meanwhile", Plan()
                )
            fate = judge(now, holders_of(now), host.boottime(), idle)
            if fate.plan.moves:  # a holder need not show: look again, and closely
                fate = judge(now, search().get(now.name, Holders()), host.boottime(), idle)
            if not dry_run:
                carry_out(netlink, fate.plan)
            return fate
    except Busy as error:
        return Fate(link.name, tag.vm_name, tag.nic, "leave", error.message, Plan())


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
