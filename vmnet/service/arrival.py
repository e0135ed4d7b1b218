"""Guests that come from another host.

Job: know at a migration's destination that one is on its way; when it has been heard of here, keep
its MAC at its port.
Leaves to others: the hook's operations (`vmnet.service.domains`).
Privilege: CAP_NET_ADMIN in the network namespace.

libvirt calls its hook before the first byte of the guest's memory comes, and never when the guest
resumes. Until then it runs elsewhere: an entry of its MAC here would send its neighbours' frames
into a TAP that nobody reads. QEMU announces it as it resumes, the bridge learns from that, and then
the entry can stay for good.
"""

from __future__ import annotations

from vmnet.kernel import marks, signals
from vmnet.kernel.child import apart
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import facts_of, look_at_filter
from vmnet.kernel.wait import News
from vmnet.model.host import Link
from vmnet.model.tag import Tag
from vmnet.plan.port import plan_arrived
from vmnet.service.base import carry_out, locked_for, opened, tagged, vm_lock

#: How long to wait for a guest, in seconds; one that comes later is kept at its port by `sync`.
_PATIENCE_SECONDS = 24 * 3600.0


def expect(vm: str) -> None:
    """Note that a guest is on its way, for the calls that follow."""
    marks.leave(_mark(vm))


def is_expected(vm: str) -> bool:
    """Say whether a guest is on its way."""
    return marks.is_there(_mark(vm))


def forget(vm: str) -> None:
    """It has arrived, or will not."""
    marks.remove(_mark(vm))


def _mark(vm: str) -> str:
    return f"arriving-{vm_lock(vm)}"


def watch(vm: str) -> None:
    """Let a process wait for a guest that is on its way, and return at once.

    Raises:
        VmnetError: there could be no process.
    """
    apart(lambda: keep_arrived(vm))


def keep_arrived(vm: str) -> None:
    """Wait until every TAP of a VM that is waiting for its guest has heard of it or is gone."""
    with signals.deferred(), opened() as netlink, News() as news:
        while waiting := _waiting(netlink, vm):
            if not news.wait([tag.mac for _, tag in waiting], _PATIENCE_SECONDS):
                return
            keep_heard(netlink, vm)


def keep_heard(netlink: Netlink, vm: str) -> None:
    """Keep the MACs of a VM's guests at their ports, those that have been heard of."""
    with locked_for(vm_lock(vm), wait=WAIT_SECONDS, dry_run=False):
        for link, tag in _waiting(netlink, vm):
            bridge = netlink.link_by_index(link.master) if link.master else None
            facts = facts_of(netlink, link, bridge, tag.mac, look_at_filter(needed=False))
            if bridge is not None and facts.fdb:
                carry_out(netlink, plan_arrived(link, tag, facts))


def _waiting(netlink: Netlink, vm: str) -> list[tuple[Link, Tag]]:
    return [(link, tag) for link, tag in tagged(netlink, vm) if tag.arriving and tag.mac]
