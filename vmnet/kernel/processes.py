"""Processes: who has a TAP open, and which vhost workers serve it. The one file with psutil.

Job: find holders by what the kernel shows in `/proc/<pid>/fdinfo` (the `iff:` line that
drivers/net/tun.c writes), whatever the process calls itself.
Leaves to others: what a holder means for a plan.
Privilege: root sees every process of its PID namespace; without it, or behind `hidepid`, some may
be missing, and `Holders.blind` says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from vmnet.errors import Unsupported
from vmnet.kernel import ioctl
from vmnet.kernel.host import in_first_pid_namespace, netns_inode
from vmnet.model.host import Holder, Holders, Worker
from vmnet.model.traffic import Run

_PROC = Path("/proc")
#: The numbers are one for all architectures (both calls are younger than that rule).
_SYS_PIDFD_OPEN, _SYS_PIDFD_GETFD = 434, 438
_COMMAND_MAX = 120
#: It starts others and holds no NIC; where it is a program of another kind, in a PID namespace,
#: not all is seen anyway. Some will not be looked at by root either.
_INIT = 1
_NONE: Mapping[int, str] = {}


def holders(names: Iterable[str], nodes: Mapping[int, str] = _NONE) -> dict[str, Holders]:
    """Return who holds each of these links of this network namespace.

    One pass over all processes serves any number of them.

    Args:
        names: of TUNs, TAPs and macvtaps.
        nodes: names of macvtaps, by the numbers of their device nodes.
    """
    wanted = _Wanted(set(names), nodes)
    found: dict[str, list[Holder]] = {name: [] for name in wanted.names}
    refused = 0
    for pid in _pids():
        try:
            taps, vhost = _looked_at(pid, wanted)
        except PermissionError:
            refused += pid != _INIT
            continue
        except OSError:
            continue  # it ended while being looked at
        for name, fds in taps.items():
            with suppress(psutil.NoSuchProcess):
                found[name].append(_describe(pid, fds, vhost))
    blind = _blind(refused)
    return {name: Holders(tuple(known), blind) for name, known in found.items()}


def _pids() -> list[int]:
    try:
        return psutil.pids()
    except (OSError, IndexError):  # the second is psutil's word for an empty /proc
        return []  # `_blind` says so


def may_look_at(pid: int) -> bool:
    """Say whether this process would see what that one has open."""
    try:
        os.scandir(_PROC / str(pid) / "fd").close()
    except OSError:
        return False
    return True


def _blind(refused: int) -> str:
    try:
        return _blinded_by(refused)
    except (OSError, Unsupported):
        return "/proc cannot be read"


def _blinded_by(refused: int) -> str:
    if not in_first_pid_namespace():
        return "this is a PID namespace of its own: processes outside it cannot be seen"
    if refused:
        return f"{refused} processes may not be looked at by this user"
    if os.geteuid() != 0 and _hides_processes():
        return "/proc is mounted with hidepid"
    return ""


def _hides_processes() -> bool:
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
        return any(line.split()[1:3] == ["/proc", "proc"] and "hidepid" in line for line in mounts)


@dataclass(frozen=True)
class _Wanted:
    """What is looked for: names of links, and of those that are macvtaps also by their numbers."""

    names: set[str]
    nodes: Mapping[int, str]


def _looked_at(pid: int, wanted: _Wanted) -> tuple[dict[str, int], int]:
    """Return what `_taps_of` does.

    Of a process that ends meanwhile the kernel says that it may not be looked at, once
    (fs/proc/base.c proc_pid_readlink).
    """
    try:
        return _taps_of(pid, wanted)
    except PermissionError:
        return _taps_of(pid, wanted)


def _taps_of(pid: int, wanted: _Wanted) -> tuple[dict[str, int], int]:
    """Return how many descriptors of each wanted link a process has, and how many of vhost-net."""
    taps: dict[str, int] = {}
    vhost = 0
    folder = _PROC / str(pid) / "fd"
    for entry in os.scandir(folder):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:
            continue
        if target == ioctl.VHOST_NODE:
            vhost += 1
        elif target.endswith("/net/tun"):
            name = _tap_of_fd(pid, entry.name)
            if name in wanted.names and _is_here(pid, int(entry.name)):
                taps[name] = taps.get(name, 0) + 1
        elif wanted.nodes and target.startswith("/"):
            name = _macvtap_of_fd(entry, wanted.nodes)
            if name:
                taps[name] = taps.get(name, 0) + 1
    return taps, vhost


def _macvtap_of_fd(entry: os.DirEntry[str], nodes: Mapping[int, str]) -> str:
    """Return of which macvtap a descriptor is, whatever its node was called."""
    try:
        status = entry.stat()
    except OSError:
        return ""
    return nodes.get(status.st_rdev, "") if stat.S_ISCHR(status.st_mode) else ""


def _tap_of_fd(pid: int, fd: str) -> str:
    try:
        text = (_PROC / str(pid) / "fdinfo" / fd).read_text(errors="replace")
    except FileNotFoundError:
        return ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "iff":
            return value.strip()
    return ""


def _is_here(pid: int, fd: int) -> bool:
    """Say whether another process's TAP is in this network namespace: names alone do not tell.

    Where the kernel does not let us ask (no pidfd_getfd, no ptrace permission) the answer is yes:
    a TAP wrongly taken for held stays, and that hurts nobody. A process that has ended meanwhile,
    or closed it, holds nothing.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(_SYS_PIDFD_OPEN, pid, 0)
    if pidfd < 0:
        return ctypes.get_errno() != errno.ESRCH
    try:
        copy = libc.syscall(_SYS_PIDFD_GETFD, pidfd, fd, 0)
        if copy < 0:
            return ctypes.get_errno() not in (errno.ESRCH, errno.EBADF)
        try:
            namespace = ioctl.tun_get_netns(copy)
        except OSError:
            return True
        finally:
            os.close(copy)
    finally:
        os.close(pidfd)
    try:
        return os.fstat(namespace).st_ino == netns_inode()
    finally:
        os.close(namespace)


