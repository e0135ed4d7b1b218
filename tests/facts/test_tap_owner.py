"""Who may attach to a TAP (drivers/net/tun.c, tun_not_capable).

The descriptor of `/dev/net/tun` is opened before the uid changes: its mode is the distribution's
choice, and TUNSETIFF looks at who calls.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from tests.facts import links, processes, tun
from tests.facts.processes import refused

OWNER, OTHER = 65534, 65533


def as_uid(uid: int, work: Callable[[int], object]) -> None:
    """Do `work` with a fresh descriptor of `/dev/net/tun` as a user without capabilities."""
    fd = tun.open_tun()

    def become_and_work() -> None:
        processes.become(uid)
        work(fd)

    try:
        processes.in_child(become_and_work)
    finally:
        os.close(fd)


def attach(fd: int) -> str:
    return tun.set_iff(fd, "t0", tun.TAP)


def test_owner_attaches_without_capabilities() -> None:
    """`SetOwner`: a QEMU of that user opens the TAP by its name."""
    tun.keep("t0", owner=OWNER)
    as_uid(OWNER, attach)


def test_anybody_else_is_eperm() -> None:
    """`SetOwner` keeps other users out."""
    tun.keep("t0", owner=OWNER)
    with refused(errno.EPERM):
        as_uid(OTHER, attach)


@pytest.mark.parametrize("uid", [OWNER, OTHER])
def test_tap_without_owner_is_open_to_any_user(uid: int) -> None:
    """Why vmnet never makes a kept TAP without an owner: `/dev/net/tun` is 0666 on most hosts."""
    tun.keep("t0")
    as_uid(uid, attach)


def test_tap_of_root_is_closed_to_users() -> None:
    """Uid 0 is an owner like any other."""
    tun.keep("t0", owner=0)
    with refused(errno.EPERM):
        as_uid(OTHER, attach)


def test_making_a_tap_without_capabilities_is_eperm() -> None:
    """`not-permitted`: attaching to a TAP that is not there is making one."""
    with refused(errno.EPERM):
        as_uid(OWNER, attach)


def test_owner_may_delete_the_tap() -> None:
    """`detach` may find the TAP gone: its user was allowed to do that."""

    def drop(fd: int) -> None:
        attach(fd)
        tun.persist(fd, on=False)

    tun.keep("t0", owner=OWNER)
    as_uid(OWNER, drop)
    assert links.names() == set()


def test_owner_may_give_the_tap_away() -> None:
    """`attach` sets the owner anew if it finds another."""

    def give(fd: int) -> None:
        attach(fd)
        tun.set_owner(fd, OTHER)

    tun.keep("t0", owner=OWNER)
    as_uid(OWNER, give)
    with refused(errno.EPERM):
        as_uid(OWNER, attach)
    as_uid(OTHER, attach)


def test_owner_is_changed_while_a_process_holds_the_tap_and_that_one_goes_on() -> None:
    """`SetOwner` on a many-queue TAP in use concerns the next open only."""
    tun.keep("t0", tun.MANY, owner=OWNER)
    with tun.tap("t0", tun.MANY) as held, tun.tap("t0", tun.MANY) as fd:
        tun.set_owner(fd, OTHER)
        assert tun.get_iff(held)[0] == "t0"
    assert links.show("t0")["linkinfo"]["info_data"]["user"] == OTHER
