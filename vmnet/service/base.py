"""What every change has in common: the lock, the socket, waiting signals, looking again.

Job: the frame in which `vmnet.service`'s calls run.
Leaves to others: what they do.
Privilege: write access to `/run/vmnet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Self

from vmnet.errors import (
    Busy,
    SeveralErrors,
    Unsupported,
    VerificationError,
    VmnetError,
    of_errno,
)
from vmnet.kernel import host, signals
from vmnet.kernel.apply import Apply, Peer
from vmnet.kernel.closing import Closing
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import locked
from vmnet.kernel.observe import with_holders
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.host import Link, NicView
from vmnet.model.names import decode
from vmnet.model.nic import Nic
from vmnet.model.step import Plan
from vmnet.model.tag import Tag, vm_in_tag
from vmnet.model.words import describe
from vmnet.plan.attach import Moment

_OUR_TAG = b"vmnet/1 "
#: Guards what NICs have outside their TAPs: the filter's sets, and ifbs.
FILTER_LOCK = "filter"


@contextmanager
def opened() -> Iterator[Netlink]:
    """Open a socket; a refusal that no step stands for becomes a typed error."""
    try:
        with Netlink() as netlink:
            yield netlink
    except Refused as error:
        raise of_refusal(error) from error


def of_refusal(error: Refused) -> VmnetError:
    """Return the typed error for a refusal that no step stands for."""
    return of_errno("read links from the kernel", error.errno or 0, error.said)


@contextmanager
def changing(lock: str, *, wait: float, dry_run: bool) -> Iterator[Netlink]:
    """Hold a lock and a socket, with signals waiting until all is in order."""
    with signals.deferred(), locked_for(lock, wait=wait, dry_run=dry_run), opened() as netlink:
        yield netlink


@contextmanager
def locked_for(name: str, *, wait: float, dry_run: bool) -> Iterator[None]:
    """Hold a lock; a dry run changes nothing and needs none."""
    if dry_run:
        yield
        return
    with locked(name, wait=wait):
        yield


class Locks:
    """Locks that are tried one after the other, and given back together when `with` is left."""

    def __init__(self, *, dry_run: bool) -> None:
        """Hold none yet; a dry run changes nothing and needs none."""
        self._dry_run = dry_run
        self._held: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, name: str) -> None:
        """Hold one more, unless it is held here already.

        Never waits: whoever has it may wait for one that is held here.

        Raises:
            Busy: another process has it.
        """
        if name not in self._held:
            self._stack.enter_context(locked_for(name, wait=0, dry_run=self._dry_run))
            self._held.add(name)


def carry_out(
    netlink: Netlink,
    plan: Plan,
    verify: Callable[[], None] | None = None,
    closing: Closing | None = None,
    switch: Peer | None = None,
) -> None:
    """Carry out a plan, all of it or nothing; `verify` raises if the host is not as wished.

    TAPs that it drops are gone when `closing` is left, without it at once. `switch` does the steps
    of Open vSwitch.
    """
    with Apply(netlink, closing=closing, switch=switch) as work:
        work.run(plan, verify)


def planned(view: NicView, plan: Callable[[NicView], Plan]) -> Plan:
    """Plan from a view without holders; who they are is found out only for a refusal to name them.

    The link itself shows that it is held. The search goes through all processes, and a TAP is held
    whenever a domain starts.
    """
    try:
        return plan(view)
    except Busy:
        return plan(with_holders(view))


def moment(*, arriving: bool = False) -> Moment:
    """Return what a plan needs to know of this moment."""
    return Moment(host.new_generation(), host.boottime(), arriving)


def vm_lock(vm: str) -> str:
    """Return the name of a VM's lock: one that its tag can tell, however long the VM's name is."""
    return f"vm:{decode(vm_in_tag(vm))}"


def tagged(netlink: Netlink, vm: str | None = None) -> Iterator[tuple[Link, Tag]]:
    """Return the TAPs and macvtaps with vmnet's tag, of one VM or of all, sorted by VM and NIC.

    An alias is anybody's to write: on a link of another kind it means nothing.
    """
    vms = () if vm is None else (vm,)
    ours = [(link, tag) for link, tag in marked(netlink, *vms) if link.is_nic]
    return iter(sorted(ours, key=lambda pair: (pair[1].vm, pair[1].nic, pair[0].name)))


def marked(netlink: Netlink, *vms: str) -> Iterator[tuple[Link, Tag]]:
    """Return all links that carry vmnet's tag, of these VMs; of all if none is named."""
    wanted = {vm_in_tag(vm) for vm in vms}
    text = f"vm={next(iter(wanted))} ".encode() if len(wanted) == 1 else _OUR_TAG
    for link in netlink.links(text):
        tag = link.tag
        if tag is not None and (not wanted or tag.vm in wanted):
            yield link, tag


@contextmanager
def placed(bridge: str, *, wait: float, dry_run: bool) -> Iterator[None]:
    """Hold what a change of a NIC needs beside its VM's lock: the bridge's, then the filter's."""
    with (
        locked_for(f"bridge:{bridge}", wait=wait, dry_run=dry_run),
        locked_for(FILTER_LOCK, wait=wait, dry_run=dry_run),
    ):
        yield


def policed(nic: Nic, work: Callable[[Nic], Plan]) -> tuple[Nic, Plan]:
    """Do something for a NIC; where the kernel has no ifb, again without.

    Returns:
        The NIC as it was done, and what was done, with a note if a rate is held another way.
    """
    try:
        return nic, work(nic)
    except Unsupported as error:
        if error.code != "no-ifb" or nic.police:
            raise
        nic = replace(nic, police=True)
        plan = work(nic)
        note = "this kernel cannot shape what the guest sends (no ifb): what is too much is dropped"
        return nic, Plan(plan.moves, (*plan.notes, note))


def complain(left: Plan, what: str) -> None:
    """Raise `VerificationError` if a second look found something left to do."""
    if left.moves:
        missing = "; ".join(describe(move.do) for move in left.moves)
        raise VerificationError(
            f"{what} was set up, but the kernel still shows something else; left to do: {missing}",
            code="not-as-wished",
            remedy="another program may change it: see `ip monitor link`; `vmnet host install` "
            "keeps udev, systemd-networkd and NetworkManager off",
        )


def raise_all(errors: list[VmnetError]) -> None:
    """Raise the only error as itself, several as `SeveralErrors`, none not at all."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralErrors(errors)
