"""The wish: what can never be is refused before the host is looked at."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import guest_macs, link_names, vm_names
from vmnet.errors import InvalidInput
from vmnet.model.nic import Wish, check_mtu, check_queues, check_wish
from vmnet.model.vhost import Policy

WISH = Wish("vm1")


@given(
    st.builds(
        Wish,
        vm=vm_names,
        nic=st.integers(0, 99),
        bridge=st.none() | link_names,
        mac=st.none() | guest_macs,
        mtu=st.none() | st.integers(68, 65521),
        queues=st.none() | st.integers(1, 256),
        vhost=st.none() | st.sampled_from(Policy),
    )
)
def test_a_wish_that_can_be_is_left_as_it_is(wish: Wish) -> None:
    assert check_wish(wish) == wish


def test_a_wish_of_a_name_alone_is_its_first_nic_with_all_left_open() -> None:
    assert Wish("vm1") == Wish("vm1", 0, None, None, None, None, None, None, "virtio-net-pci")


def test_only_the_mac_of_a_wish_is_rewritten() -> None:
    wish = Wish("vm1", 3, None, "lan", "52-54-00-AB-CD-EF", 1400, 4, Policy.OFF, "virtio-net-pci")
    assert asdict(check_wish(wish)) == asdict(replace(wish, mac="52:54:00:ab:cd:ef"))


@pytest.mark.parametrize("mtu", [68, 1500, 65521, None])
def test_an_mtu_a_tap_can_have_is_taken(mtu: int | None) -> None:
    check_mtu(mtu)
    check_wish(replace(WISH, mtu=mtu))


@pytest.mark.parametrize("queues", [1, 2, 256, None])
def test_queues_a_tap_can_have_are_taken(queues: int | None) -> None:
    check_queues(queues)
    check_wish(replace(WISH, queues=queues))


@pytest.mark.parametrize(
    "model", ["virtio-net-pci", "e1000", "virtio-net-pci-non-transitional", "usb-net", "x" * 64]
)
def test_a_device_model_qemu_could_know_is_taken(model: str) -> None:
    assert check_wish(replace(WISH, model=model)).model == model


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (replace(WISH, vm="a/b"), "bad-vm-name"),
        (replace(WISH, nic=100), "bad-nic"),
        (replace(WISH, bridge="br0", network="lan"), "bridge-and-network"),
        (replace(WISH, bridge=""), "bad-link-name"),
        (replace(WISH, bridge="b" * 16), "bad-link-name"),
        (replace(WISH, mac="01:00:5e:00:00:01"), "bad-mac"),
        (replace(WISH, mac=""), "bad-mac"),
        (replace(WISH, mtu=0), "bad-mtu"),
        (replace(WISH, mtu=67), "bad-mtu"),
        (replace(WISH, mtu=65522), "bad-mtu"),
        (replace(WISH, mtu=-1500), "bad-mtu"),
        (replace(WISH, queues=0), "bad-queues"),
        (replace(WISH, queues=257), "bad-queues"),
        (replace(WISH, queues=-1), "bad-queues"),
        (replace(WISH, queues=2, model="e1000"), "bad-queues"),
        (replace(WISH, model=""), "bad-model"),
        (replace(WISH, model="e1000,netdev=x"), "bad-model"),
        (replace(WISH, model="-e1000"), "bad-model"),
        (replace(WISH, model="e1000\n"), "bad-model"),
        (replace(WISH, model="x" * 65), "bad-model"),
        (replace(WISH, model="ë1000"), "bad-model"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(wish: Wish, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_wish(wish)
    assert caught.value.code == code
    assert caught.value.message.isprintable()


def test_one_queue_of_an_emulated_model_is_taken() -> None:
    assert check_wish(replace(WISH, queues=1, model="e1000")).queues == 1
