"""NICs of libvirt's domains, changed from outside: attach and detach.

Job: write the wish into the domain's metadata, add, change or remove the interface, and make the
TAP of a running one; all of it or nothing.
Leaves to others: libvirt's side (`vmnet.peers.libvirt`), the same in the hook's operations
(`vmnet.service.domains`).
Privilege: root, and the libvirt connection's.

The lock of the VM is not held while libvirt is asked: libvirt may be waiting for its hook, and the
hook for that lock. A lock of its own keeps two changes of one domain apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vmnet.errors import Conflict, NotFound
from vmnet.formats import domain as domain_xml
from vmnet.formats.config import Config
from vmnet.kernel import signals
from vmnet.kernel.apply import Apply
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of, nic_view
from vmnet.model.domain import DomainState
from vmnet.model.names import check_nic, check_vm_name
from vmnet.model.nic import Nic, Wish, check_wish
from vmnet.model.step import DeleteLink, DropTap, Move, Plan, Where
from vmnet.model.tag import Life
from vmnet.model.vhost import Verdict
from vmnet.peers.libvirt import Libvirt
from vmnet.plan.detach import plan_detach
from vmnet.plan.domain import DomainNic, plan_prepare
from vmnet.plan.live import plan_change, plan_changes, targets
from vmnet.service.base import locked_for, moment, opened, placed, planned, policed, tagged, vm_lock
from vmnet.service.domains import Handled, keep_one, look, prove_vhost, vhost_verdict
from vmnet.service.outside import clear, cleared_on_failure
from vmnet.service.settle import Settled, documents, removal, settle


@dataclass(frozen=True)
class On:
    """Which libvirt, which of a domain's definitions, and who makes the TAP.

    Attributes:
        uri: the connection; None for this host's own.
        live: change the running domain.
        config: change what it starts with next; with neither, all there is.
        by_libvirt: libvirt makes the TAP of a new NIC, else vmnet.
    """

    uri: str | None = None
    live: bool = False
    config: bool = False
    by_libvirt: bool = False


@dataclass(frozen=True)
class Plugged:
    """What came of attaching a NIC to a domain.

    Attributes:
        nic: the wish with nothing left open.
        tap: the TAP's name; empty for one that libvirt has not named yet.
        uri: the libvirt connection.
        where: the definitions that were looked at and changed where need was.
        plan: what was done, or would be; empty if all was well.
        verdict: who moves the packets, and why.
    """

    nic: Nic
    tap: str
    uri: str
    where: tuple[Where, ...]
    plan: Plan
    verdict: Verdict


@dataclass(frozen=True)
class Unplugged:
    """What came of detaching a NIC from a domain.

    Attributes:
        vm: the domain.
        nic: its number.
        mac: its address.
        uri: the libvirt connection.
        where: the definitions that were changed.
        plan: what was done, or would be.
    """

    vm: str
    nic: int
    mac: str
    uri: str
    where: tuple[Where, ...]
    plan: Plan


def attach_domain(
    wish: Wish,
    on: On,
    *,
    config: Config | None = None,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    tell: Callable[[Plugged], None] | None = None,
) -> Plugged:
    """Give a libvirt domain a NIC, or change the one it has; what is not asked for stays.

    Args:
        wish: the NIC; a bridge stands for the configured network that is on it.
        on: which libvirt and what of the domain.
        config: the configuration.
        dry_run: plan only.
        wait: how long to wait for a lock, in seconds.
        tell: called with the result while it can be taken back; if it raises, it is.

    Raises:
        VmnetError: nothing was changed, or what was changed has been taken back.
    """
    config = config or Config()
    wish = check_wish(wish)
    with (
        signals.deferred(),
        locked_for(f"domain:{wish.vm}", wait=wait, dry_run=dry_run),
        Libvirt(on.uri, waiting=signals.check) as peer,
        opened() as netlink,
        cleared_on_failure(netlink, wish.vm, dry_run=dry_run),
        Apply(netlink, peer) as work,
        work.all_or_nothing(),
    ):
        state = peer.existing(wish.vm)
        where = targets(state, live=on.live, config=on.config)
        there = documents(state)
        settled = settle(wish, config, there, netlink, by_libvirt=on.by_libvirt)
        each = settled.each
        verdict = vhost_verdict(settled.domain, each.interface, each.nic)
        moves = _carry_out(netlink, work, settled, where, dry_run=dry_run)
        tap = settled.each.interface.target
        if Where.LIVE in where and not dry_run:  # and now it has a name, whoever made it
            more, tap = _arrived(netlink, work, peer, settled, config)
            moves += more
        plan = Plan(tuple(moves))
        done = Plugged(settled.each.nic, tap, peer.uri, where, plan, verdict)
        if tell is not None:
            tell(done)
    return done


def _carry_out(
    netlink: Netlink, work: Apply, settled: Settled, where: tuple[Where, ...], *, dry_run: bool
) -> list[Move]:
    """Change the TAP, then each definition; return the moves."""
    nic = settled.each.nic
    # A change that libvirt would not take is refused before anything is made.
    changing = plan_changes(nic.vm, nic.mac, [settled.changes[each] for each in where])
    moves: list[Move] = []
    if Where.LIVE in where and settled.each.made:
        moves += _make_tap(netlink, work, settled, dry_run=dry_run)
    if not dry_run:
        work.run(Plan(tuple(changing)))
    return moves + changing


def _make_tap(netlink: Netlink, work: Apply, settled: Settled, *, dry_run: bool) -> list[Move]:
    """Make the TAP of a running domain's NIC before libvirt opens it, or change it."""
    each = settled.each
    with locked_for(vm_lock(each.nic.vm), wait=WAIT_SECONDS, dry_run=dry_run):
        if settled.changes[Where.LIVE].before is not None:
            return list(keep_one(netlink, work, each, dry_run=dry_run).moves)
        with placed(each.nic.bridge, wait=WAIT_SECONDS, dry_run=dry_run):
            view = nic_view(netlink, each.interface.target, each.nic, holders=False)

            def change(nic: Nic) -> Plan:
                plan = planned(view, lambda view: plan_prepare(nic, view, moment()))
                if not dry_run:
                    work.run(plan)
                return plan

            _, plan = policed(each.nic, change)
            if not dry_run:
                work.let_go(each.interface.target)  # libvirt is to open it
            return list(plan.moves)


