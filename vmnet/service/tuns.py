"""TUNs, for the user's own programs.

Job: `vmnet tun create` and `delete`; opening one.
Leaves to others: what may be done (`vmnet.plan.tun`), showing them (`vmnet.look`).
Privilege: CAP_NET_ADMIN in the network namespace; `open_tun`: the TUN's owner.
"""

from __future__ import annotations

import os
from functools import partial

from vmnet.errors import Conflict, NotFound
from vmnet.kernel import host
from vmnet.kernel.apply import Apply
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.tuns import Tun as Tun  # noqa: PLC0414 - what `open_tun` returns
from vmnet.kernel.tuns import open_existing, tun_view
from vmnet.model.host import Link
from vmnet.model.names import check_link_name
from vmnet.model.step import Plan
from vmnet.model.tun import TunWish, check_tun
from vmnet.plan.tun import plan_tun_create, plan_tun_delete
from vmnet.service.base import carry_out, changing, complain, opened


def create_tun(wish: TunWish, *, dry_run: bool = False, wait: float = WAIT_SECONDS) -> Plan:
    """Make a TUN that stays, or make one as wished that vmnet made before.

    Args:
        wish: what it is to be; a new one is this process's user's if no owner is named.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.

    Raises:
        InvalidInput: a part of the wish can never be.
        Conflict: its name, an address or a route is somebody else's.
        Busy: it is open, and its owner is to be another.
    """
    check_tun(wish)
    with changing(f"tun:{wish.name}", wait=wait, dry_run=dry_run) as netlink:
        plan = _planned(netlink, wish)
        if not dry_run:
            carry_out(netlink, plan, partial(_verify, netlink, wish))
    return plan


def _planned(netlink: Netlink, wish: TunWish, *, keep: bool = True) -> Plan:
    view = tun_view(netlink, wish.name)
    owner = os.getuid() if wish.owner is None else wish.owner
    generation = host.new_generation()
    return plan_tun_create(wish, view, owner=owner, generation=generation, keep=keep)


def _verify(netlink: Netlink, wish: TunWish) -> None:
    """Look again: nothing may be left to do."""
    complain(_planned(netlink, wish), f"tun {wish.name!r}")


def delete_tun(
    name: str, *, force: bool = False, dry_run: bool = False, wait: float = WAIT_SECONDS
) -> Plan:
    """Take away a TUN that vmnet made.

    Args:
        name: its name.
        force: also from a program that has it open.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.

    Raises:
        NotFound: there is none.
        Conflict: vmnet did not make it.
        Busy: a program has it open, and `force` is not given.
    """
    check_link_name(name, "TUN")
    with changing(f"tun:{name}", wait=wait, dry_run=dry_run) as netlink:
        plan = plan_tun_delete(name, tun_view(netlink, name, holders=True), force=force)
        if not dry_run:
            carry_out(netlink, plan)
    return plan


def open_tun(name: str) -> Tun:
    """Open a TUN that is there, whoever made it, to read and write its packets.

    Raises:
        NotFound: there is no such link.
        Conflict: it is no TUN.
        Busy: another process has it open.
        NotPermitted: this user is not its owner.
    """
    check_link_name(name, "TUN")
    with opened() as netlink:
        link = netlink.link(name)
    return open_existing(_checked(name, link))


def _checked(name: str, link: Link | None) -> Link:
    if link is None:
        raise NotFound(
            f"no tun {name!r} here",
            code="tun-missing",
            remedy=f"`vmnet tun create {name}` makes one; `vmnet tun list` shows them",
        )
    if link.tun is None or link.tun.tap:
        raise Conflict(
            f"link {name!r} is no TUN but {'a TAP' if link.tun else link.kind or 'hardware'}",
            code="not-a-tun",
            remedy="`vmnet tun list` shows TUNs",
        )
    return link


def make_tun(wish: TunWish, *, wait: float = WAIT_SECONDS) -> Tun:
    """Make a TUN that goes when it is closed, and hold it.

    Raises:
        As `create_tun`; Conflict also if a link has its name.
    """
    check_tun(wish)
    with changing(f"tun:{wish.name}", wait=wait, dry_run=False) as netlink, Apply(netlink) as work:
        there = netlink.link(wish.name)
        if there is not None:
            raise Conflict(
                f"a link {wish.name!r} is there already",
                code="tun-foreign",
                remedy="choose another name; `open_tun` opens one that is kept",
            )
        work.run(_planned(netlink, wish, keep=False))
        work.leave()
        (fd,) = work.take(wish.name)
    return Tun(fd, wish.name)
