"""Carrying out: the one place that changes the host, and the one that takes changes back.

Job: walk a plan forwards, and on the first failure or signal walk it backwards.
Leaves to others: what is in the plan (`vmnet.plan`), the messages (`vmnet.kernel.links`), the
descriptors of TAPs (`vmnet.kernel.queues`).
Privilege: CAP_NET_ADMIN in the network namespace.

Steps that are rtnetlink messages travel together, as many as stand next to each other.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from vmnet.errors import VmnetError, of_errno
from vmnet.kernel import nft, signals
from vmnet.kernel.closing import Closing
from vmnet.kernel.links import Netlink
from vmnet.kernel.queues import Queues
from vmnet.kernel.refusals import refusal
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.filestep import FileStep
from vmnet.model.ovs import OvsStep
from vmnet.model.portstep import CreateIfb, FilterStep, ForgetLink
from vmnet.model.step import (
    CreateBridge,
    DomainStep,
    Move,
    NetlinkStep,
    PassFd,
    PeerStep,
    PlaceStep,
    Plan,
    Ref,
    Step,
)
from vmnet.model.wirestep import CreateMacvtap, SetTxChecksum
from vmnet.model.words import describe

if TYPE_CHECKING:
    from vmnet.kernel.places import Places

#: What the kernel calls what a step makes.
_MAKES = {CreateBridge: "bridge", CreateIfb: "ifb", CreateMacvtap: "macvtap"}
#: How many links' entries leave the filter in one transaction, all or none of them.
_FORGOTTEN_TOGETHER = 64


class Peer(Protocol):
    """Another program that carries out steps of its own kind: libvirt, or a QEMU's monitor."""

    def do(self, step: PeerStep) -> None:
        """Carry out one step.

        Raises:
            VmnetError: it was not carried out.
        """


@runtime_checkable
class Receiver(Protocol):
    """A peer that takes copies of descriptors too: a QEMU's monitor."""

    def receive(self, step: PassFd, fd: int) -> None:
        """Pass a copy of this descriptor.

        Raises:
            VmnetError: it was not passed.
        """


