"""Domain XML as vmnet reads it: libvirt's own, anything libvirt lets through, and an attacker's."""

from __future__ import annotations

from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.domainxml import (
    LIBVIRT,
    documents,
    interfaces,
    strict,
    tree_reading,
    vm_names,
)
from vmnet.errors import InvalidInput
from vmnet.formats.domain import SIZE_MAX, interface_text, map_bridges, parse_domain
from vmnet.model.domain import Interface, NicWish
from vmnet.model.vhost import Policy

TYPED = ("", "bad-domain-xml", "bad-vm-name", "bad-metadata")
NAMED = b"<domain><name>vm1</name>"


def devices(inner: str) -> bytes:
    return f"<domain><name>vm1</name><devices>{inner}</devices></domain>".encode()


def interface(inner: str, kind: str = "bridge") -> Interface:
    return parse_domain(devices(f"<interface type='{kind}'>{inner}</interface>")).interfaces[0]


def refused(xml: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_domain(xml)
    assert caught.value.code == "bad-domain-xml"
    assert len(caught.value.message) < 300
    return caught.value.message


def answered(xml: bytes) -> str:
    """Return the code of the refusal, or nothing if the document is taken."""
    try:
        parse_domain(xml)
        map_bridges(xml, {"br0": "br1"})
    except InvalidInput as error:
        return error.code
    return ""


def test_what_libvirt_writes_is_read() -> None:
    domain = parse_domain(LIBVIRT.encode())
    assert domain.name == """a & <b> "q" 'é' 🐧"""
    assert (domain.uuid, domain.kind) == ("11111111-2222-3333-4444-555555555555", "qemu")
    assert domain.wishes == (
        NicWish("52:54:00:00:00:01", 3, "a\nb"),
        NicWish("52:54:00:00:00:03", 1, None, Policy.OFF),
    )
    bridge, network, ethernet, hostdev, udp = domain.interfaces
    assert bridge == Interface(
        kind="bridge",
        mac="52:54:00:00:00:01",
        target="vnet0",
        bridge="br0",
        model="virtio",
        driver="vhost",
        queues=4,
        mtu=1400,
    )
    assert (network.network, network.virtualport) == ("default", "openvswitch")
    assert (ethernet.target, ethernet.managed) == ("vmnaaaaaaaaa-0", False)
    # `managed` of the interface is about PCI, not about a TAP.
    assert (hostdev.kind, hostdev.managed, hostdev.bridge) == ("hostdev", True, "")
    assert (udp.kind, udp.bridge, udp.target) == ("udp", "", "")


def test_an_interface_is_read_as_another_reader_does() -> None:
    xml = LIBVIRT.replace("z:a", "a").encode()  # ElementTree wants all prefixes declared
    assert list(parse_domain(xml).interfaces) == tree_reading(xml)[0]


@given(strict)
def test_any_document_is_read_as_another_reader_does(xml: bytes) -> None:
    domain = parse_domain(xml)
    assert (list(domain.interfaces), domain.name) == tree_reading(xml)


@given(documents)
def test_what_libvirt_keeps_is_no_error_even_with_prefixes_that_nobody_declared(xml: bytes) -> None:
    assert parse_domain(xml).wishes == ()


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe<\0")
def test_any_bytes_give_a_value_or_a_typed_error(raw: bytes) -> None:
    for xml in (raw, NAMED + raw, NAMED + raw + b"</domain>"):
        assert answered(xml) in TYPED


@given(strict, st.data())
def test_a_document_with_a_part_missing_or_changed_is_no_other_error(
    xml: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(xml)))
    end = data.draw(st.integers(start, len(xml)))
    assert answered(xml[:start] + data.draw(st.binary(max_size=3)) + xml[end:]) in TYPED


@given(vm_names)
def test_any_name_comes_through_however_it_is_written(name: str) -> None:
    inside = escape(name)
    coded = "".join(f"&#{ord(char)};" for char in name)
    parts = "<!-- x -->".join(escape(char) for char in name)
    for text in (inside, coded, parts, f"{inside}<b>no</b>"):
        assert parse_domain(f"<domain><name>{text}</name></domain>".encode()).name == name


def test_only_the_first_name_right_below_the_root_counts() -> None:
    xml = b"<domain><devices><name>no</name></devices><name>a</name><name>b</name></domain>"
    assert parse_domain(xml).name == "a"


@pytest.mark.parametrize("name", ["", "a/b", "a&#10;b", "x" * 256, "<!-- -->"])
def test_a_name_that_no_domain_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_domain(f"<domain><name>{name}</name></domain>".encode())
    assert caught.value.code == "bad-vm-name"


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE domain>",
        "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'>",
        "<!DOCTYPE domain PUBLIC 'x' 'http://192.0.2.1/'>",
        "<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE d [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>]>",
        "<!DOCTYPE d [<!ENTITY % p 'x'> %p;]>",
    ],
)
def test_a_document_type_is_refused_whatever_it_says(doctype: str) -> None:
    assert "document type" in refused(f"{doctype}<domain><name>&e;</name></domain>".encode())


@pytest.mark.parametrize("entity", ["&e;", "&nbsp;", "&#0;", "&#xFFFE;"])
def test_an_entity_that_xml_does_not_have_is_refused(entity: str) -> None:
    refused(f"<domain><name>{entity}</name></domain>".encode())


