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


def port_ask(table: Mapping[str, Any]) -> PortAsk:
    """Return what a table asks of a port; its other keys are not looked at.

    Raises:
        InvalidInput: a value that can never be.
    """
    return parse_port({key: _text(key, table[key]) for key in PORT_KEYS if key in table})


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, list) and all(type(each) in (int, str) for each in value):
        return ",".join(map(str, value))
    raise InvalidInput(
        f"{key} is {type(value).__name__} {str(value)[:40]!r}",
        code="bad-port",
        remedy="write a text, a number, true or false, or a list of texts",
    )
