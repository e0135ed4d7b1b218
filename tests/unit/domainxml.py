"""Domain XML for tests: one document as libvirt 9.0 writes it, any document at all, another reader.

A document of the grammar has every kind of interface, and around them all that XML allows where
libvirt keeps what it does not know: foreign namespaces, comments, CDATA, elements of known names.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from hypothesis import strategies as st

from vmnet.model.domain import NICS_URI, Interface

#: All that libvirt knows (virDomainNetType).
KINDS = (
    *("bridge", "network", "ethernet", "direct", "hostdev", "vdpa", "user", "vhostuser", "server"),
    *("client", "mcast", "udp", "internal", "null"),
)
#: Shortened, else as libvirt 9.0 prints it for a domain that was defined with an interface of
#: several kinds; the TAP of the first has got its name at the start.
LIBVIRT = """\
<domain type='qemu' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>a &amp; &lt;b&gt; &quot;q&quot; &apos;é&apos; 🐧</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <metadata>
    <a:x xmlns:a="urn:a">hi<!-- c --><![CDATA[<&]]><?pi x?></a:x>
    <vmnet:nics xmlns:vmnet="urn:vmnet:nics:1">
      <vmnet:nic xmlns:a="urn:q" mac="52:54:00:00:00:01" nic="3" network="a&#10;b" a:z="1"/>
      <vmnet:nic mac="52:54:00:00:00:03" vhost="off"/>
    </vmnet:nics>
    <k xmlns="urn:k">
      <z:a/>
    </k>
  </metadata>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:01'/>
      <source bridge='br0'/>
      <bandwidth>
        <inbound average='1000'/>
      </bandwidth>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <driver name='vhost' queues='4'/>
      <mtu size='1400'/>
      <alias name='net0'/>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </interface>
    <interface type='network'>
      <mac address='52:54:00:00:00:02'/>
      <source network='default' portgroup='x'/>
      <virtualport type='openvswitch'>
        <parameters interfaceid='4bc499d3-8d92-4fa3-9b52-569490189ff5'/>
      </virtualport>
      <model type='rtl8139'/>
    </interface>
    <interface type='ethernet'>
      <mac address='52:54:00:00:00:03'/>
      <target dev='vmnaaaaaaaaa-0' managed='no'/>
      <model type='virtio'/>
      <boot order='1'/>
    </interface>
    <interface type='hostdev' managed='yes'>
      <mac address='52:54:00:00:00:05'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x1'/>
      </source>
    </interface>
    <interface type='udp'>
      <mac address='52:54:00:00:00:0c'/>
      <source address='127.0.0.1' port='5558'>
        <local address='127.0.0.1' port='5557'/>
      </source>
      <model type='rtl8139'/>
    </interface>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-name'/>
  </qemu:commandline>