def test_more_than_libvirt_sends_is_refused_unread() -> None:
    fits = NAMED + b" " * (SIZE_MAX - len(NAMED) - 9) + b"</domain>"
    assert parse_domain(fits).name == "vm1"
    assert "larger than 4 MiB" in refused(fits + b" ")


@pytest.mark.parametrize("root", ["domainsnapshot", "network", "x:domain", "Domain"])
def test_a_document_of_something_else_is_refused(root: str) -> None:
    text = f"<{root} xmlns:x='urn:x'><name>vm1</name></{root}>"
    assert "not <domain>" in refused(text.encode())
    refused(b"<domain xmlns='urn:x'><name>vm1</name></domain>")


def _deep(unit: str) -> bytes:
    inner = f"<{unit}>" * 100_000 + f"</{unit.partition(' ')[0]}>" * 100_000
    return f"<domain><name>vm1</name>{inner}</domain>".encode()


def _many(kind: str) -> bytes:
    spaces = " ".join(f'xmlns:p{number}="u"' for number in range(60_000))
    if kind == "spaces":
        inner = "<b xmlns:q='u'/>" * 60_000
        return NAMED + f"<a {spaces}>{inner}</a></domain>".encode()
    if kind == "names":
        return b"<domain><name>" + b"a<!---->" * 400_000 + b"</name></domain>"
    inner = "<a>" * 100_000 + "</a>" * 100_000
    return devices(f"<interface>{inner}</interface>")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "xml",
    [_deep("a"), _deep("a xmlns:p='u'"), _many("spaces"), _many("names"), _many("inside")],
    ids=["deep", "deep-spaces", "spaces", "names", "inside"],
)
def test_a_document_made_to_be_slow_is_not(xml: bytes) -> None:
    assert answered(xml) in ("", "bad-vm-name")  # the latter of the one with a long name


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "cp1252", "ascii"])
def test_encodings_that_xml_has_are_read(encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    text = f"<?xml version='1.0' encoding='{declared}'?><domain><name>vm1</name></domain>"
    assert parse_domain(text.encode(encoding)).name == "vm1"


@pytest.mark.parametrize(
    "encoding", ["nonsense", "rot13", "hex", "idna", "undefined", "shift_jis", "utf-7", "x" * 999]
)
def test_encodings_that_it_has_not_are_refused(encoding: str) -> None:
    refused(f"<?xml version='1.0' encoding='{encoding}'?><domain/>".encode())


@pytest.mark.parametrize(
    ("queues", "read"),
    [
        *(("", 1), ("0", 1), ("1", 1), ("04", 4), ("256", 256), ("9" * 9, 10**9 - 1)),
        *(("-1", 1), ("٤", 1), ("²", 1), ("4 ", 1), ("1_0", 1), ("+4", 1), ("0x4", 1)),
        *(("4294967296", 10**9), ("9" * 5000, 10**9)),
    ],
)
def test_numbers_are_plain_digits_and_what_is_huge_stays_huge(queues: str, read: int) -> None:
    found = interface(f"<driver queues='{queues}'/><mtu size='{queues}'/>")
    assert (found.queues, found.mtu or 1) == (read, read)


def test_a_mac_is_in_lower_case() -> None:
    assert interface("<mac address='52:54:00:AB:CD:EF'/>").mac == "52:54:00:ab:cd:ef"


def test_what_another_namespace_says_of_an_interface_is_not_libvirts() -> None:
    inner = (
        "<x:mac xmlns:x='urn:x' address='52:54:00:00:00:09'/><source xmlns='urn:x' bridge='no'/>"
    )
    assert interface(inner) == Interface("bridge", "")
    assert parse_domain(devices("<interface xmlns='urn:x'/><x:interface/>")).interfaces == ()


@given(st.lists(interfaces, max_size=4))
def test_an_interface_elsewhere_is_none(found: list[str]) -> None:
    inner = "".join(found)
    text = (
        f"<domain><name>a</name><metadata><interface/>{inner}</metadata><interface/>"
        f"<devices><hub>{inner}</hub></devices><x>{inner}</x></domain>"
    )
    assert parse_domain(text.encode()).interfaces == ()


@given(strict)
def test_the_text_of_an_interface_is_that_very_part_of_the_document(xml: bytes) -> None:
    # Read again, alone, it is the same interface: the first one of that address.
    found = parse_domain(xml).interfaces
    for each in found:
        text = interface_text(xml, each.mac)
        first = next(other for other in found if other.mac == each.mac)
        if not each.mac:
            assert text == ""
            continue
        assert text.startswith("<interface")
        assert text.endswith("</interface>")
        assert text.encode() in xml
        alone = f"<domain xmlns:a='urn:0' xmlns:vm='urn:1'><name>a</name><devices>{text}"
        assert parse_domain(f"{alone}</devices></domain>".encode()).interfaces == (first,)


def test_there_is_no_text_of_an_interface_that_is_not_there() -> None:
    assert interface_text(LIBVIRT.encode(), "52:54:00:00:00:99") == ""
    assert interface_text(devices("<interface type='user'/>"), "") == ""
