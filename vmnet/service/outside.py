"""What a NIC has outside its TAP: entries in the filter, an ifb, a port of Open vSwitch.

Job: take away what is left of TAPs that are gone, whatever ended them; and wait for that end.
Leaves to others: what such things are (`vmnet.plan.filter`, `vmnet.plan.rate`).
Privilege: CAP_NET_ADMIN in the network namespace.

What a dead TAP has left does no harm: no other link gets its index. It is taken away all the same,
by whoever comes first: the end of a detach, libvirt's `release`, the process that waits for the
end of a `vmnet run`, the next attach of that VM, or gc.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vmnet.errors import VmnetError
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of, look_at_filter
from vmnet.kernel.wait import until_ended, until_gone
from vmnet.kernel.wiremessages import proxies
from vmnet.model.host import Link
from vmnet.model.names import IFB_PREFIX
from vmnet.model.step import DeleteLink, Move, Plan, Ref
from vmnet.model.tag import Life, vm_in_tag
from vmnet.plan.detach import plan_detach
from vmnet.plan.filter import sweep
from vmnet.plan.ovs import stray_ports
from vmnet.plan.routed import stray_proxies
from vmnet.service.base import (
    FILTER_LOCK,
    carry_out,
    changing,
    locked_for,
    marked,
    opened,
    vm_lock,
)
from vmnet.service.views import asked, ports_here

if TYPE_CHECKING:
    from vmnet.peers.ovs import Ovsdb

_NOBODY = frozenset[str]()


def clear(
    netlink: Netlink,
    *vms: str,
    gone: frozenset[str] = _NOBODY,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> Plan:
    """Take away what is left of TAPs that are gone, of some VMs or of all; return what was done.

    Args:
        netlink: a socket into the namespace.
        vms: whose ifbs and ports; none named: all. The filter's dead entries are all swept: they
            name no VM.
        gone: names of TAPs that are to count as gone.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.

    Raises:
        VmnetError: some of it could not be taken away.
    """
    with asked() as switch:
        plan = _plan(netlink, vms, gone, switch, dry_run=dry_run)
        if dry_run or not plan.moves:  # nothing is left that could come back
            return plan
        with locked_for(FILTER_LOCK, wait=wait, dry_run=False):
            plan = _plan(netlink, vms, gone, switch, dry_run=False)
            carry_out(netlink, plan, switch=switch)
    return plan


@contextmanager
def cleared_on_failure(netlink: Netlink, vm: str, *, dry_run: bool) -> Iterator[None]:
    """Clear what a failure leaves that was taken back: a filter that nobody needs."""
    try:
        yield
    except BaseException:
        if not dry_run:
            with suppress(VmnetError):  # the failure that led here is the one to be told
                clear(netlink, vm)
        raise


def _plan(
    netlink: Netlink,
    vms: tuple[str, ...],
    gone: frozenset[str],
    switch: Ovsdb | None,
    *,
    dry_run: bool,
) -> Plan:
    found = list(marked(netlink, *vms))
    alive = {tag.generation for link, tag in found if link.is_nic and link.name not in gone}
    stray = [link for link, tag in found if link.kind == "ifb" and tag.generation not in alive]
    if not vms:
        stray += _half_made(netlink.links(IFB_PREFIX.encode()))
    moves = [Move(DeleteLink(Ref(link.name, link.index))) for link in stray]
    if switch is not None:
        ports = [port for port in ports_here(netlink, switch) if port.name not in gone]
        moves += stray_ports(ports, alive, {vm_in_tag(vm) for vm in vms})
    moves += _proxies(netlink, gone)
    filtered = look_at_filter(needed=False)
    living = frozenset(name for name in filtered.entries if not name.isdigit())
    if dry_run:  # else what still has its name was opened meanwhile, and lives
        living -= gone
    bridges = frozenset(name for name in filtered.strict if netlink.link(name) is not None)
    return Plan((*moves, *sweep(filtered, living, bridges).moves))


def _proxies(netlink: Netlink, gone: frozenset[str]) -> list[Move]:
    """Return what takes away proxies whose addresses lead to no TAP of vmnet's any more."""
    found = list(proxies(netlink))
    if not found:
        return []
    from vmnet.kernel.routed import guest_addresses  # noqa: PLC0415 - most hosts have none

    alive = {
        address.base
        for link, _ in marked(netlink)
        if link.is_tap and link.name not in gone
        for address in guest_addresses(netlink, link)
    }
    return list(stray_proxies(found, frozenset(alive)))


def _half_made(links: Iterable[Link]) -> list[Link]:
    """Return ifbs that got no tag; under the lock nobody is about to give them one."""
    return [
        link
        for link in links
        if link.kind == "ifb" and link.name.startswith(IFB_PREFIX) and not (link.alias or link.up)
    ]


def clear_after(vm: str, pid: int, taps: Collection[int], macvtaps: Collection[int] = ()) -> None:
    """Wait for the end of a VM that `vmnet run` became, then take away what it has left.

    Args:
        vm: its name.
        pid: the process; one that puts itself into the background ends before its TAPs do.
        taps: indexes of the TAPs that go with it.
        macvtaps: indexes of macvtaps that are to: the kernel keeps them.
    """
    until_ended(pid)
    until_gone(taps)
    for index in macvtaps:
        _until_let_go(index)
    with changing(vm_lock(vm), wait=WAIT_SECONDS, dry_run=False) as netlink:
        for index in macvtaps:
            link = netlink.link_by_index(index)
            tag = link.tag if link is not None else None
            if link is not None and tag is not None and tag.life is Life.PROCESS:
                carry_out(netlink, plan_detach(link, holders_of(link), force=False))
        clear(netlink, vm, wait=WAIT_SECONDS)


def _until_let_go(index: int) -> None:
    """Wait until nobody has a macvtap open, or it is gone."""
    while True:
        with opened() as netlink:
            link = netlink.link_by_index(index)
        known = holders_of(link).known
        if not known:
            return
        until_ended(known[0].pid)
