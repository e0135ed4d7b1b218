"""Changes of a domain's XML as text: all that is not changed stays as it was."""

from __future__ import annotations

import html
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domainxml import LIBVIRT, strict, words
from tests.unit.values import link_names
from vmnet.errors import InvalidInput
from vmnet.formats.domain import interface_text, map_bridges, parse_domain
from vmnet.formats.interface import changed, fill, settings

MAP = {"br0": "br-lan", "vmbr0": "br1"}


def document(inner: str) -> str:
    return f"<domain><name>a</name><devices>{inner}</devices></domain>"


def mapped(inner: str, bridges: dict[str, str] | None = None) -> str | None:
    xml = map_bridges(document(inner).encode(), bridges or MAP)
    return None if xml is None else xml.decode()


def bridge_nic(source: str) -> str:
    return f"<interface type='bridge'><!-- br0 -->{source}</interface>"


@pytest.mark.parametrize(
    "source",
    [
        "<source bridge=@/>",
        "<source  \n bridge\t=\n @ ></source>",
        "<source dev='br0' bridge=@ abridge='br0'/>",
        "<source x='a>b' bridge=@/>",
        """<source x=" bridge='br0' " bridge=@/>""",
        """<source x=' bridge="br0" ' y="'" bridge=@/>""",
        "<source x:bridge='br0' bridge=@/>",
        "<source é='ü' bridge=@/>",
        "<!-- <source bridge='br0'/> --><source bridge=@/>",
        "<![CDATA[<source bridge='br0'/>]]><source bridge=@/>",
        "<x:source bridge='br0'/><source bridge=@/>",
        "<source xmlns='urn:x' bridge='br0'/><source bridge=@/>",
        "<x><source bridge='br0'/></x><source bridge=@/>",
        "<source bridge=@><source bridge='br0'/></source>",
        "<source bridge=@/><source bridge='br0'/>",
    ],
)
@pytest.mark.parametrize("old", ["'br0'", '"br0"', "'br&#48;'", '"&#x62;r0"'])
def test_only_the_value_is_another(source: str, old: str) -> None:
    inner = bridge_nic(source)
    assert mapped(inner.replace("@", old)) == document(inner.replace("@", "'br-lan'"))


@pytest.mark.parametrize(
    "inner",
    [
        bridge_nic("<source bridge='br1'/>"),
        bridge_nic("<source/>"),
        bridge_nic("<source dev='br0'/>"),
        bridge_nic("<mac bridge='br0'/>"),
        "<interface type='network'><source bridge='br0'/></interface>",
        "<interface type='direct'><source bridge='br0' dev='br0'/></interface>",
        "<interface><source bridge='br0'/></interface>",
        "<hub><interface type='bridge'><source bridge='br0'/></interface></hub>",
        "<!-- <interface type='bridge'><source bridge='br0'/></interface> -->",
    ],
)
def test_what_is_no_bridge_of_an_interface_stays(inner: str) -> None:
    assert mapped(inner) is None


def test_each_interface_gets_its_own() -> None:
    inner = "".join(bridge_nic(f"<source bridge='{n}'/>") for n in ("br0", "x", "vmbr0", "br0"))
    done = mapped(inner)
    assert done == document(
        "".join(bridge_nic(f"<source bridge='{n}'/>") for n in ("br-lan", "x", "br1", "br-lan"))
    )


def test_two_names_can_be_exchanged_and_one_kept() -> None:
    inner = bridge_nic("<source bridge='a'/>") + bridge_nic("<source bridge='b'/>")
    done = mapped(inner, {"a": "b", "b": "a"})
    assert done == document(bridge_nic("<source bridge='b'/>") + bridge_nic("<source bridge='a'/>"))
    assert mapped(inner, {"a": "a", "b": "b"}) is None


@given(strict, link_names)
def test_any_document_stays_byte_for_byte_outside_the_values(xml: bytes, name: str) -> None:
    done = map_bridges(xml, {"br0": name})
    before = parse_domain(xml).interfaces
    touched = [i.kind == "bridge" and i.bridge == "br0" for i in before]
    if done is None:
        assert not any(touched) or name == "br0"
        return
    after = parse_domain(done).interfaces
    assert [i.bridge for i in after] == [
        name if touch else i.bridge for i, touch in zip(before, touched, strict=True)
    ]
    # Back again it is the same document but for the way the value was written.
    value = b"'" + html.escape(name).encode() + b"'"
    parts = done.split(b"bridge=" + value)
    rest = xml
    for part in parts[:-1]:
        assert rest.startswith(part)
        rest = rest[len(part) :].removeprefix(b"bridge=")
        rest = rest.removeprefix(value) if rest.startswith(value) else rest[5:]
    assert rest == parts[-1]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_document_in_two_bytes_is_refused_and_not_left_alone(encoding: str) -> None:
    text = document(bridge_nic("<source bridge='br0'/>"))
    with pytest.raises(InvalidInput) as caught:
        map_bridges(text.encode(encoding), MAP)
    assert caught.value.code == "bad-domain-xml"
    assert map_bridges(text.encode("utf-8-sig"), MAP) == text.replace(
        "<source bridge='br0'/>", "<source bridge='br-lan'/>"
    ).encode("utf-8-sig")


