"""TUNs: looking at one for a planner, and having one open.

Job: `TunView`, with few questions; the descriptor through which packets go.
Leaves to others: deciding (`vmnet.plan.tun`), making (`vmnet.kernel.apply`).
Privilege: looking needs none; opening needs to be the TUN's owner, or CAP_NET_ADMIN.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from typing import Self

from vmnet.errors import Busy, Conflict, NotFound, NotPermitted, of_errno
from vmnet.kernel import devices, ioctl
from vmnet.kernel.addresses import all_addresses, host_addresses
from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import holders_of_all
from vmnet.kernel.routes import all_routes, host_routes
from vmnet.model.host import Holders, Link
from vmnet.model.hostaddress import MAIN_TABLE, UNICAST
from vmnet.model.tun import TunView, place_of

_FLAGS = ioctl.IFF_TUN | ioctl.IFF_NO_PI
#: The longest packet of IP, in bytes.
_PACKET_MAX = 1 << 16
_IPV6_OFF = "/proc/sys/net/ipv6/conf/default/disable_ipv6"


def tun_view(netlink: Netlink, name: str, *, holders: bool = False) -> TunView:
    """Return what a planner needs to know about one TUN.

    Args:
        netlink: a socket into the namespace.
        name: its name.
        holders: search also for the processes that have it open.

    Raises:
        Refused: the kernel would not tell.
    """
    link = netlink.link(name)
    mine = 0 if link is None else link.index
    there = host_addresses(netlink, mine) if mine else ()
    return TunView(
        link=link,
        addresses=tuple(address for address in there if not address.is_link_local),
        routes=host_routes(netlink, mine) if mine else (),
        taken=dict(_taken(netlink, mine)),
        holders=_holders(link) if holders else Holders(),
        ipv6=_has_ipv6(),
    )


def _holders(link: Link | None) -> Holders:
    if link is None or link.tun is None:
        return Holders()
    return holders_of_all([link])[link.name]


def _taken(netlink: Netlink, mine: int) -> Iterator[tuple[str, str]]:
    names = {link.index: link.name for link in netlink.links()}
    for index, address in all_addresses(netlink):
        if index != mine:
            yield address.local, names.get(index, "?")
    for index, route in all_routes(netlink):
        if index not in (0, mine) and route.table == MAIN_TABLE and route.kind == UNICAST:
            yield place_of(route), names.get(index, "?")


def _has_ipv6() -> bool:
    try:
        with open(_IPV6_OFF, encoding="ascii") as file:
            return file.read().strip() == "0"
    except OSError:
        return False


class Tun:
    """An open TUN: a packet of IP at a time, in and out.

    Used with `with`, or closed by `close`. `fileno` makes it fit for `select` and its like.
    """

    def __init__(self, fd: int, name: str) -> None:
        """Own a descriptor that a TUN of that name hangs on."""
        self._fd = fd
        self.name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor: it does not block."""
        return self._fd

    def close(self) -> None:
        """Let go of it; a TUN that is not kept is gone with that."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the next packet that the host sends into the TUN.

        Args:
            timeout: how long to wait for one, in seconds; None for as long as it takes.

        Returns:
            The packet, from the first byte of its IP header; None if none came in time.

        Raises:
            VmnetError: the TUN was deleted, or is not up.
        """
        while True:
            try:
                return os.read(self._fd, _PACKET_MAX)
            except BlockingIOError:
                if not select.select([self._fd], [], [], timeout)[0]:
                    return None
            except OSError as error:
                raise self._refused("read a packet from", error) from error

    def write(self, packet: bytes) -> None:
        """Let the host receive a packet.

        Raises:
            VmnetError: the kernel takes it for no packet of IP, or the TUN is not up.
        """
        while True:
            try:
                os.write(self._fd, packet)
            except BlockingIOError:
                select.select([], [self._fd], [])
            except OSError as error:
                raise self._refused("write a packet to", error) from error
            else:
                return

    def _refused(self, doing: str, error: OSError) -> Exception:
        number = error.errno or 0
        if number == errno.EBADFD:
            # drivers/net/tun.c: so it answers a descriptor whose device was deleted.
            return NotFound(
                f"cannot {doing} tun {self.name!r}: it was deleted",
                code="tun-missing",
                remedy="make it anew, and open it again",
            )
        return of_errno(f"{doing} tun {self.name!r}", number)


def open_existing(link: Link) -> Tun:
    """Open a TUN that is there.

    Raises:
        Busy: another process has it open.
        Conflict: it vanished, and another has its name.
        NotPermitted: this user is not its owner.
    """
    fd = devices.open_tun()
    flags = _FLAGS | (ioctl.IFF_MULTI_QUEUE if link.tun and link.tun.multi_queue else 0)
    try:
        ioctl.tun_set_iff(fd, link.name, flags)
        _check_same(link)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, OSError):
            raise _not_opened(link, error.errno or 0) from error
        raise
    return Tun(fd, link.name)


def _check_same(link: Link) -> None:
    with Netlink() as netlink:
        now = netlink.link(link.name)
    if now is None or now.index != link.index:
        raise Conflict(
            f"tun {link.name!r} was made anew meanwhile",
            code="tun-changed",
            remedy="try again",
        )


def _not_opened(link: Link, number: int) -> Exception:
    name = link.name
    if number == errno.EPERM:
        owner = None if link.tun is None else link.tun.owner
        return NotPermitted(
            f"tun {name!r} is not this user's (uid {os.geteuid()}) but that of uid {owner}",
            code="tun-owner",
            remedy=f"`vmnet tun create {name} --owner USER` gives it to a user",
        )
    if number == errno.EBUSY:
        return Busy(
            f"tun {name!r} is open in another process (EBUSY)",
            code="tun-held",
            remedy=f"`vmnet who {name}` shows which",
        )
    return of_errno(f"open tun {name!r}", number)
