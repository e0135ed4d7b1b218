"""What happens to messages that travel together, and to attributes that share a message."""

from __future__ import annotations

import errno
import os
import signal
import socket

import pytest

from tests.facts import links, tun
from tests.facts.links import IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_MASTER, IFLA_MTU, attr
from tests.facts.processes import refused

MANY = 2000


def test_messages_of_one_sendmsg_are_carried_out_in_their_order() -> None:
    """`Netlink.send`: neighbours travel together."""
    tun.keep("t0")
    links.do(
        links.set_link("t0", attr(IFLA_IFALIAS, "first")),
        links.set_link("t0", attr(IFLA_IFALIAS, "second"), up=True),
    )
    assert links.alias("t0") == "second"
    assert "UP" in links.show("t0")["flags"]


def test_refused_message_does_not_stop_those_after_it() -> None:
    """`Apply._do`: the undo has to cover the messages after the refused one as well."""
    tun.keep("t0")
    answers = links.send(
        [
            links.set_link("t0", attr(IFLA_IFALIAS, "first")),
            links.set_link("t0", attr(IFLA_MTU, 1)),
            links.request(links.RTM_SETLINK, index=9999, up=True),
            links.set_link("t0", attr(IFLA_IFALIAS, "last")),
        ]
    )
    assert answers == [0, errno.EINVAL, errno.ENODEV, 0]
    assert links.alias("t0") == "last"


def test_answers_are_there_when_sendmsg_returns() -> None:
    """`Netlink.send` waits for nothing: the work is done in the caller's own system call."""
    tun.keep("t0")
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(links.set_link("t0", attr(IFLA_IFALIAS, "tag")))
        assert sock.recv(4096, socket.MSG_DONTWAIT)


def test_all_messages_of_one_sendmsg_are_carried_out_though_the_sender_is_killed() -> None:
    """`Netlink.send`: SIGKILL cannot part tag, names and bridge of a TAP.

    A timer kills the sender in the midst of a batch that takes some ten milliseconds (a signal that
    ends the process is a SIGKILL to the kernel). Come too early or too late, it is tried again;
    part of the batch is never allowed.
    """
    tun.keep("t0")
    batch = [links.set_link("t0", attr(IFLA_MTU, 1000 + number)) for number in range(MANY)]
    batch.append(links.set_link("t0", attr(IFLA_IFALIAS, "last")))
    for _ in range(20):
        status = _send_and_be_killed(b"".join(batch))
        begun = links.show("t0")["mtu"] != 1500
        assert begun == (links.alias("t0") == "last")
        if begun and os.WIFSIGNALED(status):
            return
        links.do(links.set_link("t0", attr(IFLA_MTU, 1500), attr(IFLA_IFALIAS, b"")))
    pytest.fail("never killed in the midst of the batch")


def _send_and_be_killed(batch: bytes) -> int:
    """Send from a child whose time is up after a millisecond; return its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has a handler
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            sock.send(batch)
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("kind", [links.RTM_SETLINK, links.RTM_NEWLINK])
def test_alias_and_up_in_one_message_both_apply(kind: int) -> None:
    """An alias written together with flags is not lost."""
    tun.keep("t0")
    links.do(links.request(kind, attr(IFLA_IFALIAS, "tag"), index=links.index("t0"), up=True))
    assert links.alias("t0") == "tag"
    assert "UP" in links.show("t0")["flags"]


def test_message_refused_halfway_leaves_its_first_half_done() -> None:
    """Steps are one attribute each: one message with all of them could not be undone as one."""
    tun.keep("t0")
    with refused(errno.EINVAL):
        links.do(links.set_link("t0", attr(IFLA_IFALIAS, "tag"), attr(IFLA_MASTER, 9999)))
    assert links.alias("t0") == "tag"


def test_alias_in_the_message_that_makes_a_link_is_ignored_without_a_word() -> None:
    """A bridge cannot be born with its tag: `is_leftover` has to know one that was cut short."""
    links.do(links.new_link("br0", "bridge", attr(IFLA_IFALIAS, "tag")))
    assert links.alias("br0") == ""


def test_altname_in_the_message_that_makes_a_link_is_ignored_without_a_word() -> None:
    """As with the alias."""
    other = links.nest(links.IFLA_PROP_LIST, attr(links.IFLA_ALT_IFNAME, "other"))
    links.do(links.new_link("br0", "bridge", other))
    assert links.altnames("br0") == []


def test_addrgenmode_in_the_message_that_makes_a_link_never_takes() -> None:
    """`QuietIpv6` is a step of its own: a link has no IPv6 side before it is there.

    Linux 6.18 refuses the whole message; a kernel that does not is allowed to ignore the attribute.
    """
    (answer,) = links.send([links.new_link("br0", "bridge", links.no_ipv6_address())])
    if answer:
        assert answer == errno.EAFNOSUPPORT
        assert links.names() == set()
    else:
        assert links.show("br0")["inet6_addr_gen_mode"] != "none"


def test_address_in_the_message_that_makes_a_link_applies() -> None:
    """`CreateBridge` gives the bridge its address so; by it a leftover is known."""
    links.do(links.new_link("br0", "bridge", attr(IFLA_ADDRESS, bytes.fromhex("020000000001"))))
    assert links.show("br0")["address"] == "02:00:00:00:00:01"


def test_later_message_may_name_the_link_that_an_earlier_one_makes() -> None:
    """Making a bridge, tagging it and bringing it up can be one sendmsg, safe from SIGKILL.

    They must use the name then: its index is not known yet.
    """
    tag = links.request(
        links.RTM_SETLINK, attr(IFLA_IFNAME, "br0"), attr(IFLA_IFALIAS, "tag"), up=True
    )
    links.do(links.new_link("br0", "bridge"), tag)
    assert links.alias("br0") == "tag"


def test_message_after_a_refused_creation_hits_the_link_that_was_there() -> None:
    """Why vmnet does not do that: by name, the steps would happen to somebody else's bridge."""
    links.do(links.new_link("br0", "bridge"))
    tag = links.request(links.RTM_SETLINK, attr(IFLA_IFNAME, "br0"), attr(IFLA_IFALIAS, "tag"))
    assert links.send([links.new_link("br0", "bridge"), tag]) == [errno.EEXIST, 0]
    assert links.alias("br0") == "tag"


def test_message_to_an_index_that_is_gone_is_enodev_though_the_name_is_back() -> None:
    """`Ref.index`: a step cannot hit another link that got the name meanwhile."""
    tun.keep("t0")
    stale = links.set_link("t0", attr(IFLA_IFALIAS, "tag"))
    tun.delete("t0")
    tun.keep("t0")
    assert links.send([stale]) == [errno.ENODEV]
    assert links.alias("t0") == ""


def test_tap_cannot_be_made_over_rtnetlink() -> None:
    """`CreateTap` is an ioctl; there is no message for it."""
    with refused(errno.EOPNOTSUPP):
        links.do(links.new_link("t0", "tun"))
