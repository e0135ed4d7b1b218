"""NICs of the host's as ports of a bridge.

Job: `vmnet bridge add-uplink`, `confirm` and `remove-uplink`; what the guardian does.
Leaves to others: what may be done (`vmnet.plan.uplink`), the guardian's life
(`vmnet.kernel.guardian`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TypeGuard

from vmnet.errors import Conflict, InvalidInput, NotFound, VmnetError
from vmnet.formats.managers import paste
from vmnet.kernel import host
from vmnet.kernel.apply import Apply
from vmnet.kernel.guardian import Guardian
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS, locked
from vmnet.kernel.uplinks import ends_view, uplink_view
from vmnet.model.host import Link
from vmnet.model.names import check_link_name
from vmnet.model.step import Plan
from vmnet.model.uplink import End, UplinkTag, UplinkView, parse_uplink
from vmnet.plan.uplink import (
    Timer,
    got_from,
    plan_confirm,
    plan_left,
    plan_put_back,
    plan_uplink,
    plan_uplink_remove,
    tag_in_force,
)
from vmnet.plan.uplinkrefusals import check_bridge
from vmnet.service.base import carry_out, changing, complain, locked_for, opened

#: How long there may be to confirm, in seconds.
CONFIRM_SECONDS, _CONFIRM_MAX = 60, 86400
#: How long the guardian waits for another vmnet, in seconds: one that hangs must not keep the
#: host from its network.
_GUARDIAN_WAIT = 5.0
_TAG = b"vmnet/1 uplink "


def add_uplink(
    bridge: str,
    nic: str,
    *,
    confirm_within: int | None = CONFIRM_SECONDS,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    supposed: Link | None = None,
) -> Plan:
    """Make a NIC of the host's a port of a bridge, with its addresses and routes.

    Args:
        bridge: the bridge's name.
        nic: the NIC's name.
        confirm_within: seconds after which all is put back unless `confirm_uplinks` was called;
            None for never.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.
        supposed: for a dry run, the bridge if it will be there by then.

    Raises:
        InvalidInput: a name or a time that cannot be.
        NotFound: there is no such bridge or NIC.
        Conflict: it cannot be an uplink of that bridge, or is another program's.
    """
    _check_names(bridge, nic)
    if confirm_within is not None and not 1 <= confirm_within <= _CONFIRM_MAX:
        raise InvalidInput(
            f"{confirm_within} s to confirm is not 1 to {_CONFIRM_MAX}",
            code="bad-confirm-within",
            remedy=f"leave it out for {CONFIRM_SECONDS} s",
        )
    with _both(bridge, nic, wait=wait, dry_run=dry_run) as netlink:
        view = uplink_view(netlink, bridge, nic)
        if dry_run and supposed is not None and view.bridge is None:
            view = replace(view, bridge=End(supposed))
        timer = Timer(host.new_generation(), int(host.boottime()), confirm_within)
        plan = _planned(view, bridge, nic, timer)
        if not dry_run and plan.moves:
            _carry_out(netlink, plan, view, timer)
    return plan


def _check_names(bridge: str, nic: str) -> None:
    check_link_name(bridge, "bridge")
    check_link_name(nic, "NIC")


def _lock(bridge: str) -> str:
    return f"bridge:{bridge}"


def _nic_lock(nic: str) -> str:
    return f"uplink:{nic}"


@contextmanager
def _both(bridge: str, nic: str, *, wait: float, dry_run: bool) -> Iterator[Netlink]:
    """Hold the bridge's lock, then the NIC's: two calls may want it in different bridges."""
    with (
        changing(_lock(bridge), wait=wait, dry_run=dry_run) as netlink,
        locked_for(_nic_lock(nic), wait=wait, dry_run=dry_run),
    ):
        yield netlink


def _planned(view: UplinkView, bridge: str, nic: str, timer: Timer) -> Plan:
    """Return the plan; a refusal for another program's sake says what to write for that."""
    try:
        return plan_uplink(view, bridge, nic, timer)
    except Conflict as error:
        manager = view.nic_facts.manager
        if error.code == "uplink-managed" and manager is not None and view.nic is not None:
            error.paste = paste(manager, view.nic, bridge)
        raise


def _carry_out(netlink: Netlink, plan: Plan, view: UplinkView, timer: Timer) -> None:
    """Carry out a plan under the eyes of a guardian, who remembers how the NIC was."""
    bridge, nic = view.bridge, view.nic
    if bridge is None or nic is None:
        raise TypeError("a plan for links that are not there")
    fresh = tag_in_force(view) is None
    verify = partial(_verify_added, netlink, bridge.link.name, nic) if fresh else None
    if timer.until is None:
        carry_out(netlink, plan, verify)
        return
    put_back = partial(
        _put_back, bridge.link.index, nic.link.index, timer.generation, nic if fresh else None
    )
    pending = partial(_pending, nic.link.index, timer.generation)
    with Guardian(timer.until, pending, put_back) as guardian:
        with Apply(netlink, guardian) as work:
            work.run(plan, verify)
        guardian.settle()


def _verify_added(netlink: Netlink, bridge: str, nic: End) -> None:
    """Look again: nothing may be left to do."""
    view = ends_view(netlink, bridge, nic.link.name)
    kept = {a.key for a in view.nic.addresses} if view.nic else set()
    # A link-local address that the bridge has by itself too stays where it is.
    moved = [a for a in nic.addresses if not (a.is_link_local and a.key in kept)]
    complain(plan_left(view, End(nic.link, tuple(moved), nic.routes)), f"uplink {nic.link.name!r}")


