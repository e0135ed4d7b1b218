"""Names, other names and aliases of links (net/core/dev.c, rtnetlink.c)."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.facts import links, processes, tun
from tests.facts.links import IFLA_ALT_IFNAME, IFLA_IFALIAS, IFLA_IFNAME, attr
from tests.facts.processes import refused

NOBODY = 65534


def set_alias(link: str, text: str | bytes) -> None:
    links.do(links.set_link(link, attr(IFLA_IFALIAS, text)))


def test_alias_of_255_bytes_is_kept() -> None:
    """The tag may have 255 bytes."""
    tun.keep("t0")
    set_alias("t0", b"a" * 255)
    assert links.alias("t0") == "a" * 255


@pytest.mark.parametrize("text", [b"a" * 256, b"a" * 255 + b"\0"])
def test_alias_of_256_bytes_is_erange_and_the_old_one_stays(text: bytes) -> None:
    """A NUL at the end counts: a tag has 255 bytes without it, or 254 from a tool that adds one."""
    tun.keep("t0")
    set_alias("t0", b"before")
    with refused(errno.ERANGE):
        set_alias("t0", text)
    assert links.alias("t0") == "before"


def test_empty_alias_removes_it() -> None:
    """`plan_unmanage` takes the tag off so."""
    tun.keep("t0")
    set_alias("t0", b"tag")
    set_alias("t0", b"")
    assert IFLA_IFALIAS not in links.look("t0")


def test_alias_may_be_any_bytes() -> None:
    """`parse_tag` takes what is there: not UTF-8, several lines, control characters."""
    tun.keep("t0")
    set_alias("t0", b"\xff\n\x1b[31m")
    assert links.look("t0")[IFLA_IFALIAS] == b"\xff\n\x1b[31m\0"


def test_two_links_may_have_one_alias() -> None:
    """A tag is no lock: uniqueness comes from names."""
    tun.keep("t0")
    tun.keep("t1")
    set_alias("t0", "same")
    set_alias("t1", "same")
    assert links.alias("t0") == links.alias("t1") == "same"


@pytest.mark.parametrize("owner", [None, NOBODY])
def test_alias_and_altnames_are_not_for_users_not_even_for_the_tap_s_owner(
    owner: int | None,
) -> None:
    """A tag is what root wrote: a TAP's user cannot make it look like another VM's."""

    def write() -> list[int]:
        processes.become(NOBODY)
        return links.send(
            [links.set_link("t0", attr(IFLA_IFALIAS, "tag")), links.altname("t0", "other")]
        )

    tun.keep("t0", owner=owner)
    assert processes.in_child(write) == [errno.EPERM, errno.EPERM]


def test_altname_of_127_bytes_is_kept() -> None:
    """`ALT_NAME_MAX`."""
    tun.keep("t0")
    links.do(links.altname("t0", "a" * 127))
    assert links.altnames("t0") == [b"a" * 127]


def test_altname_of_128_bytes_is_erange() -> None:
    """`ALT_NAME_MAX`."""
    tun.keep("t0")
    with refused(errno.ERANGE):
        links.do(links.altname("t0", "a" * 128))


@pytest.mark.parametrize(
    "name", [b"a b", b"a/b", b"a:b", b"%d", b".", b"..", b"", b"7", b"\xff", b"\n", "é".encode()]
)
def test_altname_may_be_any_bytes(name: bytes) -> None:
    """The rules of link names do not hold: `encode` keeps vmnet's own ones tame."""
    tun.keep("t0")
    links.do(links.altname("t0", name))
    assert links.altnames("t0") == [name]


@pytest.mark.parametrize("taken", ["other", "t1", "t0"])
def test_altname_is_unique_among_all_names_of_the_namespace(taken: str) -> None:
    """`mac_alt_name` is the lock against one MAC twice: EEXIST, be it an altname or a name."""
    tun.keep("t0")
    tun.keep("t1")
    links.do(links.altname("t1", "other"))
    with refused(errno.EEXIST):
        links.do(links.altname("t0", taken))


