"""The host's own programs: files that keep them off vmnet's ports, and bring vhost-net at boot.

Job: the verbs of `vmnet host`.
Leaves to others: what may be done (`vmnet.plan.hostfile`), the texts (`templates/host`).
Privilege: root; for a tree that is to become a host, its owner.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from vmnet.errors import InvalidInput, NotFound, VerificationError
from vmnet.formats.hostfile import check_group, parse, render
from vmnet.kernel import hostfile, signals
from vmnet.kernel.files import template
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.model.filestep import RemoveFile
from vmnet.model.found import Daemon, Finding
from vmnet.model.hostfile import GROUP, GROUP_FILE, HOST_FILES, Spot
from vmnet.model.step import Plan
from vmnet.model.words import describe
from vmnet.plan import hostfile as plans
from vmnet.plan.hostfile import Judged
from vmnet.service.base import carry_out, changing, opened

_LOCK = "host-files"
_HERE = "/"


@dataclass(frozen=True)
class HostStatus:
    """How it stands with the host's files.

    Attributes:
        top: the folder they are in, `/` for this host.
        files: what is at their places.
        daemons: those that run and read such files only when they are told to.
        findings: what keeps the files from doing their work, or may.
    """

    top: str
    files: tuple[Judged, ...]
    daemons: tuple[Daemon, ...]
    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        """Nothing certain keeps them from it."""
        return not any(finding.certain for finding in self.findings)


@dataclass(frozen=True)
class HostChange:
    """What came of installing or uninstalling.

    Attributes:
        plan: what was done, or would be.
        status: how it stands afterwards; after a dry run, how it stands.
    """

    plan: Plan
    status: HostStatus


def status(root: str = _HERE) -> HostStatus:
    """Say how it stands with the files.

    Args:
        root: the folder that a host's files are in.

    Raises:
        InvalidInput: the root is empty.
        NotFound: no such folder.
        Conflict: others than root can change the way to a file.
    """
    top = hostfile.top_of(root)
    return _status(top, _judged(top, None), {})


def install(
    group: str | None = None,
    *,
    root: str = _HERE,
    force: bool = False,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> HostChange:
    """Put the files to their places; nothing happens if they are there already.

    Args:
        group: who may open /dev/vhost-net; None for those the file there says, or kvm.
        root: the folder that a host's files are in.
        force: replace what was changed since vmnet wrote it.
        dry_run: plan only.
        wait: how long to wait for another vmnet that does the same, in seconds.

    Raises:
        InvalidInput: there can be no such group, or the root is empty.
        NotFound: no such group or folder.
        Conflict: a file is not vmnet's or was changed, or others than root can change the way.
    """
    if group is not None:
        check_group(group)
    top = hostfile.top_of(root)

    def plan() -> Plan:
        return plans.plan_install(_judged(top, group), force=force, top=top)

    with _changing(top, wait=wait, dry_run=dry_run) as netlink:
        chosen = group or _group_of(hostfile.look([GROUP_FILE], top)) or GROUP
        notes = tuple(plans.about_group(chosen, hostfile.group_number(chosen, top)))
        made = plan()
        if not dry_run:
            carry_out(netlink, made, lambda: _verify(plan))
        return HostChange(
            Plan(made.moves, made.notes + notes), _status(top, _judged(top, group), {})
        )


def uninstall(
    *,
    root: str = _HERE,
    force: bool = False,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> HostChange:
    """Take vmnet's files away; nothing happens if there are none.

    Args:
        root: as of `install`.
        force: take also what was changed since vmnet wrote it.
        dry_run: plan only.
        wait: as of `install`.

    Raises:
        InvalidInput: the root is empty.
        NotFound: no such folder.
        Conflict: a file was changed, or others than root can change the way to it.
    """
    top = hostfile.top_of(root)

    def plan() -> Plan:
        return plans.plan_uninstall(_judged(top, None), force=force, top=top)

    with _changing(top, wait=wait, dry_run=dry_run) as netlink:
        found = _judged(top, None)
        made = plans.plan_uninstall(found, force=force, top=top)
        gone: set[str] = set()
        if not dry_run:
            carry_out(netlink, made, lambda: _verify(plan))
            gone = {move.do.path for move in made.moves if isinstance(move.do, RemoveFile)}
        since = {
            each.spot.file.program.name: time.time() for each in found if each.spot.path in gone
        }
        return HostChange(made, _status(top, _judged(top, None), since))


def _judged(top: str, group: str | None) -> tuple[Judged, ...]:
    """Return what is at the files' places, beside what belongs there."""
    spots = hostfile.look(HOST_FILES, top)
    chosen = group or _group_of(spots) or GROUP
    return tuple(
        plans.judge(spot, parse(spot.text), render(template(spot.file.template), chosen))
        for spot in spots
    )


def _group_of(spots: Iterable[Spot]) -> str:
    """Return the group that vmnet's file there gives /dev/vhost-net; empty if there is none."""
    (text,) = (spot.text for spot in spots if spot.file is GROUP_FILE)
    written = parse(text)
    try:
        return check_group(written.group) if written is not None else ""
    except InvalidInput:  # somebody put something else there
        return ""


def _status(top: str, found: tuple[Judged, ...], since: Mapping[str, float]) -> HostStatus:
    boot = hostfile.at_boot(top)
    findings = [*plans.about_files(found, top), *plans.about_unit(found, boot, top)]
    daemons: list[Daemon] = []
    if top == _HERE:  # a tree is no host yet: nothing runs there
        programs = {each.spot.file.program for each in found}
        daemons = hostfile.daemons(programs)
        there = {e.spot.file.program.name: e.spot.since for e in found if e.spot.there}
        findings += plans.about_daemons(daemons, programs, {**there, **since})
        findings += plans.about_vhost(found, hostfile.vhost_node())
        findings += _about_group(found)
    return HostStatus(top, found, tuple(daemons), tuple(findings))


def _about_group(found: Iterable[Judged]) -> Iterator[Finding]:
    """Return whether the group that a file names is there no more: udev passes it over then."""
    for each in found:
        try:
            if each.group:
                hostfile.group_number(each.group)
        except NotFound as error:
            yield Finding(error.code, error.message, error.remedy)


@contextmanager
def _changing(top: str, *, wait: float, dry_run: bool) -> Iterator[Netlink]:
    """Hold the lock of this host's files; who makes a tree has it to himself."""
    if top == _HERE:
        with changing(_LOCK, wait=wait, dry_run=dry_run) as netlink:
            yield netlink
        return
    with signals.deferred(), opened() as netlink:
        yield netlink


def _verify(plan: Callable[[], Plan]) -> None:
    """Look again: nothing may be left to do."""
    left = plan()
    if left.moves:
        missing = "; ".join(describe(move.do) for move in left.moves)
        raise VerificationError(
            f"the files were written, but the disk shows something else; left to do: {missing}",
            code="not-as-wished",
            remedy="another program may change them: see what manages /etc here",
        )
