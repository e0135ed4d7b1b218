"""Hot-plug: NICs of a QEMU that runs already, through its monitor.

Job: attach and detach with a running QEMU, each all or nothing.
Leaves to others: the TAP (`vmnet.plan.attach`), the talk (`vmnet.peers.qmp`), which is loaded only
when it is needed.
Privilege: CAP_NET_ADMIN in the network namespace; the monitor's socket; root, to see that QEMU
holds the TAP.

The bridge's lock is not held while QEMU is talked to: that can take as long as a tenant likes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmnet.errors import Unsupported, VerificationError, VhostUnavailable, VmnetError
from vmnet.formats.config import Config
from vmnet.kernel import signals
from vmnet.kernel.apply import Apply
from vmnet.kernel.ioctl import VHOST_NODE
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of, may_look_at
from vmnet.model.host import Holder, Holders, Link
from vmnet.model.monitor import Qemu
from vmnet.model.names import check_nic, check_vm_name, device_id, link_name, netdev_id
from vmnet.model.nic import Nic, Wish, check_wish
from vmnet.model.step import AddDevice, Plan
from vmnet.model.tag import Life, Own
from vmnet.model.vhost import Finding, Policy, Reason, Verdict, decide, is_virtio
from vmnet.model.wire import by_socket, wire_phrase
from vmnet.plan.attach import place_mtu, plan_left
from vmnet.plan.detach import plan_detach
from vmnet.plan.hotplug import (
    cleared,
    is_plugged,
    plan_clear,
    plan_open,
    plan_plug,
    plan_unplug,
)
from vmnet.plan.refusals import held
from vmnet.service.base import (
    carry_out,
    changing,
    complain,
    moment,
    placed,
    policed,
    raise_all,
    tagged,
    vm_lock,
)
from vmnet.service.nics import Attached, Detached
from vmnet.service.outside import clear
from vmnet.service.resolve import open_vhost, resolve
from vmnet.service.views import Views

if TYPE_CHECKING:
    from vmnet.peers.qmp import Monitor

#: How long QEMU may take to answer, in seconds; a guest that is to let go of a NIC: twice that.
ANSWER_SECONDS = 10.0
#: The kernel removes a TAP when QEMU's last descriptor of it closes; vhost-net lets go a bit later.
_GONE_SECONDS = 2.0


@dataclass(frozen=True)
class Hotplugged(Attached):
    """What came of plugging one NIC into a running QEMU.

    Attributes:
        pid: the process that listens at the monitor; 0 if that cannot be seen.
        device: QEMU's id of the device.
        bus: the port it was plugged into; empty if QEMU chose, or it was plugged in before.
    """

    pid: int
    device: str
    bus: str


def hotplug(
    wish: Wish,
    monitor: str,
    *,
    config: Config | None = None,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    limit: float = ANSWER_SECONDS,
) -> Hotplugged:
    """Plug a NIC into a running QEMU; one that is plugged in as wished stays as it is.

    The TAP is not persistent: it goes when QEMU lets go of it.

    Args:
        wish: the NIC.
        monitor: the path of QEMU's `-qmp unix:PATH`.
        config: the configuration.
        dry_run: plan only; QEMU is asked what it has.
        wait: how long to wait for a lock, in seconds.
        limit: how long QEMU may take for each answer, in seconds.

    Raises:
        VmnetError: nothing was changed, or what was changed has been taken back.
    """
    wish = check_wish(wish)
    if wish.wire is not None and by_socket(wish.wire):
        raise Unsupported(
            f"a NIC of {wire_phrase(wish.wire)} cannot be plugged into a QEMU that runs",
            code="wire-of-run",
            remedy="ask for it where QEMU is started: `vmnet run VM --nic ...`",
        )
    with (
        changing(vm_lock(wish.vm), wait=wait, dry_run=dry_run) as netlink,
        _talking(monitor, limit) as qemu,
        Views(netlink) as views,
        Apply(netlink, qemu, switch=views) as work,
    ):
        seen = qemu.look(netdev_id(wish.nic))
        name = link_name(wish.vm, wish.nic)
        there = netlink.link(name)
        nic = resolve(wish, config or Config(), netlink, there, None)
        nic = views.settled(nic, wish, there, name)
        return _plug(work, views, nic, seen, dry_run=dry_run, wait=wait)


@contextmanager
def _talking(monitor: str, limit: float, *, stoppable: bool = False) -> Iterator[Monitor]:
    from vmnet.peers.qmp import Monitor  # noqa: PLC0415 - asyncio and an extra, needed only here

    pause = signals.check if stoppable else None
    with Monitor(monitor, limit=limit, pause=pause) as qemu:
        yield qemu


def _plug(
    work: Apply, views: Views, nic: Nic, seen: Qemu, *, dry_run: bool, wait: float
) -> Hotplugged:
    name = link_name(nic.vm, nic.nic)
    view = views.of(name, nic)
    clear = plan_clear(nic.vm, nic.nic, view.tap, view.holders, seen)
    plugged = is_plugged(nic.vm, nic.nic, view.tap, view.holders, seen)
    vhost_fds, verdict = ([], _as_plugged(nic, view.holders, seen)) if plugged else open_vhost(nic)
    work.hold(VHOST_NODE, vhost_fds)
    if not dry_run:
        work.run(clear)
    with placed(nic.bridge, wait=wait, dry_run=dry_run):
        view = cleared(view) if dry_run and clear.moves else views.of(name, nic)

        def change(nic: Nic) -> Plan:
            opening = plan_open(nic, view, seen, moment())
            if not dry_run:
                work.run(opening, lambda: _verify(views, name, nic))
            return opening

        nic, opening = policed(nic, change)
        mtu = place_mtu(nic, view)
    node = VHOST_NODE if vhost_fds else ""
    plugging = Plan() if plugged else plan_plug(nic, name, mtu, node, seen)
    if not dry_run:
        work.run(plugging, lambda: _verify_held(views.netlink, name, nic, seen, vhost=bool(node)))
    plan = Plan(clear.moves + opening.moves + plugging.moves, opening.notes)
    return Hotplugged(
        *(nic, name, mtu, plan, verdict, None), seen.pid, device_id(nic.nic), _bus(plugging)
    )


def _bus(plan: Plan) -> str:
    added = [dict(move.do.properties) for move in plan.moves if isinstance(move.do, AddDevice)]
    return str(added[0].get("bus", "")) if added else ""


def _as_plugged(nic: Nic, holders: Holders, seen: Qemu) -> Verdict:
    """Say who moves the packets of a NIC that is plugged in: what QEMU has open tells."""
    if not is_virtio(nic.model):
        return decide(nic.vhost, nic.model, None)
    holder = _holder(holders, seen.pid)
    opened = holder.vhost_fds if holder is not None else 0
    which = f"QEMU (pid {seen.pid}) has {opened} of {VHOST_NODE} open"
    if holder is not None and opened >= nic.queues:
        return decide(Policy.AUTO, nic.model, Finding(Reason.OK, which))
    remedy = f"`vmnet detach` it with --qmp and --nic {nic.nic}, then attach it again"
    if nic.vhost is Policy.REQUIRE:
        raise VhostUnavailable(
            f"vhost-net is required, and the NIC is plugged in without it: {which}",
            code=Reason.PLUGGED.value,
            remedy=remedy,
        )
    return decide(nic.vhost, nic.model, Finding(Reason.PLUGGED, which, remedy))


def _verify(views: Views, name: str, nic: Nic) -> None:
    left = plan_left(nic, views.of(name, nic, others=False, holders=False), Life.PROCESS)
    complain(left, f"tap {name!r}")


def _holder(holders: Holders, pid: int) -> Holder | None:
    """Return QEMU among the holders: who listens at the monitor, or else the only one."""
    others = [holder for holder in holders.known if holder.pid != os.getpid()]
    listening = [holder for holder in others if holder.pid == pid]
    return next(iter(listening or others), None)


def _verify_held(netlink: Netlink, name: str, nic: Nic, seen: Qemu, *, vhost: bool) -> None:
    """Look whether QEMU has the queues, and vhost-net, where that can be seen."""
    holders = holders_of(netlink.link(name))
    holder = _holder(holders, seen.pid)
    if holder is None and not may_look_at(seen.pid):
        return
    queues, opened = (0, 0) if holder is None else (holder.fds, holder.vhost_fds)
    if queues == nic.queues and (not vhost or opened >= nic.queues):
        return
    raise VerificationError(
        f"QEMU accepted NIC {nic.nic}, but process {seen.pid} has {queues} of {nic.queues} queues "
        f"of tap {name!r} and {opened} of {VHOST_NODE} open",
        code="not-as-wished",
        remedy="is that socket QEMU's own? `vmnet who` shows who has the TAP open",
    )


def hotunplug(
    vm: str,
    monitor: str,
    nic: int | None = None,
    *,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    limit: float = ANSWER_SECONDS,
) -> list[Detached]:
    """Take a VM's NICs, or one of them, from a running QEMU; the guest has to let go of each.

    Goes on past failures. A TAP that `attach` made to be kept stays.

    Args:
        vm: the VM's name.
        monitor: the path of QEMU's `-qmp unix:PATH`.
        nic: one NIC, or None for all.
        dry_run: plan only; QEMU is asked what it has.
        wait: how long to wait for a lock, in seconds.
        limit: how long QEMU may take for each answer, in seconds; the guest: twice that.

    Raises:
        VmnetError: the failure, or `SeveralErrors`; the rest has been taken out.
    """
    check_vm_name(vm)
    if nic is not None:
        check_nic(nic)
    done: list[Detached] = []
    errors: list[VmnetError] = []
    with (
        changing(vm_lock(vm), wait=wait, dry_run=dry_run) as netlink,
        _talking(monitor, limit, stoppable=True) as qemu,
    ):
        for number in _numbers(netlink, vm) if nic is None else [nic]:
            try:
                plan = _unplug(netlink, qemu, vm, number, dry_run=dry_run)
            except VmnetError as error:
                if error not in errors:  # a monitor that is lost is lost for all of them
                    errors.append(error)
            else:
                if plan.moves:
                    done.append(Detached(link_name(vm, number), vm, number, plan))
        if done and not dry_run:
            try:
                clear(netlink, vm, wait=wait)
            except VmnetError as error:
                errors.append(error)
    raise_all(errors)
    return done


def _numbers(netlink: Netlink, vm: str) -> list[int]:
    """Return the NICs of a VM whose TAPs vmnet made."""
    return [
        tag.nic
        for link, tag in tagged(netlink, vm)
        if tag.own is Own.MADE and link.name == link_name(vm, tag.nic)
    ]


def _unplug(netlink: Netlink, qemu: Monitor, vm: str, nic: int, *, dry_run: bool) -> Plan:
    tap = netlink.link(link_name(vm, nic))
    seen = qemu.look(netdev_id(nic))
    plan = plan_unplug(vm, nic, tap, holders_of(tap), seen)
    if not dry_run and plan.moves:
        with Apply(netlink, qemu) as work:
            work.run(plan)
        if tap is not None:
            _see_gone(netlink, tap)
    return plan


def _see_gone(netlink: Netlink, before: Link) -> None:
    """Look whether a TAP went with QEMU's descriptors; one that is meant to be kept stays."""
    deadline = time.monotonic() + _GONE_SECONDS
    while True:
        now = netlink.link(before.name)
        if now is None or now.index != before.index or now.tag is None:
            return
        holders = holders_of(now)
        if not (now.in_use or holders.known):
            if now.tag.life is not Life.KEPT:
                # QEMU made it persistent, which nobody asked it to.
                carry_out(netlink, plan_detach(now, holders, force=False))
            return
        if time.monotonic() > deadline:
            raise held(now, holders, "take it away")
        time.sleep(0.02)
