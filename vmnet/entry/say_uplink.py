"""Answers of `vmnet bridge add-uplink`, `confirm` and `remove-uplink`.

Job: as `vmnet.entry.say`, of which this is a part.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vmnet.entry import report, say
from vmnet.model.hoststep import StartGuardian

if TYPE_CHECKING:
    from vmnet.model.step import Plan


def added(bridge: str, nic: str, plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    """Answer `add-uplink`, with how long there is to confirm."""
    guards = (move.do for move in plan.moves if isinstance(move.do, StartGuardian))
    seconds = next((step.seconds for step in guards), None)
    if as_json:
        head = {"bridge": bridge, "nic": nic, "dry_run": dry_run, "confirm_within": seconds}
        report.answer_json({**head, **say.plan_data(plan)})
        return
    _answer(f"bridge {bridge}: {nic} is a port of it now", bridge, plan, dry_run=dry_run)
    if seconds is not None and not dry_run:
        command = shlex.join(["vmnet", "bridge", "confirm", bridge])
        report.note(f"all is put back in {seconds} s unless confirmed: {command}")


def confirmed(bridge: str, plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    """Answer `confirm`."""
    if as_json:
        report.answer_json({"bridge": bridge, "dry_run": dry_run, **say.plan_data(plan)})
        return
    _answer(f"bridge {bridge}: its uplink stays", bridge, plan, dry_run=dry_run)


def removed(bridge: str, nic: str, plan: Plan, *, dry_run: bool, as_json: bool) -> None:
    """Answer `remove-uplink`."""
    if as_json:
        head = {"bridge": bridge, "nic": nic, "dry_run": dry_run}
        report.answer_json({**head, **say.plan_data(plan)})
        return
    got = "is its own again" if plan.notes else "has back what it had"
    _answer(f"bridge {bridge}: {nic} {got}", bridge, plan, dry_run=dry_run)


def _answer(done: str, bridge: str, plan: Plan, *, dry_run: bool) -> None:
    say.notes(plan.notes)
    if dry_run:
        say.lines(plan)
    else:
        report.note(done if plan.moves else f"bridge {bridge}: nothing to do")
