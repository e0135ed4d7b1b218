"""A libvirt domain's NICs, as libvirt's hook asks for them.

Job: one verb for each operation of the hook: `prepare`, `start`, `started`, `release`, and `arrive`
for `migrate` and `restore`. Each does all or nothing.
Leaves to others: what is wished (`vmnet.plan.domain`), what is said (`vmnet.entry.hook`).
Privilege: root, as libvirtd has it.

Nothing here calls libvirt, which waits for the hook: it has told all it will in the XML.

Order of the operations (libvirt's hooks page; what each XML holds was tried on 9.0): `prepare`
before anything is made; `start` when libvirt has made its TAPs and QEMU does not run yet; `started`
when it does; `stopped` and `release` after it, also when one of the others failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vmnet.errors import Busy, InvalidInput, NotFound, VhostUnavailable, VmnetError
from vmnet.formats.config import Config
from vmnet.formats.domain import map_bridges, parse_domain
from vmnet.kernel import devices
from vmnet.kernel.apply import Apply
from vmnet.kernel.closing import Closing
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of, nic_view, place_view
from vmnet.model.domain import Domain, Interface
from vmnet.model.host import Link
from vmnet.model.names import LINK_NAME_MAX, typed
from vmnet.model.network import Network
from vmnet.model.nic import Nic
from vmnet.model.portstep import RateStep
from vmnet.model.step import Plan
from vmnet.model.tag import Life
from vmnet.model.vhost import Policy, Reason, Verdict, decide, is_virtio, needs_look
from vmnet.plan.attach import Moment, check_bridge, check_mtu_fits, plan_attach
from vmnet.plan.detach import plan_detach
from vmnet.plan.domain import (
    DomainNic,
    check_arrived,
    domain_nics,
    libvirt_vhost,
    plan_adopt,
    plan_prepare,
)
from vmnet.plan.port import check_bridge_can
from vmnet.plan.unwished import check_unwished
from vmnet.service.arrival import expect, forget, is_expected, watch
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


@dataclass
class Handled:
    """What came of one operation.

    Attributes:
        domain: its name.
        plans: what was done for each NIC, or would be, by its TAP's name.
        verdicts: who is to move each NIC's packets, by its number; only where that was decided.
        notes: what the log should say, one line each.
        warnings: the same, where something that was asked for is not so.
    """

    domain: str
    plans: dict[str, Plan] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def look(domain: Domain, config: Config) -> tuple[list[DomainNic], list[str]]:
    """Return a domain's NICs as this host's configuration lets them be, and notes.

    Raises:
        VmnetError: a wish is beyond what the configuration has.
    """
    macs = {interface.mac for interface in domain.interfaces}
    networks = {w.mac: network_of(w.network, config) for w in domain.wishes if w.mac in macs}
    return domain_nics(domain, networks)


def network_of(name: str | None, config: Config) -> Network:
    """Return the network of a wish.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: none is named, and there is no default.
    """
    wanted = name or config.default
    if wanted is None:
        raise InvalidInput(
            f"the wish names no network, and {config.source} has no default",
            code="no-network",
            remedy='name one in the metadata (network="lan"), or set default = "..." there',
        )
    return config.network(wanted)


def _begun(xml: bytes, config: Config) -> tuple[Domain, list[DomainNic], Handled]:
    """Return what every operation that has an XML begins with."""
    domain = parse_domain(xml)
    nics, notes = look(domain, config)
    return domain, nics, Handled(domain.name, notes=notes)


def prepare(xml: bytes, config: Config, *, dry_run: bool = False) -> Handled:
    """Make the TAPs of a domain that is about to start, and refuse what could not work.

    Raises:
        VmnetError: the domain is not to start; nothing was changed.
    """
    domain, nics, done = _begun(xml, config)
    for each in nics:
        _judge(domain, each, done)
    lock = vm_lock(domain.name)
    with (
        changing(lock, wait=WAIT_SECONDS, dry_run=dry_run) as netlink,
        cleared_on_failure(netlink, domain.name, dry_run=dry_run),
        Apply(netlink) as work,
    ):
        for interface in (i for i in domain.interfaces if domain.wish(i.mac) is None):
            check_unwished(domain, interface, _linked(netlink, interface.target))
        targets = {each.interface.target for each in nics if each.made}
        for plan in _stale(netlink, domain.name, targets, done):
            if not dry_run:
                work.run(plan)
        for each in nics:
            _prepare_one(netlink, work, each, done, dry_run=dry_run)
    return done


def _linked(netlink: Netlink, name: str) -> Link | None:
    return netlink.link(name) if 0 < len(name.encode()) <= LINK_NAME_MAX else None


def _judge(domain: Domain, each: DomainNic, done: Handled) -> None:
    """Decide on vhost as libvirt will, and note it."""
    nic = each.nic
    verdict = vhost_verdict(domain, each.interface, nic)
    done.verdicts[nic.nic] = verdict
    if verdict.warning:
        done.warnings.append(
            f"NIC {nic.nic}: vhost-net was asked for and will not be used: {verdict.detail}; "
            f"try: {verdict.remedy}"
        )


def vhost_verdict(domain: Domain, interface: Interface, nic: Nic) -> Verdict:
    """Decide on vhost for a NIC of libvirt's.

    Raises:
        VhostUnavailable: it is required and cannot be had; or libvirt, which only opens the node,
            would hand QEMU a descriptor that is not vhost-net's, and QEMU 7.2 ends at that, also
            when it is plugged into a running one (tried).
    """
    if not needs_look(nic.vhost, nic.model):
        return decide(nic.vhost, nic.model, None)
    rule = libvirt_vhost(domain, interface)
    finding = rule or devices.try_vhost(nic.queues)
    if rule is None and finding.reason in (Reason.NOT_VHOST, Reason.FEATURES):
        raise VhostUnavailable(
            f"{finding.detail}; libvirt would hand it to QEMU, which may end at that",
            code=finding.reason.value,
            remedy=f"{finding.remedy}; or --no-vhost (<driver name='qemu'>)",
        )
    return decide(nic.vhost, nic.model, finding)


def _stale(netlink: Netlink, vm: str, targets: set[str], done: Handled) -> list[Plan]:
    """Return the plans that remove what an earlier run of the domain left under other names."""
    plans = []
    for link, tag in tagged(netlink, vm):
        if tag.life is not Life.DOMAIN or link.name in targets:
            continue
        try:
            plans.append(plan_detach(link, holders_of(link), force=False))
        except Busy as error:
            done.warnings.append(f"left alone: {error.message}")
    return plans


def _prepare_one(
    netlink: Netlink, work: Apply, each: DomainNic, done: Handled, *, dry_run: bool
) -> None:
    nic, name = each.nic, each.interface.target
    with placed(nic.bridge, wait=WAIT_SECONDS, dry_run=dry_run):
        if not each.made:
            # The TAP that libvirt makes is not there yet; its bridge has to be.
            view = place_view(netlink, nic)
            bridge = check_bridge(nic.bridge, view)
            check_mtu_fits(nic, bridge, view)
            check_bridge_can(nic.port, bridge)
            return
        view = nic_view(netlink, name, nic, holders=False)

        def change(nic: Nic) -> Plan:
            plan = planned(view, lambda view: plan_prepare(nic, view, _moment(nic)))
            if not dry_run:
                work.run(plan, lambda: _complain(netlink, replace(each, nic=nic)))
            return plan

        _, plan = policed(nic, change)
        done.plans[name] = plan
        done.notes += plan.notes


def _moment(nic: Nic) -> Moment:
    return moment(arriving=is_expected(nic.vm))


def start(xml: bytes, config: Config, *, dry_run: bool = False) -> Handled:
    """Make vmnet's settings hold on all TAPs of a domain whose QEMU does not run yet.

    Raises:
        VmnetError: the domain is not to start; nothing was changed.
    """
    domain, nics, done = _begun(xml, config)
    for each in nics:
        check_arrived(each.interface, each.nic)
    lock = vm_lock(domain.name)
    with changing(lock, wait=WAIT_SECONDS, dry_run=dry_run) as netlink, Apply(netlink) as work:
        for each in nics:
            plan = keep_one(netlink, work, each, dry_run=dry_run)
            done.plans[each.interface.target] = plan
    return done


def keep_one(netlink: Netlink, work: Apply, each: DomainNic, *, dry_run: bool) -> Plan:
    """Bring one NIC of a running domain to what is wished, under the lock of its bridge."""
    with placed(each.nic.bridge, wait=WAIT_SECONDS, dry_run=dry_run):

        def change(nic: Nic) -> Plan:
            plan = _plan_kept(netlink, replace(each, nic=nic))
            if not dry_run:
                work.run(plan, lambda: _complain(netlink, replace(each, nic=nic)))
            return plan

        return policed(each.nic, change)[1]


def _plan_kept(netlink: Netlink, each: DomainNic) -> Plan:
    view = nic_view(netlink, each.interface.target, each.nic, holders=False)
    if each.made and view.tap is None:
        raise NotFound(
            f"tap {view.name!r} of NIC {each.nic.nic} is gone: nothing brings it back to its QEMU",
            code="tap-lost",
            remedy=f"`vmnet detach {typed(each.nic.vm)} --live --nic {each.nic.nic}`, then "
            "attach it again",
        )
    if not each.made:
        return plan_adopt(each.nic, view, _moment(each.nic))
    return planned(
        view, lambda view: plan_attach(each.nic, view, moment(), life=Life.DOMAIN, live=True)
    )


def _complain(netlink: Netlink, each: DomainNic) -> None:
    """Look again: nothing may be left to do."""
    complain(_plan_kept(netlink, each), f"tap {each.interface.target!r}")


def _lost_rates(netlink: Netlink, each: DomainNic) -> bool:
    """Say whether rates are missing and nothing else: libvirt takes any qdisc from its TAPs."""
    left = _plan_kept(netlink, each).moves
    return bool(left) and all(isinstance(move.do, RateStep) for move in left)


def started(xml: bytes, config: Config) -> Handled:
    """Look whether a domain that runs has got what was wished, vhost-net included.

    Raises:
        VhostUnavailable: vhost-net was required, and QEMU has not got it.
        VmnetError: a TAP is not as it was set up.
    """
    domain, nics, done = _begun(xml, config)
    lock = vm_lock(domain.name)
    with changing(lock, wait=WAIT_SECONDS, dry_run=False) as netlink, Apply(netlink) as work:
        for each in nics:
            if _lost_rates(netlink, each):
                keep_one(netlink, work, each, dry_run=False)
            _complain(netlink, each)
        prove_vhost(netlink, domain, nics, done)
    if is_expected(domain.name):
        forget(domain.name)
        watch(domain.name)
    return done


def prove_vhost(netlink: Netlink, domain: Domain, nics: list[DomainNic], done: Handled) -> None:
    """Count the vhost-net descriptors of a domain's QEMU, one for each queue that wants one.

    Where libvirt's rule says that there are none, `prepare` has said so, and once is enough.

    Raises:
        VhostUnavailable: some are required, and there are fewer.
    """
    wanting = [each for each in nics if wants_vhost(domain, each)]
    if not wanting:
        return
    wanted = sum(each.nic.queues for each in wanting)
    tap = netlink.link(wanting[0].interface.target)
    found = max((holder.vhost_fds for holder in holders_of(tap).known), default=0)
    if found >= wanted:
        done.notes.append(f"QEMU has {found} vhost-net descriptors, {wanted} were asked for")
        return
    message = f"QEMU has {found} vhost-net descriptors, {wanted} were asked for"
    remedy = "the log of libvirtd may say why it could not open /dev/vhost-net"
    if any(each.nic.vhost is Policy.REQUIRE for each in wanting):
        raise VhostUnavailable(message, code="vhost-missing", remedy=remedy)
    done.warnings.append(f"{message}; {remedy}")


def wants_vhost(domain: Domain, each: DomainNic) -> bool:
    """Say whether vhost-net was asked for, and libvirt's rule does not exclude it."""
    if each.nic.vhost is Policy.PREFER:
        return is_virtio(each.nic.model) and libvirt_vhost(domain, each.interface) is None
    return each.nic.vhost is Policy.REQUIRE


