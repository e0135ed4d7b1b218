"""NICs: attach, detach, hold for a launch, plug and unplug what a QEMU made.

Job: the verbs, each all or nothing.
Leaves to others: the frame (`vmnet.service.base`), the gaps in a wish (`vmnet.service.resolve`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vmnet.errors import Busy, VmnetError
from vmnet.formats import qemu
from vmnet.formats.config import Config
from vmnet.kernel.apply import Apply
from vmnet.kernel.closing import Closing
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of, look_at_filter, nic_view
from vmnet.model.host import Link, NicView
from vmnet.model.names import check_link_name, check_nic, check_vm_name, link_name
from vmnet.model.nic import Nic, Wish, check_wish
from vmnet.model.port import PortAsk
from vmnet.model.step import DeleteLink, Plan, SetMtu
from vmnet.model.tag import Life, Own
from vmnet.model.vhost import Policy, Verdict, decide
from vmnet.model.wire import Direct, by_socket
from vmnet.plan.attach import plan_attach, plan_left, plan_manage
from vmnet.plan.detach import plan_detach, plan_unmanage
from vmnet.service.base import (
    carry_out,
    changing,
    complain,
    moment,
    placed,
    planned,
    policed,
    raise_all,
    tagged,
    vm_lock,
)
from vmnet.service.outside import clear, cleared_on_failure
from vmnet.service.resolve import judge_vhost, owner_of, resolve
from vmnet.service.views import Views, at_switch


@dataclass(frozen=True)
class Attached:
    """What came of attaching one NIC.

    Attributes:
        nic: the wish with nothing left open.
        tap: the TAP's name.
        mtu: its MTU, in bytes.
        plan: what was done, or would be (`dry_run`); empty if all was well.
        verdict: who moves the packets, and why.
        args: QEMU's arguments; None for a TAP that QEMU made itself, and for a dry run of `run`.
    """

    nic: Nic
    tap: str
    mtu: int
    plan: Plan
    verdict: Verdict
    args: qemu.Args | None


@dataclass(frozen=True)
class Detached:
    """What came of detaching: one entry a link.

    Attributes:
        link: its name.
        vm: its VM.
        nic: its NIC's number.
        plan: what was done, or would be.
    """

    link: str
    vm: str
    nic: int
    plan: Plan


def attach(
    wish: Wish,
    *,
    owner: int | None = None,
    config: Config | None = None,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    tell: Callable[[Attached], None] | None = None,
    supposed: Mapping[str, Link] | None = None,
) -> Attached:
    """Make the NIC of a VM ready before QEMU starts; what is not asked for stays as it is.

    Args:
        wish: the NIC.
        owner: the uid QEMU will run as; None for the one it has, or else this process's own.
        config: the configuration.
        dry_run: plan only.
        wait: how long to wait for a lock, in seconds.
        tell: called with the result while it can be taken back; if it raises, it is.
        supposed: for a dry run, bridges that will be there by then, by name.

    Raises:
        VmnetError: nothing was changed, or what was changed has been taken back.
    """
    wish, config = check_wish(wish), config or Config()
    if by_socket(wish.wire):
        return _attach_socket(wish, owner, config, tell)
    with changing(vm_lock(wish.vm), wait=wait, dry_run=dry_run) as netlink:
        there = netlink.link(name := link_name(wish.vm, wish.nic))
        nic = resolve(wish, config, netlink, there, owner_of(owner, there))
        verdict = judge_vhost(nic)
        with (
            cleared_on_failure(netlink, wish.vm, dry_run=dry_run),
            placed(nic.bridge, wait=wait, dry_run=dry_run),
            Views(netlink) as views,
            Apply(netlink, switch=views) as work,
        ):
            nic = views.settled(nic, wish, there, name)
            view = _seen(views, name, nic, supposed if dry_run else None)

            def change(nic: Nic) -> Plan:
                plan = planned(view, lambda view: plan_attach(nic, view, moment()))
                if not dry_run:
                    work.run(plan, lambda: _verify_kept(views, view, plan, nic))
                return plan

            nic, plan = policed(nic, change)
            done = _attached(netlink, nic, view, plan, verdict)
            _tell(work, done, tell)
    return done


def _attach_socket(
    wish: Wish, owner: int | None, config: Config, tell: Callable[[Attached], None] | None
) -> Attached:
    from vmnet.service.sockets import attach_socket  # noqa: PLC0415 - which knows this module

    done = attach_socket(wish, owner, config)
    if tell is not None:
        tell(done)
    return done


def detach(
    vm: str,
    nic: int | None = None,
    *,
    force: bool = False,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> list[Detached]:
    """Take away all that was made for a VM, or for one of its NICs, and nothing else.

    Goes on past failures.

    Args:
        vm: the VM's name.
        nic: one NIC, or None for all.
        force: also from a process that holds it.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.

    Raises:
        VmnetError: the failure, or `SeveralErrors`; the rest has been taken away.
    """
    check_vm_name(vm)
    if nic is not None:
        check_nic(nic)
    done: list[Detached] = []
    errors: list[VmnetError] = []
    with changing(vm_lock(vm), wait=wait, dry_run=dry_run) as netlink:
        with Closing() as closing:
            for link, tag in tagged(netlink, vm):
                if nic is not None and tag.nic != nic:
                    continue
                try:
                    plan = detach_link(netlink, link, closing, force=force, dry_run=dry_run)
                    done.append(Detached(link.name, tag.vm_name, tag.nic, plan))
                except VmnetError as error:
                    errors.append(error)
        gone = frozenset(each.link for each in done)
        try:
            left = clear(netlink, vm, gone=gone, dry_run=dry_run, wait=wait)
        except VmnetError as error:
            errors.append(error)
        else:
            done = _with_left(done, left, vm)
    raise_all(errors)
    return done


def _with_left(done: list[Detached], left: Plan, vm: str) -> list[Detached]:
    """Add what was taken away besides to the last TAP that was."""
    if not left.moves:
        return done
    if not done:  # its TAP went with its process
        names = [m.do.link.name for m in left.moves if isinstance(m.do, DeleteLink)]
        return [Detached(name, vm, 0, left) for name in names[:1]]
    last = done[-1]
    plan = Plan((*last.plan.moves, *left.moves), last.plan.notes)
    return [*done[:-1], replace(last, plan=plan)]


def detach_link(
    netlink: Netlink, link: Link, closing: Closing, *, force: bool, dry_run: bool
) -> Plan:
    """Detach one link; the caller holds its VM's lock.

    Returns:
        What was done, or would be. A TAP is gone when `closing` is left.

    Raises:
        VmnetError: nothing was done.
    """
    holders = holders_of(link, search=force)
    with at_switch(netlink, link) as at:
        plan = at.first(plan_detach(link, holders, force=force))
        if dry_run:
            return plan
        try:
            carry_out(netlink, plan, closing=closing, switch=at.switch)
        except Busy:
            if not force:
                raise
            plan = at.first(plan_detach(link, holders, force=True, in_use=True))
            carry_out(netlink, plan, switch=at.switch)
    return plan


def plug(
    tap: str, wish: Wish, *, config: Config | None = None, wait: float = WAIT_SECONDS
) -> Attached:
    """Plug in a TAP that a QEMU has made and holds: its `script=`.

    A TAP that `attach` made stays as it is. QEMU does not tell its guest's MAC: without one in the
    wish the guard is the bridge's alone.

    Raises:
        VmnetError: nothing was changed; QEMU should not start.
    """
    check_link_name(tap, "tap")
    config = config or Config()
    wish = check_wish(wish)
    guest_mac = wish.mac
    with changing(vm_lock(wish.vm), wait=wait, dry_run=False) as netlink:
        there = netlink.link(tap)
        tag = there.tag if there is not None else None
        if tag is not None and tag.own is Own.MADE:
            wish = replace(wish, bridge=None, network=None, mtu=None, port=PortAsk())
            guest_mac = tag.mac
        if there is not None:
            # The guest's MAC is QEMU's affair: none is derived for it.
            wish = replace(wish, mac=there.mac)
        nic = resolve(wish, config, netlink, there if tag else None, None)
        nic = replace(nic, mac=guest_mac or "")
        with placed(nic.bridge, wait=wait, dry_run=False):
            view = nic_view(netlink, tap, nic, holders=False)

            def change(nic: Nic) -> Plan:
                plan = plan_manage(nic, view, moment())
                carry_out(netlink, plan)
                return plan

            nic, plan = policed(nic, change)
    verdict = decide(Policy.OFF, nic.model, None)
    return Attached(nic, tap, mtu_after(plan, view.tap), plan, verdict, None)


def unplug(tap: str, *, wait: float = WAIT_SECONDS) -> Plan:
    """Let go of a TAP that a QEMU made: its `downscript=`. What `attach` made stays.

    Raises:
        VmnetError: it could not be unplugged; it goes with its QEMU all the same.
    """
    with changing(f"tap:{tap}", wait=wait, dry_run=False) as netlink:
        link = netlink.link(tap)
        tag = link.tag if link is not None else None
        if link is None or tag is None or tag.own is not Own.MANAGED:
            return Plan()
        plan = plan_unmanage(link, tag, look_at_filter(needed=False).of(link.name))
        carry_out(netlink, plan)
        clear(netlink, tag.vm_name, gone=frozenset({tap}), wait=wait)
        return plan


def mtu_after(plan: Plan, tap: Link | None) -> int:
    """Return the MTU, in bytes, that the TAP has after a plan: a held one may keep its own."""
    set_to = [move.do.mtu for move in plan.moves if isinstance(move.do, SetMtu)]
    return set_to[-1] if set_to or tap is None else tap.mtu


def _attached(netlink: Netlink, nic: Nic, view: NicView, plan: Plan, verdict: Verdict) -> Attached:
    mtu = mtu_after(plan, view.tap)
    if isinstance(nic.wire, Direct):
        args = qemu.by_node(nic, mtu, vhost=verdict.vhost)
        plan = Plan(plan.moves, (*plan.notes, _node_note(netlink, nic, view.name)))
        return Attached(nic, view.name, mtu, plan, verdict, args)
    args = qemu.by_name(nic, view.name, mtu, vhost=verdict.vhost)
    return Attached(nic, view.name, mtu, plan, verdict, args)


def _node_note(netlink: Netlink, nic: Nic, name: str) -> str:
    """Return how a QEMU that is started by hand gets a macvtap's queues."""
    from vmnet.kernel.macvtaps import node_of  # noqa: PLC0415 - not for TAPs

    link = netlink.link(name)
    try:
        node = node_of(name, link.index) if link is not None else "/dev/tapN"
    except OSError:
        node = ""
    if not node:
        return "there is no node for it in /dev here: `vmnet run` opens it all the same"
    opened = " ".join(f"{fd}<>{node}" for fd in qemu.node_fds(nic.queues))
    return f"QEMU wants its node open: `qemu-system-x86_64 ... {opened}`; `vmnet run` does that"


def _tell(work: Apply, done: Attached, tell: Callable[[Attached], None] | None) -> None:
    if tell is not None:
        with work.all_or_nothing():
            tell(done)


def _seen(views: Views, name: str, nic: Nic, supposed: Mapping[str, Link] | None) -> NicView:
    view = views.of(name, nic, holders=False)
    if view.bridge is None and supposed is not None:
        view = replace(view, bridge=supposed.get(nic.bridge))
    return view


def _verify_kept(views: Views, view: NicView, plan: Plan, nic: Nic) -> None:
    verify(views, view.name, replace(nic, mtu=mtu_after(plan, view.tap)), Life.KEPT)


def verify(views: Views, name: str, nic: Nic, life: Life) -> None:
    """Look again: nothing may be left to do."""
    left = plan_left(nic, views.of(name, nic, others=False, holders=False), life)
    complain(left, f"tap {name!r}")