def test_a_bridge_of_any_name_can_be_written() -> None:
    assert mapped(bridge_nic("<source bridge='a&apos;b'/>"), {"a'b": "\"<&>'"}) == document(
        bridge_nic("<source bridge='&quot;&lt;&amp;&gt;&#x27;'/>")
    )


# One interface with other settings.


def alike(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Return all elements below an interface, but for the three that vmnet sets."""
    root = ET.fromstring(text)  # noqa: S314 - the test's own
    ours = {"driver", "mtu", "source"}
    return [(n.tag, n.attrib, (n.text or "").strip()) for n in root.iter() if n.tag not in ours]


@given(
    st.sampled_from(["", "<driver name='qemu' txmode='iothread'><host csum='off'/></driver>"]),
    st.sampled_from(["", "<mtu size='1400'/>"]),
    words.map(html.escape),
    st.integers(1, 256),
    st.none() | st.integers(68, 65521),
    st.sampled_from(["", "vhost", "qemu"]),
    st.sampled_from(["", "br9"]),
)
def test_other_settings_leave_all_else(  # noqa: PLR0917 - hypothesis hands them over one by one
    driver: str, mtu_xml: str, alias: str, queues: int, mtu: int | None, name: str, bridge: str
) -> None:
    text = f"""<interface type='bridge' trustGuestRxFilters='yes'>
<mac address='52:54:00:00:00:01'/><source bridge='br0'/>{driver}{mtu_xml}<boot order='1'/>
<filterref filter='f'><parameter name='IP' value="{alias}"/></filterref><alias name="{alias}"/>
<address type='pci' slot='0x03'/></interface>"""
    done = changed(text, queues=queues, mtu=mtu, driver=name, bridge=bridge)
    assert alike(done) == alike(text)
    (read,) = parse_domain(document(done).encode()).interfaces
    told = None if mtu == 1500 else mtu
    assert (read.queues, read.driver, read.bridge) == (queues, name, bridge or "br0")
    assert read.mtu == (told if mtu is not None else (1400 if mtu_xml else None))
    assert ("<host csum" in done, "txmode" in done) == (bool(driver), bool(driver))
    # Asked for again, nothing is another.
    again = changed(done, queues=queues, mtu=mtu, driver=name, bridge=bridge)
    assert ET.canonicalize(again) == ET.canonicalize(done)


def test_an_interface_of_libvirts_can_be_changed_back() -> None:
    for each in parse_domain(LIBVIRT.encode()).interfaces:
        text = interface_text(LIBVIRT.encode(), each.mac)
        other = changed(text, queues=7, mtu=1200, driver="qemu", bridge="")
        back = changed(
            other, queues=each.queues, mtu=each.mtu or 1500, driver=each.driver, bridge=""
        )
        (read,) = parse_domain(document(back).encode()).interfaces
        assert read == replace(each, mtu=each.mtu or 1500)


def test_a_driver_that_is_not_asked_for_and_a_usual_mtu_stay() -> None:
    text = "<interface type='bridge'><driver name='qemu'/><mtu size='1500'/></interface>"
    done = changed(text, queues=1, mtu=1500, driver=None)
    assert ET.canonicalize(done) == ET.canonicalize(text)
    assert "<driver" not in changed(text, queues=1, mtu=None, driver="")


def test_a_tap_gets_another_name() -> None:
    text = "<interface type='ethernet'><target dev='a' managed='no'/></interface>"
    done = changed(text, queues=1, mtu=None, driver=None, tap="b")
    assert ET.canonicalize(done) == ET.canonicalize(text.replace("'a'", "'b'"))


@given(words.filter(lambda text: "\n" not in text), link_names, link_names)
def test_a_template_takes_any_value_of_one_line(model: str, tap: str, bridge: str) -> None:
    values = settings(
        mac="52:54:00:00:00:01", tap=tap, bridge=bridge, model=model, queues=4, mtu=9000, driver=""
    )
    text = fill(
        "<interface type='bridge'>\n  <target dev='$tap'/><source bridge='$bridge'/>\n"
        "  <model type='$model'/>\n  $driver_xml\n  $mtu_xml\n</interface>",
        values,
    )
    (read,) = parse_domain(document(text).encode()).interfaces
    assert (read.target, read.bridge, read.queues, read.mtu) == (tap, bridge, 4, 9000)
    assert read.model == model.replace("\t", " ")


def test_what_need_not_be_said_leaves_no_line() -> None:
    values = settings(mac="m", tap="t", bridge="b", model="x", queues=1, mtu=None, driver="")
    assert fill("<a>\n  $driver_xml\n  $mtu_xml\n</a>", values) == "<a>\n</a>"
