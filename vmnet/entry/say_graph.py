"""Answers of `vmnet graph`.

Job: the tree in colour, the other forms as they are, JSON with a schema of its own.
Leaves to others: drawing (`vmnet.formats.drawing`), writing (`vmnet.entry.report`).
Privilege: none.
"""

from __future__ import annotations

import sys
from dataclasses import asdict

from vmnet.entry import report
from vmnet.formats import drawing
from vmnet.model.picture import SCHEMA, Item, Picture, Sort

_STYLES = {"vhost": "good", "userspace": "warn", "emulated": "warn"}


def tree(picture: Picture) -> None:
    """Print it for a terminal."""
    empty = True
    for lead, item, words in drawing.tree(picture):
        empty = False
        report.answer(lead + (report.safe(words) if item is None else _line(item, words)))
    if empty:
        report.note("there are no bridges here, and nothing of vmnet's")


def _line(item: Item, words: str) -> str:
    name, about = report.safe(item.name), report.safe(words)
    style = _STYLES.get(item.path, "")
    if item.sort in (Sort.BRIDGE, Sort.SWITCH):
        name = report.styled(name, "head", sys.stdout)
    if style:
        about = report.styled(about, style, sys.stdout)
    wrong = report.styled(f"  ! {report.safe(item.trouble)}", "bad", sys.stdout)
    return f"{name}  {about}".rstrip() + (wrong if item.trouble else "")


def lines(picture: Picture, *, dot: bool) -> None:
    """Print it for a program that draws."""
    for line in drawing.dot(picture) if dot else drawing.mermaid(picture):
        report.answer(line)


def data(picture: Picture) -> None:
    """Print it for a program that reads."""
    report.answer_json(
        {
            "schema": SCHEMA,
            "items": [asdict(item) for item in picture.items],
            "joins": [asdict(join) for join in picture.joins],
        }
    )
