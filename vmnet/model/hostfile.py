"""Files that keep a host's own programs off vmnet's ports, and bring things about at boot.

Job: the nouns of `vmnet host install`, `uninstall` and `status`.
Leaves to others: their text (`templates/host`, `vmnet.formats.hostfile`), reading the disk
(`vmnet.kernel.hostfile`), judging (`vmnet.plan.hostfile`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The group of /dev/vhost-net unless another is named: the one that udev gives /dev/kvm.
GROUP = "kvm"
#: Groups from this number on are people's, not the system's.
PEOPLE_FROM = 1000


@dataclass(frozen=True)
class Program:
    """A program that obeys a file.

    Attributes:
        name: what people call it.
        paths: where it may be; the first that is there tells that the program is.
        process: its name as the kernel has it, if it reads its files only when it starts or is told
            to; else empty.
        user: whom it runs as.
        reload: the command that tells it to.
    """

    name: str
    paths: tuple[str, ...]
    process: str = ""
    user: str = "root"
    reload: str = ""


def _of_systemd(name: str) -> tuple[str, ...]:
    return tuple(f"{folder}/systemd/{name}" for folder in ("/usr/lib", "/lib"))


_UDEV = Program("systemd-udevd", _of_systemd("systemd-udevd"))
_NETWORKD = Program(
    "systemd-networkd",
    _of_systemd("systemd-networkd"),
    process="systemd-network",
    user="systemd-network",
    reload="networkctl reload",
)
_NETWORK_MANAGER = Program(
    "NetworkManager",
    ("/usr/sbin/NetworkManager", "/usr/bin/NetworkManager"),
    process="NetworkManager",
    reload="nmcli general reload conf",
)
_MODULES = Program("systemd-modules-load", _of_systemd("systemd-modules-load"))
_SYSTEMD = Program("systemd", _of_systemd("systemd"))


@dataclass(frozen=True)
class HostFile:
    """A file that vmnet writes.

    Attributes:
        name: a stable word for it.
        path: its place on a host.
        template: its text, in `templates`.
        does: what it does, in words.
        program: what obeys it.
    """

    name: str
    path: str
    template: str
    does: str
    program: Program


MODULE_FILE = HostFile(
    "vhost-module",
    "/etc/modules-load.d/vmnet.conf",
    "host/vhost-module.conf",
    "loads vhost_net at boot",
    _MODULES,
)
GROUP_FILE = HostFile(
    "vhost-group",
    "/etc/udev/rules.d/60-vmnet.rules",
    "host/vhost-group.rules",
    "gives /dev/vhost-net its group",
    _UDEV,
)
#: Written and not enabled: that is the admin's to say, with `systemctl enable`.
UNIT_FILE = HostFile(
    "unit",
    "/etc/systemd/system/vmnet.service",
    "vmnet.service",
    "brings about at boot what the configuration wishes, once it is enabled",
    _SYSTEMD,
)
#: Where systemd looks for what the unit runs (systemd.service(5), `systemd-path
#: search-binaries-default`), and the link by which it is enabled.
UNIT_COMMANDS = tuple(
    f"/usr/{folder}/vmnet" for folder in ("local/sbin", "local/bin", "sbin", "bin")
)
UNIT_LINK = "/etc/systemd/system/multi-user.target.wants/vmnet.service"
#: Of a link's files the first that fits counts, by name: 05 comes before what netplan and
#: cloud-init write (10-). Of NetworkManager's the last, of udev's rules too: 60 comes after udev's
#: own (50-).
HOST_FILES = (
    HostFile(
        "udev-link",
        "/etc/systemd/network/05-vmnet.link",
        "host/udev.link",
        "keeps udev from giving vmnet's ports addresses",
        _UDEV,
    ),
    HostFile(
        "networkd",
        "/etc/systemd/network/05-vmnet.network",
        "host/networkd.network",
        "keeps systemd-networkd off vmnet's ports",
        _NETWORKD,
    ),
    HostFile(
        "networkmanager",
        "/etc/NetworkManager/conf.d/95-vmnet.conf",
        "host/networkmanager.conf",
        "keeps NetworkManager off vmnet's ports",
        _NETWORK_MANAGER,
    ),
    MODULE_FILE,
    GROUP_FILE,
    UNIT_FILE,
)


class State(StrEnum):
    """What is at a file's place."""

    ABSENT = "absent"
    INSTALLED = "installed"
    OTHER = "other"  # vmnet's, of another version or with another group
    CHANGED = "changed"  # vmnet's, and somebody changed it since
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Written:
    """What a text that vmnet wrote says of itself.

    Attributes:
        intact: nobody changed it since.
        group: the group it gives /dev/vhost-net; empty if that is not its affair.
    """

    intact: bool
    group: str


@dataclass(frozen=True)
class Spot:
    """What is at a file's place, and around it.

    Attributes:
        file: whose place it is.
        path: where that is, seen from this process.
        there: something is, of whatever kind.
        text: of the file; None if it is no regular one, or too long to be vmnet's.
        proper: its owner and mode are as they should be.
        since: when it was last changed, in seconds of the epoch.
        rest: what a write that was killed left beside it; empty if nothing.
        missing: folders that have to be made first, the outer one first.
        program_there: the program that obeys the file is on this host.
    """

    file: HostFile
    path: str
    there: bool = False
    text: str | None = None
    proper: bool = False
    since: float = 0.0
    rest: str = ""
    missing: tuple[str, ...] = ()
    program_there: bool = False


@dataclass(frozen=True)
class VhostNode:
    """/dev/vhost-net and what is behind it, as it is now.

    Attributes:
        loaded: vhost_net is, or is a part of the kernel.
        why_not: why this kernel cannot load it; empty if it can.
        group: the node's, by name; None if there is no node.
        mode: the node's permissions.
    """

    loaded: bool
    why_not: str
    group: str | None = None
    mode: int = 0


@dataclass(frozen=True)
class AtBoot:
    """What the unit's file does not show of it.

    Attributes:
        enabled: systemd is to start it at boot.
        command_there: what it runs is.
    """

    enabled: bool
    command_there: bool
