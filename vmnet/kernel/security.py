"""Security modules: what AppArmor and SELinux of this host may have to say about the hook.

Job: read what they show; nothing is asked of them.
Leaves to others: the syntax of profiles (`vmnet.formats.apparmor`), what follows
(`vmnet.plan.hookfile`).
Privilege: root, to see which profiles are loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from vmnet.model.found import Daemon
from vmnet.model.hookfile import Profile, Security

_APPARMOR_ON = Path("/sys/module/apparmor/parameters/enabled")
_LOADED = Path("/sys/kernel/security/apparmor/profiles")
_PROFILES = Path("/etc/apparmor.d")
_SELINUX_ENFORCE = Path("/sys/fs/selinux/enforce")
#: sd_booted(3)
_SYSTEMD = Path("/run/systemd/system")
_PROGRAMS = ("libvirtd", "virtqemud")


def look(daemons: Iterable[Daemon], paths: Iterable[str]) -> Security:
    """Return what is known about this host's security modules.

    Args:
        daemons: libvirt's, as they run.
        paths: whose SELinux labels to read, where they have one.
    """
    selinux = _read(_SELINUX_ENFORCE) == "1"
    return Security(
        profiles=tuple(_profile(name) for name in sorted(_enforced(daemons))),
        selinux=selinux,
        labels=tuple(_labels(paths)) if selinux else (),
        systemd=has_systemd(),
    )


def has_systemd() -> bool:
    """Say whether systemd runs this host's daemons."""
    return _SYSTEMD.is_dir()


def _enforced(daemons: Iterable[Daemon]) -> set[str]:
    """Return the profiles that confine libvirt's daemons, or would if one ran."""
    if _read(_APPARMOR_ON) != "Y":
        return set()
    running = list(daemons)
    if running:
        return {daemon.label for daemon in running if daemon.label}
    loaded = (line.rpartition(" ") for line in _read(_LOADED).splitlines())
    return {
        name
        for name, _, mode in loaded
        if mode == "(enforce)" and name.rpartition("/")[2] in _PROGRAMS
    }


def _profile(name: str) -> Profile:
    file = f"usr.sbin.{name.rpartition('/')[2]}"
    path, local = _PROFILES / file, _PROFILES / "local" / file
    text = _read(path)
    return Profile(name, str(path), str(local), f"{text}\n{_read(local)}" if text else None)


def _labels(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        with suppress(OSError):
            raw = os.getxattr(path, "security.selinux")
            yield path, raw.rstrip(b"\0").decode("utf-8", "replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
