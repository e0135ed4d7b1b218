"""What the NICs of a VM are asked to be, what they are, and what moves their packets.

Job: `vmnet status`: facts of rtnetlink, of processes and of QEMU's command line side by side;
`--repair`: the verb that would bring the NIC to what is wished.
Leaves to others: what the facts say (`vmnet.model.status`), saying (`vmnet.entry`).
Privilege: reading links needs none; seeing other users' processes needs root; repairing, what the
verb needs.

Nothing of the host is changed by looking: `/dev/vhost-net` is opened only where its module is
loaded already.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vmnet.errors import VmnetError
from vmnet.formats.config import Config
from vmnet.kernel import devices, processes
from vmnet.kernel.counters import counters
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import holders_of_all
from vmnet.model.host import Holders, Link, Worker
from vmnet.model.names import check_vm_name
from vmnet.model.netdev import Netdev
from vmnet.model.nic import Wish
from vmnet.model.status import Moved, NicStatus, Path, Trouble, contradicted, path_of
from vmnet.model.step import Plan
from vmnet.model.tag import Life, Own, Tag
from vmnet.model.traffic import Counters
from vmnet.model.vhost import DataPath, Finding, Policy
from vmnet.model.wire import wire_phrase
from vmnet.plan.attach import plan_left
from vmnet.service.base import opened, tagged
from vmnet.service.holding import Process, open_in
from vmnet.service.nics import attach
from vmnet.service.resolve import network_behind, owner_of, resolve
from vmnet.service.views import Views, switched

_NO_DAEMON = Trouble(
    "ovs-no-daemon",
    "its bridge is Open vSwitch's, and ovs-vswitchd does not run",
    "`systemctl start openvswitch-switch`",
)
#: How long NICs are watched if nobody says, in seconds.
SAMPLE_SECONDS = 0.5


@dataclass
class _Seen:
    """What is looked at once for all NICs.

    Attributes:
        netlink: a socket into this namespace.
        config: the configuration.
        held: who has each link open, by its name.
        processes: what else is known of the processes, by their pids.
        switches: on which bridge of Open vSwitch a link is, by its name.
        findings: what a look at `/dev/vhost-net` gave, by queues and user.
    """

    netlink: Netlink
    config: Config
    held: Mapping[str, Holders]
    processes: Mapping[int, Process]
    switches: Mapping[str, str]
    findings: dict[tuple[int, int], Finding] = field(default_factory=dict)

    def finding(self, queues: int, uid: int) -> Finding:
        """Return what that user would get of vhost-net now."""
        key = queues, uid
        if key not in self.findings:
            self.findings[key] = devices.peek_vhost(queues, uid)
        return self.findings[key]


def status(
    vm: str | None = None, *, config: Config | None = None, sample: float = SAMPLE_SECONDS
) -> list[NicStatus]:
    """Return the NICs that vmnet knows, of one VM or of all.

    Args:
        vm: the VM's name, or None for all.
        config: the configuration.
        sample: how long to watch those that a process has open, in seconds; 0 for not at all.

    Raises:
        VmnetError: it could not be looked at.
    """
    if vm is not None:
        check_vm_name(vm)
    config = config or Config()
    with opened() as netlink:
        found = list(tagged(netlink, vm))
        seen = _look(netlink, config, found)
        nics = [_one(seen, vm or tag.vm_name, link, tag) for link, tag in found]
        nics = list(map(_judged, _watch(netlink, nics, sample)))
    domains = {tag.vm_name for _, tag in found if tag.life is Life.DOMAIN}
    return _with_domains(nics, found, domains, config)


def _look(netlink: Netlink, config: Config, found: Sequence[tuple[Link, Tag]]) -> _Seen:
    links = [link for link, _ in found]
    held = holders_of_all(links) if links else {}
    return _Seen(netlink, config, held, open_in(held, links), switched(netlink, found))


def _one(seen: _Seen, name: str, link: Link, tag: Tag) -> NicStatus:
    who = seen.held.get(link.name, Holders())
    process = seen.processes.get(who.known[0].pid) if who.known else None
    netdev = process.netdev_of(link) if process is not None else None
    policy, source, drift, troubles = _wished(seen.netlink, seen.config, name, link, tag)
    finding = None
    if who.known and not who.known[0].vhost_fds:
        finding = seen.finding(tag.queues, owner_of(None, link))
    path = path_of(who.known, netdev, process.queues if process is not None else 0, finding)
    troubles += _not_had(policy, source, netdev, path, finding)
    return NicStatus(
        vm=name,
        nic=tag.nic,
        link=link,
        place=_place(seen, link, tag),
        holders=who.known,
        blind=who.blind,
        queues=tag.queues,
        netdev=netdev,
        policy=policy,
        source=source,
        path=path,
        drift=drift,
        troubles=tuple(troubles),
    )


def _place(seen: _Seen, link: Link, tag: Tag) -> str:
    if tag.wire is not None:
        return wire_phrase(tag.wire)
    bridge = seen.netlink.link_by_index(link.master) if link.master else None
    name = seen.switches.get(link.name) or (bridge.name if bridge is not None else "")
    return f"bridge {name}" if name else ""


def _wished(
    netlink: Netlink, config: Config, vm: str, link: Link, tag: Tag
) -> tuple[Policy, str, Plan, list[Trouble]]:
    """Return what is asked of vhost-net, by whom, and what is left to do for the wish."""
    if tag.life is Life.DOMAIN:
        return Policy.AUTO, "libvirt", Plan(), []
    if tag.own is Own.MANAGED:
        return Policy.AUTO, "its QEMU", Plan(), _strayed(netlink, link, tag)
    wish = Wish(vm, tag.nic)
    owner = link.tun.owner if link.tun is not None else owner_of(None, link)
    try:
        nic = resolve(wish, config, netlink, link, owner)
        behind = network_behind(wish, config, nic.bridge)
        source = f"network {behind.name!r}" if behind is not None else "every NIC"
        with Views(netlink) as views:
            nic = views.settled(nic, wish, link, link.name)
            view = views.of(link.name, nic, others=False, holders=False)
            still = [_NO_DAEMON] if views.is_stopped(view) else []
            return nic.vhost, source, plan_left(nic, view, tag.life), still
    except VmnetError as error:
        return Policy.AUTO, "every NIC", Plan(), [_of_error(error)]


def _of_error(error: VmnetError) -> Trouble:
    return Trouble(error.code, error.message, error.remedy)


def _strayed(netlink: Netlink, link: Link, tag: Tag) -> list[Trouble]:
    """Say so if a TAP that QEMU made is not where vmnet put it."""
    bridge = netlink.link_by_index(link.master) if link.master else None
    now = bridge.name if bridge is not None else ""
    if not tag.bridge or now == tag.bridge:
        return []
    text = f"it was put into bridge {tag.bridge!r} and is " + (f"in {now!r}" if now else "in none")
    remedy = f"ip link set {link.name} master {tag.bridge}"
    return [Trouble("strayed", text, remedy)]


def _not_had(
    policy: Policy, source: str, netdev: Netdev | None, path: Path, finding: Finding | None
) -> list[Trouble]:
    """Say so if vhost-net was asked for and is not used."""
    if path.path not in (DataPath.USERSPACE, DataPath.EMULATED):
        return []
    said = netdev is not None and netdev.vhost
    if not said and policy not in (Policy.PREFER, Policy.REQUIRE):
        return []
    who = "vhost=on of QEMU's command line" if said else f"vhost={policy.value} of {source}"
    had = finding is None or not finding.remedy
    remedy = "start the VM again: it can be had now" if had or finding is None else finding.remedy
    text = f"asked for vhost ({who}), running in {path.path.value}: {path.detail}"
    return [Trouble("vhost-not-had", text, remedy)]


# ---- watching


def _watch(netlink: Netlink, nics: Sequence[NicStatus], seconds: float) -> list[NicStatus]:
    """Watch the NICs that a process has open, all at once; add that, and the vhost workers."""
    fast = {nic.holders[0].pid for nic in nics if nic.holders and nic.holders[0].vhost_fds}
    workers = processes.workers_of(fast)
    open_ones = [nic for nic in nics if nic.holders]
    if not open_ones or seconds <= 0:
        return [_with_workers(nic, workers) for nic in nics]
    began, before = time.monotonic(), _counted(netlink, open_ones)
    time.sleep(seconds)
    after, woken = _counted(netlink, open_ones), processes.workers_of(fast)
    spent = time.monotonic() - began
    moved = {}
    for nic in open_ones:
        one, other = before[nic.link.name], after[nic.link.name]
        if one is not None and other is not None:
            pid = nic.holders[0].pid
            wakes, cpu = _work(workers.get(pid, ()), woken.get(pid, ()))
            to_guest, from_guest = other.to_guest - one.to_guest, other.from_guest - one.from_guest
            moved[nic.link.name] = Moved(spent, to_guest, from_guest, wakes, cpu)
    return [replace(_with_workers(nic, woken), moved=moved.get(nic.link.name)) for nic in nics]


def _with_workers(nic: NicStatus, workers: Mapping[int, tuple[Worker, ...]]) -> NicStatus:
    holders = (replace(each, workers=workers.get(each.pid, ())) for each in nic.holders)
    return replace(nic, holders=tuple(holders))


def _counted(netlink: Netlink, nics: Iterable[NicStatus]) -> dict[str, Counters | None]:
    return {nic.link.name: counters(netlink, nic.link.index) for nic in nics}


def _work(before: Iterable[Worker], after: Iterable[Worker]) -> tuple[int, float]:
    """Return how often workers woke meanwhile, and how long they ran, in seconds."""
    earlier = {worker.tid: worker for worker in before}
    pairs = [(earlier[worker.tid], worker) for worker in after if worker.tid in earlier]
    wakes = sum(now.wakes - then.wakes for then, now in pairs)
    return wakes, sum(now.cpu_seconds - then.cpu_seconds for then, now in pairs)


def _judged(nic: NicStatus) -> NicStatus:
    """Add the troubles that all of it shows."""
    troubles = list(nic.troubles)
    if nic.drift.moves:
        text = f"{len(nic.drift.moves)} of its settings are not as wished"
        troubles.append(Trouble("drift", text, f"`vmnet status {nic.vm} --repair`"))
    sleeping = contradicted(nic.path, nic.moved)
    if sleeping is not None:
        troubles.append(sleeping)
    return replace(nic, troubles=tuple(troubles))


# ---- libvirt


def _with_domains(
    nics: list[NicStatus], found: Sequence[tuple[Link, Tag]], domains: set[str], config: Config
) -> list[NicStatus]:
    """Add what `vmnet sync` would do to the NICs of libvirt's domains."""
    if not domains:
        return nics
    of_domain = {link.name for link, tag in found if tag.life is Life.DOMAIN}
    wanted = {name: _synced(name, config) for name in domains}
    return [_with_drift(nic, wanted[nic.vm]) if nic.link.name in of_domain else nic for nic in nics]


