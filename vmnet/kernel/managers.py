"""Who sees to a NIC: programs that gave it its addresses, and would do so again.

Job: find systemd-networkd, NetworkManager, netplan, ifupdown or a DHCP client by what they leave
in /run, what they read in /etc, and what runs.
Leaves to others: what follows (`vmnet.plan.uplink`), what to write for each
(`vmnet.formats.managers`).
Privilege: root sees every process; another user may miss one.

All of these speak of links by name or index and say nothing of the network namespace. Their files
count in the one that the program runs in, or, while it does not run, in that of process 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vmnet.kernel.host import netns_inode
from vmnet.model.hostaddress import DHCP
from vmnet.model.uplink import End, Manager

_PROC = Path("/proc")
_NETWORKD = Path("/run/systemd/netif/links")
_NETWORK_MANAGER = Path("/run/NetworkManager")
_IFSTATE = Path("/run/network/ifstate")
_INTERFACES = Path("/etc/network/interfaces")
#: systemd-networkd(8): the states of a link that a .network file matches.
_MANAGED = ("configuring", "configured", "failed")
#: The kernel cuts a process's name (TASK_COMM_LEN).
_NETWORKD_COMM, _NETWORK_MANAGER_COMM = "systemd-network", "NetworkManager"
_DHCP_CLIENTS = ("dhclient", "dhcpcd", "dhcpcd5", "udhcpc", "udhcpc6", "dhcp6c", "odhcp6c")
#: How deep interfaces(5) may lead from file to file.
_DEPTH = 8
_SIZE_MAX = 1 << 20


def manager_of(nic: End, others: frozenset[str]) -> Manager | None:
    """Return the program that sees to a NIC, or None.

    Args:
        nic: the NIC.
        others: names of all links: a DHCP client that names none of them sees to all.
    """
    link = nic.link
    return (
        _networkd(link.index)
        or _network_manager(link.index)
        or _ifupdown(link.name)
        or _dhcp_client(link.name, others)
        or _leased(nic)
    )


def _networkd(index: int) -> Manager | None:
    facts = dict(line.partition("=")[::2] for line in _lines(_NETWORKD / str(index)))
    if facts.get("ADMIN_STATE") not in _MANAGED or not _is_about_here(_NETWORKD_COMM):
        return None
    file = facts.get("NETWORK_FILE", "a file of its own")
    kind = "netplan" if "netplan" in Path(file).name else "networkd"
    return Manager(kind, f"systemd-networkd sees to it ({file})")


def _network_manager(index: int) -> Manager | None:
    facts = dict(
        line.partition("=")[::2] for line in _lines(_NETWORK_MANAGER / "devices" / str(index))
    )
    if facts.get("managed") != "true" or not _is_about_here(_NETWORK_MANAGER_COMM):
        return None
    mine = f"uuid={facts.get('connection-uuid')}"
    made = (_NETWORK_MANAGER / "system-connections").glob("netplan-*")
    kind = "netplan" if any(mine in _lines(path) for path in made) else "NetworkManager"
    return Manager(kind, "NetworkManager sees to it (`nmcli device` shows as what)")


def _ifupdown(name: str) -> Manager | None:
    if not _is_about_here(""):
        return None
    states = dict(line.partition("=")[::2] for line in _lines(_IFSTATE))
    logical = states.get(name, name)
    methods = [method for what, method in _stanzas(_INTERFACES, _DEPTH) if what in (name, logical)]
    if any(method != "manual" for method in methods):
        return Manager("ifupdown", f"ifupdown sees to it ({_INTERFACES})")
    if name in states and not methods:
        return Manager("ifupdown", f"ifupdown brought it up ({_IFSTATE})")
    return None


def _stanzas(file: Path, depth: int) -> Iterator[tuple[str, str]]:
    """Yield each `iface` of interfaces(5): what for, and by which method."""
    for line in _lines(file):
        words = line.split()
        if len(words) < 2 or words[0].startswith("#"):
            continue
        if words[0] == "iface":
            yield words[1], words[3] if len(words) > 3 else ""
        elif words[0] in ("source", "source-directory") and depth:
            for path in _named(file.parent, words[1], whole=words[0] != "source"):
                yield from _stanzas(path, depth - 1)


def _named(folder: Path, pattern: str, *, whole: bool) -> list[Path]:
    """Return the files that a line of interfaces(5) brings in."""
    path = folder / pattern  # which is the pattern if that is a full path
    if whole or path.is_dir():
        return sorted(path.glob("*"))
    anchor = Path(path.anchor)
    with suppress(ValueError, NotImplementedError):  # no pattern at all
        return sorted(anchor.glob(str(path.relative_to(anchor))))
    return []


def _dhcp_client(name: str, others: frozenset[str]) -> Manager | None:
    for pid, comm in _processes():
        if comm not in _DHCP_CLIENTS or not _is_here(pid):
            continue
        words = _words(pid)
        if name in words or not others & words:
            return Manager("dhcp", f"{comm} (pid {pid}) sees to it", comm)
    return None


def _leased(nic: End) -> Manager | None:
    for address in nic.addresses:
        if address.leased and not address.by_router:
            return Manager("dhcp", f"its address {address.key} was given to it for a time only")
    for route in nic.routes:
        if route.protocol == DHCP:
            return Manager("dhcp", f"its route {route} came by DHCP")
    return None


def _is_about_here(comm: str) -> bool:
    """Say whether what a program of that name wrote is about this network namespace."""
    running = [pid for pid, other in _processes() if other == comm]
    if running:
        return any(map(_is_here, running))
    try:
        return (_PROC / "1/ns/net").stat().st_ino == netns_inode()
    except OSError:
        return True  # better refused than broken


def _processes() -> Iterator[tuple[int, str]]:
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            with suppress(OSError):  # it ended while being looked at
                comm = (_PROC / entry.name / "comm").read_text(errors="replace").strip()
                yield int(entry.name), comm


def _is_here(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "ns/net").stat().st_ino == netns_inode()
    except OSError:
        return False


def _words(pid: int) -> set[str]:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return set()
    return set(raw.decode("utf-8", "replace").split("\0"))


def _lines(path: Path) -> list[str]:
    """Return the lines of a small file; none if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_SIZE_MAX).splitlines()
    except OSError:
        return []


def is_wireless(name: str, index: int) -> bool:
    """Say whether a link is Wi-Fi, where /sys shows this network namespace's links."""
    folder = Path("/sys/class/net") / name
    if _lines(folder / "ifindex") != [str(index)]:
        return False  # the kernel refuses most of these for itself
    return (folder / "phy80211").exists() or (folder / "wireless").exists()
