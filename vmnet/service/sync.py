"""Bringing running domains back to what is wished.

Job: `vmnet sync`: for each NIC with a wish, what hot-plug without a hook, a bridge made anew or
somebody's hand has put off is put right.
Leaves to others: the plan of one NIC (`vmnet.service.domains`), saying (`vmnet.entry`).
Privilege: root, and the libvirt connection's.

libvirt runs no hook for hot-plug; so whoever plugs a NIC by virsh runs this afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vmnet.errors import VmnetError
from vmnet.formats import domain as domain_xml
from vmnet.formats import interface as interface_xml
from vmnet.formats.config import Config
from vmnet.kernel import signals
from vmnet.kernel.apply import Apply
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of
from vmnet.model.domain import Domain, DomainState, Interface
from vmnet.model.names import check_vm_name
from vmnet.model.step import Move, Plan, UpdateDevice, Where
from vmnet.peers.libvirt import Libvirt
from vmnet.plan.domain import DomainNic
from vmnet.service.base import locked_for, opened, vm_lock
from vmnet.service.domains import (
    Handled,
    keep_one,
    look,
    network_of,
    prove_vhost,
    wants_vhost,
)

#: A guest younger than this may not have loaded its driver yet, in seconds.
BOOT_SECONDS = 60
#: How often a worker sleeps while QEMU makes it and no driver has set up a ring: 1 to 4 times.
ASLEEP_WAKES = 8


@dataclass
class Synced:
    """What came of one running domain.

    Attributes:
        domain: its name.
        plans: what was done for each NIC that was off, by its number.
        warnings: what is not as it was asked for and cannot be mended while it runs.
    """

    domain: str
    plans: dict[int, Plan] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def sync(
    vm: str | None = None,
    *,
    uri: str | None = None,
    config: Config | None = None,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> tuple[list[Synced], list[VmnetError]]:
    """Bring every NIC that has a wish, of one running domain or of all, to what was wished.

    Args:
        vm: one domain, or None for all.
        uri: the libvirt connection; None for this host's own.
        config: the configuration.
        dry_run: plan only.
        wait: how long to wait for a lock, in seconds.

    Returns:
        What was off, domain by domain, and the failures; neither stops the rest.

    Raises:
        VmnetError: libvirt cannot be asked, or has no such domain.
    """
    config = config or Config()
    done: list[Synced] = []
    errors: list[VmnetError] = []
    with signals.deferred(), Libvirt(uri, waiting=signals.check) as peer, opened() as netlink:
        for state in _running(peer, vm):
            signals.check()
            try:
                with locked_for(f"domain:{state.name}", wait=wait, dry_run=dry_run):
                    synced = Synced(state.name)
                    done.append(synced)
                    errors += _sync_domain(netlink, peer, config, synced, dry_run=dry_run)
            except VmnetError as error:
                errors.append(error)
    return done, errors


def _running(peer: Libvirt, vm: str | None) -> list[DomainState]:
    if vm is None:
        return [state for state in peer.domains() if state.active]
    state = peer.existing(check_vm_name(vm))
    return [state] if state.active else []


def _sync_domain(
    netlink: Netlink, peer: Libvirt, config: Config, synced: Synced, *, dry_run: bool
) -> list[VmnetError]:
    """Bring one domain to what is wished now, not when it was listed; return the failures.

    What fails because virsh changed the domain at that moment is looked at again.
    """
    seen = b""
    while True:
        state = peer.domain(synced.domain)
        if state is None or not state.active:
            return []
        synced.warnings.clear()
        errors = _sync_one(netlink, peer, state, config, synced, dry_run=dry_run)
        if not errors or state.live == seen:
            return errors
        seen = state.live


def _sync_one(
    netlink: Netlink,
    peer: Libvirt,
    state: DomainState,
    config: Config,
    synced: Synced,
    *,
    dry_run: bool,
) -> list[VmnetError]:
    domain = domain_xml.parse_domain(state.live)
    home = replace(domain, interfaces=tuple(_at_home(domain, i, config) for i in domain.interfaces))
    nics, _ = look(home, config)
    errors = []
    for each in nics:
        try:
            strayed = each.interface != domain.interface(each.nic.mac)
            updates = [_update(state, each)] if strayed else []
            plan = _sync_nic(netlink, peer, each, updates, dry_run=dry_run)
            if plan.moves:
                synced.plans[each.nic.nic] = plan
        except VmnetError as error:
            errors.append(error)
    handled = Handled(domain.name)
    try:
        prove_vhost(netlink, domain, nics, handled)
    except VmnetError as error:
        # A running VM is not ended for it.
        handled.warnings.append(error.message)
    synced.warnings += handled.warnings or _asleep(netlink, domain, nics)
    return errors


def _asleep(netlink: Netlink, domain: Domain, nics: list[DomainNic]) -> list[str]:
    """Say so if a guest that had time to boot has not used vhost-net that was asked for."""
    taps = [each.interface.target for each in nics if wants_vhost(domain, each)]
    held = holders_of(netlink.link(taps[0])).known if taps else ()
    if not held or held[0].age < BOOT_SECONDS:
        return []
    from vmnet.kernel.processes import with_workers  # noqa: PLC0415 - psutil, only when needed

    workers = with_workers(held[0]).workers
    if not workers or any(worker.wakes > ASLEEP_WAKES for worker in workers):
        return []
    what = f"none of its {len(workers)} workers has had anything to do for {held[0].age:.0f} s"
    return [f"vhost-net is set up, but {what}: the guest's driver does not use it (yet)"]


def _at_home(domain: Domain, interface: Interface, config: Config) -> Interface:
    """Return an interface as it is wished: a port of libvirt's making, on its network's bridge."""
    wish = domain.wish(interface.mac)
    if wish is None or interface.kind != "bridge":
        return interface
    return replace(interface, bridge=network_of(wish.network, config).bridge)


def _sync_nic(
    netlink: Netlink, peer: Libvirt, each: DomainNic, updates: list[Move], *, dry_run: bool
) -> Plan:
    """Bring one NIC home: libvirt's own record first, or it would move the port back later."""
    with Apply(netlink, peer) as work:
        if not dry_run:
            work.run(Plan(tuple(updates)))
        with locked_for(vm_lock(each.nic.vm), wait=WAIT_SECONDS, dry_run=dry_run):
            kept = keep_one(netlink, work, each, dry_run=dry_run)
    return Plan((*updates, *kept.moves))


def _update(state: DomainState, each: DomainNic) -> Move:
    mac, interface = each.nic.mac, each.interface
    before = domain_xml.interface_text(state.live, mac)
    after = interface_xml.changed(
        before,
        queues=interface.queues,
        mtu=None,
        driver=None,
        bridge=each.nic.bridge,
    )
    live = Where.LIVE
    return Move(
        UpdateDevice(state.name, live, mac, after), UpdateDevice(state.name, live, mac, before)
    )
