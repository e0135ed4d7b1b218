"""Other network namespaces: having one open, and a socket in it.

Job: a namespace's file, open; a channel to the kernel there.
Leaves to others: what is done there (`vmnet.kernel.apply`), which file (`vmnet.service.patches`).
Privilege: CAP_SYS_ADMIN in the namespace's own user namespace, and in this one.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from vmnet.errors import Conflict, NotFound, NotPermitted, of_errno
from vmnet.kernel import ioctl
from vmnet.kernel.links import Netlink
from vmnet.kernel.refusals import refusal
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.patch import End
from vmnet.model.step import CreateVeth, InPlace, PlaceStep, Ref
from vmnet.model.wirestep import SetTxChecksum
from vmnet.model.words import describe

#: linux/sched.h CLONE_NEWNET.
_CLONE_NEWNET = 0x40000000
_SELF = "/proc/thread-self/ns/net"


@dataclass(frozen=True)
class Place:
    """A network namespace that is open.

    Attributes:
        path: its file.
        fd: a descriptor of it, by which it lives on.
        netlink: a socket there.
    """

    path: str
    fd: int
    netlink: Netlink


@contextmanager
def opened_place(end: End, path: str) -> Iterator[Place]:
    """Hold a namespace and a socket in it.

    Args:
        end: how the user calls it, for messages.
        path: its file.

    Raises:
        NotFound: there is no such process, name or container; or it does not run.
        Conflict: it is this very namespace.
        NotPermitted: it is another user's.
    """
    fd = _open(end, path)
    try:
        if os.fstat(fd).st_ino == os.stat(_SELF).st_ino:
            raise Conflict(
                f"{end} is in this very network namespace",
                code="place-here",
                remedy="name a bridge for an end that is here",
            )
        with _netlink_in(end, fd) as netlink:
            yield Place(path, fd, netlink)
    finally:
        os.close(fd)


class Places:
    """Where steps go that reach into another network namespace."""

    def __init__(self, places: Iterable[Place]) -> None:
        """Work through these."""
        self._places = {place.path: place for place in places}
        self._made: dict[tuple[str, str], int] = {}

    def carry_out(self, step: PlaceStep | SetTxChecksum, here: Netlink) -> dict[str, int]:
        """Carry out one step; return the indexes of links that it made in this namespace, by name.

        Raises:
            VmnetError: the kernel refused.
        """
        try:
            if isinstance(step, CreateVeth):
                return self._create(step, here)
            if isinstance(step, SetTxChecksum):
                _set_checksumming(here, step)
            else:
                self._inside(step)
        except Refused as error:
            inner = step.step if isinstance(step, InPlace) else step
            if isinstance(inner, SetTxChecksum):
                raise of_errno(describe(inner), error.errno or 0, error.said) from error
            raise refusal(inner, error) from error
        return {}

    def _inside(self, step: InPlace) -> None:
        place = self._places[step.place].netlink
        if isinstance(step.step, SetTxChecksum):
            _set_checksumming(place, step.step)
        else:
            place.send([step.step], partial(self._index, step.place))

    def _index(self, path: str, link: Ref) -> int:
        known = link.index or self._made.get((path, link.name), 0)
        now = None if known else self._places[path].netlink.link(link.name)
        if not known and now is None:
            raise of_errno(f"find link {link.name!r} in {path}", errno.ENODEV)
        return known if now is None else now.index

    def _create(self, step: CreateVeth, here: Netlink) -> dict[str, int]:
        home = self._places[step.here].netlink if step.here else here
        fd = self._places[step.there].fd if step.there else None
        home.create_veth(step.name, step.peer, fd)
        made = {}
        for name, path in ((step.name, step.here), (step.peer, step.there)):
            now = (self._places[path].netlink if path else here).link(name)
            if now is not None and path:
                self._made[path, name] = now.index
            elif now is not None:
                made[name] = now.index
        return made


def _open(end: End, path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unopened(end, path, error.errno or 0) from error


def _unopened(end: End, path: str, number: int) -> Exception:
    if number in (errno.ENOENT, errno.ESRCH, errno.ENOTDIR):
        return NotFound(
            f"there is no {end} here ({path})",
            code="place-missing",
            remedy="`ip netns` lists names; `ps` processes",
        )
    return _refused(end, number)


def _refused(end: End, number: int) -> Exception:
    if number in (errno.EPERM, errno.EACCES):
        return NotPermitted(
            f"cannot enter {end}: it is another user's ({os.strerror(number)})",
            code="place-permission",
            remedy="run as root",
        )
    if number == errno.EINVAL:
        return Conflict(
            f"{end} is no network namespace (EINVAL)",
            code="place-missing",
            remedy="`ip netns add` makes one of a name",
        )
    return of_errno(f"enter {end}", number)


@contextmanager
def _netlink_in(end: End, fd: int) -> Iterator[Netlink]:
    """Open a socket in a namespace: this thread goes there, and comes back."""
    home = os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)
    try:
        number = _setns(fd)
        if number:
            raise _refused(end, number)
        try:
            netlink = Netlink()
        finally:
            number = _setns(home)
            if number:
                # Whatever came next would be done to the wrong host.
                raise SystemError(f"no way back from {end}: {os.strerror(number)}")
    finally:
        os.close(home)
    with netlink:
        yield netlink


def _setns(fd: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.setns(fd, _CLONE_NEWNET) == 0 else ctypes.get_errno()


def _set_checksumming(netlink: Netlink, step: SetTxChecksum) -> None:
    """Carry out a step in the namespace of this socket.

    Raises:
        VmnetError: the kernel refused.
    """
    try:
        ioctl.set_tx_checksum(netlink.fileno(), step.link.name, on=step.on)
    except OSError as error:
        raise of_errno(describe(step), error.errno or 0) from error
