"""The text of `vmnet run --nic`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import vm_names
from vmnet.errors import InvalidInput
from vmnet.formats.nicspec import parse_nic
from vmnet.model.nic import Wish
from vmnet.model.vhost import Policy


def test_every_key_is_read() -> None:
    text = "bridge=br0,queues=4,mac=52:54:00:12:34:56,mtu=1400,vhost=require,model=e1000,nic=7"
    assert parse_nic(text, "vm1", 0) == Wish(
        "vm1", 7, "br0", None, "52:54:00:12:34:56", 1400, 4, Policy.REQUIRE, "e1000"
    )
    assert parse_nic("network=lan", "vm1", 3) == Wish("vm1", 3, network="lan")


@pytest.mark.parametrize("text", ["", ",", ",,"])
def test_nothing_said_leaves_all_open(text: str) -> None:
    assert parse_nic(text, "vm1", 2) == Wish("vm1", 2)


@pytest.mark.parametrize(
    ("word", "policy"),
    [
        ("on", Policy.PREFER),
        ("off", Policy.OFF),
        ("auto", Policy.AUTO),
        ("require", Policy.REQUIRE),
    ],
)
def test_vhost_has_four_words(word: str, policy: Policy) -> None:
    assert parse_nic(f"vhost={word}", "vm1", 0).vhost is policy


def test_a_value_may_have_an_equals_sign() -> None:
    assert parse_nic("bridge=a=b", "vm1", 0).bridge == "a=b"


@given(vm_names)
def test_the_vms_name_is_left_alone(vm: str) -> None:
    assert parse_nic("bridge=br0", vm, 0).vm == vm


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bridge", "is not key=value"),
        ("colour=blue", "is not key=value with one of bridge, network"),
        ("=br0", "is not key=value"),
        (" bridge=br0", "is not key=value"),
        ("Bridge=br0", "is not key=value"),
        ("bridge=br0,bridge=br1", "'bridge' is given twice"),
        ("queues=", "is not a number of queue pairs"),
        ("queues=two", "is not a number of queue pairs"),
        ("queues=-1", "is not a number of queue pairs"),
        ("queues=1.5", "is not a number of queue pairs"),
        ("queues=٣", "is not a number of queue pairs"),
        pytest.param("queues=" + "9" * 5000, "is not a number", id="5000 digits"),
        ("mtu=1_500", "is not bytes"),
        ("nic=first", "is not the NIC's number"),
        ("vhost=yes", "is not on, off, auto or require"),
        ("vhost=", "is not on, off, auto or require"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_nic(text, "vm1", 0)
    assert why in caught.value.message
    assert caught.value.code == "bad-nic-spec"
    assert caught.value.message.startswith("--nic ")


def test_a_bad_value_is_shown_short() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_nic("queues=" + "9" * 5000, "vm1", 0)
    assert len(caught.value.message) < 300


@given(st.text())
def test_any_text_is_a_wish_or_a_clear_error(text: str) -> None:
    try:
        wish = parse_nic(text, "vm1", 0)
    except InvalidInput:
        return
    assert wish.vm == "vm1"
