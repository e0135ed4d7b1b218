"""A TAP that a process has open is a running VM: nothing is taken from it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.netns import taps
from tests.netns.places import in_pid_namespace, other_network
from tests.support.lab import Lab


@pytest.fixture(autouse=True)
def _bridges(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("bridge", "create", "br1")


def _attached(lab: Lab, *options: str) -> str:
    name = lab.vmnet("attach", "vm1", "--bridge", "br0", *options, "--json").json["tap"]
    assert isinstance(name, str)
    return name


@pytest.mark.parametrize(("flags", "options"), [(taps.ONE, ()), (taps.MANY, ("--queues", "2"))])
def test_detach_refuses_with_pid_and_command(
    lab: Lab, flags: int, options: tuple[str, ...]
) -> None:
    name = _attached(lab, *options)
    with taps.held(name, flags) as pid:
        before = lab.state()
        done = lab.vmnet("detach", "vm1", status=6)
        assert f"tap '{name}' is held by pid {pid} (sleep 1000)" in done.err
        assert f"vmnet who {name}" in done.err
        assert lab.state() == before
    lab.vmnet("detach", "vm1")
    assert name not in lab.links()


@pytest.mark.parametrize(
    "change",
    [("--bridge", "br1"), ("--mac", "52:54:00:00:00:01"), ("--owner", "4242")],
    ids=["bridge", "mac", "owner"],
)
def test_attach_refuses_what_would_break_it(lab: Lab, change: tuple[str, ...]) -> None:
    name = _attached(lab)
    with taps.held(name) as pid:
        before = lab.state()
        done = lab.vmnet("attach", "vm1", *change, "--mtu", "1400", status=6)
        assert f"held by pid {pid} (sleep 1000)" in done.err
        assert lab.state() == before


def test_attach_of_a_held_tap_again_is_nothing_to_do(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name):
        before = lab.state()
        assert lab.vmnet("attach", "vm1", "--json").json["steps"] == []
        assert lab.state() == before


def test_the_mtu_of_a_held_tap_may_change(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name):
        lab.vmnet("attach", "vm1", "--mtu", "1400")
        assert lab.link(name)["mtu"] == 1400


def test_a_second_qemu_on_it_is_refused(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name) as pid:
        done = lab.vmnet("run", "vm1", "--", "true", status=6)
        assert f"held by pid {pid} (sleep 1000): will not start a second QEMU" in done.err
        assert "LOWER_UP" in lab.link(name)["flags"]


@pytest.mark.parametrize("command", [("gc",), ("gc", "--idle", "0")], ids=["gc", "idle"])
def test_gc_leaves_it_and_says_who_has_it(lab: Lab, command: tuple[str, ...]) -> None:
    name = _attached(lab)
    with taps.held(name) as pid:
        done = lab.vmnet(*command)
        assert f"leave {name}" in done.out
        assert f"pid {pid} (sleep 1000)" in done.out
        assert name in lab.links()


def test_bridge_delete_refuses_and_names_its_holder(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name) as pid:
        done = lab.vmnet("bridge", "delete", "br0", status=5)
        assert f"{name} (held by pid {pid}: sleep 1000)" in done.err
        assert lab.link(name)["master"] == "br0"


def test_force_says_what_breaks(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name) as pid:
        done = lab.vmnet("detach", "vm1", "--force", "--dry-run")
        assert "loses NIC 0" in done.err
        assert name in lab.links()
        done = lab.vmnet("detach", "vm1", "--force")
        assert f"VM 'vm1' loses NIC 0 ('{name}') while pid {pid} (sleep 1000) runs" in done.err
        assert name not in lab.links()


def test_a_forced_bridge_delete_says_what_breaks(lab: Lab) -> None:
    name = _attached(lab)
    with taps.held(name) as pid:
        done = lab.vmnet("bridge", "delete", "br0", "--force")
        assert f"{name} (held by pid {pid}: sleep 1000); they lose their network" in done.err
        assert "br0" not in lab.links()
        assert "master" not in lab.link(name)


def test_force_is_never_asked_for_where_nobody_holds_it(lab: Lab) -> None:
    _attached(lab)
    assert "loses" not in lab.vmnet("detach", "vm1", "--force").err
    assert set(lab.links()) == {"br0", "br1"}


def test_several_holders_are_all_named(lab: Lab) -> None:
    name = _attached(lab, "--queues", "4")
    with taps.held(name, taps.MANY) as first, taps.held(name, taps.MANY, 2) as second:
        done = lab.vmnet("detach", "vm1", status=6)
        assert f"pid {first} (sleep 1000)" in done.err
        assert f"pid {second} (sleep 1000)" in done.err


@pytest.mark.parametrize("flags", [taps.ONE, taps.MANY], ids=["one", "many"])
def test_a_foreign_tap_of_our_name_is_left_alone(lab: Lab, flags: int) -> None:
    name = _attached(lab)
    lab.vmnet("detach", "vm1")
    with taps.held(name, flags):
        before = lab.state()
        done = lab.vmnet("attach", "vm1", status=5)
        assert f"tap '{name}' is already there and is not vmnet's" in done.err
        lab.vmnet("run", "vm1", "--", "true", status=None)
        lab.vmnet("detach", "vm1")
        lab.vmnet("detach", "vm1", "--force")
        lab.vmnet("gc", "--idle", "0")
        assert lab.state() == before


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        ("ip link add {} type bridge", "bridge"),
        ("ip link add {} type veth peer name p0", "veth"),
        ("ip tuntap add dev {} mode tun", "tun"),
    ],
)
def test_another_link_of_our_name_is_left_alone(lab: Lab, make: str, kind: str) -> None:
    name = _attached(lab)
    lab.vmnet("detach", "vm1")
    lab.sh(make.format(name))
    before = lab.state()
    done = lab.vmnet("attach", "vm1", status=5)
    assert f"link '{name}' is no TAP but of kind {kind}" in done.err
    lab.vmnet("detach", "vm1")
    lab.vmnet("gc")
    assert lab.state() == before


def test_the_tap_of_another_vm_under_our_name_is_left_alone(lab: Lab) -> None:
    name = _attached(lab)
    alias = lab.link(name)["ifalias"].replace("vm=vm1", "vm=other")
    lab.sh(f"ip link set dev {name} alias '{alias}'")
    before = lab.state()
    assert "belongs to VM 'other'" in lab.vmnet("attach", "vm1", status=5).err
    lab.vmnet("detach", "vm1")
    assert lab.state() == before


# A holder without carrier is one that came after vmnet looked: the kernel has the last word.


def _detach(lab: Lab) -> None:
    err = lab.vmnet("detach", "vm1", status=6).err
    assert "a process has it open" in err or "is held by" in err


def _detach_unseen(lab: Lab) -> None:
    in_pid_namespace(lambda: _detach(lab))


def _collect(lab: Lab) -> None:
    for _ in range(2):
        done = lab.vmnet("gc", "--idle", "0")
        assert "leave" in done.out
        assert "(sleep 1000)" in done.out


@pytest.mark.parametrize("take_away", [_detach, _detach_unseen, _collect])
@pytest.mark.parametrize(("flags", "queues"), [(taps.ONE, 1), (taps.MANY, 1), (taps.MANY, 3)])
def test_a_holder_that_was_not_seen_keeps_its_tap(
    lab: Lab, flags: int, queues: int, take_away: Callable[[Lab], None]
) -> None:
    name = _attached(lab, *(("--queues", "4") if flags == taps.MANY else ()))
    index = lab.link(name)["ifindex"]
    with taps.held(name, flags, queues, carrier=False):
        take_away(lab)
        tap = lab.link(name)
        assert tap["ifindex"] == index
        assert tap["linkinfo"]["info_data"]["persist"] is True
        assert tap["master"] == "br0"
    lab.vmnet("detach", "vm1")
    assert name not in lab.links()


@pytest.mark.parametrize(("flags", "queues"), [(taps.ONE, 1), (taps.MANY, 1), (taps.MANY, 3)])
@pytest.mark.parametrize(
    "change",
    [("--bridge", "br1"), ("--mac", "52:54:00:00:00:01"), ("--owner", "4242")],
    ids=["bridge", "mac", "owner"],
)
def test_nothing_is_changed_under_a_holder_whose_carrier_is_off(
    lab: Lab, flags: int, queues: int, change: tuple[str, ...]
) -> None:
    name = _attached(lab, *(("--queues", "4") if flags == taps.MANY else ()))
    with taps.held(name, flags, queues, carrier=False):
        before = lab.link(name)
        done = lab.vmnet("attach", "vm1", *change, "--mtu", "1400", status=6)
        assert f"vmnet who {name}" in done.err
        assert lab.link(name) == before
    lab.vmnet("attach", "vm1", *change, "--mtu", "1400")


@pytest.mark.parametrize(("flags", "queues"), [(taps.ONE, 1), (taps.MANY, 2)])
def test_an_admin_may_switch_the_carrier_off_and_the_tap_stays_held(
    lab: Lab, flags: int, queues: int
) -> None:
    name = _attached(lab, *(("--queues", "2") if flags == taps.MANY else ()))
    with taps.held(name, flags, queues) as pid:
        lab.sh(f"ip link set dev {name} carrier off")
        before = lab.link(name)
        lab.vmnet("attach", "vm1", "--bridge", "br1", status=6)
        (row,) = lab.vmnet("list", "--json").json["nics"]
        found = lab.vmnet("who", name, "--json").json
        assert [holder["pid"] for holder in row["holders"]] == [pid]
        assert [holder["pid"] for holder in found["holders"]] == [pid]
        assert row["held"] is found["held"] is True
        assert f" {pid}\n" in lab.vmnet("list").out
        for _ in range(2):
            assert f"held by pid {pid} (sleep 1000)" in lab.vmnet("gc", "--idle", "0").out
        assert lab.link(name) == before


@pytest.mark.parametrize(("flags", "queues"), [(taps.ONE, 1), (taps.MANY, 2)])
@pytest.mark.parametrize("seen", [True, False])
def test_force_takes_it_from_a_holder_whose_carrier_is_off(
    lab: Lab, flags: int, queues: int, *, seen: bool
) -> None:
    name = _attached(lab, *(("--queues", "2") if flags == taps.MANY else ()))
    words = ("detach", "vm1", "--force")
    with taps.held(name, flags, queues, carrier=False) as pid:
        if seen:
            assert f"while pid {pid} (sleep 1000) runs" in lab.vmnet(*words).err
        else:
            err = in_pid_namespace(lambda: lab.vmnet(*words).err)
            assert "while a process that cannot be seen" in err
        assert name not in lab.links()


def test_a_kept_tap_that_its_holder_made_fleeting_is_not_called_kept(lab: Lab) -> None:
    name = _attached(lab)
    with taps.opened(name) as fd:
        taps.persist(fd, on=False)
        assert "it goes when that process ends" in lab.vmnet("attach", "vm1", status=6).err
    assert name not in lab.links()
    lab.vmnet("attach", "vm1")


def test_the_automatic_mtu_of_a_held_tap_is_left_alone(lab: Lab) -> None:
    lab.sh("ip link add foreign mtu 1500 type bridge; ip link set foreign up")
    name = lab.vmnet("attach", "vm1", "--bridge", "foreign", "--json").json["tap"]
    with taps.held(name):
        lab.sh("ip tuntap add dev narrow mode tap; ip link set narrow mtu 1300 master foreign")
        assert lab.link("foreign")["mtu"] == 1300
        again = lab.vmnet("attach", "vm1", "--json").json
        assert again["mtu"] == lab.link(name)["mtu"] == 1500
        assert again["steps"] == []
        assert "its MTU stays 1500" in lab.vmnet("attach", "vm1").err
    assert lab.vmnet("attach", "vm1", "--json").json["mtu"] == lab.link(name)["mtu"] == 1300


def test_a_holder_elsewhere_is_not_taken_for_ours(lab: Lab) -> None:
    name = _attached(lab)
    with ExitStack() as elsewhere:
        with other_network():
            lab.vmnet("bridge", "create", "br0")
            _attached(lab)
            there = elsewhere.enter_context(taps.held(name))
        with taps.held(name) as here:
            found = lab.vmnet("who", name, "--json").json["holders"]
            assert [holder["pid"] for holder in found] == [here]
            assert f"pid {there} " not in lab.vmnet("detach", "vm1", status=6).err
        lab.vmnet("detach", "vm1")
        assert name not in lab.links()


def test_attach_does_not_promise_to_keep_the_tap_of_a_running_run(lab: Lab) -> None:
    pid = lab.start("run", "vm1", "--", "sh", "-c", "exec sleep 60", "sh")
    try:
        for _ in range(500):
            if len(lab.links()) == 3:
                break
            time.sleep(0.02)
        refused = lab.vmnet("attach", "vm1", status=6)
        assert f"pid {pid}" in refused.err
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    lab.vmnet("attach", "vm1")
