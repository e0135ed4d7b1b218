"""TAPs as the kernel has them: made, opened and held by processes that are not vmnet."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

# linux/if_tun.h
_TUNSETIFF, _TUNSETPERSIST, _TUNSETCARRIER = 0x400454CA, 0x400454CB, 0x400454E2
_TUNSETQUEUE, _ATTACH_QUEUE, _DETACH_QUEUE = 0x400454D9, 0x0200, 0x0400
TUN, TAP, MULTI_QUEUE, NO_PI, VNET_HDR, EXCL = 0x1, 0x2, 0x100, 0x1000, 0x4000, 0x8000
#: How QEMU opens a TAP that is to have one queue.
ONE = TAP | NO_PI | VNET_HDR
MANY = ONE | MULTI_QUEUE
_IFREQ = struct.Struct("16sH22x")


def open_tap(name: str, flags: int = ONE) -> int:
    """Return a descriptor of the TAP of that name; it is made if it is not there."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        set_iff(fd, name, flags)
    except OSError:
        os.close(fd)
        raise
    return fd


def set_iff(fd: int, name: str, flags: int = ONE) -> None:
    """Connect a descriptor of /dev/net/tun with the TAP of that name."""
    fcntl.ioctl(fd, _TUNSETIFF, _IFREQ.pack(name.encode(), flags))


def set_queue(fd: int, *, attached: bool) -> None:
    """Switch a queue on or off, as a guest does by its driver."""
    flags = _ATTACH_QUEUE if attached else _DETACH_QUEUE
    fcntl.ioctl(fd, _TUNSETQUEUE, _IFREQ.pack(b"", flags))


def set_carrier(fd: int, *, on: bool) -> None:
    """Switch the carrier of an open TAP."""
    fcntl.ioctl(fd, _TUNSETCARRIER, struct.pack("=i", on))


def persist(fd: int, *, on: bool = True) -> None:
    """Let the TAP outlive its descriptors, or not."""
    fcntl.ioctl(fd, _TUNSETPERSIST, int(on))


@contextmanager
def opened(name: str, flags: int = ONE) -> Iterator[int]:
    """Have a TAP open in this very process."""
    fd = open_tap(name, flags)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def held(name: str, flags: int = ONE, queues: int = 1, *, carrier: bool = True) -> Iterator[int]:
    """Let a process `sleep 1000` hold a TAP, and yield its pid.

    Args:
        name: the TAP, made if it is not there.
        flags: as for `open_tap`.
        queues: how many descriptors the process gets.
        carrier: False: the process has pulled the virtual cable.
    """
    fds = [open_tap(name, flags) for _ in range(queues)]
    try:
        if not carrier:
            set_carrier(fds[0], on=False)
        holder = subprocess.Popen(["sleep", "1000"], pass_fds=fds)
    finally:
        for fd in fds:
            os.close(fd)
    try:
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def frames(fd: int, seconds: float) -> list[bytes]:
    """Return the frames that the host sends into an open TAP for so long."""
    found = []
    end = time.monotonic() + seconds
    while select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
        found.append(os.read(fd, 70000))
    return found


def can_attach(name: str, uid: int, flags: int = ONE) -> bool:
    """Say whether the kernel lets an ordinary user connect to a TAP that is there."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            set_iff(fd, name, flags)
            status = 0
        except PermissionError:
            status = 2
        finally:
            os._exit(status)
    os.close(fd)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 2), status
    return status == 0
