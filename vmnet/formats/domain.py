"""Libvirt's domain XML: read what concerns the network, write what vmnet adds.

Job: interfaces and vmnet's metadata as values; the metadata element as text; another bridge's name
in an XML that stays the same byte for byte otherwise.
Leaves to others: what follows from it (`vmnet.plan.domain`).
Privilege: none; the text may be an attacker's.

The reader is expat without a tree: a document type is refused, so there are no entities but XML's
own, and elements that vmnet does not know cost nothing.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from vmnet.errors import InvalidInput
from vmnet.model.domain import NICS_KEY, NICS_URI, NICS_URI_ANY, Domain, Interface, NicWish
from vmnet.model.mac import parse_guest_mac
from vmnet.model.names import NIC_MAX, check_vm_name, shorten
from vmnet.model.vhost import Policy

#: libvirt's own limit of a string in a message (src/remote/remote_protocol.x REMOTE_STRING_MAX).
SIZE_MAX = 4 << 20
_INTERFACE = ["domain", "devices", "interface"]
_METADATA = ["domain", "metadata"]
_START_TAG = re.compile(rb"""<[^<>"']*(?:"[^"]*"[^<>"']*|'[^']*'[^<>"']*)*>""")
_BRIDGE = re.compile(rb"""(\sbridge\s*=\s*)("[^"]*"|'[^']*')""")
_WISH_KEYS = ("mac", "nic", "network", "vhost")


@dataclass
class _Node:
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
        self.root: dict[str, str] | None = None
        self.texts = {"name": "", "uuid": ""}
        self.interfaces: list[_Node] = []
        self.nics: list[tuple[str, _Node]] = []
        self._path: list[str] = []
        self._spaces: list[dict[str, str]] = [{}]
        self._open: list[_Node] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = _refuse_doctype

    def read(self, xml: bytes) -> None:
        self._parser.Parse(xml, True)  # noqa: FBT003 - expat's signature

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        declared = {k.partition(":")[2]: v for k, v in attributes.items() if _is_xmlns(k)}
        self._spaces.append({**self._spaces[-1], **declared} if declared else self._spaces[-1])
        if len(self._path) == 1:
            self.root = attributes
            return
        local, uri = self._resolved(name)
        node = _Node(local, attributes, self._parser.CurrentByteIndex)
        if self._open:
            self._open[-1].children.append(node)
            self._open.append(node)
        elif self._path == _INTERFACE:
            self.interfaces.append(node)
            self._open.append(node)
        elif self._path[:-1] == _METADATA and uri.startswith(NICS_URI_ANY):
            self.nics.append((uri, node))
            self._open.append(node)

    def _resolved(self, name: str) -> tuple[str, str]:
        prefix, colon, local = name.partition(":")
        spaces = self._spaces[-1]
        return (local, spaces.get(prefix, "")) if colon else (name, spaces.get("", ""))

    def _end(self, _name: str) -> None:
        self._path.pop()
        self._spaces.pop()
        if self._open:
            # Of an element without content, where it begins; else where its end tag does.
            self._open.pop().end = self._parser.CurrentByteIndex

    def _text(self, text: str) -> None:
        if len(self._path) == 2 and self._path[1] in self.texts:
            self.texts[self._path[1]] += text


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
    except (
        ValueError
    ) as error:  # an encoding that Python does not know, or knows to be of more bytes
        raise _bad(f"is in an encoding that cannot be read: {shorten(str(error))}") from error
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
    name = check_vm_name(reader.texts["name"])
    return Domain(
        name=name,
        uuid=reader.texts["uuid"].strip(),
        kind=(reader.root or {}).get("type", ""),
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
        mtu=_number(node.child("mtu").get("size", "")),
        virtualport=node.child("virtualport").get("type", ""),
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _wishes(found: list[tuple[str, _Node]]) -> tuple[NicWish, ...]:
    if not found:
        return ()
    if len(found) > 1:
        raise _bad_metadata("vmnet's element is there more than once")
    uri, node = found[0]
    if uri != NICS_URI or node.name != "nics":
        raise _bad_metadata(f"{shorten(uri)} {shorten(node.name)} is of another version of vmnet")
    _known(node, (), "nics")
    wishes = tuple(_wish(child, place) for place, child in enumerate(node.children))
    _once("MAC", [wish.mac for wish in wishes])
    _once("NIC number", [str(wish.nic) for wish in wishes])
    return wishes


def _once(what: str, values: list[str]) -> None:
    if len(set(values)) < len(values):
        double = next(value for value in values if values.count(value) > 1)
        raise _bad_metadata(f"{what} {double} is there twice")


def _wish(node: _Node, place: int) -> NicWish:
    if node.name != "nic":
        raise _bad_metadata(f"element {shorten(node.name)!r} is not known, expected nic")
    _known(node, _WISH_KEYS, "nic")
    attributes = node.attributes
    if "mac" not in attributes:
        raise _bad_metadata("a nic has no mac")
    number = _number(attributes.get("nic", str(place)))
    if number is None or number > NIC_MAX:
        raise _bad_metadata(f"nic={shorten(attributes['nic'])!r} is not in 0..{NIC_MAX}")
    vhost = attributes.get("vhost")
    if vhost is not None and vhost not in list(Policy):
        raise _bad_metadata(f"vhost={shorten(vhost)!r} is not one of {', '.join(Policy)}")
    try:
        mac = parse_guest_mac(attributes["mac"])
    except InvalidInput as error:
        raise _bad_metadata(error.message) from error
    network = attributes.get("network")
    return NicWish(mac, number, network, None if vhost is None else Policy(vhost))


def _known(node: _Node, keys: tuple[str, ...], what: str) -> None:
    for key in node.attributes:
        # An attribute with a prefix is some other program's.
        if key not in keys and ":" not in key and key != "xmlns":
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
    }
    return " ".join(f'{k}="{html.escape(v)}"' for k, v in values.items() if v is not None)


def interface_text(xml: bytes, mac: str) -> str:
    """Return the `<interface>` with that address as it stands in the XML; empty if there is none.

    Raises:
        InvalidInput: no well-formed domain XML.
    """
    for node in _read(xml).interfaces:
        if node.child("mac").get("address", "").lower() == mac:
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
        for source in (c for c in node.children if c.name == "source"):
            here = bridges.get(source.attributes.get("bridge", ""))
            if here is not None:
                changed = _renamed(changed, source.offset, here)
    return None if changed == xml else changed


def _renamed(xml: bytes, offset: int, bridge: str) -> bytes:
    tag = _START_TAG.match(xml, offset)
    if tag is None:
        raise _bad("is not in UTF-8")
    value = html.escape(bridge).encode()
    text = _BRIDGE.sub(lambda m: m[1] + b"'" + value + b"'", tag[0], count=1)
    return xml[:offset] + text + xml[offset + len(tag[0]) :]
