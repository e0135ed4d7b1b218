"""libvirt's hook: install, uninstall, status.

Job: the verbs of `vmnet hook` that have to do with the file.
Leaves to others: what the hook does when it is called (`vmnet.service.domains`).
Privilege: root.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from vmnet.errors import VmnetError
from vmnet.formats.apparmor import may_run
from vmnet.formats.hookfile import parse, render
from vmnet.kernel import hookfile, security, signals
from vmnet.kernel.daemons import daemons as running
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.model.found import Daemon, Finding
from vmnet.model.hookfile import HOOK_PATH, HookFile, Place, Script, Security
from vmnet.plan.hookfile import (
    State,
    about_apparmor,
    about_daemons,
    about_place,
    about_selinux,
    judge_place,
    plan_install,
    plan_uninstall,
)
from vmnet.service.base import locked_for

_LOCK = "libvirt-hook"


@dataclass(frozen=True)
class HookStatus:
    """How it stands with the hook.

    Attributes:
        state: what is at its place.
        script: what is filled into it; None if it is not vmnet's.
        version: of the vmnet that its interpreter has; None if it has none that works.
        daemons: those of libvirt's that run and have the hook in view.
        findings: what keeps it from working, or may.
    """

    state: State
    script: Script | None
    version: str | None
    daemons: tuple[Daemon, ...]
    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        """Nothing certain keeps it from working."""
        return not any(finding.certain for finding in self.findings)


@dataclass(frozen=True)
class HookChange:
    """What came of installing or uninstalling.

    Attributes:
        changed: something was done, or would be.
        folders: made for it, or would be.
        status: how it stands afterwards, or would.
    """

    changed: bool
    folders: tuple[str, ...]
    status: HookStatus


def status(template: str) -> HookStatus:
    """Say how it stands with the hook.

    Args:
        template: the text of `hooks/libvirt-qemu`.

    Raises:
        NotFound: this is no host of libvirt's.
        Conflict: others than root can change what is on the way to the hook.
    """
    return _status(template, hookfile.look())


def uncalled(uri: str) -> list[Finding]:
    """Return what certainly keeps libvirt from calling vmnet, found in no time.

    The hook is absent, or a daemon does not know of it (which only root sees). The rest of `status`
    runs programs. Of another host's libvirt nothing is known.
    """
    from vmnet.peers.libvirt import SYSTEM_URI  # noqa: PLC0415 - the rest has no use for it

    if uri != SYSTEM_URI:
        return []
    try:
        place = hookfile.look()
    except VmnetError:
        return []  # for `vmnet hook status` to say
    if not place.there:
        return list(about_place(State.ABSENT, place))
    return list(about_daemons(running(), place.hooks, systemd=security.has_systemd()))


def _status(template: str, place: Place) -> HookStatus:
    script = parse(place.text)
    state = judge_place(place, script, _current(template, script))
    return _judged(state, script, place.hooks, list(about_place(state, place)))


def _would_be(place: Place, script: Script) -> HookStatus:
    """Return how it would stand with the hook once it is installed."""
    ours = HookFile(HOOK_PATH, executable=True, since=time.time())
    return _judged(State.INSTALLED, script, (*place.hooks, ours), [])


def _judged(
    state: State, script: Script | None, hooks: tuple[HookFile, ...], found: list[Finding]
) -> HookStatus:
    daemons, version = running(), None
    if script is not None:
        version, wrong = _programs(script.python)
        found += wrong
    if state is not State.FOREIGN:
        facts = security.look(daemons, _paths(script))
        found += about_daemons(daemons, hooks, systemd=facts.systemd)
        found += _objections(facts, script)
    return HookStatus(state, script, version, tuple(daemons), tuple(found))


def _current(template: str, script: Script | None) -> str | None:
    """Return the text this vmnet would write with the same things filled in."""
    if script is None:
        return None
    try:
        return render(template, script)
    except VmnetError:
        return None


def _programs(python: str) -> tuple[str | None, list[Finding]]:
    """Try the interpreter, and what ends it in time."""
    version, found = None, []
    for check in (lambda: hookfile.try_python(python), hookfile.check_timeout):
        try:
            version = check() or version
        except VmnetError as error:
            found.append(Finding(error.code, error.message, error.remedy))
    weak = hookfile.weak_program(python) if version is not None else ""
    if weak:
        what = f"{weak}: whoever can write there becomes root at the next start of a VM"
        remedy = "install vmnet where only root can write, e.g. /opt/vmnet, and the hook from there"
        found.append(Finding("hook-python-open", what, remedy))
    return version, found


def _paths(script: Script | None) -> list[str]:
    """Return what libvirt's daemon has to run, with no symbolic link in it."""
    programs = [HOOK_PATH, hookfile.TIMEOUT]
    if script is not None:
        programs.append(script.python)
    return list(dict.fromkeys(hookfile.real_path(each) for each in programs))


def _objections(facts: Security, script: Script | None) -> Iterator[Finding]:
    for profile in facts.profiles:
        text = profile.text or ""
        denied = [path for path in _paths(script) if not may_run(text, path)]
        yield from about_apparmor(profile, denied)
    yield from about_selinux(facts)


def install(
    template: str, script: Script, *, dry_run: bool = False, wait: float = WAIT_SECONDS
) -> HookChange:
    """Put the hook to its place; nothing happens if it is there already.

    Args:
        template: the text of `hooks/libvirt-qemu`.
        script: what to fill in.
        dry_run: change nothing.
        wait: how long to wait for another vmnet that does the same, in seconds.

    Raises:
        InvalidInput: interpreter or limit cannot be.
        NotFound: this is no host of libvirt's, or the interpreter has no vmnet.
        Conflict: a file of that name is not vmnet's, or others than root can change the way to it.
    """
    text = render(template, script)
    hookfile.try_python(script.python)
    hookfile.check_timeout()
    with signals.deferred(), locked_for(_LOCK, wait=wait, dry_run=dry_run):
        place = hookfile.look()
        changed = plan_install(place, parse(place.text), text)
        if changed and not dry_run:
            hookfile.write(text, place)
        after = _would_be(place, script) if dry_run else _status(template, hookfile.look())
        return HookChange(changed, place.missing, after)


def uninstall(template: str, *, dry_run: bool = False, wait: float = WAIT_SECONDS) -> HookChange:
    """Take vmnet's own hook away; nothing happens if there is none.

    Raises:
        NotFound: this is no host of libvirt's.
        Conflict: a file of that name is not vmnet's.
    """
    with signals.deferred(), locked_for(_LOCK, wait=wait, dry_run=dry_run):
        place = hookfile.look()
        changed = plan_uninstall(place, parse(place.text))
        if changed and not dry_run:
            hookfile.remove()
        return HookChange(changed, (), _status(template, hookfile.look()))