</domain>
"""

#: What XML 1.0 can hold, so nothing below the blank but white space.
chars = st.characters(
    codec="utf-8", min_codepoint=0x20, exclude_characters="\x7f\ufffe\uffff"
) | st.sampled_from("\t\n")
words = st.text(chars, max_size=8)
#: Names that mean something elsewhere, and some that mean nothing.
_known = "interface mac source target driver model mtu name uuid nic metadata devices domain é"
_names = st.sampled_from(_known.split())
_prefixes = st.sampled_from(["", "", "", "a:", "qemu:", "vm:"])
_spaces = st.sampled_from(
    ["", "", "", " xmlns='urn:k'", " xmlns:a='urn:a'", " xmlns:a='urn:b'", " xmlns:vm='urn:c'"]
)


_plain = "br0 br1 vnet0 no virtio vhost 0 4 -1 52:54:00:00:00:01 52:54:00:AB:CD:EF"
_values = (
    st.sampled_from(_plain.split())
    | st.sampled_from(["x bridge='br0'", "a>b", 'q"', "", "9" * 30])
    | words
)


def _first(words_: str) -> str:
    return words_.partition(" ")[0]


def _quoted(value: str) -> str:
    # In single quotes where that can be, as libvirt does; white space written out.
    text = quoteattr(value, {"\t": "&#9;", "\n": "&#10;"})
    return text if "'" in text else f"'{text[1:-1]}'"


_keys = "type address dev bridge network managed name queues size xml:lang mac nic vhost abridge"
attributes = st.dictionaries(st.sampled_from(_keys.split()), _values, max_size=3).map(
    lambda found: "".join(f" {key}={_quoted(value)}" for key, value in found.items())
)
_misc = (
    words.map(escape)
    | words.map(lambda t: f"<!-- {t.replace('-', ' ')}<interface type='bridge'> -->")
    | words.map(lambda t: f"<![CDATA[<interface>{t.replace(']', ' ')}]]>")
    | words.map(lambda t: f"<?pi {t.replace('?', ' ')}<a>?>")
)


def _element(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda p, n, s, a, i: f"<{p}{n}{s}{a}>{i}</{p}{n}>" if i else f"<{p}{n}{s}{a} />",
        _prefixes,
        _names,
        _spaces,
        attributes,
        inner,
    )


#: Any content that an element can have.
content = st.recursive(
    _misc, lambda inner: st.lists(_element(inner) | _misc, max_size=4).map("".join), max_leaves=12
)
_pairs = (
    "mac address,source bridge,source network,target dev,target managed,mtu size,driver name,"
    "driver queues,model type,virtualport type"
)
_parts = st.sampled_from(_pairs.split(","))
_inside = st.lists(
    st.builds(lambda part, v: f"<{part}={_quoted(v)}/>", _parts, _values)
    | st.builds(lambda part, a: f"<{_first(part)}{a}></{_first(part)}>", _parts, attributes)
    | content,
    min_size=1,
    max_size=8,
).map("".join)
interfaces = st.builds(
    lambda kind, more, inner: f"<interface type='{kind}'{more}>{inner}</interface>",
    st.sampled_from(KINDS),
    st.sampled_from(["", " trustGuestRxFilters='yes'", " x='>'"]),
    _inside,
)
_devices = st.lists(interfaces | interfaces | content | st.just("<disk/>"), max_size=5).map("".join)
vm_names = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="/\x7f\ufffe\uffff"),
    min_size=1,
    max_size=12,
)


def _whole(name: str, metadata: str, devices: str, more: str) -> bytes:
    return (
        "<?xml version='1.0'?><!-- made -->\n<domain type='kvm' xmlns:qemu='urn:qemu'>"
        f"<name>{escape(name)}</name>{more}<metadata>{metadata}</metadata>"
        f"<devices>{devices}</devices></domain>\n"
    ).encode()


#: Any document of the grammar, without vmnet's element: one that is not to be refused.
documents = st.builds(_whole, vm_names, content, _devices, content)
#: The same with prefixes all declared, which is what a strict reader asks for.
strict = documents.map(
    lambda xml: xml.replace(b"<domain ", b"<domain xmlns:a='urn:0' xmlns:vm='urn:1' ", 1)
)


def nics(inner: str, uri: str = NICS_URI) -> bytes:
    """Return a domain with that inside vmnet's element."""
    return f"""<domain><name>vm1</name><metadata>
<vmnet:nics xmlns:vmnet="{uri}">{inner}</vmnet:nics></metadata></domain>""".encode()


def tree_reading(xml: bytes) -> tuple[list[Interface], str]:
    """Return a document's interfaces and name, read by ElementTree."""
    root = ET.fromstring(xml)  # noqa: S314 - the test's own
    found = [_read(node) for node in root.findall("./devices/interface")]
    return found, root.findtext("name", "")


def _read(node: ET.Element) -> Interface:
    def said(name: str, key: str) -> str:
        child = node.find(name)
        return "" if child is None else child.get(key, "")

    return Interface(
        kind=node.get("type", ""),
        mac=said("mac", "address").lower(),
        target=said("target", "dev"),
        managed=said("target", "managed") != "no",
        bridge=said("source", "bridge"),
        network=said("source", "network"),
        model=said("model", "type"),
        driver=said("driver", "name"),
        queues=_number(said("driver", "queues")) or 1,
        mtu=_number(said("mtu", "size")) or None,
        virtualport=said("virtualport", "type"),
    )


def _number(text: str) -> int:
    digits = set(text) <= set("0123456789")
    return min(int(text), 10**9) if digits and text else 0
