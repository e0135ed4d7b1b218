"""What goes through the NICs of VMs, look by look.

Job: counters, queues and the work of vhost workers, cheaply enough for every second or two.
Leaves to others: rates (`vmnet.model.traffic`), saying (`vmnet.entry`).
Privilege: reading counters needs none; seeing other users' processes needs root.

Who has which TAP open is looked for again when links come or go, and every ten seconds: that goes
through all processes. The rest is one question to the kernel for all links, and a line of /proc for
each vhost worker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from vmnet.kernel import processes
from vmnet.kernel.counters import all_counters
from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import holders_of_all
from vmnet.model.host import Holders, Link
from vmnet.model.names import check_vm_name
from vmnet.model.status import open_queues
from vmnet.model.tag import Tag
from vmnet.model.traffic import Counters, Flow, Reading, Run, flow
from vmnet.service.base import opened, tagged
from vmnet.service.holding import Process, open_in, path_now

#: How long it is believed who has which TAP open, in seconds.
_BELIEVED = 10.0


@dataclass
class Traffic:
    """Looks at the NICs that vmnet knows, one after the other.

    Attributes:
        netlink: a socket into this namespace.
        vm: one VM, or None for all.
    """

    netlink: Netlink
    vm: str | None = None
    _known: list[Reading] = field(default_factory=list)
    _workers: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _links: frozenset[int] = frozenset()
    _looked: float = -_BELIEVED
    _before: dict[int, Reading] = field(default_factory=dict)
    _at: float = 0.0

    def read(self) -> list[Reading]:
        """Return what there is now, sorted by VM and NIC.

        Raises:
            VmnetError: it could not be looked at.
        """
        counted, now = all_counters(self.netlink), time.monotonic()
        if self._links != counted.keys() or now - self._looked >= _BELIEVED:
            self._look()
            self._links, self._looked = frozenset(counted), now
        runs = processes.runs_of(tid for tids in self._workers.values() for tid in tids)
        return [
            replace(
                each,
                counters=counted[each.index],
                run=_sum(runs[tid] for tid in self._workers[each.index] if tid in runs),
            )
            for each in self._known
            if each.index in counted
        ]

    def _look(self) -> None:
        found = list(tagged(self.netlink, self.vm))
        links = [link for link, _ in found]
        held = holders_of_all(links) if links else {}
        open_ones = open_in(held, links)
        fast = {h.pid for each in held.values() for h in each.known[:1] if h.vhost_fds}
        workers = processes.workers_of(fast)
        self._workers, self._known = {}, []
        for link, tag in found:
            who = held.get(link.name, Holders())
            tids = tuple(w.tid for h in who.known[:1] for w in workers.get(h.pid, ()))
            self._workers[link.index] = tids
            name = self.vm or tag.vm_name
            self._known.append(_reading(name, link, tag, who, open_ones))

    def flows(self) -> list[Flow]:
        """Return the rates since the last time; none of NICs that were not there then.

        Raises:
            VmnetError: it could not be looked at.
        """
        now, at = self.read(), time.monotonic()
        seconds = max(at - self._at, 1e-9)
        flows = [flow(self._before[n.index], n, seconds) for n in now if n.index in self._before]
        self._before, self._at = {each.index: each for each in now}, at
        return flows


def _reading(
    vm: str, link: Link, tag: Tag, who: Holders, open_ones: Mapping[int, Process]
) -> Reading:
    count = open_queues(link, who.known)
    return Reading(
        vm=vm,
        nic=tag.nic,
        tap=link.name,
        index=link.index,
        path=path_now(link, who, open_ones).path,
        open_queues=count,
        used_queues=count - (link.tun.disabled if link.tun is not None else 0),
        counters=Counters(),
        run=Run(),
    )


def _sum(runs: Iterable[Run]) -> Run:
    known = list(runs)
    return Run(sum(run.cpu_seconds for run in known), sum(run.times for run in known))


def metrics(vm: str | None = None) -> str:
    """Return what went through NICs since they were made, as text for Prometheus.

    Raises:
        Unsupported: its library is not installed.
        VmnetError: it could not be looked at.
    """
    from vmnet.peers import prometheus  # noqa: PLC0415 - not for a screen

    with traffic(vm) as looks:
        return prometheus.metrics(looks.read())


@contextmanager
def traffic(vm: str | None = None) -> Iterator[Traffic]:
    """Look at the NICs of one VM, or of all, again and again.

    Raises:
        VmnetError: no VM can have that name.
    """
    if vm is not None:
        check_vm_name(vm)
    with opened() as netlink:
        yield Traffic(netlink, vm)
