"""ioctl(2): the one file that calls it, for `/dev/net/tun`, `/dev/vhost-net` and ethtool.

Job: each ioctl as one short function with the kernel's own names and numbers.
Leaves to others: what they are good for, and turning OSError into vmnet's errors.
Privilege: making a TAP needs CAP_NET_ADMIN in the network namespace's user namespace; attaching to
one that is there needs that or being its owner (drivers/net/tun.c, tun_not_capable).

The numbers hold for architectures with the generic _IOC encoding (x86, arm64, riscv, s390x,
loongarch); powerpc, mips, sparc, alpha and parisc encode the direction otherwise and are refused
in words.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Sequence

from vmnet.errors import Unsupported

TUN_NODE = "/dev/net/tun"
VHOST_NODE = "/dev/vhost-net"

# linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNSETOWNER = 0x400454CC
TUNSETVNETHDRSZ = 0x400454D8
TUNGETDEVNETNS = 0x54E3
IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_TUN_EXCL = 0x8000

# linux/vhost.h
VHOST_GET_FEATURES = 0x8008AF00
VHOST_SET_FEATURES = 0x4008AF00
VHOST_SET_OWNER = 0xAF01
VHOST_SET_MEM_TABLE = 0x4008AF03
VHOST_SET_VRING_NUM = 0x4008AF10
VHOST_SET_VRING_ADDR = 0x4028AF11
VHOST_SET_VRING_BASE = 0x4008AF12
VHOST_GET_VRING_BASE = 0xC008AF12
VHOST_SET_VRING_KICK = 0x4008AF20
VHOST_SET_VRING_CALL = 0x4008AF21
VHOST_NET_SET_BACKEND = 0x4008AF30

# linux/sockios.h, linux/ethtool.h
SIOCETHTOOL = 0x8946
ETHTOOL_GTXCSUM = 0x16
ETHTOOL_STXCSUM = 0x17

_IFREQ = struct.Struct("16sH22x")  # linux/if.h struct ifreq on 64 bits
_OTHER_ENCODING = ("ppc", "mips", "sparc", "alpha", "parisc")


def open_tun() -> int:
    """Open `/dev/net/tun` and return the descriptor (O_RDWR, O_CLOEXEC, O_NONBLOCK).

    Raises:
        OSError: ENOENT no node, ENODEV no driver, EACCES/EPERM not permitted, EMFILE.
    """
    machine = os.uname().machine
    if machine.startswith(_OTHER_ENCODING):
        raise Unsupported(
            f"the numbers of the TUN ioctls are not known for {machine}",
            code="architecture",
            remedy="run on x86, arm64, riscv, s390x or loongarch",
        )
    return os.open(TUN_NODE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)


def tun_set_iff(fd: int, name: str, flags: int) -> str:
    """Attach a descriptor of `/dev/net/tun` to the TUN or TAP of that name, making it if need be.

    Args:
        fd: from `open_tun`.
        name: at most 15 bytes; the ioctl would cut a longer one silently.
        flags: IFF_TAP or IFF_TUN, with IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE, IFF_TUN_EXCL.

    Returns:
        The name the kernel gave.

    Raises:
        OSError: EBUSY taken (or there, with IFF_TUN_EXCL), EINVAL other kind or queue mode,
            EPERM not owner, E2BIG over 256 queues.
    """
    raw = name.encode()
    if len(raw) > 15:
        raise ValueError(name)
    answer = fcntl.ioctl(fd, TUNSETIFF, _IFREQ.pack(raw, flags))
    got: bytes = _IFREQ.unpack(answer)[0]
    # The kernel copies the name over what was there, with its NUL and no further.
    return got.partition(b"\0")[0].decode()


def tun_set_persist(fd: int, *, persist: bool) -> None:
    """Let the device outlive its descriptors, or not."""
    fcntl.ioctl(fd, TUNSETPERSIST, int(persist))


def tun_set_owner(fd: int, uid: int) -> None:
    """Let this uid attach to the device."""
    # The argument of ioctl(2) is a C int to Python; the kernel takes its bits for a uid.
    fcntl.ioctl(fd, TUNSETOWNER, uid if uid < 1 << 31 else uid - (1 << 32))


def tun_get_netns(fd: int) -> int:
    """Return a descriptor of the network namespace a TUN descriptor's device is in (Linux 5.2)."""
    return fcntl.ioctl(fd, TUNGETDEVNETNS)


