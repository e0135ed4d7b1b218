"""The descriptors of TAPs and TUNs: what is done by opening `/dev/net/tun`.

Job: carry out the steps that need such a descriptor, and own the descriptors until they are taken.
Leaves to others: the order of steps and their undo (`vmnet.kernel.apply`), the ioctls themselves
(`vmnet.kernel.ioctl`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import assert_never

from vmnet.errors import of_errno
from vmnet.kernel import devices, ioctl
from vmnet.kernel.closing import Closing
from vmnet.kernel.links import Netlink
from vmnet.kernel.macvtaps import give, open_queue
from vmnet.kernel.refusals import taken, tun_refusal
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.step import (
    CreateTap,
    CreateTun,
    DropTap,
    DropTun,
    OpenQueues,
    Persist,
    Ref,
    SetOwner,
    Step,
    TunStep,
)
from vmnet.model.wirestep import GiveMacvtap, NodeStep, OpenMacvtap
from vmnet.model.words import describe

_TAP_FLAGS = ioctl.IFF_TAP | ioctl.IFF_NO_PI | ioctl.IFF_VNET_HDR
_TUN_FLAGS = ioctl.IFF_TUN | ioctl.IFF_NO_PI


class Queues:
    """Descriptors that are open, by the name of their link or of what else they are open on."""

    def __init__(self, netlink: Netlink, closing: Closing | None) -> None:
        """Begin with none.

        Args:
            netlink: a socket into this namespace.
            closing: those of TAPs that are dropped are closed when it is left, without it at once.
        """
        self._netlink = netlink
        self._closing = closing
        self._fds: dict[str, list[int]] = {}

    def hold(self, source: str, fds: list[int]) -> None:
        """Own descriptors that were opened elsewhere."""
        self._fds.setdefault(source, []).extend(fds)

    def take(self, source: str) -> list[int]:
        """Hand over descriptors; the caller closes them from now on."""
        return self._fds.pop(source, [])

    def at(self, source: str, position: int) -> int:
        """Return one of them, which stays owned."""
        return self._fds[source][position]

    def close_all(self) -> None:
        """Close all that were not taken."""
        for name in list(self._fds):
            self.close(name)

    def carry_out(self, step: TunStep | NodeStep, made: Mapping[str, int]) -> None:
        """Carry out a step.

        Args:
            step: the step.
            made: the indexes of links that this plan made, by name; a drop goes by them.

        Raises:
            VmnetError: the kernel's refusal.
            Refused: of looking, before the step.
        """
        match step:
            case CreateTap(name, multi_queue) | CreateTun(name, multi_queue):
                self._open(Ref(name), multi_queue=multi_queue, exclusive=True, what=step)
            case OpenQueues(link, count, multi_queue):
                while len(self._fds.get(link.name, ())) < count:
                    if not self._open(link, multi_queue=multi_queue, exclusive=False, what=step):
                        raise of_errno(describe(step), errno.ENODEV)
                self._refuse_if_shared(link, step)
            case SetOwner(link, uid, multi_queue):
                self._with_tap(link, step, multi_queue=multi_queue, uid=uid)
            case Persist(link):
                self._ioctl_persist(self._fds[link.name][0], step, persist=True)
            case DropTap(link, multi_queue) | DropTun(link, multi_queue):
                self._drop(_known(link, made), step, multi_queue=multi_queue)
            case OpenMacvtap(link, count):
                self._open_macvtap(_known(link, made), count, describe(step))
            case GiveMacvtap(link, uid):
                give(_known(link, made), uid, describe(step))
            case _:
                assert_never(step)

    def _open_macvtap(self, link: Ref, count: int, doing: str) -> None:
        while len(self._fds.get(link.name, ())) < count:
            fd = open_queue(link, doing, multi_queue=count > 1)
            self._fds.setdefault(link.name, []).append(fd)

    def _open(self, link: Ref, *, multi_queue: bool, exclusive: bool, what: Step) -> bool:
        """Attach one more descriptor to a TAP; False if that link is not there any more."""
        fd = devices.open_tun()
        try:
            flags = _TUN_FLAGS if _is_tun(what) else _TAP_FLAGS
            flags |= ioctl.IFF_MULTI_QUEUE if multi_queue else 0
            flags |= ioctl.IFF_TUN_EXCL if exclusive else 0
            ioctl.tun_set_iff(fd, link.name, flags)
        except OSError as error:
            os.close(fd)
            raise tun_refusal(what, link.name, error.errno or 0, exclusive=exclusive) from error
        try:
            there = not link.index or self._is_still(link)
        except Refused:
            os.close(fd)
            raise
        if not there:
            # It vanished and the ioctl made another, or somebody else did: not ours to touch. A
            # fresh one goes with its descriptor.
            os.close(fd)
            return False
        self._fds.setdefault(link.name, []).append(fd)
        return True

    def _is_still(self, link: Ref) -> bool:
        """Say whether a name still is the link that was looked at.

        Not by if_nametoindex(3), whose one answer to all failures would pass for "vanished".
        """
        now = self._netlink.link(link.name)
        return now is not None and now.index == link.index

    def close(self, name: str) -> None:
        """Close all descriptors of a link; one that is not persistent is gone then."""
        for fd in self._fds.pop(name, []):
            os.close(fd)

    def _with_tap(self, link: Ref, step: Step, *, multi_queue: bool, uid: int) -> None:
        held = link.name in self._fds
        if not held and not self._open(link, multi_queue=multi_queue, exclusive=False, what=step):
            raise of_errno(describe(step), errno.ENODEV)
        try:
            ioctl.tun_set_owner(self._fds[link.name][0], uid)
        except OSError as error:
            raise of_errno(describe(step), error.errno or 0) from error
        finally:
            if not held:
                self.close(link.name)

    def _ioctl_persist(self, fd: int, step: Step, *, persist: bool) -> None:
        try:
            ioctl.tun_set_persist(fd, persist=persist)
        except OSError as error:
            raise of_errno(describe(step), error.errno or 0) from error

    def _drop(self, link: Ref, step: Step, *, multi_queue: bool) -> None:
        held = link.name in self._fds
        if not held and not link.index:
            return  # made by this plan, and gone with the descriptors that were handed over
        if not held and not self._open(link, multi_queue=multi_queue, exclusive=False, what=step):
            return
        try:
            if not held and multi_queue:
                self._refuse_if_shared(link, step)
            self._ioctl_persist(self._fds[link.name][0], step, persist=False)
            if self._closing is not None:
                self._closing.add(self._fds.pop(link.name))
        finally:
            self.close(link.name)

    def _refuse_if_shared(self, link: Ref, step: Step) -> None:
        """Leave a multi-queue TAP alone that somebody opened since it was looked at."""
        now = self._netlink.link(link.name)
        mine = len(self._fds[link.name])
        if now is not None and now.tun is not None and now.tun.queues > mine:
            raise taken(step, link.name)


def _known(link: Ref, made: Mapping[str, int]) -> Ref:
    return Ref(link.name, link.index or made.get(link.name, 0))


def _is_tun(step: Step) -> bool:
    return isinstance(step, CreateTun | DropTun) or (isinstance(step, SetOwner) and step.tun)
