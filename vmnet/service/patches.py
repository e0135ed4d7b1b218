"""Patches: pairs of links that join bridges and network namespaces.

Job: `vmnet patch` and `unpatch`.
Leaves to others: what may be done (`vmnet.plan.patch`), showing them (`vmnet.look`).
Privilege: CAP_NET_ADMIN here and in the other namespace, CAP_SYS_ADMIN to reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from vmnet.errors import NotFound
from vmnet.kernel import host, signals
from vmnet.kernel.apply import Apply
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS, locked
from vmnet.kernel.patches import patch_view
from vmnet.kernel.places import Place, Places, opened_place
from vmnet.model.host import Link
from vmnet.model.patch import End, PatchView, PatchWish, check_patch
from vmnet.model.step import Plan
from vmnet.plan.patch import plan_patch, plan_unpatch
from vmnet.service.base import complain, opened
from vmnet.service.views import asked

if TYPE_CHECKING:
    from vmnet.peers.ovs import Ovsdb


def patch(
    wish: PatchWish,
    *,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    supposed: Mapping[str, Link] | None = None,
) -> Plan:
    """Join two bridges, or a bridge and a network namespace, or mend what joins them.

    Args:
        wish: what is to be joined.
        dry_run: plan only.
        wait: how long to wait for each lock, in seconds.
        supposed: for a dry run, bridges that will be there by then, by name.

    Raises:
        InvalidInput: a part of the wish can never be.
        NotFound: there is no such bridge, process, name or container.
        Conflict: a name is taken, or a loop would come to be.
    """
    check_patch(wish)
    with _changing(wish, wait=wait, dry_run=dry_run) as at:
        plan = _planned(at, wish, supposed if dry_run else None)
        if not dry_run:
            with at.apply() as work:
                work.run(plan, partial(_verify, at, wish))
    return plan


def _planned(at: _At, wish: PatchWish, supposed: Mapping[str, Link] | None = None) -> Plan:
    view = at.view(wish)
    if supposed:
        first, second = (
            replace(seen, bridge=supposed[end.name])
            if seen.bridge is None and not end.place and end.name in supposed
            else seen
            for seen, end in zip((view.first, view.second), wish.ends, strict=True)
        )
        view = replace(view, first=first, second=second)
    return plan_patch(wish, view, host.new_generation())


def _verify(at: _At, wish: PatchWish) -> None:
    """Look again: nothing may be left to do."""
    complain(_planned(at, wish), f"patch {wish.a} {wish.b}")


def unpatch(wish: PatchWish, *, dry_run: bool = False, wait: float = WAIT_SECONDS) -> Plan:
    """Take away what joins two ends.

    Raises:
        NotFound: nothing of vmnet's does.
        Conflict: vmnet did not make it.
    """
    check_patch(wish)
    with _changing(wish, wait=wait, dry_run=dry_run, gone=True) as at:
        plan = plan_unpatch(wish, at.view(wish))
        if not dry_run:
            with at.apply() as work:
                work.run(plan)
    return plan


@dataclass(frozen=True)
class _At:
    """Where a patch is worked on.

    Attributes:
        netlink: a socket into this namespace.
        places: those of its ends that are elsewhere.
        switch: Open vSwitch; None where it has no part in it, or does not answer.
        silent: it may have a part, and does not answer.
    """

    netlink: Netlink
    places: Mapping[End, Place]
    switch: Ovsdb | None
    silent: bool

    def view(self, wish: PatchWish) -> PatchView:
        """Return what a planner needs to know."""
        names = [wish.link_name(end) for end in wish.ends if not end.place]
        theirs = None if self.switch is None else self.switch.patching(names)
        view = patch_view(self.netlink, wish, self.places, theirs)
        return replace(view, silent=self.silent)

    def apply(self) -> Apply:
        """Return what carries plans out."""
        return Apply(self.netlink, places=Places(self.places.values()), switch=self.switch)


@contextmanager
def _changing(wish: PatchWish, *, wait: float, dry_run: bool, gone: bool = False) -> Iterator[_At]:
    """Hold the lock of all patches, so that two together make no loop; and what it takes.

    Args:
        wish: the wish.
        wait: how long to wait for the lock, in seconds.
        dry_run: no lock.
        gone: a place that is not there is left out, instead of an error.
    """
    with signals.deferred(), ExitStack() as stack:
        if not dry_run:
            stack.enter_context(locked("patches", wait=wait))
        places: dict[End, Place] = {}
        for end in filter(_is_elsewhere, wish.ends):
            try:
                places[end] = stack.enter_context(opened_place(end, _path_of(end)))
            except NotFound:
                if not gone:
                    raise
        netlink = stack.enter_context(opened())
        on_linux = [_is_linux(netlink, end) for end in wish.ends if not end.place]
        switch = None
        # Two bridges of Linux may be joined already by way of one that is not.
        if not all(on_linux) or len(on_linux) == len(wish.ends):
            needed = not gone and not all(on_linux)
            switch = stack.enter_context(asked(needed=needed))
            if switch is not None:
                switch.catch_up()
        yield _At(netlink, places, switch, silent=switch is None and not all(on_linux))


def _is_linux(netlink: Netlink, end: End) -> bool:
    bridge = netlink.link(end.name)
    return bridge is not None and bridge.kind == "bridge"


def _is_elsewhere(end: End) -> bool:
    return bool(end.place)


def _path_of(end: End) -> str:
    """Return the file of a place's network namespace."""
    match end.place:
        case "pid":
            return f"/proc/{end.name}/ns/net"
        case "netns":
            return f"/run/netns/{end.name}"
        case _:
            from vmnet.peers.lxc import first_process  # noqa: PLC0415 - only for containers

            return f"/proc/{first_process(end.name)}/ns/net"
