"""Answers of `vmnet hook`: for people and as JSON.

Job: one function for what each command answers.
Leaves to others: writing (`vmnet.entry.report`), options (`vmnet.entry.hookcli`).
Privilege: none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from vmnet.entry import report
from vmnet.model.found import Finding
from vmnet.model.hookfile import HOOK_PATH

if TYPE_CHECKING:
    from vmnet.service.hookfile import HookChange, HookStatus


def installed(done: HookChange, *, dry_run: bool, as_json: bool) -> None:
    """Answer `hook install`."""
    if as_json:
        report.answer_json({"dry_run": dry_run, **_change_data(done)})
        return
    if done.changed and dry_run:
        for folder in done.folders:
            report.answer(f"mkdir -m 0755 {folder}")
        report.answer(f"# vmnet writes {HOOK_PATH} beside its folder, and moves it there")
    else:
        report.note(f"hook: {'installed ' + HOOK_PATH if done.changed else 'nothing to do'}")
    _filled_in(done.status, report.note)
    _findings(done.status.findings, report.note)


def uninstalled(done: HookChange, *, dry_run: bool, as_json: bool) -> None:
    """Answer `hook uninstall`."""
    if as_json:
        report.answer_json({"dry_run": dry_run, **_change_data(done)})
        return
    if not done.changed:
        report.note("hook: nothing to do")
        return
    if dry_run:
        report.answer(f"rm {HOOK_PATH}")
        return
    report.note(f"hook: removed {HOOK_PATH}")
    report.note(
        "what stays: TAPs of running VMs (`vmnet detach VM`, once they are off), and vmnet's "
        "metadata in the domains; those whose TAP vmnet made will not start"
    )


def status(found: HookStatus, *, as_json: bool) -> None:
    """Answer `hook status`."""
    if as_json:
        report.answer_json(_status_data(found))
        return
    style = "good" if found.well else "bad"
    word = report.styled(found.state.value, style, sys.stdout)
    report.answer(f"{HOOK_PATH}: {word}")
    _filled_in(found, report.answer)
    for daemon in found.daemons:
        confined = f", confined by {report.safe(daemon.label)}" if daemon.label else ""
        report.answer(f"libvirt runs as {daemon.name}, pid {daemon.pid}{confined}")
    if os.geteuid() != 0:
        report.answer("whether libvirt runs, and knows of the hook, only root can see")
    elif not found.daemons:
        report.answer("no libvirt daemon runs; the next one will look for it")
    _findings(found.findings, report.answer)


def _filled_in(found: HookStatus, say: Callable[[str], None]) -> None:
    if found.script is not None:
        version = f"vmnet {found.version}" if found.version else "no vmnet that works"
        python = report.safe(found.script.python)
        say(f"runs {python} ({version}), at most {found.script.limit} s a call")


def _findings(findings: Iterable[Finding], say: Callable[[str], None]) -> None:
    for finding in findings:
        say(f"{'problem' if finding.certain else 'possible'}: {report.safe(finding.what)}")
        say(f"  try: {report.safe(finding.remedy)}")


def _change_data(done: HookChange) -> dict[str, Any]:
    return {
        "changed": done.changed,
        "folders": list(done.folders),
        "hook": _status_data(done.status),
    }


def _status_data(found: HookStatus) -> dict[str, Any]:
    script = found.script
    return {
        "path": HOOK_PATH,
        "state": found.state.value,
        "well": found.well,
        "python": script.python if script else None,
        "timeout_seconds": script.limit if script else None,
        "vmnet": found.version,
        "daemons": [
            {"name": daemon.name, "pid": daemon.pid, "apparmor": daemon.label or None}
            for daemon in found.daemons
        ],
        "findings": [finding.data() for finding in found.findings],
    }
