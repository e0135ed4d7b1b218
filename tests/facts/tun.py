"""`/dev/net/tun` by its bare ioctls (drivers/net/tun.c), for tests.

Descriptors are close-on-exec and blocking is off; a TAP here has no packet information header.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

# linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNSETOWNER = 0x400454CC
TUNGETFEATURES = 0x800454CF
TUNGETIFF = 0x800454D2
TUNSETQUEUE = 0x400454D9
TUNSETCARRIER = 0x400454E2
TUNGETDEVNETNS = 0x54E3

IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_NO_CARRIER = 0x0040
IFF_MULTI_QUEUE = 0x0100
IFF_DETACH_QUEUE = 0x0400
IFF_PERSIST = 0x0800
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_TUN_EXCL = 0x8000

TAP = IFF_TAP | IFF_NO_PI
MANY = TAP | IFF_MULTI_QUEUE

# linux/sockios.h, linux/if_arp.h
SIOCSIFHWADDR = 0x8924
ARPHRD_ETHER = 1

_IFREQ = struct.Struct("16sH22x")
_HWADDR = struct.Struct("16sH6s16x")


def open_tun() -> int:
    """Return a descriptor of `/dev/net/tun` that has no device yet."""
    return os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def set_iff(fd: int, name: str, flags: int) -> str:
    """Attach the descriptor to a device, new or there, and return its name."""
    return _name(fcntl.ioctl(fd, TUNSETIFF, _IFREQ.pack(name.encode(), flags)))


def get_iff(fd: int) -> tuple[str, int]:
    """Return name and flags of the descriptor's device."""
    answer = fcntl.ioctl(fd, TUNGETIFF, bytes(_IFREQ.size))
    return _name(answer), _IFREQ.unpack(answer)[1]


def _name(ifreq: bytes) -> str:
    name: bytes = _IFREQ.unpack(ifreq)[0]
    return name.partition(b"\0")[0].decode()


def features(fd: int) -> int:
    """Return the flags that this kernel's TUNSETIFF knows."""
    return int.from_bytes(fcntl.ioctl(fd, TUNGETFEATURES, bytes(4)), "little")


def detach_queue(fd: int) -> None:
    """Take the descriptor's queue out of use; the device knows it still."""
    fcntl.ioctl(fd, TUNSETQUEUE, _IFREQ.pack(b"", IFF_DETACH_QUEUE))


def set_carrier(fd: int, *, on: bool) -> None:
    """Plug the virtual cable in, or pull it."""
    fcntl.ioctl(fd, TUNSETCARRIER, struct.pack("i", on))


def persist(fd: int, *, on: bool = True) -> None:
    """Let the device stay without a descriptor, or not."""
    fcntl.ioctl(fd, TUNSETPERSIST, int(on))


def set_owner(fd: int, uid: int) -> None:
    """Let this uid attach to the device."""
    fcntl.ioctl(fd, TUNSETOWNER, uid)


def set_mac(fd: int, name: str, mac: bytes) -> None:
    """Change the device's address through its descriptor."""
    fcntl.ioctl(fd, SIOCSIFHWADDR, _HWADDR.pack(name.encode(), ARPHRD_ETHER, mac))


def netns_of(fd: int) -> int:
    """Return the inode of the network namespace the descriptor's device is in."""
    netns = fcntl.ioctl(fd, TUNGETDEVNETNS)
    try:
        return os.fstat(netns).st_ino
    finally:
        os.close(netns)


@contextmanager
def tap(name: str, flags: int = TAP) -> Iterator[int]:
    """Hold a descriptor of the TAP of that name, made if it is not there."""
    fd = open_tun()
    try:
        set_iff(fd, name, flags)
        yield fd
    finally:
        os.close(fd)


def keep(name: str, flags: int = TAP, owner: int | None = None) -> None:
    """Make a persistent TAP that nobody holds."""
    with tap(name, flags) as fd:
        if owner is not None:
            set_owner(fd, owner)
        persist(fd)


def delete(name: str, flags: int = TAP) -> None:
    """Take persistence from a TAP and let go: how vmnet removes one."""
    with tap(name, flags) as fd:
        persist(fd, on=False)
