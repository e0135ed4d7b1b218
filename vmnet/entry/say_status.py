"""Answers of `vmnet status`.

Job: a paragraph for each NIC; JSON with a schema of its own (`docs/reference.md`).
Leaves to others: writing (`vmnet.entry.report`).
Privilege: none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from vmnet.entry import report, say
from vmnet.model.host import Holder
from vmnet.model.netdev import Netdev
from vmnet.model.status import SCHEMA, NicStatus
from vmnet.model.vhost import DataPath
from vmnet.model.words import describe


def status(nics: Sequence[NicStatus], *, as_json: bool) -> None:
    """Answer `status`."""
    if as_json:
        report.answer_json({"schema": SCHEMA, "nics": [_data(nic) for nic in nics]})
        return
    for number, nic in enumerate(nics):
        if number:
            report.answer("")
        _nic(nic)
    if not nics:
        report.note("nothing is attached")


def mended(nics: Sequence[NicStatus]) -> None:
    """Say what `--repair` is about to do."""
    for nic in nics:
        for move in nic.drift.moves:
            step = report.safe(describe(move.do))
            report.note(f"{report.safe(nic.vm)} nic {nic.nic}: {step}")


def _nic(nic: NicStatus) -> None:
    where = nic.place or "in no bridge"
    head = (
        f"{report.safe(nic.vm)} nic {nic.nic}: {report.safe(nic.link.name)}, {report.safe(where)}"
    )
    report.answer(report.styled(head, "head", sys.stdout))
    for name, text, style in _lines(nic):
        report.paragraph(name, text, style)
    for line in say.plan_data(nic.drift)["shell"]:
        report.answer(f"    {report.safe(line)}")


def _lines(nic: NicStatus) -> Iterator[tuple[str, str, str]]:
    """Yield lines as name, text and style."""
    if not nic.holders:
        blind = f" ({nic.blind})" if nic.blind else ""
        yield "open in", f"no process{blind}", ""
    for holder in nic.holders:
        yield "open in", f"pid {holder.pid} of {holder.user}: {holder.command}", ""
    yield "queues", _queues(nic), ""
    yield "asked", _asked(nic), ""
    yield "data path", _path(nic), _colour(nic)
    if nic.moved is not None:
        yield "seen", _moved(nic), ""
    if not nic.troubles:
        yield "as asked", "yes", "good"
    for trouble in nic.troubles:
        yield "not so", f"{trouble.text} ({trouble.code})", "bad"
        yield "", f"try: {trouble.remedy}", ""


def _queues(nic: NicStatus) -> str:
    asked = f"{nic.queues} asked for"
    if not nic.holders and not nic.open_queues:
        return asked
    used = f", {nic.used_queues} used by the guest" if nic.link.tun is not None else ""
    return f"{asked}, {nic.open_queues} open{used}"


def _asked(nic: NicStatus) -> str:
    policy = f"vhost={nic.policy.value} ({nic.source})"
    if nic.netdev is None:
        return policy
    said = "vhost=on" if nic.netdev.vhost else "no vhost=on"
    model = f", {nic.netdev.model}" if nic.netdev.model else ""
    return f"{policy}; QEMU's command line: {said}{model}"


def _path(nic: NicStatus) -> str:
    path = nic.path
    name = path.path.value if path.path is not None else "none" if not nic.holders else "unknown"
    possible = "" if path.certain else "possible: "
    return f"{name} ({possible}{path.detail})"


def _colour(nic: NicStatus) -> str:
    if nic.path.path is None:
        return ""
    return "good" if nic.path.path is DataPath.VHOST else "warn"


def _moved(nic: NicStatus) -> str:
    moved = nic.moved
    if moved is None:
        return ""
    text = (
        f"{moved.to_guest} packets to the guest and {moved.from_guest} from it in "
        f"{moved.seconds:.1f} s"
    )
    workers = nic.holders[0].workers if nic.holders else ()
    if not workers:
        return text
    tids = " ".join(str(worker.tid) for worker in workers)
    return f"{text}; vhost workers {tids} woke {moved.wakes} times"


# ---- JSON


def _data(nic: NicStatus) -> dict[str, Any]:
    netdev = nic.netdev
    return {
        "vm": nic.vm,
        "nic": nic.nic,
        "tap": nic.link.name,
        "place": nic.place or None,
        "holders": [_holder(holder) for holder in nic.holders],
        "blind": nic.blind or None,
        "queues": {"asked": nic.queues, "open": nic.open_queues, "used": nic.used_queues},
        "asked": {
            "vhost": nic.policy.value,
            "source": nic.source,
            "command_line": None if netdev is None else _command_line(netdev),
        },
        "data_path": {
            "path": None if nic.path.path is None else nic.path.path.value,
            "reason": nic.path.reason,
            "detail": nic.path.detail,
            "certain": nic.path.certain,
        },
        "moved": None if nic.moved is None else asdict(nic.moved),
        "drift": say.plan_data(nic.drift),
        "troubles": [asdict(trouble) for trouble in nic.troubles],
    }


def _command_line(netdev: Netdev) -> dict[str, Any]:
    return {"vhost": netdev.vhost, "model": netdev.model or None}


def _holder(holder: Holder) -> dict[str, Any]:
    return {
        "pid": holder.pid,
        "user": holder.user,
        "command": holder.command,
        "queues": holder.fds,
        "vhost_fds": holder.vhost_fds,
        "workers": [asdict(worker) for worker in holder.workers],
    }
