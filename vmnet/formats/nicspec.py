"""The text of `vmnet run --nic`: `bridge=br0,queues=4,...` as a wish.

Job: parse and name what is wrong.
Leaves to others: whether the values can be (`vmnet.model.nic`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmnet.errors import InvalidInput
from vmnet.model.names import shorten
from vmnet.model.nic import Wish
from vmnet.model.port import PORT_KEYS, parse_port
from vmnet.model.vhost import Policy
from vmnet.model.wire import WIRE_KEYS, parse_wire

_VHOST = {
    "on": Policy.PREFER,
    "off": Policy.OFF,
    "auto": Policy.AUTO,
    "prefer": Policy.PREFER,
    "require": Policy.REQUIRE,
}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError
    return int(text)


_KEYS: dict[str, tuple[Callable[[str], Any], str]] = {
    "bridge": (str, "a bridge's name"),
    "network": (str, "a network of the configuration"),
    "mac": (str, "a MAC"),
    "model": (str, "a QEMU device model"),
    "mtu": (_number, "bytes"),
    "queues": (_number, "a number of queue pairs"),
    "nic": (_number, "the NIC's number"),
    "vhost": (_VHOST.__getitem__, "on, off, auto or require"),
    **dict.fromkeys((*PORT_KEYS, *WIRE_KEYS), (str, "as attach takes it")),
}


def parse_nic(text: str, vm: str, nic: int) -> Wish:
    """Return the wish in `key=value,key=value`.

    Args:
        text: may be empty: everything is left to the configuration.
        vm: the VM's name.
        nic: the number it gets unless the text has `nic=`.

    Raises:
        InvalidInput: unknown, doubled or malformed key.
    """
    fields: dict[str, Any] = {"nic": nic}
    seen: set[str] = set()
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if key not in _KEYS or not equals:
            raise _bad(text, f"{shorten(part)!r} is not key=value with one of {', '.join(_KEYS)}")
        if key in seen:
            raise _bad(text, f"{key!r} is given twice")
        seen.add(key)
        parse, expected = _KEYS[key]
        try:
            fields[key] = parse(value)
        except (KeyError, ValueError):
            raise _bad(text, f"{key}={shorten(value)!r} is not {expected}") from None
    texts = {key: fields.pop(key) for key in PORT_KEYS if key in fields}
    wire = parse_wire({key: fields.pop(key) for key in WIRE_KEYS if key in fields})
    return Wish(vm=vm, port=parse_port(texts), wire=wire, **fields)


def _bad(text: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"--nic {text[:80]!r}: {why}",
        code="bad-nic-spec",
        remedy="write it like --nic bridge=br0,queues=4",
    )
