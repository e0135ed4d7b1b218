"""The host's files that vmnet writes: what is at their places, and what obeys them.

Job: look, on this host or in a tree that is to become one; find groups, /dev/vhost-net, and
whether systemd is to start vmnet at boot.
Leaves to others: what may be done (`vmnet.plan.hostfile`), writing (`vmnet.kernel.rootfile`).
Privilege: none to look.
"""

from __future__ import annotations

import grp
import os
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from vmnet.errors import InvalidInput, NotFound, of_errno
from vmnet.kernel import devices, rootfile
from vmnet.kernel.daemons import running
from vmnet.kernel.ioctl import VHOST_NODE
from vmnet.model.found import Daemon
from vmnet.model.hostfile import (
    UNIT_COMMANDS,
    UNIT_LINK,
    AtBoot,
    HostFile,
    Program,
    Spot,
    VhostNode,
)

_GROUPS = "/etc/group"


def top_of(root: str) -> str:
    """Return the folder in which a host's files are, every link followed.

    Raises:
        InvalidInput: it is empty, which would be the folder one happens to be in.
        NotFound: it is no folder.
    """
    if not root:
        raise InvalidInput(
            "the root is an empty text, and no folder",
            code="bad-root",
            remedy="give --root DIR, or leave --root out for this host",
        )
    try:
        top = os.path.realpath(root, strict=True)
    except OSError as error:
        raise _no_root(root, os.strerror(error.errno or 0)) from error
    if not Path(top).is_dir():
        raise _no_root(root, "it is no folder")
    return top


def _no_root(root: str, why: str) -> NotFound:
    return NotFound(
        f"cannot use {root} as a host's root: {why}",
        code="no-root",
        remedy="make the folder first, or leave --root out for this host",
    )


def look(files: Iterable[HostFile], top: str = "/") -> tuple[Spot, ...]:
    """Return what is at the files' places.

    Args:
        files: the files.
        top: where the host's tree begins, as `top_of` gives it.

    Raises:
        Conflict: others than root can change what is on the way there.
        VmnetError: it may not be looked at.
    """
    return tuple(_spot(file, top) for file in files)


def _spot(file: HostFile, top: str) -> Spot:
    path = _below(top, file.path)
    folders = [str(each) for each in reversed(Path(path).relative_to(top).parents)]
    missing = rootfile.missing([os.path.normpath(Path(top, each)) for each in folders], top)
    found = rootfile.content(path, top=top)
    return Spot(
        file,
        path,
        there=found.there,
        text=found.text,
        proper=found.proper,
        since=found.since,
        rest=rootfile.rest_of(path),
        missing=missing,
        program_there=_is_there(file.program, top),
    )


def _below(top: str, path: str) -> str:
    return str(Path(top, path.lstrip("/")))


def _is_there(program: Program, top: str) -> bool:
    return any(os.path.lexists(_below(top, path)) for path in program.paths)


def daemons(programs: Iterable[Program], folder: str = "/etc") -> list[Daemon]:
    """Return the running ones of the programs that read their files only when they are told to."""
    return [
        daemon
        for program in programs
        if program.process
        for daemon in running([program.process], folder, users=[program.user])
    ]


def group_number(name: str, top: str = "/") -> int | None:
    """Return a group's number; None if it cannot be told, for the tree has no list of groups.

    Raises:
        NotFound: there is no such group.
    """
    if top == "/":
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            raise _no_group(name) from None
    try:
        lines = Path(_below(top, _GROUPS)).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise of_errno(f"read {_below(top, _GROUPS)}", error.errno or 0) from error
    for fields in (line.split(":") for line in lines):
        if len(fields) > 2 and fields[0] == name and fields[2].isdecimal():
            return int(fields[2])
    raise _no_group(name, top)


def _no_group(name: str, top: str = "/") -> NotFound:
    where = "on this host" if top == "/" else f"in {_below(top, _GROUPS)}"
    root = "" if top == "/" else f"--root {shlex.quote(top)} "
    return NotFound(
        f"there is no group {name!r} {where}",
        code="no-group",
        remedy=f"`groupadd {root}--system {name}`, or name another one with --group",
    )


def at_boot(top: str = "/") -> AtBoot:
    """Return whether systemd is to start vmnet's unit, and could."""
    # The link's target is the tree's own: from here it may lead to nothing.
    enabled = Path(_below(top, UNIT_LINK)).is_symlink()
    return AtBoot(enabled, any(os.path.lexists(_below(top, c)) for c in UNIT_COMMANDS))


def vhost_node() -> VhostNode:
    """Return how /dev/vhost-net is now."""
    loaded, why_not = devices.has_module(), devices.why_no_module()
    try:
        status = os.stat(VHOST_NODE)
    except OSError:
        return VhostNode(loaded, why_not)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return VhostNode(loaded, why_not, group, stat.S_IMODE(status.st_mode))
