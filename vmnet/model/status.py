"""What a NIC is asked to be, what it is, and what was seen of it: the values of `vmnet status`.

Job: the facts side by side, and what they say of the data path.
Leaves to others: looking (`vmnet.service.status`), saying (`vmnet.entry`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vmnet.model.host import Holder, Link
from vmnet.model.netdev import Netdev
from vmnet.model.step import Plan
from vmnet.model.vhost import DataPath, Finding, Policy, Reason, is_virtio

#: Raised with every change that a reader of the JSON would notice.
SCHEMA = "vmnet.status/1"
#: Below so many packets in a sample a worker that slept proves nothing.
ENOUGH_PACKETS = 8


@dataclass(frozen=True)
class Moved:
    """What went through a NIC while it was watched, and what its QEMU's vhost workers did.

    Attributes:
        seconds: how long it was watched.
        to_guest: packets that the guest was sent.
        from_guest: packets that the guest sent.
        wakes: how often the workers woke, all of them, for all NICs of that QEMU.
        cpu_seconds: how long they ran, in seconds.
    """

    seconds: float
    to_guest: int
    from_guest: int
    wakes: int
    cpu_seconds: float

    @property
    def packets(self) -> int:
        """Packets both ways."""
        return self.to_guest + self.from_guest


@dataclass(frozen=True)
class Trouble:
    """Something that is not as it was asked for.

    Attributes:
        code: a stable word.
        text: what it is, with the values that were read.
        remedy: what to do next.
    """

    code: str
    text: str
    remedy: str


@dataclass(frozen=True)
class Path:
    """Who moves a NIC's packets, as far as it shows.

    Attributes:
        path: None where that cannot be told.
        reason: why; a code of `vmnet.model.vhost.Reason`, or `not-running`.
        detail: the same for people.
        certain: False where it is inferred.
    """

    path: DataPath | None
    reason: str
    detail: str
    certain: bool = True


@dataclass(frozen=True)
class NicStatus:
    """One NIC.

    Attributes:
        vm: the VM's name.
        nic: its number.
        link: its TAP or macvtap.
        place: where it is plugged in now; empty for nowhere.
        holders: who has it open.
        blind: why others may be missing; empty if all processes can be seen.
        queues: queue pairs that were asked for.
        netdev: what QEMU's command line says of it; None where it says nothing.
        policy: what was asked of vhost-net.
        source: which source said so.
        path: who moves its packets.
        moved: what was seen while it was watched; None where there was nothing to watch.
        drift: what would make it what is wished; empty if it is.
        troubles: what is not as it was asked for.
    """

    vm: str
    nic: int
    link: Link
    place: str
    holders: tuple[Holder, ...]
    blind: str
    queues: int
    netdev: Netdev | None
    policy: Policy
    source: str
    path: Path
    moved: Moved | None = None
    drift: Plan = field(default_factory=Plan)
    troubles: tuple[Trouble, ...] = ()

    @property
    def open_queues(self) -> int:
        """Queues that a process has open."""
        return open_queues(self.link, self.holders)

    @property
    def used_queues(self) -> int:
        """Those of them that the guest uses: its driver switches the others off."""
        tun = self.link.tun
        return self.open_queues - (tun.disabled if tun is not None else 0)


def open_queues(link: Link, holders: Sequence[Holder]) -> int:
    """Return how many queues of a link processes have open."""
    shown = link.tun.queues if link.tun is not None else 0
    return shown or sum(holder.fds for holder in holders)


def path_of(
    holders: Sequence[Holder], netdev: Netdev | None, held: int, finding: Finding | None
) -> Path:
    """Say who moves a NIC's packets.

    Args:
        holders: the processes that have it open.
        netdev: what the command line of the first one says of it, or None.
        held: how many queues of links the first one has, those of all its NICs.
        finding: what a look at `/dev/vhost-net` gave now; None if nobody looked.
    """
    if not holders:
        return Path(None, "not-running", "no process has it open")
    has = holders[0].vhost_fds
    model = netdev.model if netdev is not None else ""
    if model and not is_virtio(model):
        why = f"device model {model} is not paravirtual, so QEMU emulates it in full"
        return Path(DataPath.EMULATED, Reason.MODEL.value, why)
    if has >= held > 0:
        return Path(DataPath.VHOST, Reason.OK.value, _count(has))
    if has:
        return _one_of_several(has, held, netdev)
    return _in_userspace(netdev, finding)


def _count(fds: int) -> str:
    return f"QEMU has {fds} descriptor{'s' if fds > 1 else ''} of /dev/vhost-net"


def _one_of_several(has: int, held: int, netdev: Netdev | None) -> Path:
    """Judge a NIC of a QEMU that has vhost-net for some of its queues and not for all."""
    some = f"{_count(has)} for {held} queues"
    if netdev is None:
        return Path(None, "vhost-of-some", some, certain=False)
    if netdev.vhost:
        return Path(
            DataPath.VHOST, Reason.OK.value, f"{some}, and vhost=on for this NIC", certain=False
        )
    return Path(DataPath.USERSPACE, Reason.ASKED_NOT.value, f"{some}, and no vhost=on for this NIC")


def _in_userspace(netdev: Netdev | None, finding: Finding | None) -> Path:
    """Say why a QEMU without vhost-net has none: what was asked of it, and what there is now."""
    now = "" if finding is None else f"; now: {finding.detail}"
    code = Reason.OTHER.value if finding is None else finding.reason.value
    if netdev is None:
        said = "QEMU has no descriptor of /dev/vhost-net"
        return Path(DataPath.USERSPACE, code, said + now, certain=False)
    if not netdev.vhost:
        said = "QEMU was started without vhost=on"
        return Path(DataPath.USERSPACE, Reason.ASKED_NOT.value, said + now)
    said = "QEMU was started with vhost=on and could not have it"
    return Path(DataPath.USERSPACE, code, said + now, certain=False)


def contradicted(path: Path, moved: Moved | None) -> Trouble | None:
    """Return the trouble if what was seen moving speaks against the path."""
    if path.path is not DataPath.VHOST or moved is None or moved.packets < ENOUGH_PACKETS:
        return None
    if moved.wakes:
        return None
    return Trouble(
        "worker-asleep",
        f"{moved.packets} packets went in {moved.seconds:.1f} s and no vhost worker woke: "
        "something else moves them",
        "does the guest's driver run? QEMU's `info network`, `vmnet status --sample 5`",
    )
