"""MAC addresses: the guest's own and the host's end."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import guest_macs, vm_names
from vmnet.errors import InvalidInput
from vmnet.model.mac import derive, parse_guest_mac, tap_mac

HOST, OTHER_HOST = "0" * 32, "1" * 32


@given(guest_macs)
def test_a_guest_mac_is_taken_as_it_is(mac: str) -> None:
    assert parse_guest_mac(mac) == mac


@pytest.mark.parametrize(
    "text", ["52:54:00:AB:CD:EF", "52-54-00-ab-cd-ef", "52-54-00-AB-CD-EF", " 52:54:00:ab:cd:ef\n"]
)
def test_other_spellings_of_a_mac_give_the_same(text: str) -> None:
    assert parse_guest_mac(text) == "52:54:00:ab:cd:ef"


@pytest.mark.parametrize("mac", ["00:00:00:00:00:01", "fc:ff:ff:ff:ff:ff", "fa:00:00:00:00:00"])
def test_macs_at_the_edge_are_taken(mac: str) -> None:
    assert parse_guest_mac(mac) == mac


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("01:00:5e:00:00:01", "multicast"),
        ("53:54:00:12:34:56", "multicast"),
        ("ff:ff:ff:ff:ff:ff", "multicast"),
        ("00:00:00:00:00:00", "all zero"),
        ("fe:54:00:12:34:56", "fe:"),
        ("FE-54-00-12-34-56", "fe:"),
        ("", "not six bytes"),
        ("52:54:00:12:34", "not six bytes"),
        ("52:54:00:12:34:56:78", "not six bytes"),
        ("52:54:00:12:34:5g", "not six bytes"),
        ("525400123456", "not six bytes"),
        ("5:54:0:12:34:56", "not six bytes"),
        ("52:54:00:12:34:5٣", "not six bytes"),
        ("52:54:00:12:34:56\n,mac=x", "not six bytes"),
        ("x" * 300, "not six bytes"),
    ],
)
def test_a_mac_no_guest_may_have_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        parse_guest_mac(text)
    assert caught.value.code == "bad-mac"
    assert caught.value.message.isprintable()


@given(st.text())
def test_any_text_is_a_mac_or_a_clear_error(text: str) -> None:
    with suppress(InvalidInput):
        assert len(parse_guest_mac(text)) == 17


@given(vm_names, st.integers(0, 99))
def test_a_derived_mac_is_unicast_local_and_a_guests(vm: str, nic: int) -> None:
    mac = derive(HOST, vm, str(nic))
    assert int(mac[:2], 16) & 0b11 == 0b10
    assert parse_guest_mac(mac) == mac


def test_a_derived_mac_never_changes() -> None:
    # A guest that was configured by its MAC has to find it again.
    assert derive(HOST, "vm1", "0") == "52:18:3f:05:a9:da"


def test_a_derived_mac_depends_on_host_vm_and_nic() -> None:
    macs = {derive(h, v, n) for h in (HOST, OTHER_HOST) for v in ("vm1", "vm2") for n in "01"}
    assert len(macs) == 8


def test_parts_of_a_derived_mac_do_not_run_together() -> None:
    assert derive(HOST, "vm1", "1") != derive(HOST, "vm", "11")


@given(guest_macs)
def test_the_hosts_end_has_fe_and_the_rest_of_the_guests(mac: str) -> None:
    host = tap_mac(mac)
    assert host == "fe:" + mac[3:]
    assert host != mac
