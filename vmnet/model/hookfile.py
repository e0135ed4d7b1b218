"""libvirt's hook as a file on this host: what is there, and what stands in its way.

Job: the nouns of `vmnet hook install`, `uninstall` and `status`.
Leaves to others: reading them off the host (`vmnet.kernel`), judging them (`vmnet.plan.hookfile`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Where libvirt looks for what it calls at a domain's operations, and what of that is vmnet's.
HOOKS_DIR = "/etc/libvirt/hooks"
HOOK_DIR = f"{HOOKS_DIR}/qemu.d"
HOOK_PATH = f"{HOOK_DIR}/50-vmnet"
#: Seconds that libvirt waits for vmnet's program at most, unless another number is given.
LIMIT = 20
LIMIT_MAX = 600


@dataclass(frozen=True)
class Script:
    """What is filled into the hook's text.

    Attributes:
        python: the interpreter that runs vmnet.
        limit: its time for one operation, in seconds.
    """

    python: str
    limit: int


@dataclass(frozen=True)
class HookFile:
    """A file that libvirt calls, or would if it were executable.

    Attributes:
        path: where it is.
        executable: libvirt calls it; others it passes over in silence.
        since: since when a hook is there, in seconds of the epoch.
    """

    path: str
    executable: bool
    since: float


@dataclass(frozen=True)
class Place:
    """What is at `HOOK_PATH`, and around it.

    Attributes:
        there: something is, of whatever kind.
        text: of the file; None if it is no regular one, or cannot be vmnet's for its size.
        proper: it is root's, and others can run but not change it.
        missing: folders that have to be made first, the outer one first.
        hooks: all that libvirt calls for a domain.
    """

    there: bool
    text: str | None
    proper: bool
    missing: tuple[str, ...]
    hooks: tuple[HookFile, ...]


@dataclass(frozen=True)
class Profile:
    """An AppArmor profile that confines a libvirt daemon.

    Attributes:
        name: as the kernel has it.
        path: the file it comes from.
        local: the file for what a host adds to it.
        text: of both; None if there is no such file.
    """

    name: str
    path: str
    local: str
    text: str | None


@dataclass(frozen=True)
class Security:
    """What a security module may have to say about the hook.

    Attributes:
        profiles: AppArmor's, those that are enforced.
        selinux: SELinux enforces its policy.
        labels: SELinux's, by path.
        systemd: services are systemd's here.
    """

    profiles: tuple[Profile, ...] = ()
    selinux: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    systemd: bool = False
