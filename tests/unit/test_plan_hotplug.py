"""What a running QEMU is given and what is taken from it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.unit.values import HELD, MAC, NOW, attached, launched, nic, view
from vmnet.errors import Conflict
from vmnet.formats.shell import plan_lines
from vmnet.model.host import Holders, Link
from vmnet.model.monitor import Qemu
from vmnet.model.nic import Nic
from vmnet.model.step import (
    AddDevice,
    AddNetdev,
    CloseFd,
    CreateTap,
    OpenQueues,
    PassFd,
    Plan,
    RemoveDevice,
    RemoveNetdev,
    Step,
)
from vmnet.plan.hotplug import (
    cleared,
    is_plugged,
    plan_clear,
    plan_open,
    plan_plug,
    plan_unplug,
)

WISH = nic(owner=None)
QEMU = Qemu(pid=HELD.known[0].pid, version=(7, 2))
PLUGGED = replace(QEMU, netdev=True, devices={"vmnet0-nic": "vmnet0", "rtc": ""})
NODE = "/dev/vhost-net"


def steps(plan: Plan) -> list[Step]:
    return [move.do for move in plan.moves]


def held(wish: Nic = WISH) -> Link:
    return replace(launched(wish), carrier=True)


def test_descriptors_are_passed_before_they_are_used_and_each_step_has_its_undo() -> None:
    plan = plan_plug(nic(queues=2), "tap0", 1500, NODE, QEMU)
    assert steps(plan) == [
        PassFd("tap0", 0, "vmnet0-tap0"),
        PassFd("tap0", 1, "vmnet0-tap1"),
        PassFd(NODE, 0, "vmnet0-vhost0"),
        PassFd(NODE, 1, "vmnet0-vhost1"),
        AddNetdev(
            "vmnet0", ("vmnet0-tap0", "vmnet0-tap1"), ("vmnet0-vhost0", "vmnet0-vhost1"), force=True
        ),
        plan.moves[-1].do,
    ]
    assert [move.undo for move in plan.moves] == [
        CloseFd("vmnet0-tap0"),
        CloseFd("vmnet0-tap1"),
        CloseFd("vmnet0-vhost0"),
        CloseFd("vmnet0-vhost1"),
        RemoveNetdev("vmnet0"),
        RemoveDevice("vmnet0-nic"),
    ]


def device(wish: Nic, qemu: Qemu = QEMU, mtu: int = 1500) -> dict[str, object]:
    last = steps(plan_plug(wish, "tap0", mtu, "", qemu))[-1]
    assert isinstance(last, AddDevice)
    return dict(last.properties)


def test_the_device_has_what_it_has_on_a_command_line() -> None:
    usual = {"driver": "virtio-net-pci", "id": "vmnet0-nic", "netdev": "vmnet0", "mac": MAC}
    assert device(nic()) == usual
    more = {"mq": True, "vectors": 10, "host_mtu": 9000}
    assert device(nic(queues=4), mtu=9000) == usual | more
    assert device(nic(model="e1000"), mtu=9000) == usual | {"driver": "e1000"}


def test_a_free_port_is_used_where_there_is_one_but_not_for_usb() -> None:
    qemu = replace(QEMU, ports=("rp0", "rp1"))
    assert device(nic(), qemu)["bus"] == "rp0"
    assert "bus" not in device(nic(model="usb-net"), qemu)
    assert "bus" not in device(nic())


@pytest.mark.parametrize("version", [(7, 1), (7, 2), (8, 2), (9, 0), (10, 2)])
def test_vhost_is_made_a_must_only_where_qemu_would_abort(version: tuple[int, int]) -> None:
    add = steps(plan_plug(nic(), "tap0", 1500, NODE, replace(QEMU, version=version)))[2]
    assert isinstance(add, AddNetdev)
    assert add.force is (version in ((7, 2), (8, 2)))
    without = steps(plan_plug(nic(), "tap0", 1500, "", QEMU))[1]
    assert isinstance(without, AddNetdev)
    assert (without.force, without.vhost_fds) == (False, ())


def test_a_new_nic_is_made_as_for_a_launch() -> None:
    plan = plan_open(nic(owner=None, queues=2), view(WISH), QEMU, NOW)
    assert isinstance(plan.moves[0].do, CreateTap)
    assert isinstance(plan.moves[-1].do, OpenQueues)
    assert plan_clear("vm1", 0, None, Holders(), QEMU) == Plan()


def test_a_nic_that_is_plugged_as_wished_needs_nothing() -> None:
    seen = view(WISH, held(), holders=HELD)
    assert is_plugged("vm1", 0, seen.tap, HELD, PLUGGED)
    assert plan_clear("vm1", 0, seen.tap, HELD, PLUGGED) == Plan()
    assert plan_open(WISH, seen, PLUGGED, NOW) == Plan()


def test_a_holder_that_cannot_be_seen_is_taken_for_that_qemu() -> None:
    assert is_plugged("vm1", 0, held(), Holders((), "hidepid"), PLUGGED)


def test_other_queues_need_unplugging_first() -> None:
    wish = nic(owner=None, queues=2)
    tap = held(wish)
    with pytest.raises(Conflict) as caught:
        plan_open(replace(wish, queues=4), view(wish, tap, holders=HELD), PLUGGED, NOW)
    assert caught.value.code == "queues-fixed"


@pytest.mark.parametrize(
    ("tap", "qemu", "code"),
    [
        (None, PLUGGED, "device-taken"),
        (held(), replace(PLUGGED, pid=1), "device-taken"),
        (held(), replace(PLUGGED, devices={"vmnet0-nic": "net7"}), "device-taken"),
        (attached(nic()), PLUGGED, "device-taken"),
        (held(), replace(PLUGGED, devices={"mine": "vmnet0"}), "netdev-taken"),
    ],
)
def test_a_device_that_is_not_this_nic_is_left_alone(
    tap: Link | None, qemu: Qemu, code: str
) -> None:
    holders = HELD if tap is not None and tap.carrier else Holders()
    for plan in (plan_clear, plan_unplug):
        with pytest.raises(Conflict) as caught:
            plan("vm1", 0, tap, holders, qemu)
        assert caught.value.code == code


def test_what_a_try_cut_short_left_is_taken_back_first() -> None:
    wish = nic(owner=None, queues=2)
    closing: list[Step] = [
        CloseFd("vmnet0-vhost0"),
        CloseFd("vmnet0-vhost1"),
        CloseFd("vmnet0-tap1"),
        CloseFd("vmnet0-tap0"),
    ]
    assert steps(plan_clear("vm1", 0, held(wish), HELD, QEMU)) == closing
    with_netdev = replace(QEMU, netdev=True)
    assert steps(plan_clear("vm1", 0, held(wish), HELD, with_netdev)) == [
        RemoveNetdev("vmnet0"),
        *closing,
    ]
    assert steps(plan_clear("vm1", 0, None, Holders(), with_netdev)) == [RemoveNetdev("vmnet0")]
    assert plan_unplug("vm1", 0, held(wish), HELD, QEMU) == plan_clear(
        "vm1", 0, held(wish), HELD, QEMU
    )
    # Held by another process: nothing of this QEMU's.
    assert plan_clear("vm1", 0, held(wish), HELD, replace(QEMU, pid=1)) == Plan()


def test_after_that_the_tap_is_gone_unless_it_is_to_be_kept() -> None:
    gone = cleared(view(WISH, held(), holders=HELD, mac_user=held()))
    assert (gone.tap, gone.mac_user, gone.holders) == (None, None, Holders())
    kept = cleared(view(nic(), attached(nic(), carrier=True), holders=HELD))
    assert kept.tap is not None
    assert not kept.tap.in_use


def test_unplugging_asks_the_guest_first() -> None:
    plan = plan_unplug("vm1", 0, held(), HELD, PLUGGED)
    assert steps(plan) == [RemoveDevice("vmnet0-nic"), RemoveNetdev("vmnet0")]
    assert plan_unplug("vm1", 0, None, Holders(), QEMU) == Plan()


def test_each_step_is_shown_as_its_command() -> None:
    lines = plan_lines(plan_plug(nic(), "tap0", 1500, NODE, QEMU))
    assert all(line.startswith("# qmp {") for line in lines)
    assert lines[1].endswith(f' with descriptor 0 of "{NODE}"')
    assert json.loads(lines[2].removeprefix("# qmp ")) == {
        "execute": "netdev_add",
        "arguments": {
            "type": "tap",
            "id": "vmnet0",
            "fds": "vmnet0-tap0",
            "vhost": True,
            "vhostfds": "vmnet0-vhost0",
            "vhostforce": True,
        },
    }
