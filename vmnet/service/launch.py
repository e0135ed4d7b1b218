"""A launch: TAPs and descriptors for the QEMU that this process is about to become.

Job: `prepare_run`, all or nothing for all NICs of a VM, and the way back if there is no QEMU.
Leaves to others: becoming it (`vmnet.entry.process`), other verbs (`vmnet.service.nics`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from vmnet.errors import InvalidInput, VmnetError
from vmnet.formats import qemu
from vmnet.formats.config import Config
from vmnet.kernel.apply import Apply
from vmnet.kernel.child import stand_by
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.model.names import link_name
from vmnet.model.nic import Nic, Wish, check_wish
from vmnet.model.portstep import ChangeFilter
from vmnet.model.step import Move, NetlinkStep, Plan
from vmnet.model.tag import Life
from vmnet.model.wire import by_socket
from vmnet.plan.attach import plan_run
from vmnet.service.base import changing, moment, placed, planned, policed, vm_lock
from vmnet.service.nics import Attached, mtu_after, verify
from vmnet.service.outside import clear_after, cleared_on_failure
from vmnet.service.resolve import open_vhost, resolve
from vmnet.service.sockets import is_last_rung, prepare_socket
from vmnet.service.views import Views


@dataclass
class Launch:
    """All a process needs to become QEMU: made by `prepare_run`, used once.

    Attributes:
        nics: what came of each NIC, by their numbers.
        fds: the descriptors QEMU is to inherit.
        made: indexes of the TAPs made for it, which go with the process.
        macvtaps: indexes of the macvtaps made for it, which do not by themselves.
        done: what was changed on TAPs that were there before, and how it is taken back.
    """

    nics: list[Attached] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    macvtaps: list[int] = field(default_factory=list)
    done: list[Move] = field(default_factory=list)

    def close(self) -> None:
        """Let go of everything; TAPs made for this launch vanish."""
        for fd in self.fds:
            with suppress(OSError):
                os.close(fd)
        self.fds.clear()

    def take_back(self, *, wait: float = WAIT_SECONDS) -> list[VmnetError]:
        """Give TAPs that were there before the settings they had; return what could not be done."""
        if not self.done:
            return []
        lock = vm_lock(self.nics[0].nic.vm)
        with changing(lock, wait=wait, dry_run=False) as netlink, Apply(netlink) as work:
            work.resume(self.done)
            return work.undo()

    def stand_by(self) -> Callable[[], list[VmnetError]]:
        """Return what does `take_back` even if this process has lost its privileges by then.

        What the TAPs made here have outside of themselves is taken away when they are gone,
        whatever ends this process or the program it becomes.

        Raises:
            VmnetError: there could be no process to wait for that.
        """
        vm, pid = self.nics[0].nic.vm, os.getpid()
        taps, macvtaps = self.made, self.macvtaps
        call = stand_by(
            lambda: [(e.message, e.code, e.remedy) for e in self.take_back()],
            (lambda: clear_after(vm, pid, taps, macvtaps)) if taps or macvtaps else None,
        )
        return lambda: [VmnetError(m, code=code, remedy=remedy) for m, code, remedy in call()]


def prepare_run(
    wishes: list[Wish],
    *,
    config: Config | None = None,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> Launch:
    """Make all NICs of a VM, and hold their TAP and vhost-net descriptors.

    TAPs made here are not persistent: they go when the last descriptor closes, that is when the
    QEMU that inherits them ends in any way.

    Raises:
        VmnetError: nothing was changed, or what was changed has been taken back.
    """
    config = config or Config()
    wishes = [check_wish(wish) for wish in wishes]
    _check_one_vm(wishes)
    launch = Launch()
    sockets = [wish for wish in wishes if by_socket(wish.wire) or is_last_rung(wish)]
    try:
        for wish in sockets:
            nic, fds = prepare_socket(wish, config, dry_run=dry_run)
            launch.nics.append(nic)
            launch.fds += fds
        links = [wish for wish in wishes if wish not in sockets]
        if links:
            _prepare_links(launch, links, config, dry_run=dry_run, wait=wait)
    except BaseException:
        launch.close()
        raise
    launch.nics.sort(key=lambda each: each.nic.nic)
    return launch


def _prepare_links(
    launch: Launch, wishes: list[Wish], config: Config, *, dry_run: bool, wait: float
) -> None:
    vm = wishes[0].vm
    with (
        changing(vm_lock(vm), wait=wait, dry_run=dry_run) as netlink,
        cleared_on_failure(netlink, vm, dry_run=dry_run),
        Views(netlink) as views,
        Apply(netlink, switch=views) as work,
    ):
        try:
            for wish in wishes:
                _prepare_one(launch, work, views, wish, config, dry_run=dry_run, wait=wait)
        except BaseException:
            launch.close()
            work.undo()
            raise
        launch.done = [move for move in work.leave() if _outlives(move)]


def _outlives(move: Move) -> bool:
    """Say whether a change is to be taken back of a launch that fails.

    TAPs made for it go by themselves, and what they have in the filter is cleared after them.
    """
    undo = move.undo
    return isinstance(undo, NetlinkStep) or (isinstance(undo, ChangeFilter) and undo.link.index > 0)


def _check_one_vm(wishes: list[Wish]) -> None:
    if len({wish.vm for wish in wishes}) != 1 or len({w.nic for w in wishes}) != len(wishes):
        raise InvalidInput(
            "the NICs of a launch are to be of one VM, each with a number of its own",
            code="bad-nic",
            remedy="number them with nic=0, nic=1, ...",
        )


def _prepare_one(
    launch: Launch,
    work: Apply,
    views: Views,
    wish: Wish,
    config: Config,
    *,
    dry_run: bool,
    wait: float,
) -> None:
    name, netlink = link_name(wish.vm, wish.nic), views.netlink
    there = netlink.link(name)
    nic = resolve(wish, config, netlink, there, None)
    vhost_fds, verdict = open_vhost(nic)
    launch.fds += vhost_fds
    with placed(nic.bridge, wait=wait, dry_run=dry_run):
        nic = views.settled(nic, wish, there, name)
        view = views.of(name, nic, holders=False)

        def change(nic: Nic) -> Plan:
            plan = planned(view, lambda view: plan_run(nic, view, moment()))
            if not dry_run:
                as_is = replace(nic, mtu=mtu_after(plan, view.tap))
                work.run(plan, lambda: verify(views, name, as_is, Life.PROCESS))
            return plan

        nic, plan = policed(nic, change)
        mtu = mtu_after(plan, view.tap)
        args = None
        if not dry_run:
            tap_fds = work.take(name)
            made = netlink.link(name) if view.tap is None else None
            if made is not None:
                (launch.made if made.is_tap else launch.macvtaps).append(made.index)
            launch.fds += tap_fds
            args = qemu.by_fds(nic, mtu, tap_fds, vhost_fds)
    launch.nics.append(Attached(nic, name, mtu, plan, verdict, args))
