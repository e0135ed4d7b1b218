"""Clearing up after patches: pairs whose making was cut short, ports whose links are gone.

Job: the part of `vmnet gc` that is about patches.
Leaves to others: the rest (`vmnet.service.leftovers`); mending what is broken (`vmnet patch`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmnet.kernel.links import Netlink
from vmnet.model.host import Link
from vmnet.model.patch import PREFIX, parse_patch
from vmnet.model.step import DeleteLink, Move, Plan, Ref
from vmnet.model.words import describe
from vmnet.plan.gc import Fate
from vmnet.plan.ovspatch import stray_patch_ports
from vmnet.plan.patch import is_unfinished
from vmnet.service.base import carry_out, locked_for
from vmnet.service.views import asked, ports_here


def collect_patches(netlink: Netlink, *, dry_run: bool) -> list[Fate]:
    """Take away what patches have left.

    Raises:
        Busy: somebody works on a patch.
        VmnetError: something could not be taken away.
    """
    if not any(True for _ in _leftovers(netlink)):
        return []
    with locked_for("patches", wait=0, dry_run=dry_run):
        fates = list(_leftovers(netlink))
        if not dry_run:
            with asked() as switch:
                for fate in fates:
                    carry_out(netlink, fate.plan, switch=switch)
    return fates


def _leftovers(netlink: Netlink) -> Iterator[Fate]:
    seen: set[str] = set()
    for link in netlink.links(PREFIX.encode()):
        pair = link.name[:-1]
        if is_unfinished(link) and pair not in seen:  # with one link goes the other
            seen.add(pair)
            yield _removed(link.name, "its making was cut short", _deletion(link))
    for move in _ports(netlink):
        yield _removed(getattr(move.do, "name", ""), f"its link is gone: {describe(move.do)}", move)


def _ports(netlink: Netlink) -> list[Move]:
    with asked() as switch:
        if switch is None:
            return []
        switch.catch_up()
        alive = {link.alias for link in netlink.links(b"vmnet/1 patch ") if parse_patch(link.alias)}
        return list(stray_patch_ports(ports_here(netlink, switch), alive))


def _deletion(link: Link) -> Move:
    return Move(DeleteLink(Ref(link.name, link.index)))


def _removed(name: str, why: str, move: Move) -> Fate:
    return Fate(name, "", 0, "remove", why, Plan((move,)))
