"""The screen of `vmnet top`.

Job: a table that is drawn anew, and keys that change it.
Leaves to others: rows (`vmnet.entry.say_top`).
Privilege: that of what is looked at.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vmnet.entry import report, say_top
from vmnet.model.traffic import Flow
from vmnet.service.traffic import traffic

_SORTS = {"v": "vm", "i": "in", "o": "out", "d": "drops", "c": "cpu", "r": "runs"}
_COLUMNS = {"in": "IN", "out": "OUT", "drops": "LOST", "cpu": "CPU%", "runs": "RUNS", "vm": "VM"}
_STYLES = {"vhost": "green", "userspace": "yellow", "emulated": "yellow"}
_ENTER, _BACK, _END = "\r\n", "\x7f\b", "q\x03\x04"
#: Lines that are no row: the table's head, what is below it.
_AROUND = 3
#: What a VM's name always has, in columns.
_NAME = 8
#: Until there is something to show, in seconds.
_FIRST = 0.5


@dataclass
class View:
    """What the keys have made of it.

    Attributes:
        sort: what rows are sorted by.
        wanted: only VMs whose names have this in them.
        typing: a filter is being typed.
        held: nothing is drawn anew.
        ended: it is to end.
    """

    sort: str
    wanted: str = ""
    typing: bool = False
    held: bool = False
    ended: bool = False

    def press(self, key: str) -> None:
        """Take a key."""
        if self.typing:
            self._type(key)
        elif key in _END:
            self.ended = True
        elif key in _SORTS:
            self.sort = _SORTS[key]
        elif key == "/":
            self.wanted, self.typing = "", True
        elif key == " ":
            self.held = not self.held

    def _type(self, key: str) -> None:
        if key in _ENTER:
            self.typing = False
        elif key in _BACK:
            self.wanted = self.wanted[:-1]
        elif key in "\x03\x04\x1b":
            self.wanted, self.typing = "", False
        elif key.isprintable():
            self.wanted += key

    def line(self) -> str:
        """Return what stands below the table."""
        if self.typing:
            return f"only VMs with: {self.wanted}_"
        parts = [f"sorted by {_COLUMNS[self.sort]}"]
        parts += [f"only VMs with {self.wanted!r}"] if self.wanted else []
        parts += ["held (space)"] if self.held else []
        return ", ".join([*parts, "keys: v i o d c r sort, / filter, q end"])


def show(vm: str | None, interval: float, sort: str) -> None:
    """Show what goes through NICs until a key ends it.

    Raises:
        VmnetError: it could not be looked at.
    """
    view, console = View(sort), Console()
    live = Live(console=console, screen=True, auto_refresh=False)
    with traffic(vm) as looks, _keys(), live:
        flows = looks.flows()
        due = time.monotonic() + min(interval, _FIRST)
        while not view.ended:
            live.update(_drawn(flows, view, console), refresh=True)
            for key in _pressed(max(0.0, due - time.monotonic())):
                view.press(key)
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                flows = flows if view.held else looks.flows()


def _drawn(flows: Sequence[Flow], view: View, console: Console) -> Group:
    flows = say_top.ordered(flows, view.sort, view.wanted)
    room = max(1, console.size.height - _AROUND)
    rows = [_row(flow) for flow in flows[:room]]
    table = Table(box=None, padding=(0, 1, 0, 0))
    lines = [say_top.HEAD, *([text.plain for text in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(say_top.HEAD))]
    # The VM's name gives way, as in other tables.
    widths[0] = min(widths[0], max(_NAME, console.size.width - sum(widths[1:]) - len(widths)))
    for name, width in zip(say_top.HEAD, widths, strict=True):
        table.add_column(
            name,
            justify="left" if name in ("VM", "PATH") else "right",
            header_style="bold" if name == _COLUMNS[view.sort] else "dim",
            no_wrap=True,
            width=width,
        )
    for row in rows:
        table.add_row(*row)
    more = f"{len(flows) - room} more below; " if len(flows) > room else ""
    return Group(table, Text(more + say_top.LEGEND, style="dim"), Text(report.safe(view.line())))


def _row(flow: Flow) -> list[Text]:
    path = flow.now.path.value if flow.now.path is not None else ""
    row = [Text(report.safe(cell)) for cell in say_top.cells(flow)]
    row[2].stylize(_STYLES.get(path, ""))
    if flow.dropped > 0:
        row[7].stylize("bold red")
    return row


@contextmanager
def _keys() -> Iterator[None]:
    """Take each key as it is pressed, and do not show it; as it was in the end."""
    if not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _pressed(seconds: float) -> str:
    """Wait for keys, so long; return those there are."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return ""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return ""
    read = os.read(sys.stdin.fileno(), 64)
    return read.decode("utf-8", "replace") or "q"  # whoever typed has gone
