"""NICs of many VMs, detached together.

Job: take their locks as far as they are free, let their TAPs go beside each other, sweep once.
Leaves to others: each NIC (`vmnet.service.nics`); what is busy is left to `detach`, which waits.
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from vmnet.errors import Busy, VmnetError
from vmnet.kernel import signals
from vmnet.kernel.closing import Closing, at_once
from vmnet.kernel.links import Netlink
from vmnet.model.step import Move, Plan
from vmnet.model.tag import vm_in_tag
from vmnet.service.base import Locks, opened, raise_all, tagged, vm_lock
from vmnet.service.nics import detach, detach_link
from vmnet.service.outside import clear


@dataclass
class _Gone:
    """What came of one NIC."""

    vm: str
    links: set[str] = field(default_factory=set)
    moves: list[Move] = field(default_factory=list)
    errors: list[VmnetError] = field(default_factory=list)

    def outcome(self) -> Plan | VmnetError:
        try:
            raise_all(self.errors)
        except VmnetError as error:
            return error
        return Plan(tuple(self.moves))


def detach_each(
    wanted: Sequence[tuple[str, int]], *, dry_run: bool, wait: float
) -> list[Plan | VmnetError]:
    """Detach these NICs, going on past failures.

    Args:
        wanted: VM and number of each NIC.
        dry_run: plan only.
        wait: how long to wait for each lock, in seconds.

    Returns:
        For each NIC what was done, or why nothing was.
    """
    outcomes: list[Plan | VmnetError] = []
    some = at_once()
    for start in range(0, len(wanted), some):
        part = wanted[start : start + some]
        done = _detach_some(part, dry_run=dry_run, wait=wait)
        outcomes += [
            done[one].outcome() if one in done else _detach_alone(one, dry_run=dry_run, wait=wait)
            for one in part
        ]
    return outcomes


def _detach_alone(one: tuple[str, int], *, dry_run: bool, wait: float) -> Plan | VmnetError:
    try:
        gone = detach(*one, dry_run=dry_run, wait=wait)
    except VmnetError as error:
        return error
    return Plan(tuple(move for each in gone for move in each.plan.moves))


def _detach_some(
    wanted: Sequence[tuple[str, int]], *, dry_run: bool, wait: float
) -> dict[tuple[str, int], _Gone]:
    """Detach those whose locks are free; the others are not in what is returned."""
    done: dict[tuple[str, int], _Gone] = {}
    with signals.deferred(), Locks(dry_run=dry_run) as locks:
        for vm, nic in wanted:
            with suppress(Busy):
                locks.take(vm_lock(vm))
                done[vm, nic] = _Gone(vm)
        if not done:
            return done
        try:
            with opened() as netlink:
                _let_go(netlink, done, dry_run=dry_run)
                _sweep(netlink, list(done.values()), dry_run=dry_run, wait=wait)
        except VmnetError as error:  # links could not be read
            for gone in done.values():
                gone.errors.append(error)
    return done


def _let_go(netlink: Netlink, done: dict[tuple[str, int], _Gone], *, dry_run: bool) -> None:
    of = {(vm_in_tag(vm), nic): gone for (vm, nic), gone in done.items()}
    with Closing() as closing:
        for link, tag in tagged(netlink):
            gone = of.get((tag.vm, tag.nic))
            if gone is None:
                continue
            try:
                plan = detach_link(netlink, link, closing, force=False, dry_run=dry_run)
            except VmnetError as error:
                gone.errors.append(error)
            else:
                gone.links.add(link.name)
                gone.moves += plan.moves


def _sweep(netlink: Netlink, done: list[_Gone], *, dry_run: bool, wait: float) -> None:
    """Take away what is left beside these TAPs; it counts as done for the last NIC."""
    links = frozenset(name for each in done for name in each.links)
    vms = {each.vm for each in done}
    try:
        left = clear(netlink, *vms, gone=links, dry_run=dry_run, wait=wait)
    except VmnetError as error:
        done[-1].errors.append(error)
    else:
        done[-1].moves += left.moves