@dataclass(frozen=True)
class _Domain:
    """What `vmnet sync` says of a domain: plans by the NICs' numbers, and troubles."""

    plans: Mapping[int, Plan] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()


def _synced(name: str, config: Config) -> _Domain:
    from vmnet.service.sync import sync  # noqa: PLC0415 - loads what asks libvirt

    try:
        done, errors = sync(name, config=config, dry_run=True, wait=0)
    except VmnetError as error:
        return _Domain(troubles=(_of_error(error),))
    troubles = [_of_error(error) for error in errors]
    troubles += [
        Trouble("not-as-asked", warning, f"`vmnet explain {name}`")
        for each in done
        for warning in each.warnings
    ]
    return _Domain({n: p for each in done for n, p in each.plans.items()}, tuple(troubles))


def _with_drift(nic: NicStatus, domain: _Domain) -> NicStatus:
    drift = domain.plans.get(nic.nic, Plan())
    more = [*domain.troubles]
    if drift.moves:
        text = f"{len(drift.moves)} of its settings are not as wished"
        more.append(Trouble("drift", text, f"`vmnet status {nic.vm} --repair`"))
    return replace(nic, drift=drift, troubles=(*nic.troubles, *more))


# ---- mending


def repair(
    nics: Iterable[NicStatus], *, config: Config | None = None, wait: float = WAIT_SECONDS
) -> list[VmnetError]:
    """Bring NICs to what is wished, those that are not there yet; return the failures.

    Args:
        nics: what `status` returned.
        config: the configuration.
        wait: how long to wait for a lock, in seconds.
    """
    errors = []
    for nic in nics:
        if not nic.drift.moves:
            continue
        try:
            errors += _repaired(nic, config or Config(), wait)
        except VmnetError as error:
            errors.append(error)
    return errors


def _repaired(nic: NicStatus, config: Config, wait: float) -> list[VmnetError]:
    tag = nic.link.tag
    if tag is not None and tag.life is Life.DOMAIN:
        from vmnet.service.sync import sync  # noqa: PLC0415 - loads what asks libvirt

        return sync(nic.vm, config=config, wait=wait)[1]
    attach(Wish(nic.vm, nic.nic), config=config, wait=wait)
    return []
