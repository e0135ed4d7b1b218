"""The blocks of a document: what is typed, and what is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator


def section(text: str, heading: str) -> str:
    """Return the section of a document that has that heading, up to the next one like it."""
    (found,) = re.findall(
        rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE
    )
    assert isinstance(found, str)
    return found


def blocks(text: str, kind: str) -> list[str]:
    """Return the fenced blocks of a kind, in their order."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def examples(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of the console blocks with the lines that follow it."""
    for block in blocks(text, "console"):
        command = ""
        lines: list[str] = []
        for line in block.splitlines():
            if line.startswith("# ") and not line.startswith("# vmnet makes"):
                if command:
                    yield command, "\n".join(lines)
                command, lines = line[2:], []
            else:
                lines.append(line)
        yield command, "\n".join(lines)


def fits(out: str, expected: str) -> bool:
    """Say whether an answer is what a document says; `...` there stands for anything."""
    got, wanted = _settled(out), _settled(expected)
    parts = [
        "(?s:.*)" if line == "..." else re.escape(line).replace(re.escape("..."), ".*")
        for line in wanted.splitlines()
    ]
    pattern = "\n".join(parts)
    return re.fullmatch(pattern, got) is not None


def _settled(text: str) -> str:
    """Leave out what depends on this host's vhost-net."""
    lines = [
        re.sub(r"vhost=(on|off)", "vhost=?", line)
        for line in text.strip().splitlines()
        if not line.startswith(("data path:", "warning: vhost-net"))
        and "vhost-net rings" not in line
        and not line.startswith(" " * 8 + " ")
    ]
    return "\n".join(lines)