def _arrived(
    netlink: Netlink, work: Apply, peer: Libvirt, settled: Settled, config: Config
) -> tuple[list[Move], str]:
    """Look at the running domain again: settings on libvirt's TAP, vhost-net proved."""
    domain = domain_xml.parse_domain(_running(peer, settled.domain.name))
    nics, _ = look(domain, config)
    each = _of_mac(nics, settled.each.nic.mac)
    with locked_for(vm_lock(domain.name), wait=WAIT_SECONDS, dry_run=False):
        moves = list(keep_one(netlink, work, each, dry_run=False).moves)
    prove_vhost(netlink, domain, nics, Handled(domain.name))
    return moves, each.interface.target


def _running(peer: Libvirt, name: str) -> bytes:
    state = peer.existing(name)
    if not state.active:
        raise Conflict(
            f"domain {name!r} has stopped meanwhile",
            code="domain-state",
            remedy="start it and try again, or use --config",
        )
    return state.live


def _of_mac(nics: list[DomainNic], mac: str) -> DomainNic:
    for each in nics:
        if each.nic.mac == mac:
            return each
    raise NotFound(
        f"the interface {mac} is gone again",
        code="interface-gone",
        remedy="another program may have removed it: see `virsh event --all`",
    )


def detach_domain(
    vm: str,
    nic: int | None,
    on: On,
    *,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> list[Unplugged]:
    """Take a NIC with a wish from a libvirt domain, or all of them.

    Args:
        vm: the domain.
        nic: its number, or None for all that have a wish.
        on: which libvirt and what of the domain.
        dry_run: plan only.
        wait: how long to wait for a lock, in seconds.

    Raises:
        VmnetError: nothing more was changed; what had been changed of that NIC has been taken back.
    """
    check_vm_name(vm)
    if nic is not None:
        check_nic(nic)
    done = []
    with (
        signals.deferred(),
        locked_for(f"domain:{vm}", wait=wait, dry_run=dry_run),
        Libvirt(on.uri, waiting=signals.check) as peer,
        opened() as netlink,
    ):
        state = peer.existing(vm)
        where = targets(state, live=on.live, config=on.config)
        there = documents(state)
        # One number may be another address in each definition.
        found = {(wish.nic, wish.mac) for each in where for wish in there[each].domain.wishes}
        if Where.LIVE in where:
            found |= _made(netlink, vm)
        for number, mac in sorted(each for each in found if nic in (None, each[0])):
            with Apply(netlink, peer) as work:
                now = peer.existing(vm)
                plan = _detach_one(netlink, work, now, mac, where=where, dry_run=dry_run)
            done.append(Unplugged(vm, number, mac, peer.uri, where, plan))
    return done


def _made(netlink: Netlink, vm: str) -> set[tuple[int, str]]:
    """Return number and address of the NICs with a TAP, also where a kill has left no wish."""
    taps = (tag for _, tag in tagged(netlink, vm) if tag.life is Life.DOMAIN)
    return {(tag.nic, tag.mac) for tag in taps if tag.mac}


def _detach_one(
    netlink: Netlink,
    work: Apply,
    state: DomainState,
    mac: str,
    *,
    where: tuple[Where, ...],
    dry_run: bool,
) -> Plan:
    vm = state.name
    there = documents(state)
    moves = []
    for each in (place for place in where if place in there):  # it may have stopped meanwhile
        moves += plan_change(vm, mac, removal(there[each], each, mac))
    if not dry_run:
        work.run(Plan(tuple(moves)))
    if Where.LIVE in where:
        moves += _drop_taps(netlink, work, vm, mac, dry_run=dry_run)
    return Plan(tuple(moves))


def _drop_taps(netlink: Netlink, work: Apply, vm: str, mac: str, *, dry_run: bool) -> list[Move]:
    moves: list[Move] = []
    with locked_for(vm_lock(vm), wait=WAIT_SECONDS, dry_run=dry_run):
        for link, tag in tagged(netlink, vm):
            if tag.life is Life.DOMAIN and tag.mac == mac:
                # By now QEMU has let go of it; in a dry run it still has it open.
                in_use = False if dry_run else None
                plan = plan_detach(link, holders_of(link), force=False, in_use=in_use)
                if not dry_run:
                    work.run(plan)
                moves += plan.moves
        gone = frozenset(m.do.link.name for m in moves if isinstance(m.do, DropTap | DeleteLink))
        moves += clear(netlink, vm, gone=gone, dry_run=dry_run).moves
    return moves
