"""Names: what a link may be called, and what vmnet calls its own."""

from __future__ import annotations

import re
import shlex
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.values import guest_macs, link_names, vm_names
from vmnet.errors import InvalidInput
from vmnet.model.names import (
    ALT_NAME_MAX,
    LINK_NAME_MAX,
    NIC_MAX,
    alt_name,
    check_link_name,
    check_nic,
    check_vm_name,
    decode,
    encode,
    link_name,
    mac_alt_name,
    shorten,
    typed,
)

nics = st.integers(0, NIC_MAX)
BAD_LINK_NAMES = {
    "empty": "",
    "16 bytes": "a" * 16,
    "300 bytes": "a" * 300,
    "16 bytes in 8 characters": "ü" * 8,
    "slash": "a/b",
    "blank": "a b",
    "leading blank": " a",
    "percent": "tap%d",
    "colon": "eth0:1",
    "newline": "a\nb",
    "trailing newline": "br0\n",
    "tab": "a\tb",
    "escape": "a\033[1m",
    "delete": "a\x7f",
    "NUL": "a\0b",
    "unicode": "brücke",
    "dot": ".",
    "dots": "..",
    "raw byte of argv": "a\udcff",
    "lone surrogate": "a\ud800",
}
BAD_VM_NAMES = {
    "empty": "",
    "256 bytes": "a" * 256,
    "256 bytes in 128 characters": "é" * 128,
    "NUL": "a\0b",
    "newline": "a\nb",
    "slash": "a/b",
    "raw byte of argv": "a\udcff",
    "lone surrogate": "\ud800",
}


@given(vm_names, nics)
def test_a_link_name_fits_whatever_the_vm_is_called(vm: str, nic: int) -> None:
    name = link_name(vm, nic)
    assert re.fullmatch(r"vmn[a-z2-7]{9}-[0-9]{1,2}", name)
    assert len(name.encode()) <= LINK_NAME_MAX
    assert check_link_name(name, "tap") == name


def test_a_link_name_never_changes() -> None:
    # Kept TAPs are found by it after an upgrade: what it is today it must always be.
    assert [link_name("vm1", 0), link_name("vm1", 1)] == ["vmnp556o2g2d-0", "vmnp556o2g2d-1"]


@given(vm_names, nics, vm_names, nics)
def test_other_nics_have_other_names(vm: str, nic: int, other: str, other_nic: int) -> None:
    assume((vm, nic) != (other, other_nic))
    assert link_name(vm, nic) != link_name(other, other_nic)
    assert alt_name(vm, nic) != alt_name(other, other_nic)


def test_a_thousand_vms_have_a_thousand_link_names() -> None:
    assert len({link_name(f"vm{n}", 0) for n in range(1000)}) == 1000


@given(vm_names, nics)
def test_an_altname_fits_and_means_nothing_to_a_shell(vm: str, nic: int) -> None:
    name = alt_name(vm, nic)
    assert len(name) <= ALT_NAME_MAX
    assert re.fullmatch(r"vmnet-[A-Za-z0-9._+=~-]+-[0-9]{1,2}", name)


def test_an_altname_shows_a_plain_name_as_it_is() -> None:
    assert alt_name("vm1", 0) == "vmnet-vm1-0"
    assert alt_name("web.example_2+x-y", 12) == "vmnet-web.example_2+x-y-12"


def test_an_altname_hides_what_could_act() -> None:
    assert alt_name("a,vhost=on;$(touch x)", 0) == ("vmnet-a=2Cvhost=3Don=3B=24=28touch=20x=29-0")


@pytest.mark.parametrize(
    ("one", "other"), [(("a-1", 0), ("a", 10)), (("a", 1), ("a-1", 1)), (("a~", 0), ("a", 0))]
)
def test_names_that_look_alike_stay_apart(one: tuple[str, int], other: tuple[str, int]) -> None:
    assert alt_name(*one) != alt_name(*other)