def test_altname_that_the_link_has_already_is_eexist() -> None:
    """Adding one twice is no success: `_adjust` adds what is missing only."""
    tun.keep("t0")
    links.do(links.altname("t0", "other"))
    with refused(errno.EEXIST):
        links.do(links.altname("t0", "other"))


def test_altname_that_the_link_does_not_have_cannot_be_taken_from_it() -> None:
    """`DropAltname`: nothing of the sort is ENOENT, another link's is EINVAL."""
    tun.keep("t0")
    tun.keep("t1")
    links.do(links.altname("t1", "other"))
    assert links.send(
        [links.altname("t0", name, add=False) for name in ("nothing", "other", "t0")]
    ) == [errno.ENOENT, errno.EINVAL, errno.EINVAL]


def test_altname_of_a_deleted_link_is_free() -> None:
    """The MAC's lock goes with the TAP, however that goes."""
    with tun.tap("t0"):
        links.do(links.altname("t0", "other"))
    tun.keep("t1")
    links.do(links.altname("t1", "other"))


def test_altname_takes_the_name_from_new_links() -> None:
    """Somebody's altname may be what vmnet wants to call a bridge: `bridge-foreign`."""
    tun.keep("t0")
    links.do(links.altname("t0", "br0"))
    with refused(errno.EEXIST):
        links.do(links.new_link("br0", "bridge"))


def test_no_link_can_be_renamed_to_an_altname() -> None:
    """`vmnet-mac-...` stays what it is."""
    tun.keep("t0")
    tun.keep("t1")
    links.do(links.altname("t0", "other"))
    with refused(errno.EEXIST):
        links.do(links.set_link("t1", attr(IFLA_IFNAME, "other")))


def test_altnames_are_told_apart_by_case() -> None:
    """A MAC in an altname is lower case always, or the lock would have a hole."""
    tun.keep("t0")
    tun.keep("t1")
    links.do(links.altname("t0", "vmnet-mac-aa"), links.altname("t1", "vmnet-mac-AA"))


def test_rename_keeps_altnames_and_frees_the_old_name() -> None:
    """A TAP that udev or a person renamed is found by its altname."""
    tun.keep("t0")
    links.do(links.altname("t0", "other"))
    links.do(links.set_link("t0", attr(IFLA_IFNAME, "t1")))
    assert links.by_name("other", IFLA_ALT_IFNAME) == "t1"
    tun.keep("t0")
    assert links.names() == {"t0", "t1"}


@pytest.mark.parametrize("attribute", [IFLA_IFNAME, IFLA_ALT_IFNAME])
@pytest.mark.parametrize("asked", ["t0", "other"])
def test_name_and_altname_find_the_link_in_either_attribute(attribute: int, asked: str) -> None:
    """`Netlink.link("x")` may return a link that is not called x but has it as an altname."""
    tun.keep("t0")
    links.do(links.altname("t0", "other"))
    assert links.by_name(asked, attribute) == "t0"


def test_name_over_15_bytes_is_found_as_altname_only() -> None:
    """`link_by_altname` asks with IFLA_ALT_IFNAME; IFLA_IFNAME would be ERANGE."""
    tun.keep("t0")
    links.do(links.altname("t0", "a-name-of-many-bytes"))
    assert links.by_name("a-name-of-many-bytes", IFLA_ALT_IFNAME) == "t0"
    with refused(errno.ERANGE):
        links.by_name("a-name-of-many-bytes", IFLA_IFNAME)


def test_index_is_found_by_altname_too() -> None:
    """`Apply._index` and `if_nametoindex(3)`."""
    tun.keep("t0")
    links.do(links.altname("t0", "other"))
    assert socket.if_nametoindex("other") == socket.if_nametoindex("t0")
