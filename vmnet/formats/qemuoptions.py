"""QEMU's command line as options: `-name key=value,...`, or with an object of JSON.

Job: one option after the other, its keys and values as text.
Leaves to others: what they mean (`vmnet.formats.qemumemory`, `vmnet.formats.qemuline`).
Privilege: none.

Source: qemu(1); QEMU's util/keyval.c and util/qemu-option.c for commas within a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

_QEMU = re.compile(r"qemu-system-.+|qemu-kvm|kvm|qemu")
#: Words for yes.
ON = ("on", "true", "yes", "y")


def is_qemu(word: str) -> bool:
    """Say whether a word of a command line is the name of a QEMU."""
    return _QEMU.fullmatch(word.rpartition("/")[2]) is not None


def options_of(command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each option with the word that follows it, which need not be its value."""
    for word, value in zip(command, (*command[1:], ""), strict=False):
        if word.startswith("-"):
            yield word.lstrip("-"), value


def fields_of(value: str, first: str) -> Mapping[str, str]:
    """Return the keys of an option's value; of text without one, under `first`."""
    if value.startswith("{"):
        return _json_fields(value)
    # A comma within a value is written twice.
    words = [word.replace("\0", ",") for word in value.replace(",,", "\0").split(",")]
    pairs = [word.partition("=") for word in words]
    fields = {key: text for key, equals, text in pairs if equals}
    if not pairs[0][1]:
        fields.setdefault(first, pairs[0][0])
    return fields


def _json_fields(value: str) -> Mapping[str, str]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in found.items()}