def _pending(nic: int, generation: str) -> bool:
    """Say whether an uplink still waits for its confirmation."""
    with opened() as netlink:
        link = netlink.link_by_index(nic)
    return link is not None and _waits(parse_uplink(link.alias), generation)


def _waits(tag: UplinkTag | None, generation: str) -> bool:
    return tag is not None and tag.generation == generation and tag.until is not None


def _put_back(bridge: int, nic: int, generation: str, before: End | None) -> bool:
    """Put back all that can be, for the guardian; say whether there is nothing left to do."""
    with opened() as netlink, ExitStack() as stack:
        above, below = netlink.link_by_index(bridge), netlink.link_by_index(nic)
        if below is None or not _waits(parse_uplink(below.alias), generation):
            return True
        tag = parse_uplink(below.alias)
        name = above.name if above is not None else tag.bridge if tag is not None else ""
        _try_lock(stack, _lock(tag.bridge if tag is not None else name))
        _try_lock(stack, _nic_lock(below.name))
        view = ends_view(netlink, name, below.name)
        tag = None if view.nic is None else parse_uplink(view.nic.link.alias)
        if tag is None or not _waits(tag, generation):
            return True
        plan = plan_put_back(view, tag, before)
        with Apply(netlink) as work:
            # The tag goes last and only if nothing is left: it is what the next try goes by.
            errors = work.insist(Plan(plan.moves[:-1]))
            return not errors and not work.insist(Plan(plan.moves[-1:]))


def _try_lock(stack: ExitStack, name: str) -> None:
    """Hold a lock if it can be had: without the network there may be nobody to help."""
    try:
        stack.enter_context(locked(name, wait=_GUARDIAN_WAIT))
    except VmnetError:
        return


def confirm_uplinks(bridge: str, *, dry_run: bool = False, wait: float = WAIT_SECONDS) -> Plan:
    """Let the uplinks of a bridge stay that wait for this.

    Raises:
        NotFound: there is no such bridge, or it has no uplink of vmnet's (any more).
    """
    check_link_name(bridge, "bridge")
    with changing(_lock(bridge), wait=wait, dry_run=dry_run) as netlink:
        whole = check_bridge(ends_view(netlink, bridge, bridge), bridge)
        ports = netlink.ports(whole.link.index)
        if not any(parse_uplink(port.alias) for port in ports):
            raise NotFound(
                f"bridge {bridge!r} has no uplink of vmnet's: none was added, or it was too late "
                "to confirm and all was put back",
                code="no-uplink",
                remedy=f"`vmnet bridge add-uplink {bridge} NIC --confirm-within 300`",
            )
        plan = plan_confirm(ports, int(host.boottime()))
        if not dry_run:
            carry_out(netlink, plan)
    return plan


def remove_uplink(
    bridge: str, nic: str, *, dry_run: bool = False, wait: float = WAIT_SECONDS
) -> Plan:
    """Give a NIC back what went from it to a bridge.

    Raises:
        NotFound: there is no such NIC.
        Conflict: vmnet did not make it an uplink of that bridge.
    """
    _check_names(bridge, nic)
    with _both(bridge, nic, wait=wait, dry_run=dry_run) as netlink:
        view = ends_view(netlink, bridge, nic)
        plan = plan_uplink_remove(view, bridge, nic)
        if not dry_run:
            carry_out(netlink, plan, partial(_verify_removed, netlink, view, bridge, nic))
    return plan


def overdue(netlink: Netlink) -> list[tuple[str, str]]:
    """Return bridge and NIC of each uplink whose deadline has passed: its guardian was killed."""
    found = ((link, parse_uplink(link.alias)) for link in netlink.links(_TAG))
    return [(_bridge_of(netlink, link, tag), link.name) for link, tag in found if _is_late(tag)]


def _is_late(tag: UplinkTag | None) -> TypeGuard[UplinkTag]:
    return tag is not None and tag.until is not None and tag.until < int(host.boottime())


def _bridge_of(netlink: Netlink, nic: Link, tag: UplinkTag) -> str:
    """Return the name that the bridge of an uplink has now."""
    master = netlink.link_by_index(nic.master) if nic.master else None
    return tag.bridge if master is None else master.name


def put_back_overdue(bridge: str, nic: str, *, dry_run: bool) -> Plan:
    """Put back an uplink that nobody confirmed; an empty plan if somebody did meanwhile.

    Raises:
        Busy: somebody works on it.
    """
    with _both(bridge, nic, wait=0, dry_run=dry_run) as netlink:
        view = ends_view(netlink, bridge, nic)
        if view.nic is None or not _is_late(parse_uplink(view.nic.link.alias)):
            return Plan()
        plan = plan_uplink_remove(view, bridge, nic)
        if not dry_run:
            carry_out(netlink, plan, partial(_verify_removed, netlink, view, bridge, nic))
    return plan


def _verify_removed(netlink: Netlink, before: UplinkView, bridge: str, nic: str) -> None:
    """Look again: nothing may be left to do."""
    tag = None if before.nic is None else parse_uplink(before.nic.link.alias)
    got = None if tag is None else got_from(before.bridge, tag)
    if got is not None:
        left = plan_left(ends_view(netlink, bridge, nic), got, back=True)
        complain(left, f"what {nic!r} had before")
