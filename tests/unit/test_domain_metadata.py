"""vmnet's element in a domain's metadata: what may stand there, and that nothing is overlooked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domainxml import chars, nics
from tests.unit.values import MAC, guest_macs
from vmnet.errors import InvalidInput
from vmnet.formats.domain import nics_xml, parse_domain
from vmnet.model.domain import NICS_URI, NicWish
from vmnet.model.vhost import Policy

V2 = "urn:vmnet:nics:2"


def document(metadata: str) -> bytes:
    return f"<domain><name>a</name><metadata>{metadata}</metadata></domain>".encode()


def wishes(xml: bytes) -> tuple[NicWish, ...]:
    return parse_domain(xml).wishes


def refused(xml: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_domain(xml)
    assert caught.value.code == "bad-metadata"
    assert len(caught.value.message) < 300
    assert "virsh metadata" in caught.value.remedy
    return caught.value.message


def test_only_the_mac_is_required() -> None:
    assert wishes(nics(f'<vmnet:nic mac="{MAC}"/>')) == (NicWish(MAC, 0),)


@pytest.mark.parametrize("policy", Policy)
def test_all_that_can_be_said_is_read(policy: Policy) -> None:
    text = f"<vmnet:nic vhost='{policy}' network='lan &amp; &lt;x>' nic='99' mac='{MAC}'/>"
    assert wishes(nics(text)) == (NicWish(MAC, 99, "lan & <x>", policy),)


def test_a_number_left_out_is_the_place_in_the_list() -> None:
    macs = [f"52:54:00:00:00:0{number}" for number in range(3)]
    inner = "".join(f'<vmnet:nic mac="{mac}"/><!-- x -->' for mac in macs)
    assert [(w.mac, w.nic) for w in wishes(nics(inner))] == list(zip(macs, range(3), strict=True))


@pytest.mark.parametrize("text", [MAC.upper(), f" {MAC}\n", MAC.replace(":", "-")])
def test_a_mac_is_taken_in_any_usual_form(text: str) -> None:
    assert wishes(nics(f'<vmnet:nic mac="{text}"/>')) == (NicWish(MAC, 0),)


@pytest.mark.parametrize(
    "metadata",
    [
        f'<nics xmlns="{NICS_URI}"><nic mac="{MAC}"/></nics>',
        f'<a:nics xmlns:a="{NICS_URI}" xmlns:b="{NICS_URI}"><b:nic mac="{MAC}"/></a:nics>',
        f'<a:nics xmlns:a="{NICS_URI}"><nic xmlns="{NICS_URI}" mac="{MAC}"/></a:nics>',
        f'<vmnet:nics xmlns:vmnet="{NICS_URI}">text<?pi?><vmnet:nic mac="{MAC}"/></vmnet:nics>',
        f'<a:nics xmlns:a="{NICS_URI}" xmlns:b="urn:b"><a:nic mac="{MAC}" b:vhost="no"/></a:nics>',
        f'<a:nics xmlns:a="{NICS_URI}" xml:lang="en"><a:nic mac="{MAC}" xml:id="x"/></a:nics>',
    ],
    ids=["default", "two-prefixes", "mixed", "text", "foreign-attribute", "xml"],
)
def test_the_namespace_counts_and_not_the_prefix(metadata: str) -> None:
    assert wishes(document(metadata)) == (NicWish(MAC, 0),)


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        f'<vmnet:nics><vmnet:nic mac="{MAC}"/></vmnet:nics>',
        f'<vmnet:nics xmlns:vmnet="urn:other"><vmnet:nic mac="{MAC}"/></vmnet:nics>',
        f'<o xmlns="urn:o"><vmnet:nics xmlns:vmnet="{NICS_URI}"><bad/></vmnet:nics></o>',
        f'<vmnet:nics xmlns:vmnet="{NICS_URI}"/>',
        f'<a xmlns:v="{NICS_URI}" xmlns="urn:a"><v:nics><v:nic mac="?"/></v:nics></a>',
    ],
    ids=["none", "undeclared", "other", "nested", "empty", "prefix-of-another"],
)
def test_what_is_not_vmnets_element_is_no_wish(metadata: str) -> None:
    assert wishes(document(metadata)) == ()


def test_a_prefix_means_what_it_was_last_declared_to() -> None:
    before = f'<v:a xmlns:v="urn:a"><v:b xmlns:v="{NICS_URI}"/></v:a>'
    real = f'<v:nics xmlns:v="{NICS_URI}"><v:nic mac="{MAC}"/></v:nics>'
    assert wishes(document(before + real + before)) == (NicWish(MAC, 0),)
    assert wishes(document(f'{before}<v:nics><v:nic mac="{MAC}"/></v:nics>')) == ()


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ("", "no mac"),
        ('nic="0"', "no mac"),
        (f'vmnet:mac="{MAC}"', "not known"),
        (f'mac="{MAC}" vmnet:vhost="require"', "not known"),
        (f'mac="{MAC}" bridge="br0"', "not known"),
        (f'mac="{MAC}" MAC="{MAC}"', "not known"),
        (f'mac="{MAC}" Vhost="off"', "not known"),
        (f'mac="{MAC}" queues="4"', "not known"),
        ('mac=""', "six bytes"),
        ('mac="52:54:00:12:34"', "six bytes"),
        (f'mac="{MAC}:00"', "six bytes"),
        ('mac="52:54:00:12:34:5\u0666"', "six bytes"),
        ('mac="01:00:5e:00:00:01"', "multicast"),
        ('mac="ff:ff:ff:ff:ff:ff"', "multicast"),
        ('mac="00:00:00:00:00:00"', "zero"),
        ('mac="fe:54:00:12:34:56"', "fe:"),
        (f'mac="{"x" * 9999}"', "six bytes"),
        *((f'mac="{MAC}" nic="{nic}"', "not in 0..99") for nic in ("", "100", "-1", "+1", " 1")),
        *((f'mac="{MAC}" nic="{nic}"', "not in 0..99") for nic in ("1_0", "0x1", "\u0661", "²")),
        *((f'mac="{MAC}" nic="{nic}"', "not in 0..99") for nic in ("9" * 5000, "1e1", "1.0")),
        *((f'mac="{MAC}" vhost="{word}"', "not one of") for word in ("", "on", "OFF", " off")),
        (f'mac="{MAC}" vhost="{"v" * 9999}"', "not one of"),
        (f'mac="{MAC}" network=""', "names none"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(attributes: str, why: str) -> None:
    assert why in refused(nics(f"<vmnet:nic {attributes}/>"))


@pytest.mark.parametrize(
    "inner",
    [
        f'<vmnet:nic mac="{MAC}"/><vmnet:nic mac="{MAC.upper()}" nic="1"/>',
        '<vmnet:nic mac="52:54:00:00:00:01" nic="1"/><vmnet:nic mac="52:54:00:00:00:02"/>',
        '<vmnet:nic mac="52:54:00:00:00:01" nic="01"/><vmnet:nic mac="52:54:00:00:00:02" nic="1"/>',
    ],
    ids=["mac", "number-by-place", "number"],
)
def test_two_wishes_for_one_nic_are_refused(inner: str) -> None:
    assert "there twice" in refused(nics(inner))


@pytest.mark.parametrize(
    "inner",
    [
        f'<vmnet:nik mac="{MAC}"/>',
        f'<nic mac="{MAC}"/>',
        f'<o:nic xmlns:o="urn:o" mac="{MAC}"/>',
        f'<v2:nic xmlns:v2="{V2}" mac="{MAC}"/>',
        "<vmnet:nics/>",
        f'<vmnet:nic mac="{MAC}"><vmnet:vhost/></vmnet:nic>',
        f'<vmnet:nic mac="{MAC}"><o:x xmlns:o="urn:o"/></vmnet:nic>',
        f"<{'x' * 9999}/>",
    ],
)
def test_an_unknown_element_inside_is_refused(inner: str) -> None:
    assert "not known" in refused(nics(inner))


@pytest.mark.parametrize(
    "metadata",
    [
        f'<vmnet:nics xmlns:vmnet="{V2}"/>',
        f'<vmnet:other xmlns:vmnet="{NICS_URI}"/>',
        '<vmnet:nics xmlns:vmnet="urn:vmnet:nics:"/>',
        f'<vmnet:nics xmlns:vmnet="{NICS_URI}0"/>',
    ],
)
def test_another_version_is_refused(metadata: str) -> None:
    assert "another version" in refused(document(metadata))


@pytest.mark.parametrize("second", [NICS_URI, V2])
def test_a_second_element_is_refused_whatever_its_version(second: str) -> None:
    first = f'<a:nics xmlns:a="{NICS_URI}"/>'
    assert "more than once" in refused(document(f'{first}<b:nics xmlns:b="{second}"/>'))


@pytest.mark.parametrize("attribute", ['version="2"', 'vmnet:strict="1"'])
def test_an_attribute_of_the_list_that_is_not_known_is_refused(attribute: str) -> None:
    text = f'<vmnet:nics xmlns:vmnet="{NICS_URI}" {attribute}/>'
    assert "not known" in refused(document(text))


def _wishes(values: list[tuple[str, int, str | None, Policy | None]]) -> list[NicWish]:
    return [NicWish(*each) for each in values]


many = st.lists(
    st.tuples(
        guest_macs,
        st.integers(0, 99),
        st.none() | st.text(chars | st.just("\r"), min_size=1),
        st.none() | st.sampled_from(Policy),
    ),
    min_size=1,
    max_size=4,
    unique_by=(lambda each: each[0], lambda each: each[1]),
).map(_wishes)


@given(many)
def test_what_is_written_is_read_again(found: list[NicWish]) -> None:
    assert wishes(document(nics_xml(found))) == tuple(found)
    # As libvirt makes it, which adds prefix and namespace.
    bare = nics_xml(found, prefixed=False).replace("<nics>", f'<nics xmlns="{NICS_URI}">')
    assert wishes(document(bare)) == tuple(found)


def test_no_wish_is_no_element() -> None:
    assert (nics_xml([]), nics_xml([], prefixed=False)) == ("", "")