@pytest.mark.parametrize("char", ["a", "é", "語", "😀", "=", "\033"])
def test_long_names_that_differ_at_their_end_stay_apart(char: str) -> None:
    stem = char * (250 // len(char.encode()))
    names = [stem, stem + "1", stem + "2", stem[:-1] + "3"]
    assert all(check_vm_name(name) for name in names)
    assert all(alt_name(a, 0) != alt_name(b, 0) for a, b in combinations(names, 2))


@given(vm_names, nics, guest_macs)
def test_no_vm_is_called_like_the_altname_of_a_mac(vm: str, nic: int, mac: str) -> None:
    assert alt_name(vm, nic) != mac_alt_name(mac)
    assert alt_name(mac_alt_name(mac).removeprefix("vmnet-"), nic) != mac_alt_name(mac)


def test_the_altname_of_a_mac_has_its_digits() -> None:
    assert mac_alt_name("52:54:00:12:34:56") == "vmnet-mac-525400123456"


@given(vm_names, vm_names, st.integers(14, 300))
def test_encoding_keeps_texts_apart_within_its_limit(one: str, other: str, limit: int) -> None:
    assert len(encode(one, limit)) <= limit
    assert (encode(one, limit) == encode(other, limit)) == (one == other)


@given(vm_names)
def test_what_was_encoded_whole_is_decoded_to_the_same(vm: str) -> None:
    assert decode(encode(vm, 3 * 255)) == vm


@given(vm_names, st.integers(14, 100))
def test_what_was_shortened_shows_its_beginning(vm: str, limit: int) -> None:
    coded = encode(vm, limit)
    shown = decode(coded)
    assume("~" in coded)
    assert shown.endswith("…")
    # A character cut in two shows as U+FFFD.
    assert vm.startswith(shown[:-1].rstrip("\ufffd"))


@given(st.text())
def test_decoding_takes_any_text(text: str) -> None:
    decode(text)


@pytest.mark.parametrize("name", BAD_LINK_NAMES.values(), ids=BAD_LINK_NAMES.keys())
def test_a_link_name_the_kernel_could_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_link_name(name, "bridge")
    assert caught.value.code == "bad-link-name"
    assert caught.value.message.startswith("bridge name ")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 160


@given(link_names)
def test_any_other_link_name_is_taken(name: str) -> None:
    assert check_link_name(name, "bridge") == name


@pytest.mark.parametrize("name", ["b", "a" * 15, "br-lan.100", "a;$(x)'\"\\", "...", "-"])
def test_link_names_at_the_edge_are_taken(name: str) -> None:
    assert check_link_name(name, "bridge") == name


def test_a_link_name_is_measured_in_bytes() -> None:
    with pytest.raises(InvalidInput, match="has 16 bytes, not 1 to 15"):
        check_link_name("ü" * 8, "bridge")


@given(vm_names)
def test_any_name_libvirt_accepts_is_taken(name: str) -> None:
    assert check_vm_name(name) == name


@pytest.mark.parametrize("name", ["a", "a" * 255, "é" * 127 + "a", ".", " ", "-", "\033[1m"])
def test_vm_names_at_the_edge_are_taken(name: str) -> None:
    assert check_vm_name(name) == name


@pytest.mark.parametrize("name", BAD_VM_NAMES.values(), ids=BAD_VM_NAMES.keys())
def test_a_vm_name_libvirt_refuses_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_vm_name(name)
    assert caught.value.code == "bad-vm-name"
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("nic", [-1, 100, 10**30])
def test_a_nic_number_of_more_than_two_digits_is_refused(nic: int) -> None:
    with pytest.raises(InvalidInput, match=r"is not in 0\.\.99") as caught:
        check_nic(nic)
    assert caught.value.code == "bad-nic"


def test_nic_numbers_at_the_edge_are_taken() -> None:
    assert [check_nic(0), check_nic(99)] == [0, 99]


def test_a_long_text_is_cut_for_a_message() -> None:
    assert shorten("a" * 60) == "a" * 60
    assert shorten("a" * 61) == "a" * 59 + "…"


@pytest.mark.parametrize("name", ["x; reboot", "$(id)", "`id`", "a'b", "vm 1", "vm1"])
def test_a_name_in_a_remedy_is_one_word_of_a_shell(name: str) -> None:
    assert shlex.split(f"vmnet attach {typed(name)} --nic 0")[2] == name
