"""Changes of a libvirt domain: which of its two definitions, and by which steps.

Job: the moves that write a wish and add, change or remove an interface, each with its undo.
Leaves to others: the XML in them (`vmnet.formats`), the TAP (`vmnet.plan.domain`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vmnet.errors import Conflict
from vmnet.model.domain import DomainState, Interface
from vmnet.model.step import (
    DomainStep,
    Move,
    PlugDevice,
    SetMetadata,
    UnplugDevice,
    UpdateDevice,
    Where,
)


@dataclass(frozen=True)
class Change:
    """One interface of one definition, before and after.

    Attributes:
        where: which definition.
        wishes_before: vmnet's metadata element as it is; empty for none.
        wishes_after: as it is to be.
        before: the interface, or None.
        before_xml: its XML; empty for none.
        after: the interface as it is to be, or None for none.
        after_xml: its XML.
    """

    where: Where
    wishes_before: str
    wishes_after: str
    before: Interface | None
    before_xml: str
    after: Interface | None
    after_xml: str


def targets(state: DomainState, *, live: bool, config: bool) -> tuple[Where, ...]:
    """Return the definitions to change: those asked for, or all there are.

    Raises:
        Conflict: one was asked for that this domain has not got.
    """
    there = {Where.LIVE: state.active, Where.CONFIG: state.persistent}
    asked = {Where.LIVE: live, Where.CONFIG: config}
    for where, words in ((Where.LIVE, "does not run"), (Where.CONFIG, "is not persistent")):
        if asked[where] and not there[where]:
            raise Conflict(
                f"domain {state.name!r} {words}, so there is nothing --{where} could change",
                code="domain-state",
                remedy=f"leave --{where} out: what there is will be changed",
            )
    wanted = asked if live or config else there
    return tuple(where for where in Where if wanted[where] and there[where])


def plan_change(domain: str, mac: str, change: Change) -> list[Move]:
    """Return the moves that bring one definition from before to after; none if it is so.

    Raises:
        Conflict: a running domain cannot be changed in that way.
    """
    moves = []
    where = change.where
    if change.wishes_before != change.wishes_after:
        write = SetMetadata(domain, where, change.wishes_after)
        moves.append(Move(write, SetMetadata(domain, where, change.wishes_before)))
    before, after = change.before_xml, change.after_xml
    unplug = UnplugDevice(domain, where, mac, before or after)
    if change.before is None and change.after is not None:
        moves.append(Move(PlugDevice(domain, where, mac, after), unplug))
    elif change.before is not None and change.after is None:
        # First: the guest may not let go of it, and then nothing has been changed.
        moves.insert(0, Move(unplug, PlugDevice(domain, where, mac, before)))
    elif change.before is not None and change.after is not None:
        if where is Where.LIVE:
            _check_live(change.before, change.after)
        if _differ(change.before, change.after, where):
            update = UpdateDevice(domain, where, mac, after)
            moves.append(Move(update, UpdateDevice(domain, where, mac, before)))
    return moves


def plan_changes(domain: str, mac: str, changes: Sequence[Change]) -> list[Move]:
    """Return the moves for several definitions, in the order in which they can be taken back.

    The stored definition's wish comes first: if that cannot be written, the guest has been given
    nothing yet, and what it was given it may not let go of. The stored interface comes last:
    libvirt keeps the controllers that it adds for one.

    Raises:
        Conflict: a running domain cannot be changed in that way.
    """
    return sorted([m for each in changes for m in plan_change(domain, mac, each)], key=_turn)


def _turn(move: Move) -> int:
    step = move.do
    if isinstance(step, DomainStep) and step.where is Where.LIVE:
        return 1
    return 0 if isinstance(step, SetMetadata) else 2


def _check_live(before: Interface, after: Interface) -> None:
    for what, old, new in (
        ("queues", before.queues, after.queues),
        ("mtu", before.mtu, after.mtu),
        ("model", before.model, after.model),
    ):
        if old != new:
            raise Conflict(
                f"interface {before.mac}: {what} is {old or 'unset'} and cannot become "
                f"{new or 'unset'} while the domain runs",
                code="not-live",
                remedy="add --config: it holds from the next start on",
            )


def _differ(before: Interface, after: Interface, where: Where) -> bool:
    if where is Where.LIVE:
        # The driver is chosen once, when the interface is plugged in.
        return before.bridge != after.bridge
    settings = ("queues", "mtu", "model", "driver", "bridge", "target")
    return any(getattr(before, name) != getattr(after, name) for name in settings)
