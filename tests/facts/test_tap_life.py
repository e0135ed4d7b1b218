"""When a TAP goes, and what it keeps while nobody holds it."""

from __future__ import annotations

import errno
import os

import pytest

from tests.facts import links, processes, tun
from tests.facts.links import IFLA_ADDRESS, IFLA_IFALIAS, IFLA_MASTER, IFLA_MTU, attr
from tests.facts.processes import child, in_child, kill, refused

NOBODY = 65534


def hold(name: str, flags: int = tun.TAP) -> int:
    """Open a TAP for good and return the descriptor."""
    fd = tun.open_tun()
    tun.set_iff(fd, name, flags)
    return fd


def test_tap_goes_with_its_last_descriptor() -> None:
    """The undo of `CreateTap`, and the end of a `vmnet run`: closing is enough."""
    with tun.tap("t0"):
        assert links.names() == {"t0"}
    assert links.names() == set()


def test_tap_goes_when_its_process_is_killed() -> None:
    """An attach that is killed before `Persist` leaves no TAP; no polling: reaped means gone."""
    with child(lambda: hold("t0")) as (pid, _):
        assert links.names() == {"t0"}
        kill(pid)
        assert links.names() == set()


def test_tap_stays_while_a_child_has_its_descriptor() -> None:
    """`vmnet run` may become QEMU by fork or exec; a daemon begun by a script keeps the TAP too."""
    fd = hold("t0")
    with child(lambda: None) as (pid, _):
        os.close(fd)
        assert links.names() == {"t0"}
        kill(pid)
    assert links.names() == set()


def test_persist_as_the_last_call_keeps_the_tap_of_a_killed_process() -> None:
    """`Persist` is the commit of an attach."""

    def make() -> None:
        tun.persist(hold("t0"))

    in_child(make)
    assert links.names() == {"t0"}


def test_persist_taken_back_before_closing_leaves_nothing() -> None:
    """The undo after `Persist`."""
    with tun.tap("t0") as fd:
        tun.persist(fd)
        tun.persist(fd, on=False)
    assert links.names() == set()


@pytest.mark.parametrize("flags", [tun.TAP, tun.MANY])
def test_unheld_tap_goes_when_opened_unpersisted_and_closed(flags: int) -> None:
    """`DropTap`."""
    tun.keep("t0", flags)
    tun.delete("t0", flags)
    assert links.names() == set()


def test_held_single_queue_tap_cannot_even_be_opened_to_be_dropped() -> None:
    """`DropTap` never takes a TAP from a running VM."""
    tun.keep("t0")
    with tun.tap("t0"), refused(errno.EBUSY):
        tun.delete("t0")
    assert links.show("t0")["linkinfo"]["info_data"]["persist"] is True


def test_many_queue_tap_that_is_dropped_under_a_holder_lives_as_long_as_the_holder() -> None:
    """`DropTap` that loses the race with a starting QEMU: the VM keeps its network.

    But the TAP is not persistent any more, so `_refuse_if_shared` looks before.
    """
    tun.keep("t0", tun.MANY)
    with child(lambda: hold("t0", tun.MANY)) as (pid, _):
        tun.delete("t0", tun.MANY)
        assert links.names() == {"t0"}
        assert links.carrier("t0")
        assert links.show("t0")["linkinfo"]["info_data"]["persist"] is False
        kill(pid)
        assert links.names() == set()


def test_detached_queue_holds_a_tap_like_any_other() -> None:
    """A guest that uses fewer queues than it has does not lose the TAP."""
    tun.keep("t0", tun.MANY)
    with tun.tap("t0", tun.MANY) as fd:
        tun.detach_queue(fd)
        tun.delete("t0", tun.MANY)
        assert links.names() == {"t0"}
    assert links.names() == set()


def test_rtnetlink_deletes_a_tap_under_its_holder_who_gets_ebadfd() -> None:
    """`detach --force` uses `DeleteLink`, and says what breaks."""
    with tun.tap("t0") as fd:
        links.do(links.request(links.RTM_DELLINK, index=links.index("t0")))
        assert links.names() == set()
        with refused(errno.EBADFD):
            tun.get_iff(fd)


def test_unheld_tap_keeps_all_that_was_set_on_it() -> None:
    """`attach` configures once; the QEMU that opens the TAP later changes nothing of it."""
    links.do(links.new_link("br0", "bridge"))
    tun.keep("t0", owner=NOBODY)
    master = attr(IFLA_MASTER, links.index("br0"))
    mac = attr(IFLA_ADDRESS, bytes.fromhex("fe0000000001"))
    links.do(
        links.set_link("t0", links.no_ipv6_address()),
        links.set_link("t0", mac, attr(IFLA_MTU, 1400), master, attr(IFLA_IFALIAS, "tag"), up=True),
        links.altname("t0", "another-name"),
    )
    before = links.show("t0")
    assert attached_and_closed("t0")
    after = links.show("t0")
    assert after["linkinfo"]["info_data"]["user"] == "nobody"
    assert (after["address"], after["mtu"], after["master"]) == ("fe:00:00:00:00:01", 1400, "br0")
    assert (after["ifalias"], after["altnames"]) == ("tag", ["another-name"])
    assert after["inet6_addr_gen_mode"] == "none"
    # Nothing but the counter of its carrier moved.
    assert after | {"stats64": None} == before | {"stats64": None}


def attached_and_closed(name: str) -> bool:
    """Open a TAP as QEMU does and close it again; say whether it had a carrier meanwhile."""
    with tun.tap(name):
        return links.carrier(name)


def test_tap_keeps_its_index_when_opened_closed_and_renamed() -> None:
    """Steps go by index."""
    tun.keep("t0")
    before = links.index("t0")
    assert attached_and_closed("t0")
    links.do(links.set_link("t0", attr(links.IFLA_IFNAME, "t1")))
    assert links.index("t1") == before


def test_process_without_privilege_that_was_handed_a_tap_may_persist_it() -> None:
    """A TAP of `vmnet run` may outlive its QEMU, if that one wants: gc looks for such, too."""

    def persist() -> None:
        processes.become(NOBODY)
        tun.persist(fd)

    with tun.tap("t0") as fd:
        in_child(persist)
    assert links.names() == {"t0"}


def test_process_without_privilege_that_was_handed_a_tap_may_change_its_mac() -> None:
    """The TAP's address is no proof of anything: the tag is, which the descriptor cannot reach."""

    def set_mac() -> None:
        processes.become(NOBODY)
        tun.set_mac(fd, "t0", bytes.fromhex("020000000042"))

    with tun.tap("t0") as fd:
        in_child(set_mac)
        assert links.show("t0")["address"] == "02:00:00:00:00:42"
