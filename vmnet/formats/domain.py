"""Libvirt's domain XML: read what concerns the network, write what vmnet adds.

Job: interfaces and vmnet's metadata as values; the metadata element as text; another bridge's name
in an XML that stays the same byte for byte otherwise.
Leaves to others: what follows from it (`vmnet.plan.domain`).
Privilege: none; the text may be an attacker's.

The reader is expat without a tree: a document type is refused, so there are no entities but XML's
own, and elements that vmnet does not know cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from vmnet.errors import InvalidInput
from vmnet.model.domain import NICS_KEY, NICS_URI, NICS_URI_ANY, Domain, Interface, NicWish
from vmnet.model.mac import parse_guest_mac
from vmnet.model.names import NIC_MAX, check_vm_name, shorten
from vmnet.model.port import PORT_KEYS, parse_port, port_texts
from vmnet.model.vhost import Policy

#: libvirt's own limit of a string in a message (src/remote/remote_protocol.x REMOTE_STRING_MAX).
SIZE_MAX = 4 << 20
_INTERFACE = ["domain", "devices", "interface"]
_METADATA = ["domain", "metadata"]
_START_TAG = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
#: One after the other, so that what looks like an attribute inside a value is none.
_ATTRIBUTE = re.compile(rb"""\s([^\s=<>"']+)(\s*=\s*)("[^"]*"|'[^']*')""")
_WISH_KEYS = ("mac", "nic", "network", "vhost", *PORT_KEYS)
#: A number too long to be one of anything; the rules for what it counts refuse it.
_HUGE = 10**9


@dataclass
class _Node:
    """An element; one in a namespace, and an attribute in one, is named `{uri}name`."""

    name: str
    attributes: dict[str, str]
    offset: int
    end: int = 0
    children: list[_Node] = field(default_factory=list)

    def child(self, name: str) -> dict[str, str]:
        """Return the attributes of the first child of that name; none if it has none."""
        return next((c.attributes for c in self.children if c.name == name), {})


class _Reader:
    """Collects the few subtrees that are of interest."""

    def __init__(self) -> None:
        self.root: _Node | None = None
        self.interfaces: list[_Node] = []
        self.nics: list[_Node] = []
        self._texts: dict[str, list[list[str]]] = {"name": [], "uuid": []}
        self._path: list[str] = []
        self._spaces: dict[str, list[str]] = {}
        self._declared: list[list[str]] = []
        self._open: list[_Node] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = _refuse_doctype

    def read(self, xml: bytes) -> None:
        self._parser.Parse(xml, True)  # noqa: FBT003 - expat's signature

    def text(self, name: str) -> str:
        """Return the text of the first element of that name right below the root."""
        return "".join(next(iter(self._texts[name]), []))

    def _start(self, raw: str, attributes: dict[str, str]) -> None:
        self._declare(attributes)
        name = self._resolved(raw, self._space(""))
        self._path.append(name)
        if len(self._path) == 2 and name in self._texts:
            self._texts[name].append([])
        kept = self._kept_in(name)
        if self._open or kept is not None:
            node = self._node(name, attributes)
            (self._open[-1].children if kept is None else kept).append(node)
            self._open.append(node)
        elif len(self._path) == 1:
            self.root = self._node(name, attributes)

    def _kept_in(self, name: str) -> list[_Node] | None:
        """Return where a subtree that begins here is kept; None for none."""
        if len(self._path) != 3:
            return None
        if self._path == _INTERFACE:
            return self.interfaces
        ours = self._path[:2] == _METADATA and name.startswith("{" + NICS_URI_ANY)
        return self.nics if ours else None

    def _node(self, name: str, attributes: dict[str, str]) -> _Node:
        # The default namespace is not for attributes.
        named = {self._resolved(k, ""): v for k, v in attributes.items() if not _is_xmlns(k)}
        return _Node(name, named, self._parser.CurrentByteIndex)

    def _declare(self, attributes: dict[str, str]) -> None:
        # Undone element by element: a copy for each would let a short text take hours.
        declared = [key for key in attributes if _is_xmlns(key)]
        for key in declared:
            self._spaces.setdefault(key.partition(":")[2], []).append(attributes[key])
        self._declared.append(declared)

    def _space(self, prefix: str) -> str:
        uris = self._spaces.get(prefix)
        return uris[-1] if uris else ""

    def _resolved(self, raw: str, default: str) -> str:
        prefix, colon, local = raw.partition(":")
        uri = self._space(prefix) if colon else default
        return f"{{{uri}}}{local if colon else raw}" if uri else raw

    def _end(self, _name: str) -> None:
        self._path.pop()
        for key in self._declared.pop():
            self._spaces[key.partition(":")[2]].pop()
        if self._open:
            # Of an element without content, where it begins; else where its end tag does.
            self._open.pop().end = self._parser.CurrentByteIndex

    def _text(self, text: str) -> None:
        if len(self._path) == 2 and self._path[1] in self._texts:
            self._texts[self._path[1]][-1].append(text)


def _is_xmlns(attribute: str) -> bool:
    return attribute == "xmlns" or attribute.startswith("xmlns:")


def _refuse_doctype(*_: object) -> None:
    raise _bad("has a document type, which libvirt never writes")


def _read(xml: bytes) -> _Reader:
    if len(xml) > SIZE_MAX:
        raise _bad(f"is larger than {SIZE_MAX >> 20} MiB")
    reader = _Reader()
    try:
        reader.read(xml)
    except expat.ExpatError as error:
        raise _bad(f"is no XML: {error}") from error
    except (ValueError, LookupError) as error:
        # An encoding that Python does not know, or knows to be of more bytes.
        raise _bad(f"is in an encoding that cannot be read: {shorten(str(error))}") from error
    if reader.root is None or reader.root.name != "domain":
        raise _bad("is one of something else: its root is not <domain>")
    return reader


def _bad(why: str) -> InvalidInput:
    return InvalidInput(
        f"the domain XML {why}",
        code="bad-domain-xml",
        remedy="give what `virsh dumpxml DOMAIN` prints",
    )


def parse_domain(xml: bytes) -> Domain:
    """Return what a domain's XML says of its network.

    Args:
        xml: a `<domain>` document, at most 4 MiB.

    Raises:
        InvalidInput: no well-formed domain XML, or vmnet's own part of it cannot be.
    """
    reader = _read(xml)
    return Domain(
        name=check_vm_name(reader.text("name")),
        uuid=reader.text("uuid").strip(),
        kind=reader.root.attributes.get("type", "") if reader.root else "",
        interfaces=tuple(map(_interface, reader.interfaces)),
        wishes=_wishes(reader.nics),
    )


def _interface(node: _Node) -> Interface:
    target, source, driver = node.child("target"), node.child("source"), node.child("driver")
    return Interface(
        kind=node.attributes.get("type", ""),
        mac=node.child("mac").get("address", "").lower(),
        target=target.get("dev", ""),
        managed=target.get("managed", "yes") != "no",
        bridge=source.get("bridge", ""),
        network=source.get("network", ""),
        model=node.child("model").get("type", ""),
        driver=driver.get("name", ""),
        queues=_number(driver.get("queues", "")) or 1,
        mtu=_number(node.child("mtu").get("size", "")) or None,
        virtualport=node.child("virtualport").get("type", ""),
    )


def _number(text: str) -> int | None:
    """Return a number; None for what is none."""
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text) if len(text) < 10 else _HUGE


def _wishes(found: list[_Node]) -> tuple[NicWish, ...]:
    if not found:
        return ()
    if len(found) > 1:
        raise _bad_metadata("vmnet's element is there more than once")
    if found[0].name != f"{{{NICS_URI}}}nics":
        raise _bad_metadata(f"{shorten(found[0].name)!r} is of another version of vmnet")
    _known(found[0], (), "nics")
    wishes = tuple(_wish(child, place) for place, child in enumerate(found[0].children))
    _once("MAC", [wish.mac for wish in wishes])
    _once("NIC number", [str(wish.nic) for wish in wishes])
    return wishes


def _once(what: str, values: list[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise _bad_metadata(f"{what} {value} is there twice")
        seen.add(value)


def _wish(node: _Node, place: int) -> NicWish:
    if node.name != f"{{{NICS_URI}}}nic":
        raise _bad_metadata(f"element {shorten(node.name)!r} is not known, expected nic")
    _known(node, _WISH_KEYS, "nic")
    if node.children:
        raise _bad_metadata(f"element {shorten(node.children[0].name)!r} of nic is not known")
    attributes = node.attributes
    if "mac" not in attributes:
        raise _bad_metadata("a nic has no mac")
    number = _number(attributes.get("nic", str(place)))
    if number is None or number > NIC_MAX:
        raise _bad_metadata(
            f"nic={shorten(attributes.get('nic', str(place)))!r} is not in 0..{NIC_MAX}"
        )
    vhost = attributes.get("vhost")
    if vhost is not None and vhost not in list(Policy):
        raise _bad_metadata(f"vhost={shorten(vhost)!r} is not one of {', '.join(Policy)}")
    network = attributes.get("network")
    if network == "":
        raise _bad_metadata("network='' names none; left out, it is the default one")
    try:
        mac = parse_guest_mac(attributes["mac"])
        port = parse_port({key: attributes.get(key) for key in PORT_KEYS})
    except InvalidInput as error:
        raise _bad_metadata(error.message) from error
    return NicWish(mac, number, network, None if vhost is None else Policy(vhost), port)


def _known(node: _Node, keys: tuple[str, ...], what: str) -> None:
    for key in node.attributes:
        # One with a prefix is some other program's, unless the prefix is vmnet's.
        foreign = ":" in key and not key.startswith("{" + NICS_URI_ANY)
        if key not in keys and not foreign:
            raise _bad_metadata(
                f"attribute {shorten(key)!r} of {what} is not known"
                + (f", expected one of {', '.join(keys)}" if keys else "")
            )


def _bad_metadata(why: str) -> InvalidInput:
    return InvalidInput(
        f"vmnet's metadata of the domain cannot be used: {why}",
        code="bad-metadata",
        remedy=f"`virsh metadata DOMAIN --uri {NICS_URI}` shows it, `vmnet template` a right one",
    )


def nics_xml(wishes: Iterable[NicWish], *, prefixed: bool = True) -> str:
    """Return vmnet's metadata element, or an empty text if there are no wishes.

    Args:
        wishes: its content.
        prefixed: as it stands in a domain's XML; else as virDomainSetMetadata takes it, which adds
            prefix and namespace by itself.
    """
    prefix = f"{NICS_KEY}:" if prefixed else ""
    lines = [f"  <{prefix}nic {_attributes(wish)}/>" for wish in wishes]
    if not lines:
        return ""
    space = f' xmlns:{NICS_KEY}="{NICS_URI}"' if prefixed else ""
    return "\n".join([f"<{prefix}nics{space}>", *lines, f"</{prefix}nics>"])


def _attributes(wish: NicWish) -> str:
    values = {
        "mac": wish.mac,
        "nic": str(wish.nic),
        "network": wish.network,
        "vhost": wish.vhost,
        **port_texts(wish.port),
    }
    return " ".join(f'{k}="{_escaped(v)}"' for k, v in values.items() if v is not None)


def _escaped(value: str) -> str:
    import html  # noqa: PLC0415 - brings a list of 2000 entities; the hook seldom writes

    # A reader takes white space that stands for itself for blanks.
    return html.escape(value).translate({ord(c): f"&#{ord(c)};" for c in "\t\n\r"})


def interface_text(xml: bytes, mac: str) -> str:
    """Return the `<interface>` with that address as it stands in the XML; empty if there is none.

    Raises:
        InvalidInput: no well-formed domain XML.
    """
    for node in _read(xml).interfaces:
        if mac and node.child("mac").get("address", "").lower() == mac:
            return xml[node.offset : xml.index(b">", node.end) + 1].decode("utf-8", "replace")
    return ""


def map_bridges(xml: bytes, bridges: Mapping[str, str]) -> bytes | None:
    """Return the XML with other names of bridges, all else byte for byte; None if none changes.

    Args:
        xml: a domain's XML, in UTF-8 as libvirt writes it.
        bridges: the name on the host it comes from, and the one here.

    Raises:
        InvalidInput: no well-formed domain XML.
    """
    changed = xml
    # From the end, so that the offsets before stay right.
    for node in reversed(_read(xml).interfaces):
        if node.attributes.get("type") != "bridge":
            continue
        # libvirt, too, goes by the first one.
        source = next((c for c in node.children if c.name == "source"), None)
        there = source.attributes.get("bridge", "") if source else ""
        here = bridges.get(there, there)
        if source is not None and here != there:
            changed = _renamed(changed, source.offset, here)
    return None if changed == xml else changed


def _renamed(xml: bytes, offset: int, bridge: str) -> bytes:
    tag = _START_TAG.match(xml, offset)
    found = _ATTRIBUTE.finditer(xml, offset, tag.end()) if tag is not None else iter(())
    old = next((attribute for attribute in found if attribute[1] == b"bridge"), None)
    if old is None:
        raise _bad("is not in UTF-8")
    value = b"'" + _escaped(bridge).encode() + b"'"
    return xml[: old.start(3)] + value + xml[old.end(3) :]
