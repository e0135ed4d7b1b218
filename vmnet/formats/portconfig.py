"""What the configuration says of a port: TOML values as the texts that options take.

Job: one key a setting, numbers, switches and lists as TOML has them.
Leaves to others: the file (`vmnet.formats.config`), what the texts mean (`vmnet.model.port`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmnet.errors import InvalidInput
from vmnet.model.port import PORT_KEYS, PortAsk, parse_port

_VID = ((int, str), 'the number of a VLAN, or "none"')
_RATE = ((int, str), 'a text like "100mbit", a number of bit/s, or "none"')
_SWITCH = ((bool, str), "true or false")
#: What a key may be, and that in words; true is no number here, though Python thinks so.
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(PORT_KEYS, _SWITCH),
    "vlan": _VID,
    "native": _VID,
    "trunk": ((int, str), 'VLANs like "10,20-29", a list of them, or "none"'),
    "address": ((str,), 'a text like "10.0.0.5", a list of such texts, or "none"'),
    "rate-in": _RATE,
    "rate-out": _RATE,
}
_LISTS = ("trunk", "address")


def port_ask(table: Mapping[str, Any]) -> PortAsk:
    """Return what a table asks of a port; its other keys are not looked at.

    Raises:
        InvalidInput: a value that can never be.
    """
    return parse_port({key: _text(key, table[key]) for key in PORT_KEYS if key in table})


def _text(key: str, value: Any) -> str:
    kinds, expected = _KINDS[key]
    several = value if key in _LISTS and isinstance(value, list) else [value]
    if not several or any(type(each) not in kinds for each in several):
        raise wrong(key, value, expected)
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, several))


def wrong(key: str, value: object, expected: str) -> InvalidInput:
    """Return the error for a value of the wrong kind."""
    return InvalidInput(
        f"{key} is {type(value).__name__} {str(value)[:40]!r}, expected {expected}",
        code="config",
        remedy="mend the file",
    )
