"""Why vmnet does not delete a group of links at once: what that takes along.

net/core/rtnetlink.c, rtnl_group_dellink: RTM_DELLINK with IFLA_GROUP and no link.
"""

from __future__ import annotations

import errno
import os

import pytest

from tests.facts import links, tun
from tests.facts.links import RTM_DELLINK, attr, new_link, request, send, set_link

_IFLA_GROUP = 27
_GROUP = 0x7ABC1234


def _join(link: str) -> list[int]:
    return send([set_link(link, attr(_IFLA_GROUP, _GROUP))])


def _delete_group() -> list[int]:
    return send([request(RTM_DELLINK, attr(_IFLA_GROUP, _GROUP))])


def test_a_link_that_comes_into_the_group_after_a_look_at_it_goes_too() -> None:
    """Nothing in the message says which members were meant: the window cannot be closed."""
    tun.keep("t0")
    assert _join("t0") == [0]
    assert send([new_link("foreign", "bridge")]) == [0]
    assert _join("foreign") == [0]
    assert _delete_group() == [0]
    assert links.names() == set()


def test_a_tap_goes_from_under_a_process_that_opened_it_after_a_look() -> None:
    """Holding a queue of it oneself keeps nobody from a TAP with many."""
    tun.keep("t0", tun.MANY)
    with tun.tap("t0", tun.MANY):
        assert _join("t0") == [0]
        with tun.tap("t0", tun.MANY) as qemu:
            assert _delete_group() == [0]
            assert links.names() == set()
            with pytest.raises(OSError, match=os.strerror(errno.EBADFD)):
                os.read(qemu, 2000)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_without_persistence_it_stays_for_who_opened_it_meanwhile(*, late: bool) -> None:
    """Before or after persistence was taken; so vmnet may wait with the close, and close many."""
    tun.keep("t0", tun.MANY)
    mine = tun.open_tun()
    tun.set_iff(mine, "t0", tun.MANY)
    if late:
        tun.persist(mine, on=False)
    with tun.tap("t0", tun.MANY):
        if not late:
            tun.persist(mine, on=False)
        os.close(mine)
        assert links.names() == {"t0"}
    assert links.names() == set()
