"""Answers about libvirt's domains, as text for people and as JSON for programs.

Job: as `vmnet.entry.say`, for what concerns libvirt.
Leaves to others: writing (`vmnet.entry.report`), options (`vmnet.entry.domaincli`).
Privilege: none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vmnet.entry import report, say

if TYPE_CHECKING:
    from vmnet.errors import VmnetError
    from vmnet.model.found import Finding
    from vmnet.service.explain import Explained
    from vmnet.service.live import Plugged, Unplugged
    from vmnet.service.rehearse import Rehearsed
    from vmnet.service.sync import Synced


def plugged(done: Plugged, hook: Sequence[Finding], *, dry_run: bool, as_json: bool) -> None:
    """Answer `attach` of a libvirt domain, and what keeps libvirt from calling its hook."""
    nic = done.nic
    where = [each.value for each in done.where]
    if as_json:
        libvirt = {"uri": done.uri, "where": where}
        report.answer_json(
            {
                "vm": nic.vm,
                "dry_run": dry_run,
                "libvirt": libvirt,
                "nic": nic.nic,
                "tap": done.tap or None,
                "bridge": nic.bridge,
                "mac": nic.mac,
                "mtu": nic.mtu,
                "queues": nic.queues,
                "model": nic.model,
                "data_path": say.path_data(done.verdict),
                **say.plan_data(done.plan),
                "hook": [each.data() for each in hook],
            }
        )
        return
    queues = "1 queue" if nic.queues == 1 else f"{nic.queues} queues"
    report.note(f"{report.safe(nic.vm)}: domain of {report.safe(done.uri)}, {' and '.join(where)}")
    tap = f"tap {report.safe(done.tap)}" if done.tap else "libvirt's tap"
    report.note(f"nic {nic.nic}: {tap} on bridge {nic.bridge}, {queues}, mac {nic.mac}")
    say.data_path(done.verdict)
    say.notes(done.plan.notes)
    if dry_run:
        say.lines(done.plan)
    elif not done.plan.moves:
        report.note("nothing to do")
    for each in hook:
        report.note(
            f"warning: libvirt will not call vmnet when it starts: {report.safe(each.what)}"
        )
        report.note(f"  try: {report.safe(each.remedy)}")


def unplugged(vm: str, done: Sequence[Unplugged], *, dry_run: bool, as_json: bool) -> None:
    """Answer `detach` of a libvirt domain."""
    if as_json:
        nics = [
            {
                "nic": d.nic,
                "mac": d.mac,
                "libvirt": {"uri": d.uri, "where": [each.value for each in d.where]},
                **say.plan_data(d.plan),
            }
            for d in done
        ]
        report.answer_json({"vm": vm, "dry_run": dry_run, "nics": nics})
        return
    for each in done:
        where = " and ".join(place.value for place in each.where)
        if dry_run:
            say.lines(each.plan)
        else:
            text = f"nic {each.nic} ({each.mac}): removed from {where} of {report.safe(each.uri)}"
            report.note(f"{report.safe(vm)} {text}")
    if not done:
        report.note(
            f"nothing of vmnet's is in the metadata of {report.safe(vm)}, or not of that NIC"
        )


def rehearsed(found: Sequence[Rehearsed], *, as_json: bool) -> None:
    """Answer `hook test`."""
    if as_json:
        report.answer_json({"operations": [_rehearsed_data(each) for each in found]})
        return
    if not found:
        report.answer("the hook leaves it alone: its metadata has nothing of vmnet's")
    for each in found:
        report.answer(report.styled(each.operation, "head", sys.stdout))
        if each.refusal is not None:
            report.answer(f"  refused: {report.safe(each.refusal.message)}")
            report.answer(f"  try: {report.safe(each.refusal.remedy)}")
        for nic, verdict in each.verdicts.items():
            path = f"{verdict.path.value} ({verdict.reason.value}: {report.safe(verdict.detail)})"
            report.answer(f"  nic {nic}: data path {path}")
        for nic, plan in each.plans.items():
            for words in say.plan_data(plan)["steps"]:
                report.answer(f"  nic {nic}: {report.safe(words)}")
        for note in each.notes:
            report.answer(f"  {report.safe(note)}")


def _rehearsed_data(each: Rehearsed) -> dict[str, Any]:
    return {
        "operation": each.operation,
        "refusal": report.error_data(each.refusal) if each.refusal is not None else None,
        "nics": {str(nic): say.plan_data(plan) for nic, plan in each.plans.items()},
        "data_paths": {str(nic): say.path_data(v) for nic, v in each.verdicts.items()},
        "notes": list(each.notes),
    }


def synced(
    done: Sequence[Synced], errors: Sequence[VmnetError], *, dry_run: bool, as_json: bool
) -> None:
    """Answer `sync`: what was off; nothing where nothing was."""
    if as_json:
        domains = [
            {
                "vm": d.domain,
                "nics": [{"nic": n, **say.plan_data(plan)} for n, plan in d.plans.items()],
                "warnings": d.warnings,
            }
            for d in done
        ]
        failed = [report.error_data(error) for error in errors]
        report.answer_json({"dry_run": dry_run, "domains": domains, "errors": failed})
        return
    for each in done:
        for nic, plan in each.plans.items():
            would = "would " if dry_run else ""
            for words in say.plan_data(plan)["steps"]:
                report.answer(f"{report.safe(each.domain)} nic {nic}: {would}{report.safe(words)}")
        for warning in each.warnings:
            report.note(f"warning: {report.safe(each.domain)}: {report.safe(warning)}")


def explained(vm: str, found: Sequence[Explained], notes: Sequence[str], *, as_json: bool) -> None:
    """Answer `explain`."""
    if as_json:
        nics = [
            {
                "nic": e.nic,
                "tap": e.tap or None,
                "settings": {s.name: {"value": s.value, "source": s.source} for s in e.settings},
            }
            for e in found
        ]
        report.answer_json({"vm": vm, "nics": nics, "notes": list(notes)})
        return
    for each in found:
        tap = f", tap {report.safe(each.tap)}" if each.tap else ""
        report.answer(f"{report.safe(vm)} nic {each.nic}{tap}")
        width = max(8, *(len(setting.name) for setting in each.settings))
        for setting in each.settings:
            value, source = report.safe(setting.value), report.safe(setting.source)
            report.answer(f"  {setting.name:{width}} {value:18} {source}")
    say.notes(notes)
