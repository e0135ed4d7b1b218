"""The host's files: what is to be written or removed, and what keeps them from doing their work.

Job: decisions of `vmnet host`, from what is on disk and what runs.
Leaves to others: looking (`vmnet.kernel.hostfile`), the texts (`vmnet.formats.hostfile`).
Privilege: none.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from vmnet.errors import Conflict
from vmnet.model.filestep import MakeFolder, RemoveFile, RemoveFolder, WriteFile
from vmnet.model.found import Daemon, Finding
from vmnet.model.hostfile import (
    GROUP_FILE,
    MODULE_FILE,
    PEOPLE_FROM,
    UNIT_FILE,
    AtBoot,
    Program,
    Spot,
    State,
    VhostNode,
    Written,
)
from vmnet.model.step import Move, Plan

#: What /dev/vhost-net's mode is to be: QEMU's user, in the group, reads and writes.
_NODE_MODE = 0o660


@dataclass(frozen=True)
class Judged:
    """A place and what is there.

    Attributes:
        spot: the place.
        state: what is there.
        wanted: the text that belongs there.
        group: the group that the text there gives /dev/vhost-net; empty if none.
    """

    spot: Spot
    state: State
    wanted: str
    group: str


def judge(spot: Spot, written: Written | None, wanted: str) -> Judged:
    """Return what is at a place.

    Args:
        spot: what the disk shows.
        written: what the text there says of itself, if it is vmnet's.
        wanted: the text that belongs there.
    """
    if not spot.there:
        state = State.ABSENT
    elif written is None:
        state = State.FOREIGN
    elif not written.intact:
        state = State.CHANGED
    elif spot.proper and spot.text == wanted:
        state = State.INSTALLED
    else:
        state = State.OTHER
    return Judged(spot, state, wanted, written.group if written is not None else "")


def plan_install(found: Iterable[Judged], *, force: bool, top: str = "/") -> Plan:
    """Plan that each file is there as it should be.

    Args:
        found: what is there.
        force: replace what was changed since vmnet wrote it.
        top: where the host's tree begins.

    Raises:
        Conflict: a file is not vmnet's, or was changed.
    """
    found = list(found)
    foreign = [each.spot.path for each in found if each.state is State.FOREIGN]
    if foreign:
        raise Conflict(
            f"{_are_there(foreign)} and not vmnet's",
            code="foreign-file",
            remedy="look whose it is: `head -n 3 FILE`; vmnet writes once it is moved away",
        )
    _refuse_changed(found, _command("install", top), force=force)
    moves: list[Move] = []
    for each in found:
        made = {move.do for move in moves}
        moves += [
            Move(MakeFolder(path), RemoveFolder(path))
            for path in each.spot.missing
            if MakeFolder(path) not in made
        ]
        if each.state is not State.INSTALLED:
            moves.append(_write(each))
        elif each.spot.rest:
            moves.append(Move(RemoveFile(each.spot.rest)))
    return Plan(tuple(moves), tuple(_lost(found)))


def _write(each: Judged) -> Move:
    path, before = each.spot.path, each.spot.text
    undo = RemoveFile(path) if before is None else WriteFile(path, before)
    return Move(WriteFile(path, each.wanted), undo)


def plan_uninstall(found: Iterable[Judged], *, force: bool, top: str = "/") -> Plan:
    """Plan that none of vmnet's files is there.

    Args:
        found: what is there.
        force: remove what was changed since vmnet wrote it, too.
        top: where the host's tree begins.

    Raises:
        Conflict: a file was changed.
    """
    found = list(found)
    _refuse_changed(found, _command("uninstall", top), force=force)
    moves: list[Move] = []
    folders: list[str] = []
    for each in found:
        spot = each.spot
        ours = each.state not in (State.ABSENT, State.FOREIGN)
        if ours:
            undo = WriteFile(spot.path, spot.text) if spot.text is not None else None
            moves.append(Move(RemoveFile(spot.path), undo))
        if spot.rest:
            moves.append(Move(RemoveFile(spot.rest)))
        if (ours or spot.rest) and not spot.program_there:
            folders += _own_folders(spot)
    # The inner ones first. A program that is here wants its folders, also when they are empty.
    inner_first = sorted(set(folders), reverse=True)
    moves += [Move(RemoveFolder(path), MakeFolder(path)) for path in inner_first]
    left = [
        f"{each.spot.path} is not vmnet's, and stays"
        for each in found
        if each.state is State.FOREIGN
    ]
    return Plan(tuple(moves), (*_lost(found), *left))


def _own_folders(spot: Spot) -> list[str]:
    """Return the folders of a file's program: those on its way that are in the host's /etc."""
    depth = spot.file.path.count("/") - 2  # without / and /etc
    folders = [spot.path.rpartition("/")[0]]
    while len(folders) < depth:
        folders.append(folders[-1].rpartition("/")[0])
    return folders[:depth]


def _refuse_changed(found: Iterable[Judged], command: str, *, force: bool) -> None:
    changed = [each.spot.path for each in found if each.state is State.CHANGED]
    if changed and not force:
        raise Conflict(
            f"{_are_there(changed)}, vmnet's, and changed since vmnet wrote "
            f"{'it' if len(changed) == 1 else 'them'}",
            code="changed-file",
            remedy=f"keep a copy of what you need, then `{command} --force`",
        )


def _are_there(paths: list[str]) -> str:
    return f"{', '.join(paths)} {'is' if len(paths) == 1 else 'are'} there"


def _lost(found: Iterable[Judged]) -> Iterator[str]:
    for each in found:
        if each.state is State.CHANGED:
            yield f"{each.spot.path} was changed since vmnet wrote it; the change is lost"


def about_group(group: str, number: int | None) -> Iterator[str]:
    """Return what is to be known of a group that is to have /dev/vhost-net."""
    if number is not None and number >= PEOPLE_FROM:
        yield (
            f"group {group} is no system group ({number}): udev of systemd 258 and 259 leaves it "
            "out, later ones warn of it"
        )


def _command(verb: str, top: str) -> str:
    """Return what to type for a tree: without its root it would be done to this host."""
    return f"vmnet host {verb}" + ("" if top == "/" else f" --root {shlex.quote(top)}")


def about_files(found: Iterable[Judged], top: str = "/") -> Iterator[Finding]:
    """Return what is wrong with the files of a tree."""
    install = _command("install", top)
    for each in found:
        path, does = each.spot.path, each.spot.file.does
        match each.state:
            case State.ABSENT if each.spot.program_there:
                yield Finding("absent", f"{path} is not there; it {does}", install)
            case State.FOREIGN:
                remedy = f"look whose it is; `{install}` does not replace it"
                yield Finding("foreign-file", f"{path} is not vmnet's", remedy)
            case State.CHANGED:
                what = f"{path} was changed since vmnet wrote it"
                yield Finding("changed-file", what, f"{install} --force", certain=False)
            case State.OTHER if not each.spot.proper:
                what = f"{path} is not root's, or not of mode 0644"
                yield Finding("file-mode", what, install)
            case State.OTHER:
                yield Finding("old-file", f"{path} is another version's", install)
            case _:
                pass


def about_daemons(
    daemons: Iterable[Daemon], programs: Iterable[Program], since: Mapping[str, float]
) -> Iterator[Finding]:
    """Return the daemons that started before their file became what it is.

    Whether they were told to read it since does not show.

    Args:
        daemons: those that run.
        programs: what they may be.
        since: when each program's file was written or removed, in seconds of the epoch.
    """
    for daemon in daemons:
        for program in programs:
            if program.process == daemon.name and daemon.started < since.get(program.name, 0.0):
                yield Finding(
                    "reload",
                    f"{program.name} (pid {daemon.pid}) started before its file was written or "
                    "removed; unless it was told since, it does not know",
                    program.reload,
                    certain=False,
                )


def about_vhost(found: Iterable[Judged], node: VhostNode) -> Iterator[Finding]:
    """Return what the files about vhost-net have not brought about."""
    states = {each.spot.file: each for each in found}
    module, group = states[MODULE_FILE], states[GROUP_FILE].group
    if node.why_not:
        yield Finding(
            "no-module",
            f"{node.why_not}: there is nothing to load at boot",
            "boot a kernel that has vhost_net; until then QEMU moves the packets",
            certain=False,
        )
    elif not node.loaded and module.state is State.INSTALLED:
        what = "vhost_net is not loaded; it will be at the next boot"
        yield Finding("not-loaded", what, "modprobe vhost_net")
    if group and node.group is not None and not _opens(node, group):
        yield Finding(
            "node-group",
            f"/dev/vhost-net is of group {node.group}, mode {node.mode:04o}, and not yet of group "
            f"{group}, mode {_NODE_MODE:04o}",
            "`udevadm trigger /sys/class/misc/vhost-net`; where no udev runs: "
            f"`chgrp {group} /dev/vhost-net && chmod {_NODE_MODE:04o} /dev/vhost-net`",
        )


def about_unit(found: Iterable[Judged], boot: AtBoot, top: str = "/") -> Iterator[Finding]:
    """Return what vmnet's unit still wants, which is for the admin to do.

    Args:
        found: what is there.
        boot: how it stands with the unit.
        top: where the host's tree begins.
    """
    unit = next(each for each in found if each.spot.file is UNIT_FILE)
    systemctl = "systemctl" if top == "/" else f"systemctl --root={shlex.quote(top)}"
    if unit.state is State.ABSENT and boot.enabled:
        what = "vmnet.service is enabled, and its file is not in /etc"
        yield Finding("still-enabled", what, f"{systemctl} disable vmnet", certain=False)
    if unit.state is not State.INSTALLED:
        return
    if not boot.enabled:
        what = "vmnet.service is not enabled: at boot nothing is brought about"
        yield Finding("not-enabled", what, f"{systemctl} enable vmnet", certain=False)
    if not boot.command_there:
        places = " or ".join(f"{top.rstrip('/')}/usr/{folder}" for folder in ("local/bin", "bin"))
        what = f"there is no vmnet in {places}, for vmnet.service to run"
        # In a tree this host's vmnet is not what is missing.
        link = '`ln -s "$(command -v vmnet)" /usr/local/bin/`'
        remedy = link if top == "/" else f"install vmnet in {top}"
        yield Finding("no-command", what, remedy, certain=False)


def _opens(node: VhostNode, group: str) -> bool:
    """Say whether a user in the group can open the node."""
    members = node.group == group and node.mode & 0o060 == 0o060
    return members or node.mode & 0o006 == 0o006
