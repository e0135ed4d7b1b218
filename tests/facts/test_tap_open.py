"""What TUNSETIFF says yes and no to."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.facts import links, processes, tun
from tests.facts.processes import refused


def attach(name: str, flags: int) -> str:
    """Open a descriptor, attach it, close it; return the name the kernel answered."""
    fd = tun.open_tun()
    try:
        return tun.set_iff(fd, name, flags)
    finally:
        os.close(fd)


@pytest.mark.parametrize("flags", [tun.TAP, tun.MANY])
def test_exclusive_open_of_a_name_in_use_is_ebusy(flags: int) -> None:
    """`CreateTap` never joins a TAP that somebody else made."""
    with tun.tap("t0", flags), refused(errno.EBUSY):
        attach("t0", flags | tun.IFF_TUN_EXCL)


def test_exclusive_open_of_an_unheld_persistent_tap_is_ebusy() -> None:
    """`CreateTap`: being there counts, not being in use."""
    tun.keep("t0")
    with refused(errno.EBUSY):
        attach("t0", tun.TAP | tun.IFF_TUN_EXCL)


def test_exclusive_open_of_another_name_of_a_link_is_ebusy() -> None:
    """`CreateTap`: an altname is a name in use."""
    tun.keep("t0")
    links.do(links.altname("t0", "other"))
    with refused(errno.EBUSY):
        attach("other", tun.TAP | tun.IFF_TUN_EXCL)


def test_second_open_of_a_single_queue_tap_is_ebusy() -> None:
    """A running VM's TAP cannot be opened by a second QEMU, nor by `DropTap`."""
    with tun.tap("t0"), refused(errno.EBUSY):
        attach("t0", tun.TAP)


def test_further_open_of_a_many_queue_tap_joins_it_without_a_word() -> None:
    """Why `CreateTap` is exclusive, and `plan_run` looks for holders first."""
    with tun.tap("t0", tun.MANY):
        assert attach("t0", tun.MANY) == "t0"


@pytest.mark.parametrize(("made", "asked"), [(tun.TAP, tun.MANY), (tun.MANY, tun.TAP)])
@pytest.mark.parametrize("held", [False, True])
def test_other_queue_mode_is_einval(made: int, asked: int, *, held: bool) -> None:
    """`queues-fixed`: the mode is chosen when the TAP is made; this shows before EBUSY does."""
    tun.keep("t0", made)
    with ExitStack() as stack:
        if held:
            stack.enter_context(tun.tap("t0", made))
        with refused(errno.EINVAL):
            attach("t0", asked)


def test_tun_for_a_tap_is_einval() -> None:
    """`_tun_refusal`: the same errno for another kind as for another queue mode."""
    tun.keep("t0")
    with refused(errno.EINVAL):
        attach("t0", tun.IFF_TUN | tun.IFF_NO_PI)


def test_tap_for_a_link_of_another_kind_is_einval() -> None:
    """`_tun_refusal`: a bridge of that name, say."""
    links.do(links.new_link("br0", "bridge"))
    with refused(errno.EINVAL):
        attach("br0", tun.TAP)


def test_257th_queue_is_e2big() -> None:
    """`Nic.queues` ends at 256."""
    with _descriptors(300), ExitStack() as stack:
        for _ in range(256):
            stack.enter_context(tun.tap("t0", tun.MANY))
        with refused(errno.E2BIG):
            stack.enter_context(tun.tap("t0", tun.MANY))


@contextmanager
def _descriptors(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(number, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_name_of_16_bytes_is_cut_to_15_without_a_word() -> None:
    """`tun_set_iff` refuses a longer name itself."""
    with tun.tap("abcdefghijklmnop"):
        assert links.names() == {"abcdefghijklmno"}


@pytest.mark.parametrize("name", ["a/b", "a b", "a\tb", "a:b", ".", "..", "a%b", "x%d%d"])
def test_name_that_no_link_can_have_is_einval(name: str) -> None:
    """`check_link_name` refuses these in words."""
    with refused(errno.EINVAL):
        attach(name, tun.TAP)


@pytest.mark.parametrize(("asked", "given"), [("x%d", "x0"), ("", "tap0")])
def test_template_or_no_name_gets_a_number(asked: str, given: str) -> None:
    """`check_link_name`: a VM's name with `%d` in it must not reach the ioctl."""
    assert attach(asked, tun.TAP) == given


def test_altname_opens_the_link_that_has_it() -> None:
    """A name given to `OpenQueues` may be an altname: the answer says which link it was."""
    tun.keep("t0")
    links.do(links.altname("t0", "a-longer-name"))
    assert attach("a-longer-name", tun.TAP) == "t0"


def test_open_of_a_name_that_is_gone_makes_a_new_link_of_another_index() -> None:
    """`Apply._open` compares the index afterwards: an open may have made what it should find."""
    tun.keep("t0")
    before = links.index("t0")
    tun.delete("t0")
    with tun.tap("t0"):
        assert links.index("t0") != before


def test_descriptor_makes_its_tap_in_the_namespace_it_was_opened_in() -> None:
    """`vmnet run` opens `/dev/net/tun` where the bridge is; what comes later cannot move it."""
    fd = tun.open_tun()
    home = processes.open_netns()
    try:
        processes.unshare_net()
        tun.set_iff(fd, "t0", tun.TAP)
        assert links.names() == set()
        processes.setns(home)
        assert links.names() == {"t0"}
    finally:
        os.close(home)
        os.close(fd)


def test_descriptor_with_a_device_takes_no_second_one() -> None:
    """A process that was handed a TAP cannot turn the descriptor to another TAP."""
    tun.keep("t1")
    with tun.tap("t0") as fd, refused(errno.EEXIST):
        tun.set_iff(fd, "t1", tun.TAP)


def test_new_tap_is_down_alone_and_does_not_persist() -> None:
    """`attach` starts from this state, and `plan_manage` finds QEMU's own TAP in it."""
    with tun.tap("t0"):
        shown = links.show("t0")
    assert "UP" not in shown["flags"]
    assert "master" not in shown
    assert shown["linkinfo"]["info_data"]["persist"] is False
    assert shown["mtu"] == 1500


def test_reopening_without_vnet_hdr_clears_it_for_the_device() -> None:
    """`_TAP_FLAGS` has IFF_VNET_HDR at every open, or QEMU would find a TAP without offloads."""
    tun.keep("t0", tun.TAP | tun.IFF_VNET_HDR)
    assert links.show("t0")["linkinfo"]["info_data"]["vnet_hdr"] is True
    assert attach("t0", tun.TAP) == "t0"
    assert links.show("t0")["linkinfo"]["info_data"]["vnet_hdr"] is False


def test_vnet_hdr_is_the_first_queue_s_choice_for_all() -> None:
    """A later queue that asks for something else is not refused, and not heard."""
    with (
        tun.tap("t0", tun.MANY | tun.IFF_VNET_HDR) as first,
        tun.tap("t0", tun.MANY) as second,
    ):
        assert tun.get_iff(first)[1] & tun.get_iff(second)[1] & tun.IFF_VNET_HDR


def test_netlink_tells_how_many_queues_are_open() -> None:
    """`_refuse_if_shared` counts them; a single-queue TAP has no such number."""
    with tun.tap("t0"), tun.tap("m0", tun.MANY), tun.tap("m0", tun.MANY) as second:
        tun.detach_queue(second)
        many = links.show("m0")["linkinfo"]["info_data"]
        one = links.show("t0")["linkinfo"]["info_data"]
    assert (many["numqueues"], many["numdisabled"]) == (1, 1)
    assert "numqueues" not in one
