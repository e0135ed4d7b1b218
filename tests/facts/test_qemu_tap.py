"""How QEMU takes its TAPs."""

from __future__ import annotations

import signal
from contextlib import ExitStack

import pytest

from tests.facts import links, qemu, tun
from tests.facts.qemu import running

pytestmark = qemu.needed

BY_NAME = "tap,id=n0,script=,downscript=,ifname="
PREMADE = tun.TAP | tun.IFF_VNET_HDR


def test_vhost_on_without_the_node_ends_qemu() -> None:
    """Why vmnet writes no vhost option unless it has opened `/dev/vhost-net` itself.

    QEMU 7.2 to 8.2 abort, 9.0 and later exit; up to 7.1 they went on without.
    """
    status, _ = qemu.run(f"{BY_NAME}q0,vhost=on", prefix=qemu.WITHOUT_VHOST)
    release = qemu.version()
    aborts = (7, 2) <= release < (9, 0)
    expected = -signal.SIGABRT if aborts else int(release >= (9, 0))
    assert status == expected


@pytest.mark.parametrize("vhost", ["", ",vhost=off"])
def test_vhost_off_or_unsaid_needs_no_node(vhost: str) -> None:
    """The netdev of a NIC without vhost-net."""
    status, said = qemu.run(f"{BY_NAME}q0{vhost}", prefix=qemu.WITHOUT_VHOST)
    assert status == 0, said


def test_empty_script_means_none() -> None:
    """`formats.qemu.by_name` writes `script=,downscript=`: no default script runs."""
    with running(f"{BY_NAME}q0"):
        assert "master" not in links.show("q0")


def test_tap_that_qemu_makes_goes_with_it() -> None:
    """`plan_manage`: a TAP of QEMU's own needs no gc."""
    with running(f"{BY_NAME}q0"):
        assert links.show("q0")["linkinfo"]["info_data"]["persist"] is False
    assert links.names() == set()


def test_tap_that_qemu_makes_goes_when_it_is_killed() -> None:
    """`plan_manage`, though no downscript runs then; no polling: reaped means gone."""
    with running(f"{BY_NAME}q0") as process:
        process.kill()
        process.wait()
        assert links.names() == set()


def test_kept_tap_is_taken_by_name_and_outlives_a_killed_qemu() -> None:
    """`attach`: QEMU gets a name, and the TAP is there for the next start."""
    tun.keep("t0", PREMADE)
    with running(f"{BY_NAME}t0") as process:
        assert links.carrier("t0")
        process.kill()
        process.wait()
        assert not links.carrier("t0")
    assert links.ups("t0") == 1


def test_comma_in_a_name_is_doubled() -> None:
    """`formats.qemu`: a comma ends a value, two are one comma in it."""
    with running(f"{BY_NAME}a,,b"):
        assert links.names() == {"a,b"}


def test_name_over_15_bytes_is_cut_without_a_word() -> None:
    """`formats.qemu.by_name` gets the short name, never an altname."""
    with running(f"{BY_NAME}a-name-of-many-bytes"):
        assert links.names() == {"a-name-of-many-"}


@pytest.mark.parametrize("key", ["fd", "fds"])
def test_descriptor_is_taken_and_keeps_a_tap_that_does_not_persist(key: str) -> None:
    """`vmnet run`: made there, held by QEMU from then on; `fds=` may be a list of one."""
    with ExitStack() as ours:
        fd = ours.enter_context(tun.tap("t0", PREMADE))
        with running(f"tap,id=n0,{key}={fd}", [fd]) as process:
            ours.close()
            assert links.names() == {"t0"}
            process.kill()
            process.wait()
            assert links.names() == set()


def test_two_descriptors_of_a_many_queue_tap_are_taken() -> None:
    """`vmnet run` with two queues."""
    flags = PREMADE | tun.IFF_MULTI_QUEUE
    with ExitStack() as ours:
        fds = [ours.enter_context(tun.tap("t0", flags)) for _ in range(2)]
        with running(f"tap,id=n0,fds={fds[0]}:{fds[1]}", fds):
            ours.close()
            assert links.show("t0")["linkinfo"]["info_data"]["numqueues"] == 2
    assert links.names() == set()


@pytest.mark.parametrize(
    "extra", ["ifname=t0", "script=", "downscript=", "vnet_hdr=on", "queues=1", "helper=/bin/true"]
)
@pytest.mark.parametrize("key", ["fd", "fds"])
def test_descriptors_go_with_none_of_the_other_ways(key: str, extra: str) -> None:
    """`formats.qemu`: a netdev with descriptors has no name, script, queues."""
    with tun.tap("t0", PREMADE) as fd:
        status, said = qemu.run(f"tap,id=n0,{key}={fd},{extra}", [fd])
    assert status == 1
    assert f"invalid with {key}=" in said


@pytest.mark.parametrize(("key", "other"), [("fd", "vhostfds"), ("fds", "vhostfd")])
def test_singular_and_plural_do_not_mix(key: str, other: str) -> None:
    """`formats.qemu`: `fd` with `vhostfd`, `fds` with `vhostfds`."""
    with tun.tap("t0", PREMADE) as fd:
        status, said = qemu.run(f"tap,id=n0,{key}={fd},vhost=on,{other}={fd}", [fd])
    assert status == 1
    assert f"invalid with {key}=" in said


def test_as_many_vhost_descriptors_as_queues() -> None:
    """Why vmnet opens `/dev/vhost-net` for all queues of a NIC or for none."""
    flags = PREMADE | tun.IFF_MULTI_QUEUE
    with tun.tap("t0", flags) as one, tun.tap("t0", flags) as two:
        status, said = qemu.run(f"tap,id=n0,fds={one}:{two},vhost=on,vhostfds={one}", [one, two])
    assert status == 1
    assert "does not match" in said


@pytest.mark.parametrize(("made", "queues"), [(PREMADE, 2), (PREMADE | tun.IFF_MULTI_QUEUE, 1)])
def test_kept_tap_of_the_other_queue_mode_is_refused(made: int, queues: int) -> None:
    """`queues-fixed`: the number of queues in `attach` and on QEMU's line must agree."""
    tun.keep("t0", made)
    status, said = qemu.run(f"{BY_NAME}t0,queues={queues}")
    assert status == 1
    assert "Invalid argument" in said


def test_kept_many_queue_tap_is_taken_by_name() -> None:
    """`attach` with four queues."""
    tun.keep("t0", PREMADE | tun.IFF_MULTI_QUEUE)
    with running(f"{BY_NAME}t0,queues=4"):
        assert links.show("t0")["linkinfo"]["info_data"]["numqueues"] == 4


def test_tap_in_use_by_another_qemu_is_refused() -> None:
    """One VM started twice by accident: the kernel's EBUSY, and the first goes on."""
    tun.keep("t0", PREMADE)
    with running(f"{BY_NAME}t0"):
        status, said = qemu.run(f"{BY_NAME}t0")
        assert status == 1
        assert "busy" in said
        assert links.carrier("t0")
