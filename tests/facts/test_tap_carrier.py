"""A TAP's carrier, and the counter that tells whether anybody opened it since.

gc removes a kept TAP which was idle for long. It knows by IFLA_CARRIER_UP_COUNT in the tag.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.facts import links, tun


def test_kept_tap_has_no_carrier_when_unheld_and_one_while_held() -> None:
    """`Link.carrier` stands for "a process has it open", admin up or down."""
    tun.keep("t0")
    assert not links.carrier("t0")
    with tun.tap("t0"):
        assert links.carrier("t0")
    assert not links.carrier("t0")


@pytest.mark.parametrize("up", [False, True])
def test_every_open_and_close_is_counted_however_quick_and_whether_up_or_down(*, up: bool) -> None:
    """gc: linkwatch merges what it tells others, but the counters move with the bit itself."""
    tun.keep("t0")
    links.do(links.set_link("t0", up=up))
    for _ in range(50):
        with tun.tap("t0"):
            pass
    # The open that made it did not count as up: a new link is born with a carrier.
    assert (links.ups("t0"), links.downs("t0")) == (50, 51)


def test_new_tap_starts_counting_ups_at_zero() -> None:
    """`_new_tag` writes 0 without looking."""
    tun.keep("t0")
    assert links.ups("t0") == 0


def test_ip_shows_the_sum_of_ups_and_downs() -> None:
    """The docs tell operators to look with `ip -s -s link`."""
    tun.keep("t0")
    with tun.tap("t0"):
        pass
    shown = links.show("t0")["stats64"]["tx"]["carrier_changes"]
    assert shown == links.number("t0", links.IFLA_CARRIER_CHANGES) == 3


def test_only_the_first_queue_and_the_last_are_counted() -> None:
    """A queue that `DropTap` opens on a TAP in use does not show in the counter."""
    tun.keep("t0", tun.MANY)
    with tun.tap("t0", tun.MANY):
        with tun.tap("t0", tun.MANY):
            assert links.ups("t0") == 1
        assert links.carrier("t0")
    assert (links.ups("t0"), links.downs("t0")) == (1, 2)


def test_detached_queue_leaves_the_carrier_on() -> None:
    """A guest that is between two drivers holds its TAP all the same."""
    with tun.tap("t0", tun.MANY) as fd:
        tun.detach_queue(fd)
        assert links.carrier("t0")


def test_up_and_down_and_master_are_not_counted() -> None:
    """What vmnet does to a link itself does not look like use."""
    tun.keep("t0")
    links.do(links.new_link("br0", "bridge"))
    master = links.attr(links.IFLA_MASTER, links.index("br0"))
    links.do(links.set_link("t0", master, up=True), links.set_link("t0", up=False))
    assert (links.ups("t0"), links.downs("t0")) == (0, 1)


def test_refused_open_is_not_counted() -> None:
    """Trying the wrong queue mode does not look like use."""
    tun.keep("t0")
    with pytest.raises(OSError, match="Invalid"), tun.tap("t0", tun.MANY):
        pass
    assert links.ups("t0") == 0


def test_holder_may_have_the_carrier_off() -> None:
    """No carrier is no proof that a TAP is free: holders are looked up, and DropTap is EBUSY."""
    tun.keep("t0")
    with tun.tap("t0") as fd:
        tun.set_carrier(fd, on=False)
        assert not links.carrier("t0")
        tun.set_carrier(fd, on=True)
        assert links.ups("t0") == 2


def test_operator_may_take_the_carrier_of_a_held_tap() -> None:
    """As before, by `ip link set dev t0 carrier off`."""
    tun.keep("t0")
    with tun.tap("t0"):
        links.ip("link", "set", "dev", "t0", "carrier", "off")
        assert not links.carrier("t0")


def test_carrier_of_an_unheld_tap_cannot_be_switched_on() -> None:
    """A carrier is proof that a TAP is held."""
    tun.keep("t0")
    with pytest.raises(subprocess.CalledProcessError):
        links.ip("link", "set", "dev", "t0", "carrier", "on")
    assert not links.carrier("t0")


def test_open_with_no_carrier_is_not_counted() -> None:
    """The counter's blind spot: such a holder leaves no trace (no QEMU up to 10 opens so).

    A kernel that does not know the flag ignores it, and counts.
    """
    tun.keep("t0")
    with tun.tap("t0", tun.TAP | tun.IFF_NO_CARRIER) as fd:
        known = bool(tun.features(fd) & tun.IFF_NO_CARRIER)
        assert links.carrier("t0") != known
    assert links.ups("t0") == int(not known)
