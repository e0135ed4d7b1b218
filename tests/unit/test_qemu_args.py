"""QEMU's command line: exact values, and nothing in them that could act."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import MAC, link_names, nic
from vmnet.errors import InvalidInput
from vmnet.formats.qemu import Args, by_fds, by_name, fill

ONE = {0: Args("tap,id=vmnet0", "virtio-net-pci,netdev=vmnet0")}
TWO = {**ONE, 2: Args("tap,id=vmnet2", "e1000,netdev=vmnet2")}


def options(text: str) -> dict[str, str]:
    """Read an option value as QEMU does: a doubled comma is one that belongs to the value."""
    _, *parts = text.replace(",,", "\0").split(",")
    return dict(part.replace("\0", ",").partition("=")[::2] for part in parts)


def test_one_queue_by_name() -> None:
    assert by_name(nic(), "vmnx-0", 1500, vhost=False) == Args(
        "tap,id=vmnet0,ifname=vmnx-0,script=,downscript=,vhost=off",
        f"virtio-net-pci,netdev=vmnet0,id=vmnet0-nic,mac={MAC}",
    )


def test_many_queues_by_name_with_vhost() -> None:
    assert by_name(nic(nic=3, queues=4), "vmnx-3", 1500, vhost=True) == Args(
        "tap,id=vmnet3,ifname=vmnx-3,script=,downscript=,vhost=on,queues=4",
        f"virtio-net-pci,netdev=vmnet3,id=vmnet3-nic,mac={MAC},mq=on,vectors=10",
    )


def test_descriptors_with_and_without_vhost() -> None:
    plain = by_fds(nic(), 1500, [7], [])
    assert plain.netdev == "tap,id=vmnet0,fds=7,vhost=off"
    fast = by_fds(nic(queues=2), 1500, [7, 8], [9, 10])
    assert fast.netdev == "tap,id=vmnet0,fds=7:8,vhost=on,vhostfds=9:10"


@given(st.integers(1, 256))
def test_vectors_and_descriptors_follow_the_queues(queues: int) -> None:
    fds, vhost = list(range(10, 10 + queues)), list(range(300, 300 + queues))
    args = by_fds(nic(queues=queues), 1500, fds, vhost)
    netdev, device = options(args.netdev), options(args.device)
    assert netdev["fds"].split(":") == [str(fd) for fd in fds]
    assert netdev["vhostfds"].split(":") == [str(fd) for fd in vhost]
    assert (device.get("mq"), device.get("vectors")) == (
        ("on", str(2 * queues + 2)) if queues > 1 else (None, None)
    )


def test_two_queues_are_many() -> None:
    args = by_name(nic(queues=2), "t", 1500, vhost=False)
    assert options(args.netdev)["queues"] == "2"
    assert options(args.device)["vectors"] == "6"


@pytest.mark.parametrize("queues", [1, 4])
def test_vhost_is_on_only_with_its_descriptors(queues: int) -> None:
    args = by_fds(nic(queues=queues), 1500, list(range(queues)), [])
    assert options(args.netdev)["vhost"] == "off"
    assert "vhostfds" not in args.netdev


@pytest.mark.parametrize(
    ("model", "mtu", "told"),
    [
        ("virtio-net-pci", 1500, None),
        ("virtio-net-pci", 1499, "1499"),
        ("virtio-net-pci", 9000, "9000"),
        ("e1000", 9000, None),
    ],
)
def test_the_guest_is_told_an_unusual_mtu_where_the_model_can(
    model: str, mtu: int, told: str | None
) -> None:
    device = by_name(nic(model=model), "t", mtu, vhost=False).device
    assert options(device).get("host_mtu") == told


def test_an_emulated_model_gets_no_virtio_option() -> None:
    args = by_fds(nic(model="e1000"), 1500, [7], [])
    assert args.device == f"e1000,netdev=vmnet0,id=vmnet0-nic,mac={MAC}"


@given(link_names)
def test_no_link_name_can_add_an_option(name: str) -> None:
    netdev = options(by_name(nic(), name, 1500, vhost=False).netdev)
    assert list(netdev) == ["id", "ifname", "script", "downscript", "vhost"]
    assert netdev["ifname"] == name
    assert netdev["vhost"] == "off"


def test_commas_in_values_are_doubled() -> None:
    netdev = by_name(nic(), "a,vhost=on", 1500, vhost=False).netdev
    assert ",ifname=a,,vhost=on," in netdev


@given(st.text())
def test_no_vm_name_reaches_the_command_line(vm: str) -> None:
    assert by_name(nic(vm), "t", 1500, vhost=False) == by_name(nic(), "t", 1500, vhost=False)


def test_the_words_are_four() -> None:
    assert ONE[0].words() == ["-netdev", ONE[0].netdev, "-device", ONE[0].device]


def test_what_has_no_place_is_appended() -> None:
    assert fill(["qemu", "-m", "1G"], ONE) == ["qemu", "-m", "1G", *ONE[0].words()]
    assert fill(["qemu"], TWO) == ["qemu", *TWO[0].words(), *TWO[2].words()]
    assert fill(["qemu"], {}) == ["qemu"]


def test_places_are_filled_where_they_stand() -> None:
    command = ["qemu", "-netdev", "{netdev}", "-device", "{device},bus=pci.1"]
    assert fill(command, ONE) == [
        "qemu",
        "-netdev",
        ONE[0].netdev,
        "-device",
        ONE[0].device + ",bus=pci.1",
    ]


def test_numbered_places_take_their_nic_and_the_rest_is_appended() -> None:
    command = ["qemu", "{netdev2}", "{device2}"]
    assert fill(command, TWO) == ["qemu", TWO[2].netdev, TWO[2].device, *TWO[0].words()]


def test_the_only_nic_may_be_numbered_too() -> None:
    only = {5: ONE[0]}
    assert fill(["{netdev5}", "{device}"], only) == [ONE[0].netdev, ONE[0].device]


@pytest.mark.parametrize(
    "word",
    ["{}", "{net}", "{netdevs}", "${netdev", "{Netdev}", '{"a":{}}', "{netdev٣}", "{netdev-1}"],
)
def test_other_braces_are_left(word: str) -> None:
    assert fill([word], ONE)[0] == word


def test_what_was_filled_in_is_not_filled_again() -> None:
    args = {0: Args("{device}", "x")}
    assert fill(["{netdev}"], args) == ["{device}"]


@pytest.mark.parametrize(
    ("word", "args"),
    [
        ("{netdev}", TWO),
        ("{device}", {}),
        ("{netdev1}", TWO),
        ("{netdev1}", ONE),
        ("{device999999999}", ONE),
    ],
)
def test_a_place_for_no_nic_is_an_error(word: str, args: dict[int, Args]) -> None:
    with pytest.raises(InvalidInput, match="names no NIC") as caught:
        fill(["qemu", word], args)
    assert caught.value.code == "bad-place"
    assert len(caught.value.message) < 200
