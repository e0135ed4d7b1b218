"""The tag in a link's alias: it fits, comes back as it was, and nothing in an alias does harm."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import MAC, guest_macs, link_names, vm_names
from vmnet.model.names import NIC_MAX
from vmnet.model.nic import QUEUES_MAX
from vmnet.model.tag import IdleMark, Life, Own, Tag, format_tag, parse_tag, vm_in_tag

ALIAS_MAX = 255  # linux/if.h IFALIASZ less the NUL
TEXT = "vmnet/1 vm=vm1 nic=2 gen=00c0ffee own=made life=kept mac=525400123456 q=4 br=br0 idle=9.3"
TAG = Tag("vm1", 2, "00c0ffee", Own.MADE, Life.KEPT, MAC, 4, "br0", IdleMark(9, 3))
#: Thirty years of uptime, and the largest number of a 32-bit counter.
_LONGEST_IDLE = IdleMark(10**9 - 1, 2**32 - 1)

tags = st.builds(
    Tag,
    vm=vm_names.map(vm_in_tag),
    nic=st.integers(0, NIC_MAX),
    generation=st.binary(min_size=4, max_size=4).map(bytes.hex),
    own=st.sampled_from(Own),
    life=st.sampled_from(Life),
    mac=st.just("") | guest_macs,
    queues=st.integers(1, QUEUES_MAX),
    bridge=st.just("") | link_names,
    idle=st.none() | st.builds(IdleMark, st.integers(0, 10**9 - 1), st.integers(0, 2**32 - 1)),
)


@given(tags)
def test_a_tag_comes_back_as_it_was(tag: Tag) -> None:
    assert parse_tag(format_tag(tag)) == tag


@given(tags)
def test_a_tag_is_printable_ascii_that_fits_an_alias(tag: Tag) -> None:
    text = format_tag(tag)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= ALIAS_MAX


@pytest.mark.parametrize("own", Own)
@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize("vm", ["a" * 255, "\0" * 255, "é" * 127, "=" * 255])
def test_the_longest_tag_fits_an_alias(own: Own, life: Life, vm: str) -> None:
    tag = Tag(
        vm_in_tag(vm), NIC_MAX, "ffffffff", own, life, MAC, QUEUES_MAX, "," * 15, _LONGEST_IDLE
    )
    assert len(format_tag(tag)) <= ALIAS_MAX
    assert parse_tag(format_tag(tag)) == tag


def test_a_tag_is_written_in_the_documented_form() -> None:
    assert format_tag(TAG) == TEXT
    assert format_tag(Tag("", 0, "ab", Own.MANAGED, Life.PROCESS)) == (
        "vmnet/1 vm= nic=0 gen=ab own=managed life=process"
    )


def test_a_tag_knows_its_nic() -> None:
    tag = replace(TAG, vm=vm_in_tag("a b"))
    assert tag.is_for("a b", 2)
    assert not tag.is_for("a b", 1)
    assert not tag.is_for("a=20b", 2)


def test_two_long_vm_names_have_two_tags() -> None:
    one, other = "x" * 254 + "1", "x" * 254 + "2"
    assert not replace(TAG, vm=vm_in_tag(one)).is_for(other, 2)


def test_a_field_of_a_later_vmnet_is_no_hindrance() -> None:
    assert parse_tag(TEXT + " colour=blue") == TAG


@given(st.text())
def test_no_alias_raises(alias: str) -> None:
    parse_tag(alias)


@given(st.text(st.characters(codec="utf-8")), st.text(), st.text())
def test_no_alias_that_begins_like_a_tag_raises(vm: str, mac: str, idle: str) -> None:
    tag = parse_tag(f"vmnet/1 vm={vm} nic=0 gen=x own=made life=kept mac={mac} br={vm} idle={idle}")
    assert tag is None or isinstance(tag.vm_name, str)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("vmnet/1", "vmnet/2"),
        ("vmnet/1", "vmnet/11"),
        ("vmnet/1 ", "vmnet/1\t"),
        ("vmnet/1", "xvmnet/1"),
        ("vm=vm1 ", ""),
        ("nic=2", "nic=two"),
        ("nic=2", "nic="),
        ("nic=2", "nic=-1"),
        ("nic=2", "nic=\u0662"),
        ("nic=2", "nic=0_2"),
        ("nic=2", "nic=+2"),
        ("idle=9.3", "idle=9.1_0"),
        ("idle=9.3", "idle=9." + "9" * 30),
        ("nic=2", "nic=100"),
        ("gen=00c0ffee ", ""),
        ("own=made", "own=mine"),
        ("life=kept", "life=long"),
        ("mac=525400123456", "mac=5254001234"),
        ("mac=525400123456", "mac=52540012345z"),
        ("q=4", "q=many"),
        ("q=4", "q=0"),
        ("q=4", "q=257"),
        ("idle=9.3", "idle=9"),
        ("idle=9.3", "idle=9.3.1"),
    ],
)
def test_an_alias_that_is_not_quite_a_tag_is_foreign(old: str, new: str) -> None:
    assert parse_tag(TEXT) == TAG
    assert parse_tag(TEXT.replace(old, new)) is None


@pytest.mark.parametrize("alias", ["", "uplink to rack 4", "vmnet/1", "vmnet/1 "])
def test_an_alias_of_somebody_elses_is_foreign(alias: str) -> None:
    assert parse_tag(alias) is None