class Apply:
    """One or more plans being carried out; owns the descriptors of the TAPs it opened.

    Used with `with`: leaving closes what was not taken with `take`, so that a TAP which was not
    made persistent is gone.
    """

    def __init__(
        self,
        netlink: Netlink,
        peer: Peer | None = None,
        places: Places | None = None,
        closing: Closing | None = None,
        switch: Peer | None = None,
    ) -> None:
        """Work through this socket, and through others where a plan asks for it.

        Args:
            netlink: a socket into this namespace.
            peer: another program.
            places: other network namespaces.
            switch: Open vSwitch.
            closing: TAPs that a plan drops are gone when it is left, without it at once.
        """
        self._netlink = netlink
        self._peer = peer
        self._places = places
        self._switch = switch
        self._queues = Queues(netlink, closing)
        self._done: list[Move] = []
        self._made: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._queues.close_all()

    def hold(self, source: str, fds: list[int]) -> None:
        """Own descriptors opened elsewhere too; plans name them by what they are open on."""
        self._queues.hold(source, fds)

    def take(self, name: str) -> list[int]:
        """Hand over the descriptors of a TAP; the caller closes them from now on."""
        return self._queues.take(name)

    def let_go(self, name: str) -> None:
        """Close a persistent TAP that another program is to open now; undo still finds it."""
        now = self._netlink.link(name)
        if now is not None:
            self._made[name] = now.index
        self._queues.close(name)

    def leave(self) -> list[Move]:
        """Hand over what was done; `undo` leaves it alone from now on."""
        done, self._done = self._done, []
        return done

    def resume(self, done: list[Move]) -> None:
        """Take over what another one of this kind did and left."""
        self._done = [*done, *self._done]

    def run(self, plan: Plan, verify: Callable[[], None] | None = None) -> None:
        """Carry out a plan, all of it or nothing.

        Args:
            plan: the steps.
            verify: called when all is done; raises if the host is not as wished.

        Raises:
            VmnetError: the first failure, after this and earlier plans of this object were undone;
                failures of the undo are in its `undo_errors`.
        """
        with self.all_or_nothing():
            for group in _groups(plan.moves):
                signals.check()
                self._do(group, self._done)
            signals.check()
            if verify is not None and plan.moves:
                verify()

    def insist(self, plan: Plan) -> list[VmnetError]:
        """Carry out all of a plan that can be, and undo nothing; return what could not be."""
        errors = []
        for group in _groups(plan.moves):
            try:
                self._do(group, [])
            except VmnetError as error:
                errors.append(error)
        return errors

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take all plans back if what is done inside fails, in whatever way."""
        try:
            yield
        except VmnetError as error:
            error.undo_errors += self.undo()
            raise
        except BaseException:
            self.undo()
            raise

    def undo(self) -> list[VmnetError]:
        """Take back all that was done, last first; return what could not be."""
        errors = []
        while self._done:
            move = self._done.pop()
            if move.undo is None:
                continue
            try:
                self._take_back(move.undo, move.restore)
            except VmnetError as error:
                errors.append(error)
                if isinstance(move.undo, DomainStep):
                    # What was done before belongs to what stays: the wish of an interface that
                    # a guest does not let go of is how the next detach finds it.
                    self._done.clear()
        return errors

    def _take_back(self, undo: Step, restore: Sequence[Step]) -> None:
        for group in _groups([Move(step) for step in (undo, *restore)]):
            self._do(group, [])

    def _do(self, group: Sequence[Move], done: list[Move]) -> None:
        """Carry out a group, and note in `done` what of it was."""
        first = group[0].do
        if isinstance(first, PeerStep):
            self._ask(first)
            done.extend(group)
            return
        if not isinstance(first, NetlinkStep):
            try:
                if isinstance(first, ForgetLink):
                    nft.forget([move.do for move in group if isinstance(move.do, ForgetLink)])
                elif isinstance(first, FilterStep):
                    nft.apply(first, self._index)
                elif isinstance(first, FileStep):
                    from vmnet.kernel import rootfile  # noqa: PLC0415 - only of `vmnet host`

                    rootfile.carry_out(first)
                elif isinstance(first, PlaceStep | SetTxChecksum):
                    self._elsewhere(first)
                else:
                    self._queues.carry_out(first, self._made)
            except Refused as error:  # looking, before the step
                raise of_errno(describe(first), error.errno or 0, error.said) from error
            done.extend(group)
            return
        steps = [move.do for move in group if isinstance(move.do, NetlinkStep)]
        try:
            self._netlink.send(steps, cache(self._index))
        except Refused as error:
            done.extend(m for place, m in enumerate(group) if place not in error.failed)
            raise refusal(steps[error.position], error) from error
        done.extend(group)
        if isinstance(first, CreateBridge | CreateIfb | CreateMacvtap) and not self._note_made(
            first
        ):
            done.pop()  # it is gone, and what has its name now is not ours to undo
            raise of_errno(describe(first), errno.ENODEV)

    def _ask(self, step: PeerStep) -> None:
        peer = self._switch if isinstance(step, OvsStep) else self._peer
        if peer is None:
            raise TypeError(f"nobody to carry out {step}")
        if isinstance(step, PassFd):
            if not isinstance(peer, Receiver):
                raise TypeError(f"nobody to receive {step}")
            peer.receive(step, self._queues.at(step.source, step.position))
        else:
            peer.do(step)

    def _elsewhere(self, step: PlaceStep | SetTxChecksum) -> None:
        if self._places is None:
            raise TypeError(step)
        self._made.update(self._places.carry_out(step, self._netlink))

    def _note_made(self, step: CreateBridge | CreateIfb | CreateMacvtap) -> bool:
        """Remember which link was made: another could take its name before the next step."""
        try:
            now = self._netlink.link(step.name)
        except Refused as error:
            raise of_errno(describe(step), error.errno or 0, error.said) from error
        if now is None or now.kind != _MAKES[type(step)]:
            return False
        if not isinstance(step, CreateIfb) and now.mac != step.mac:
            return False
        self._made[step.name] = now.index
        return True

    def _index(self, link: Ref) -> int:
        """Return a link's index; one that this plan made is asked for by its name."""
        known = link.index or self._made.get(link.name, 0)
        if known:
            return known
        try:
            return socket.if_nametoindex(link.name)
        except OSError:
            # Which has no errno: there is no such link, or no descriptor left to ask with.
            return self._index_asked(link.name)

    def _index_asked(self, name: str) -> int:
        try:
            now = self._netlink.link(name)
        except Refused as error:
            raise of_errno(f"find link {name!r}", error.errno or 0, error.said) from error
        if now is None:
            raise of_errno(f"find link {name!r}", errno.ENODEV)
        return now.index


def _groups(moves: Sequence[Move]) -> Iterator[list[Move]]:
    """Yield runs of rtnetlink steps together, and of forgotten links; other steps one by one.

    A new bridge, ifb or macvtap stands alone: the steps after it need its index, and must not
    happen to one that somebody else made first.
    """
    run: list[Move] = []
    for move in moves:
        if run and not _travels(run, move.do):
            yield run
            run = []
        run.append(move)
    if run:
        yield run


def _travels(run: Sequence[Move], step: Step) -> bool:
    """Say whether a step can be carried out along with those of a run."""
    if isinstance(step, ForgetLink):
        return isinstance(run[0].do, ForgetLink) and len(run) < _FORGOTTEN_TOGETHER
    return all(
        isinstance(each, NetlinkStep)
        and not isinstance(each, CreateBridge | CreateIfb | CreateMacvtap)
        for each in (run[0].do, step)
    )