def tun_set_vnet_hdr_sz(fd: int, size: int) -> None:
    """Set how many bytes of virtio-net header stand before each frame (10 or 12)."""
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("=i", size))


def vhost_get_features(fd: int) -> int:
    """Return the feature bits of vhost-net.

    Raises:
        OSError: ENOTTY: the node is something else.
    """
    return _unpack_u64(fcntl.ioctl(fd, VHOST_GET_FEATURES, bytes(8)))


def _unpack_u64(raw: bytes) -> int:
    value: int = struct.unpack("=Q", raw)[0]
    return value


def vhost_set_owner(fd: int) -> None:
    """Bind the descriptor to this process's memory and start its worker."""
    fcntl.ioctl(fd, VHOST_SET_OWNER)


def vhost_set_features(fd: int, features: int) -> None:
    """Choose among the bits of `vhost_get_features`."""
    fcntl.ioctl(fd, VHOST_SET_FEATURES, struct.pack("=Q", features))


def vhost_set_mem_table(fd: int, regions: Sequence[tuple[int, int, int]]) -> None:
    """Tell where guest memory is: (guest physical address, bytes, address in this process)."""
    table = struct.pack("=II", len(regions), 0)
    for guest, size, user in regions:
        table += struct.pack("=QQQQ", guest, size, user, 0)
    fcntl.ioctl(fd, VHOST_SET_MEM_TABLE, table)


def vhost_set_vring_num(fd: int, index: int, num: int) -> None:
    """Set the number of descriptors of a ring."""
    fcntl.ioctl(fd, VHOST_SET_VRING_NUM, struct.pack("=II", index, num))


def vhost_set_vring_base(fd: int, index: int, base: int) -> None:
    """Set where in the available ring to begin."""
    fcntl.ioctl(fd, VHOST_SET_VRING_BASE, struct.pack("=II", index, base))


def vhost_get_vring_base(fd: int, index: int) -> int:
    """Return how far the available ring was read."""
    raw = fcntl.ioctl(fd, VHOST_GET_VRING_BASE, struct.pack("=II", index, 0))
    base: int = struct.unpack("=II", raw)[1]
    return base


def vhost_set_vring_addr(fd: int, index: int, *, desc: int, used: int, avail: int) -> None:
    """Tell where the three parts of a ring are in this process's memory."""
    fcntl.ioctl(fd, VHOST_SET_VRING_ADDR, struct.pack("=IIQQQQ", index, 0, desc, used, avail, 0))


def vhost_set_vring_kick(fd: int, index: int, eventfd: int) -> None:
    """Give the eventfd by which the driver announces buffers."""
    fcntl.ioctl(fd, VHOST_SET_VRING_KICK, struct.pack("=Ii", index, eventfd))


def vhost_set_vring_call(fd: int, index: int, eventfd: int) -> None:
    """Give the eventfd by which vhost announces used buffers."""
    fcntl.ioctl(fd, VHOST_SET_VRING_CALL, struct.pack("=Ii", index, eventfd))


def vhost_net_set_backend(fd: int, index: int, tap_fd: int) -> None:
    """Connect a ring to a TAP; -1 disconnects it."""
    fcntl.ioctl(fd, VHOST_NET_SET_BACKEND, struct.pack("=Ii", index, tap_fd))


def get_tx_checksum(fd: int, name: str) -> bool:
    """Say whether a link is trusted to finish the checksums of what is sent at it.

    Args:
        fd: any socket in the link's network namespace.
        name: the link's.

    Raises:
        OSError: ENODEV no such link, EOPNOTSUPP it cannot be asked.
    """
    return bool(_ethtool(fd, name, ETHTOOL_GTXCSUM, 0))


def set_tx_checksum(fd: int, name: str, *, on: bool) -> None:
    """Trust a link to finish the checksums of what is sent at it, or have the kernel do it first.

    Raises:
        OSError: as `get_tx_checksum`; EPERM without CAP_NET_ADMIN.
    """
    _ethtool(fd, name, ETHTOOL_STXCSUM, int(on))


def _ethtool(fd: int, name: str, command: int, data: int) -> int:
    value = ctypes.create_string_buffer(struct.pack("=II", command, data))
    fcntl.ioctl(fd, SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))
    answer: int = struct.unpack_from("=II", value.raw)[1]
    return answer
