"""Answers about the host's files.

Job: words and JSON data.
Leaves to others: printing (`vmnet.entry.report`).
Privilege: none.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from vmnet.entry import report, say
from vmnet.model.hostfile import State
from vmnet.model.words import describe

if TYPE_CHECKING:
    from vmnet.model.found import Finding
    from vmnet.plan.hostfile import Judged
    from vmnet.service.hostfile import HostChange, HostStatus

#: What is found after `host uninstall` of those who go by a file that is gone.
_STILL = ("reload", "still-enabled")


def changed(done: HostChange, *, removed: bool, dry_run: bool, as_json: bool) -> None:
    """Answer `host install` and `host uninstall`."""
    if as_json:
        data = {"dry_run": dry_run, **say.plan_data(done.plan), "host": _data(done.status)}
        report.answer_json(data)
        return
    say.notes(done.plan.notes)
    if dry_run:
        say.lines(done.plan)
        return
    for move in done.plan.moves:
        report.note(report.safe(describe(move.do)))
    if not done.plan.moves:
        report.note("host: nothing to do")
    # That nothing is there any more was wished; who still goes by it was not.
    findings = [each for each in done.status.findings if not removed or each.code in _STILL]
    _findings(findings, report.note)


def status(found: HostStatus, *, as_json: bool) -> None:
    """Answer `host status`."""
    if as_json:
        report.answer_json(_data(found))
        return
    for each in found.files:
        report.answer(f"{report.safe(each.spot.path)}: {_word(each)} ({_does(each)})")
    _findings(found.findings, report.answer)


def _word(each: Judged) -> str:
    style = "good" if each.state is State.INSTALLED else "warn"
    return report.styled(each.state.value, style, sys.stdout)


def _does(each: Judged) -> str:
    program = each.spot.file.program.name
    here = "" if each.spot.program_there else f"; no {program} here"
    return f"{each.spot.file.does}{here}"


def _findings(found: Iterable[Finding], say_it: Callable[[str], None]) -> None:
    for finding in found:
        say_it(f"{'problem' if finding.certain else 'possible'}: {report.safe(finding.what)}")
        say_it(f"  try: {report.safe(finding.remedy)}")


def _data(found: HostStatus) -> dict[str, Any]:
    return {
        "root": found.top,
        "well": found.well,
        "files": [
            {
                "name": each.spot.file.name,
                "path": each.spot.path,
                "state": each.state.value,
                "does": each.spot.file.does,
                "program": each.spot.file.program.name,
                "program_here": each.spot.program_there,
                "group": each.group or None,
            }
            for each in found.files
        ],
        "daemons": [{"name": each.name, "pid": each.pid} for each in found.daemons],
        "findings": [finding.data() for finding in found.findings],
    }
