"""Tables of at most 80 columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.measure import Series


@dataclass
class Table:
    """What one part of the benchmark found.

    Attributes:
        title: what is measured; one line.
        command: what repeats it.
        head: the columns; the first is words, the others are figures.
        rows: the cells.
        notes: how to read it; one line each.
        data: the same for a program.
    """

    title: str
    command: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    notes: Sequence[str] = ()
    data: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the table as lines."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        body = [
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        rule = "-" * max(map(len, body))
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([self.title, f"$ {self.command}", "", body[0], rule, *body[1:], *notes])


TIMES = ("milliseconds", "median", "min", "max", "CPU")


def figure(value: float) -> str:
    """Return a number with as many digits as mean something."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(name: str, series: Series) -> tuple[str, ...]:
    """Return the cells of `TIMES` for a subject."""
    found = (series.median, series.low, series.high, series.cpu)
    return (name, *map(figure, found))


def against(found: Mapping[str, Series], first: str) -> list[tuple[str, ...]]:
    """Return rows of `TIMES`, each with how many times as long as it the first one takes."""
    return [
        (*times(name, series), "" if name == first else figure(found[first].over(series)))
        for name, series in found.items()
    ]


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()
