"""Answers: the values of the service as text for people and as JSON for programs.

Job: one function for what each command answers; the JSON's fields are documented in
`docs/reference.md`.
Leaves to others: writing (`vmnet.entry.report`), options (`vmnet.entry.cli`).
Privilege: none.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vmnet.entry import report, say_others
from vmnet.formats.shell import plan_lines
from vmnet.model.port import USUAL, Port, port_settings
from vmnet.model.step import CreateBridge, DeleteLink, DropTap
from vmnet.model.vhost import DataPath
from vmnet.model.wire import Direct, by_socket, wire_phrase, wire_texts
from vmnet.model.words import describe

if TYPE_CHECKING:
    from vmnet.errors import VmnetError
    from vmnet.look import Holding, Others, Row
    from vmnet.model.host import Holder
    from vmnet.model.patch import PatchWish
    from vmnet.model.step import Plan
    from vmnet.model.tag import Tag
    from vmnet.model.vhost import Verdict
    from vmnet.plan.gc import Fate
    from vmnet.probe import Check
    from vmnet.service import Attached, Detached, Launch
    from vmnet.service.inventory import DomainRow


#: Data paths that do not go through QEMU.
_FAST = (DataPath.VHOST, DataPath.VHOST_USER)


def attached(done: Attached, *, dry_run: bool, as_json: bool) -> None:
    """Answer `attach` and `plan`: the arguments on standard output, the reasons beside it."""
    if as_json:
        report.answer_json({"dry_run": dry_run, **attached_data(done)})
        return
    reasons(done)
    if dry_run:
        lines(done.plan)
    elif done.args is not None:
        report.answer(shlex.join(done.args.words()))


def reasons(done: Attached) -> None:
    """Say what a NIC got and why."""
    nic, verdict = done.nic, done.verdict
    queues = "1 queue" if nic.queues == 1 else f"{nic.queues} queues"
    report.note(
        f"{report.safe(nic.vm)} nic {nic.nic}: {_where(done)}, "
        f"mtu {done.mtu}, {queues}, mac {nic.mac}"
    )
    if nic.port != USUAL and not by_socket(nic.wire):
        report.note(f"port: {passing(nic.port, nic.police)}")
    data_path(verdict)
    notes(done.plan.notes)


def _where(done: Attached) -> str:
    nic = done.nic
    if nic.wire is None:
        return f"tap {done.tap} on bridge {nic.bridge}"
    if not done.tap:
        return report.safe(wire_phrase(nic.wire))
    kind = "macvtap" if isinstance(nic.wire, Direct) else "tap"
    return f"{kind} {done.tap}, {wire_phrase(nic.wire)}"


def passing(port: Port, *police: bool) -> str:
    """Return what may pass at a port in words, e.g. `guard on, vlan 10, rate-out 100mbit`."""
    words = [f"{key} {value}" for key, value in port_settings(port).items()]
    held = [" (policed)" if any(police) and w.startswith("rate-out") else "" for w in words]
    return ", ".join(word + how for word, how in zip(words, held, strict=True))


def data_path(verdict: Verdict) -> None:
    """Say who moves the packets, and why."""
    path = report.styled(
        verdict.path.value, "good" if verdict.path in _FAST else "warn", sys.stderr
    )
    report.note(f"data path: {path} ({verdict.reason.value}: {report.safe(verdict.detail)})")
    if verdict.warning:
        report.note(f"warning: vhost-net was asked for and is not used; try: {verdict.remedy}")


def launch(vm: str, prepared: Launch, command: list[str], *, as_json: bool) -> None:
    """Answer `run --dry-run`."""
    if as_json:
        nics = [attached_data(each) for each in prepared.nics]
        report.answer_json({"vm": vm, "dry_run": True, "nics": nics, "command": command})
        return
    for each in prepared.nics:
        reasons(each)
        lines(each.plan)
    program = report.safe(shlex.quote(command[0]))  # a newline would end the comment
    report.answer(f"# then becomes {program}, with -netdev and -device for each NIC")


def detached(vm: str, done: list[Detached], *, dry_run: bool, as_json: bool) -> None:
    """Answer `detach`."""
    if as_json:
        links = [{"link": d.link, "nic": d.nic, **plan_data(d.plan)} for d in done]
        report.answer_json({"vm": vm, "dry_run": dry_run, "links": links})
        return
    for each in done:
        notes(each.plan.notes)
        if dry_run:
            lines(each.plan)
        else:
            gone = any(isinstance(move.do, DropTap | DeleteLink) for move in each.plan.moves)
            did = "removed" if gone else "let go of"
            report.note(f"{report.safe(vm)} nic {each.nic}: {did} {report.safe(each.link)}")
    if not done:
        report.note(f"nothing is attached for {report.safe(vm)}, or not for that NIC")


def bridge(name: str, plan: Plan, verb: str, *, dry_run: bool, as_json: bool) -> None:
    """Answer `bridge create` and `bridge delete`."""
    if as_json:
        report.answer_json({"bridge": name, "dry_run": dry_run, **plan_data(plan)})
        return
    notes(plan.notes)
    if dry_run:
        lines(plan)
    else:
        changed = verb == "made" and not any(isinstance(m.do, CreateBridge) for m in plan.moves)
        done = "changed" if changed else verb
        report.note(f"bridge {name}: {done}" if plan.moves else f"bridge {name}: nothing to do")


def tun(name: str, plan: Plan, did: str, *, dry_run: bool, as_json: bool) -> None:
    """Answer `tun create` and `tun delete`."""
    if as_json:
        report.answer_json({"tun": name, "dry_run": dry_run, **plan_data(plan)})
        return
    notes(plan.notes)
    if dry_run:
        lines(plan)
    else:
        report.note(f"tun {name}: {did if plan.moves else 'nothing to do'}")


def patch(wish: PatchWish, plan: Plan, did: str, *, dry_run: bool, as_json: bool) -> None:
    """Answer `patch` and `unpatch`."""
    a, b = str(wish.a), str(wish.b)
    if as_json:
        report.answer_json({"a": a, "b": b, "dry_run": dry_run, **plan_data(plan)})
        return
    notes(plan.notes)
    if dry_run:
        lines(plan)
    else:
        report.note(f"{a} and {b}: {did if plan.moves else 'nothing to do'}")


def fates(judged: list[Fate], errors: list[VmnetError], *, dry_run: bool, as_json: bool) -> None:
    """Answer `gc`."""
    if as_json:
        links = [
            {"link": f.link, "vm": f.vm, "nic": f.nic, "action": f.action, "why": f.why}
            for f in judged
        ]
        failed = [report.error_data(error) for error in errors]
        report.answer_json({"dry_run": dry_run, "links": links, "errors": failed})
        return
    for fate in judged:
        vm = f" ({report.safe(fate.vm)} nic {fate.nic})" if fate.vm else ""
        would = "would " if dry_run and fate.action != "leave" else ""
        report.answer(f"{would}{fate.action} {report.safe(fate.link)}{vm}: {report.safe(fate.why)}")
    if not judged and not errors:
        report.note("nothing of vmnet's is here that gc is for")


def rows(found: list[Row], theirs: list[DomainRow], others: Others, *, as_json: bool) -> None:
    """Answer `list`: vmnet's own NICs, libvirt's beside them, TUNs and patches."""
    if as_json:
        libvirt = [asdict(row) for row in theirs]
        nics = [_row_data(row) for row in found]
        report.answer_json({"nics": nics, "libvirt": libvirt, **say_others.data(others)})
        return
    _nics(found, theirs, quiet=bool(others.tuns or others.patches))
    say_others.tables(others)


def _nics(found: list[Row], theirs: list[DomainRow], *, quiet: bool) -> None:
    if not found and not theirs:
        if quiet:
            return
        report.note("no NIC is attached, or none of that VM; `vmnet attach VM` makes one")
        return
    head = ("VM", "NIC", "TAP", "BRIDGE", "GUEST MAC", "MTU", "Q", "LIFE", "PID")
    report.table(head, [*map(_row_cells, found), *map(_domain_cells, theirs)])


def holding(found: Holding, *, as_json: bool) -> None:
    """Answer `who`."""
    if as_json:
        report.answer_json(_holding_data(found))
        return
    tag, link = found.tag, found.link
    whose = f"VM {report.safe(tag.vm_name)}, NIC {tag.nic}" if tag else "not vmnet's"
    where = f", port of {found.bridge}" if found.bridge else ""
    report.answer(f"{report.safe(link.name)}: {whose}{where}")
    for holder in found.holders.known:
        _holder(holder)
    if not found.holders.known:
        report.answer("  held by a process that cannot be seen" if link.in_use else "  nobody")
        if link.in_use and found.holders.blind:
            report.note(f"note: {found.holders.blind}")


def _holder(holder: Holder) -> None:
    queues = "1 queue" if holder.fds == 1 else f"{holder.fds} queues"
    report.answer(
        f"  pid {holder.pid} ({report.safe(holder.user)}): {queues}, "
        f"{holder.vhost_fds} vhost-net open"
    )
    report.answer(f"    {report.safe(holder.command)}")
    for worker in holder.workers:
        seconds = f"{worker.cpu_seconds:.2f} s of CPU"
        report.answer(f"    vhost worker {worker.tid}: {worker.kind}, {seconds}")


def checks(found: Sequence[Check], *, as_json: bool) -> None:
    """Answer `probe`."""
    if as_json:
        report.answer_json({"checks": [check.data() for check in found]})
        return
    styles = {"works": "good", "absent": "warn", "broken": "bad"}
    for check in found:
        word = report.styled(check.outcome.ljust(7), styles[check.outcome], sys.stdout)
        report.answer(f"{word} {check.name.ljust(18)} {report.safe(check.detail)}")
        if check.remedy:
            report.answer(f"{'':7} {'':18} try: {report.safe(check.remedy)}")


def notes(texts: Iterable[str]) -> None:
    """Say what the user should know."""
    for text in texts:
        report.note(f"note: {report.safe(text)}")


def lines(plan: Plan) -> None:
    """Answer with a plan as lines for sh."""
    found = plan_lines(plan)
    if not found:
        report.note("nothing to do")
    for line in found:
        report.answer(report.safe(line))


def _row_cells(row: Row) -> tuple[str, ...]:
    link, tag = row.link, row.tag
    held = ",".join(str(holder.pid) for holder in row.holders.known)
    life = tag.life.value if tag.own.value == "made" else tag.own.value
    return (
        tag.vm_name,
        str(tag.nic),
        link.name,
        row.bridge or (wire_phrase(tag.wire) if tag.wire is not None else "-"),
        tag.mac or "-",
        str(link.mtu),
        str(tag.queues),
        life,
        held or ("?" if link.in_use else "-"),
    )


def _domain_cells(row: DomainRow) -> tuple[str, ...]:
    life = "libvirt" if row.running else "off"
    nic = "-" if row.nic is None else str(row.nic)
    place = row.place or ("-" if row.kind == "ethernet" else f"({row.kind})")
    cells = (row.vm, nic, row.tap or "-", place, row.mac or "-", "-")
    return (*cells, str(row.queues), life, "-")


def _row_data(row: Row) -> dict[str, Any]:
    return {
        **_tag_data(row.tag),
        "tap": row.link.name,
        "index": row.link.index,
        "bridge": row.bridge or None,
        "wire": wire_texts(row.tag.wire) or None,
        "mtu": row.link.mtu,
        "up": row.link.up,
        "held": row.link.in_use or bool(row.holders.known),
        "altnames": list(row.link.altnames),
        "holders": [_holder_data(holder) for holder in row.holders.known],
        "blind": row.holders.blind or None,
    }


def _tag_data(tag: Tag) -> dict[str, Any]:
    return {
        "vm": tag.vm_name,
        "nic": tag.nic,
        "mac": tag.mac or None,
        "queues": tag.queues,
        "own": tag.own.value,
        "life": tag.life.value,
        "generation": tag.generation,
    }


def _holder_data(holder: Holder) -> dict[str, Any]:
    workers = [
        {"tid": w.tid, "kind": w.kind, "cpu_seconds": w.cpu_seconds, "wakes": w.wakes}
        for w in holder.workers
    ]
    return {
        "pid": holder.pid,
        "command": holder.command,
        "user": holder.user,
        "queues": holder.fds,
        "vhost_fds": holder.vhost_fds,
        "workers": workers,
    }


def _holding_data(found: Holding) -> dict[str, Any]:
    return {
        "tap": found.link.name,
        "held": found.link.in_use or bool(found.holders.known),
        "bridge": found.bridge or None,
        "nic": _tag_data(found.tag) if found.tag else None,
        "holders": [_holder_data(holder) for holder in found.holders.known],
        "blind": found.holders.blind or None,
    }


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON data."""
    return {
        "steps": [describe(move.do) for move in plan.moves],
        "shell": plan_lines(plan),
        "notes": list(plan.notes),
    }


def attached_data(done: Attached) -> dict[str, Any]:
    """Return what `attach` answers in JSON."""
    nic, verdict, args = done.nic, done.verdict, done.args
    qemu = (
        None
        if args is None
        else {
            "netdev": args.netdev,
            "device": args.device,
            "chardev": args.chardev or None,
            "args": args.words(),
        }
    )
    return {
        "vm": nic.vm,
        "nic": nic.nic,
        "tap": done.tap or None,
        "bridge": nic.bridge or None,
        "wire": wire_texts(nic.wire) or None,
        "mac": nic.mac,
        "mtu": done.mtu,
        "queues": nic.queues,
        "owner": nic.owner,
        "model": nic.model,
        "port": port_settings(nic.port),
        "policed": nic.police,
        "data_path": path_data(verdict),
        "qemu": qemu,
        **plan_data(done.plan),
    }


def path_data(verdict: Verdict) -> dict[str, Any]:
    """Return a vhost decision as JSON data."""
    return {
        "path": verdict.path.value,
        "reason": verdict.reason.value,
        "detail": verdict.detail,
        "remedy": verdict.remedy or None,
    }
