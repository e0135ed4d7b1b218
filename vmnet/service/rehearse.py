"""The hook's operations on a domain's XML, tried without changing anything.

Job: `vmnet hook test`: what each operation would do, or why it would refuse.
Leaves to others: the operations (`vmnet.service.domains`).
Privilege: reading links needs none; trying `/dev/vhost-net` as libvirtd does needs root.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmnet.errors import VmnetError
from vmnet.formats.config import Config
from vmnet.formats.domain import parse_domain
from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import place_view
from vmnet.model.domain import NICS_URI_ANY, Domain
from vmnet.model.host import Link, TunFacts
from vmnet.model.mac import tap_mac
from vmnet.model.step import Plan
from vmnet.model.vhost import Verdict
from vmnet.plan.attach import check_bridge
from vmnet.plan.domain import DomainNic, plan_adopt
from vmnet.service.base import moment, opened
from vmnet.service.domains import arrive, look, prepare

#: Stands for the index of a TAP that is not there yet.
_UNKNOWN_INDEX = 1 << 30


@dataclass(frozen=True)
class Rehearsed:
    """What one operation would do.

    Attributes:
        operation: libvirt's name for it.
        plans: the steps for each NIC, by its number.
        verdicts: who would move each NIC's packets; only for `prepare`.
        notes: what else it would do, or leave alone.
        refusal: why it would refuse, or None.
    """

    operation: str
    plans: dict[int, Plan]
    verdicts: dict[int, Verdict]
    notes: tuple[str, ...] = ()
    refusal: VmnetError | None = None


def rehearse(xml: bytes, config: Config) -> list[Rehearsed]:
    """Return what each operation of the hook would do on this host, in libvirt's order.

    Nothing for a domain whose XML neither names vmnet nor has a TAP that may be vmnet's: there the
    hook leaves at once.

    Raises:
        InvalidInput: it is no domain XML at all.
    """
    domain = parse_domain(xml)
    if NICS_URI_ANY.encode() not in xml and b"managed='no'" not in xml:
        return []
    return [
        _arriving(xml, config),
        _preparing(xml, config, domain),
        _starting(domain, config),
        Rehearsed("started", {}, {}, ("looks again, and counts QEMU's vhost-net descriptors",)),
        Rehearsed("reconnect", {}, {}, ("nothing, always: a failure would end the running VM",)),
        Rehearsed("stopped", {}, {}, ("nothing: release does it",)),
        _releasing(domain, config),
    ]


def _arriving(xml: bytes, config: Config) -> Rehearsed:
    try:
        done, mapped = arrive(xml, config)
    except VmnetError as error:
        return Rehearsed("migrate, restore", {}, {}, refusal=error)
    notes = ["bridges get this host's names"] if mapped is not None else []
    return Rehearsed("migrate, restore", {}, {}, (*notes, *done.warnings))


def _preparing(xml: bytes, config: Config, domain: Domain) -> Rehearsed:
    try:
        done = prepare(xml, config, dry_run=True)
        nics, _ = look(domain, config)
    except VmnetError as error:
        return Rehearsed("prepare", {}, {}, refusal=error)
    numbers = {each.interface.target: each.nic.nic for each in nics}
    plans = {numbers[tap]: plan for tap, plan in done.plans.items()}
    return Rehearsed("prepare", plans, done.verdicts, (*done.notes, *done.warnings))


def _starting(domain: Domain, config: Config) -> Rehearsed:
    try:
        nics, _ = look(domain, config)
        with opened() as netlink:
            plans = {n.nic.nic: _adopted(netlink, n) for n in nics if not n.made}
    except VmnetError as error:
        return Rehearsed("start", {}, {}, refusal=error)
    return Rehearsed("start", plans, {}, ("looks whether all is as it was prepared",))


def _adopted(netlink: Netlink, each: DomainNic) -> Plan:
    """Plan for the TAP as libvirt will have made it."""
    view = place_view(netlink, each.nic)
    bridge = check_bridge(each.nic.bridge, view)
    name = each.interface.target or "vnetN"
    tun = TunFacts(
        tap=True,
        persist=False,
        multi_queue=each.nic.queues > 1,
        vnet_hdr=True,
        owner=None,
        group=None,
        queues=each.nic.queues,
    )
    tap = Link(
        index=_UNKNOWN_INDEX,
        name=name,
        kind="tun",
        mac=tap_mac(each.nic.mac),
        mtu=each.interface.mtu or bridge.mtu,
        master=bridge.index,
        up=True,
        carrier=True,
        carrier_ups=1,
        alias="",
        altnames=(),
        tun=tun,
    )
    return plan_adopt(each.nic, replace(view, name=name, tap=tap, master=bridge), moment())


def _releasing(domain: Domain, config: Config) -> Rehearsed:
    try:
        nics, _ = look(domain, config)
    except VmnetError:
        nics = []
    taps = [each.interface.target for each in nics if each.made]
    notes = [f"removes tap {tap}" for tap in taps] or ["nothing: libvirt removes what it made"]
    return Rehearsed("release", {}, {}, tuple(notes))