def _describe(pid: int, fds: int, vhost: int) -> Holder:
    process = psutil.Process(pid)
    with process.oneshot():
        words = process.cmdline() or [process.name()]
        try:
            user = process.username()
        except KeyError:
            user = str(process.uids().real)
        age = max(0.0, time.time() - process.create_time())
    return Holder(pid, _one_line(words), user, fds, vhost, age=age)


def _one_line(words: list[str]) -> str:
    """Join a command line for a message; a tenant may have chosen its characters."""
    text = " ".join(words)
    safe = "".join(c if c.isprintable() else "?" for c in text)
    return safe if len(safe) <= _COMMAND_MAX else safe[: _COMMAND_MAX - 1] + "…"


def with_workers(holder: Holder) -> Holder:
    """Return the holder with the vhost workers that serve it."""
    return replace(holder, workers=workers_of([holder.pid])[holder.pid])


def workers_of(pids: Iterable[int]) -> dict[int, tuple[Worker, ...]]:
    """Return the vhost workers that serve each of some processes.

    Since Linux 6.4 a worker is a thread of the process itself, before that a kernel thread; both
    are named `vhost-<pid>` (drivers/vhost/vhost.c). One pass serves any number of processes.
    """
    names = {f"vhost-{pid}": pid for pid in pids}
    found = {pid: list(_own_threads(pid, name)) for name, pid in names.items()}
    lacking = {name: pid for name, pid in names.items() if not found[pid]}
    for name, worker in _kernel_threads(lacking):
        found[lacking[name]].append(worker)
    return {pid: tuple(workers) for pid, workers in found.items()}


def _own_threads(pid: int, name: str) -> Iterator[Worker]:
    with suppress(psutil.NoSuchProcess):
        for thread in psutil.Process(pid).threads():
            try:
                comm = (_PROC / str(pid) / "task" / str(thread.id) / "comm").read_text()
            except OSError:
                continue
            if comm.strip() == name:
                seconds = thread.user_time + thread.system_time
                yield Worker(thread.id, f"thread of {pid}", seconds, _wakes(thread.id))


def _kernel_threads(names: Collection[str]) -> Iterator[tuple[str, Worker]]:
    if not names:
        return
    for process in psutil.process_iter(["name", "ppid", "cpu_times"]):
        if process.info["name"] in names and process.info["ppid"] in (0, 2):
            times = process.info["cpu_times"]
            seconds = times.user + times.system
            worker = Worker(process.pid, "kernel thread", seconds, _wakes(process.pid))
            yield process.info["name"], worker


def _wakes(tid: int) -> int:
    try:
        text = (_PROC / str(tid) / "status").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "voluntary_ctxt_switches":
            return int(value)
    return 0


def command_line(pid: int) -> list[str]:
    """Return the words with which a process was started; none of one that is gone or hidden."""
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def links_by_descriptor(pid: int, nodes: Mapping[int, str] = _NONE) -> dict[int, str]:
    """Return the names of the TUNs, TAPs and macvtaps a process has, by its descriptors' numbers.

    The names are those of the process's own network namespace.

    Args:
        pid: the process.
        nodes: names of macvtaps, by the numbers of their device nodes.
    """
    found = {}
    with suppress(OSError):
        for entry in os.scandir(_PROC / str(pid) / "fd"):
            with suppress(OSError):
                target = os.readlink(entry.path)
                tun = target.endswith("/net/tun")
                name = _tap_of_fd(pid, entry.name) if tun else _macvtap_of_fd(entry, nodes)
                if name:
                    found[int(entry.name)] = name
    return found


def runs_of(tids: Iterable[int]) -> dict[int, Run]:
    """Return how long and how often threads ran; not of those that are gone.

    One short file each (Documentation/scheduler/sched-stats): nanoseconds on a processor, waiting
    for one, and how often it was given one.
    """
    found = {}
    for tid in tids:
        with suppress(OSError, ValueError):
            words = (_PROC / str(tid) / "schedstat").read_text().split()
            found[tid] = Run(int(words[0]) / 1e9, int(words[2]))
    return found
