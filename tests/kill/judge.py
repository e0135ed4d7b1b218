"""What has to hold of a run that something happened to."""

from __future__ import annotations

from tests.kill.commands import Command
from tests.kill.matrix import Cell, Shape


def check_said(cell: Cell) -> None:
    """Nothing of Python's own reaches the user."""
    for words in ("Traceback", "Exception ignored"):
        assert words not in cell.run.err, str(cell)


def check_left_nothing(cell: Cell) -> None:
    """No lock and no process stays; the folder of the locks may."""
    assert not cell.locks, f"{cell.locks} {cell}"
    assert not cell.processes, f"{cell.processes} {cell}"


def check_all_or_nothing(command: Command, cell: Cell, end: Cell) -> None:
    """The links are as before, or all is done and the command says so; gc: each link by itself."""
    done = cell.run.status == command.status
    if command.each_by_itself and not done:
        wanted = _each(cell.before, cell.after, end.after)
    else:
        wanted = end.after if done else cell.before
    check_same(cell.after, wanted, str(cell))


def check_explained(command: Command, cell: Cell) -> None:
    """A failure names a remedy."""
    if cell.run.status != command.status:
        assert "try: " in cell.run.err, str(cell)


def check_same(links: Shape, wanted: Shape, what: str) -> None:
    """Two looks at all links show the same."""
    differ = {
        f"{name}.{key}": (links.get(name, {}).get(key), wanted.get(name, {}).get(key))
        for name in links.keys() | wanted.keys()
        for key in links.get(name, {}).keys() | wanted.get(name, {}).keys()
        if links.get(name, {}).get(key) != wanted.get(name, {}).get(key)
    }
    assert not differ, f"{differ}\n{what}"


def _each(before: Shape, after: Shape, done: Shape) -> Shape:
    """Return what may be there if each link was dealt with or not."""
    names = before.keys() | done.keys()
    either = {name: after.get(name) for name in names if after.get(name) == done.get(name)}
    return {name: link for name, link in {**before, **either}.items() if link is not None}
