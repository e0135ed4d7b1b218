"""Finding out who holds a TAP."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from tests.facts import links, processes, tun
from tests.facts.processes import child, refused


def hold(name: str) -> int:
    """Open a TAP for good and return the descriptor."""
    fd = tun.open_tun()
    tun.set_iff(fd, name, tun.TAP)
    return fd


def hold_elsewhere() -> int:
    """Open a TAP in another network namespace."""
    processes.unshare_net()
    return hold("t0")


def iff(pid: int, fd: int) -> str:
    """Return the name in the `iff:` line of a descriptor's fdinfo."""
    lines = Path(f"/proc/{pid}/fdinfo/{fd}").read_text(encoding="ascii").splitlines()
    (name,) = (line.removeprefix("iff:") for line in lines if line.startswith("iff:"))
    return name.strip()


def netns_of(pid: int, fd: int) -> int:
    """Return the namespace of another process's TAP."""
    copy = processes.copy_fd(pid, fd)
    try:
        return tun.netns_of(copy)
    finally:
        os.close(copy)


def my_netns() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_fdinfo_names_the_tap() -> None:
    """`vmnet who`: exact, whatever the process calls itself."""
    with child(lambda: hold("t0")) as (pid, fd):
        assert iff(pid, fd) == "t0"


def test_fdinfo_follows_a_rename() -> None:
    """`vmnet who`: the name is the present one."""
    with child(lambda: hold("t0")) as (pid, fd):
        links.do(links.set_link("t0", links.attr(links.IFLA_IFNAME, "t1")))
        assert iff(pid, fd) == "t1"


def test_fdinfo_of_a_descriptor_without_a_device_names_nothing() -> None:
    """`_taps_of` sees such descriptors, too."""
    fd = tun.open_tun()
    try:
        assert iff(os.getpid(), fd) == ""
    finally:
        os.close(fd)


def test_fdinfo_of_a_deleted_tap_names_nothing() -> None:
    """After `detach --force` the QEMU that lost its TAP is no holder any more."""
    with tun.tap("t0") as fd:
        links.do(links.request(links.RTM_DELLINK, index=links.index("t0")))
        assert iff(os.getpid(), fd) == ""


def test_node_shows_in_the_link_of_the_descriptor() -> None:
    """`_taps_of` reads fdinfo for these descriptors only."""
    with child(lambda: hold("t0")) as (pid, fd):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/net/tun"


def test_fdinfo_does_not_tell_the_namespace() -> None:
    """`_is_here`: a TAP of the same name in another namespace looks just the same."""
    tun.keep("t0")
    with child(hold_elsewhere) as (pid, fd):
        assert iff(pid, fd) == "t0"


def test_copied_descriptor_tells_the_namespace_of_its_tap() -> None:
    """`_is_here`: pidfd_getfd and TUNGETDEVNETNS."""
    with child(lambda: hold("t0")) as (here, fd_here), child(hold_elsewhere) as (there, fd_there):
        assert netns_of(here, fd_here) == my_netns()
        assert netns_of(there, fd_there) == os.stat(f"/proc/{there}/ns/net").st_ino != my_netns()


def test_tap_stays_in_its_namespace_when_its_process_leaves() -> None:
    """`_is_here` asks the descriptor, not the process: QEMU may run elsewhere."""

    def hold_here_and_leave() -> int:
        fd = hold("t0")
        processes.unshare_net()
        return fd

    with child(hold_here_and_leave) as (pid, fd):
        assert os.stat(f"/proc/{pid}/ns/net").st_ino != my_netns()
        assert netns_of(pid, fd) == my_netns()


def test_descriptor_without_a_device_tells_no_namespace() -> None:
    """`_is_here` treats EBADFD as "it may be here"; `_taps_of` has dropped it by then."""
    fd = tun.open_tun()
    try:
        with refused(errno.EBADFD):
            tun.netns_of(fd)
    finally:
        os.close(fd)


def test_copy_of_a_descriptor_holds_the_tap_as_well() -> None:
    """`_is_here` closes its copy at once: meanwhile the TAP cannot go."""
    with child(lambda: hold("t0")) as (pid, fd):
        copy = processes.copy_fd(pid, fd)
        processes.kill(pid)
        assert links.names() == {"t0"}
        os.close(copy)
        assert links.names() == set()


def test_sys_shows_the_namespace_of_whoever_mounted_it() -> None:
    """Why vmnet reads links over rtnetlink and never in `/sys/class/net`."""
    tun.keep("only-in-here")
    assert links.names() == {"only-in-here"}
    assert not Path("/sys/class/net/only-in-here").exists()
