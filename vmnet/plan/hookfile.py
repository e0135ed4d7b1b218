"""libvirt's hook: what may be written or removed, and what keeps the hook from working.

Job: decisions of `vmnet hook`, from what is on disk, who runs, and what security modules show.
Leaves to others: reading all that (`vmnet.kernel`), rules of AppArmor (`vmnet.formats.apparmor`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from vmnet.errors import Conflict
from vmnet.model.found import Daemon, Finding
from vmnet.model.hookfile import HOOK_DIR, HOOK_PATH, HookFile, Place, Profile, Script, Security


class State(StrEnum):
    """What is at the hook's place."""

    ABSENT = "absent"
    FOREIGN = "foreign"
    OTHER = "other"
    INSTALLED = "installed"


def judge_place(place: Place, there: Script | None, current: str | None) -> State:
    """Return what is at the hook's place.

    Args:
        place: what the disk shows.
        there: what was filled in, if it is a hook of vmnet's.
        current: the text this vmnet would give a hook with that filled in.
    """
    if not place.there:
        return State.ABSENT
    if there is None:
        return State.FOREIGN
    return State.INSTALLED if place.proper and place.text == current else State.OTHER


def plan_install(place: Place, there: Script | None, wanted: str) -> bool:
    """Say whether the hook is to be written.

    Raises:
        Conflict: a file of that name is not vmnet's.
    """
    _refuse_foreign(place, there)
    return not (place.there and place.proper and place.text == wanted)


def plan_uninstall(place: Place, there: Script | None) -> bool:
    """Say whether there is a hook to remove.

    Raises:
        Conflict: a file of that name is not vmnet's.
    """
    _refuse_foreign(place, there)
    return place.there


def _refuse_foreign(place: Place, there: Script | None) -> None:
    if place.there and there is None:
        raise Conflict(
            f"{HOOK_PATH} is there and not vmnet's",
            code="foreign-hook",
            remedy=f"look whose it is; move it away, but not to {HOOK_DIR}, where it would be run",
        )


def about_place(state: State, place: Place) -> Iterator[Finding]:
    """Return what is wrong with the file."""
    if state is State.ABSENT:
        yield Finding("absent", f"{HOOK_PATH} is not there", "vmnet hook install")
    elif state is State.FOREIGN:
        remedy = "look whose it is; `vmnet hook install` does not replace it"
        yield Finding("foreign-hook", f"{HOOK_PATH} is not vmnet's", remedy)
    elif not place.proper:
        what = f"{HOOK_PATH} is not root's, or not of mode 0755"
        yield Finding("hook-mode", what, "vmnet hook install")
    elif state is State.OTHER:
        what = f"{HOOK_PATH} is another version's, or was changed"
        yield Finding("hook-version", what, "vmnet hook install")


def about_daemons(
    daemons: Iterable[Daemon], hooks: Iterable[HookFile], *, systemd: bool
) -> Iterator[Finding]:
    """Return the daemons that do not know there is a hook.

    libvirt looks once, when its daemon starts, whether it has any hook at all; where it had one, it
    sees what comes and goes later.
    """
    first = min((hook.since for hook in hooks if hook.executable), default=None)
    for daemon in daemons:
        if first is not None and first >= daemon.started:
            restart = (
                f"systemctl restart {daemon.name}"
                if systemd
                else f"`kill {daemon.pid}`, then start {daemon.name} again as it was"
            )
            yield Finding(
                "restart",
                f"{daemon.name} (pid {daemon.pid}) started when it had no hook, and will not call "
                "one before it is restarted; running VMs stay as they are",
                restart,
            )


def about_apparmor(profile: Profile, denied: Iterable[str]) -> Iterator[Finding]:
    """Return what an AppArmor profile keeps libvirt from running.

    Args:
        profile: one that is enforced.
        denied: the programs that it does not let run, symbolic links followed.
    """
    if profile.text is None:
        yield Finding(
            "apparmor",
            f"AppArmor enforces the profile {profile.name}, and {profile.path} is not there to "
            "be read",
            "`aa-status`, and the kernel's log at the next start of a VM, show whether it objects",
            certain=False,
        )
        return
    for path in denied:
        word = f'"{path}"' if " " in path else path
        yield Finding(
            "apparmor",
            f"AppArmor's profile {profile.name} does not let libvirt run {path}",
            f"add the line `{word} PUx,` to {profile.local}, then `apparmor_parser -r "
            f"{profile.path}`",
        )


def about_selinux(security: Security) -> Iterator[Finding]:
    """Return what SELinux may object to; only its policy knows, so this is never certain."""
    if not security.selinux:
        return
    for path, label in security.labels:
        kind = label.split(":")[2] if label.count(":") >= 2 else label
        if path == HOOK_PATH:
            usual, remedy = kind.startswith(("virt", "bin")), f"restorecon -v {path}"
        else:
            usual = kind == "bin_t"
            remedy = f"semanage fcontext -a -t bin_t {path} && restorecon -v {path}"
        if not usual:
            what = f"SELinux may keep libvirt from running {path}, labelled {label}"
            yield Finding("selinux", what, remedy, certain=False)
