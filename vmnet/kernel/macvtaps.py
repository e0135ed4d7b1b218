"""The device nodes of macvtaps: how a process gets their queues.

Job: open one, whatever `/dev` looks like here; give one to a user.
Leaves to others: making the link (`vmnet.kernel.links`), who has one open
(`vmnet.kernel.processes`).
Privilege: CAP_SYS_ADMIN to be sure which node it is; CAP_MKNOD where there is none.

The kernel calls the node tap<index of the link>, and devtmpfs knows no network namespaces: two of
them can have links of one index, and only one node. So a node is used if its number is the one that
this namespace's own sysfs tells; else one is made that nobody else sees, opened, and taken away.
"""

from __future__ import annotations

import errno
import os
import stat

from vmnet.errors import NotFound, NotPermitted, Unsupported, VmnetError, of_errno
from vmnet.kernel import ioctl, sysfs
from vmnet.model.ref import Ref

_DEV = "/dev"
_FLAGS = ioctl.IFF_TAP | ioctl.IFF_NO_PI | ioctl.IFF_VNET_HDR


def number_of(name: str, index: int) -> int:
    """Return the device number of a macvtap's node.

    Raises:
        OSError: there is no such macvtap, or sysfs cannot be read.
    """
    if sysfs.read(f"class/net/{name}/ifindex") != str(index):
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    major, minor = sysfs.read(f"class/net/{name}/tap{index}/dev").split(":")
    return os.makedev(int(major), int(minor))


def node_of(name: str, index: int) -> str:
    """Return the path of a macvtap's node; empty where `/dev` has none, or another's.

    Raises:
        OSError: there is no such macvtap, or sysfs cannot be read.
    """
    path = f"{_DEV}/tap{index}"
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    fits = stat.S_ISCHR(status.st_mode) and status.st_rdev == number_of(name, index)
    return path if fits else ""


def owner_of_node(name: str, index: int) -> int | None:
    """Return who owns a macvtap's node; None where there is none, or it cannot be told."""
    try:
        node = node_of(name, index)
        return os.lstat(node).st_uid if node else None
    except OSError:
        return None


def open_queue(link: Ref, doing: str, *, multi_queue: bool) -> int:
    """Open one queue of a macvtap, with a virtio-net header before each frame.

    Args:
        link: the macvtap, with its index.
        doing: what this is for, for a message.
        multi_queue: it is to have several.

    Returns:
        The descriptor (O_RDWR, O_CLOEXEC, O_NONBLOCK).

    Raises:
        VmnetError: why not.
    """
    try:
        fd = _opened(link)
    except OSError as error:
        raise _refusal(doing, error.errno or 0) from error
    try:
        flags = _FLAGS | (ioctl.IFF_MULTI_QUEUE if multi_queue else 0)
        ioctl.tun_set_iff(fd, link.name, flags)
    except OSError as error:
        os.close(fd)
        raise of_errno(doing, error.errno or 0) from error
    return fd


def _opened(link: Ref) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK
    node = node_of(link.name, link.index)
    if node:
        return os.open(node, flags)
    own = f"{_DEV}/.vmnet-{os.getpid()}-{link.index}"
    os.mknod(own, 0o600 | stat.S_IFCHR, number_of(link.name, link.index))
    try:
        return os.open(own, flags)
    finally:
        os.unlink(own)


def give(link: Ref, uid: int, doing: str) -> None:
    """Let a user open a macvtap's node; nothing where there is none.

    Raises:
        VmnetError: it could not be given.
    """
    try:
        node = node_of(link.name, link.index)
        if node:
            os.chown(node, uid, -1, follow_symlinks=False)
    except OSError as error:
        raise _refusal(doing, error.errno or 0) from error


def _refusal(doing: str, number: int) -> VmnetError:
    why = os.strerror(number)
    if number in (errno.ENOENT, errno.ENODEV):
        return NotFound(
            f"cannot {doing}: it is gone, or sysfs does not show it ({why})",
            code="link-gone",
            remedy="another program may have removed it: see `ip monitor link`",
        )
    if number in (errno.EPERM, errno.EACCES, errno.EROFS):
        return NotPermitted(
            f"cannot {doing}: its node cannot be opened or made in {_DEV} ({why})",
            code="macvtap-node",
            remedy="run as root; in a container allow its devices (`grep macvtap /proc/devices` "
            "shows the major number) and let /dev be writable",
        )
    if number == errno.ENXIO:
        return Unsupported(
            f"cannot {doing}: there is no driver behind its node ({why})",
            code="macvtap-node",
            remedy="`modprobe macvtap`",
        )
    return of_errno(doing, number)