def release(vm: str) -> Handled:
    """Remove the TAPs that were made for a domain which does not run any more.

    Goes on past failures, and needs no XML: the kernel knows the TAPs.

    Raises:
        VmnetError: the failure, or `SeveralErrors`; the rest has been taken away.
    """
    done = Handled(vm)
    errors: list[VmnetError] = []
    forget(vm)
    with changing(vm_lock(vm), wait=WAIT_SECONDS, dry_run=False) as netlink:
        with Closing() as closing:
            for link, tag in tagged(netlink, vm):
                if tag.life is not Life.DOMAIN:
                    continue
                try:
                    plan = plan_detach(link, holders_of(link), force=False)
                    carry_out(netlink, plan, closing=closing)
                    done.plans[link.name] = plan
                except VmnetError as error:
                    errors.append(error)
        try:
            left = clear(netlink, vm, gone=frozenset(done.plans), wait=WAIT_SECONDS)
        except VmnetError as error:
            errors.append(error)
        else:
            done.plans |= {"beside the TAPs": left} if left.moves else {}
    raise_all(errors)
    return done


def arrive(xml: bytes, config: Config, *, running: bool = False) -> tuple[Handled, bytes | None]:
    """Look at a domain that comes from elsewhere: a migration, or a saved one.

    Nothing is made: after `migrate` there may be no other operation. What cannot work here is
    refused now, when that costs nothing.

    Args:
        xml: the domain.
        config: the configuration.
        running: it still runs where it comes from.

    Returns:
        What was seen, and the XML with this host's bridges if the configuration maps any.

    Raises:
        VmnetError: the domain cannot run here as it is wished.
    """
    mapped = map_bridges(xml, config.bridges) if config.bridges else None
    domain, nics, done = _begun(mapped or xml, config)
    for each in nics:
        _judge(domain, each, done)
    with changing(vm_lock(domain.name), wait=0, dry_run=True) as netlink:
        for each in nics:
            view = place_view(netlink, each.nic)
            check_mtu_fits(each.nic, check_bridge(each.nic.bridge, view), view)
    if running:
        expect(domain.name)
    return done, mapped
