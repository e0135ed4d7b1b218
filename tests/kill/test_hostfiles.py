"""`vmnet host`, killed at each system call that changes a file or folder, or refused it.

A kill leaves each file as it was or as it is to be, and the next call goes on from there. After an
error all is as before, or, if it came when vmnet looked at its work, done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kill.strace import INSTALLED, Fault, Traced, traced
from tests.kill.workers import in_workers
from tests.support.lab import Done, Lab
from vmnet.formats.hostfile import render
from vmnet.model.hostfile import HOST_FILES

_PLACES = [file.path for file in HOST_FILES]
_FOLDERS = sorted({str(up) for path in _PLACES for up in Path(path).parents} - {"/", "/etc"})
#: By which calls files and folders change, and how often at least.
_INSTALLING = {
    "mkdir": 8,
    "openat": 6,
    "write": 6,
    "fchmod": 6,
    "fsync": 6,
    "rename": 6,
}
_REPLACING = {call: count for call, count in _INSTALLING.items() if count == 6}
_REMOVING = {"unlink": 6, "rmdir": 8}
_OLD = "# of an older version\n"


@dataclass(frozen=True)
class Row:
    """A verb, what is there before it, and the calls by which it changes that."""

    verb: str
    prepare: Callable[[Lab, Path], None]
    calls: dict[str, int]

    def __str__(self) -> str:
        """Return a name for a test's id."""
        return f"{self.verb}-{self.prepare.__name__.strip('_')}"


def vmnet(lab: Lab, verb: str, tree: Path) -> Done:
    return lab.vmnet("host", verb, "--root", str(tree), status=None)


def _nothing(_: Lab, __: Path) -> None:
    pass


def _installed(lab: Lab, tree: Path) -> None:
    assert vmnet(lab, "install", tree).status == 0


def _older(lab: Lab, tree: Path) -> None:
    """Let the files be an older vmnet's."""
    _installed(lab, tree)
    for path in _PLACES:
        Path(f"{tree}{path}").write_text(render(_OLD, "kvm"))


ROWS = [
    Row("install", _nothing, _INSTALLING),
    Row("install", _older, _REPLACING),
    Row("uninstall", _installed, _REMOVING),
]


def contents(tree: Path) -> dict[str, str | None]:
    """Return all that is in a tree: texts of files, None for folders."""
    return {
        str(path.relative_to(tree)): path.read_text() if path.is_file() else None
        for path in sorted(tree.rglob("*"))
    }


@dataclass(frozen=True)
class Cell:
    """One run with a fault: what it did, and the tree before, after, and when it was done again."""

    run: Traced
    before: dict[str, str | None]
    after: dict[str, str | None]
    again: dict[str, str | None]
    gone: dict[str, str | None]

    def __str__(self) -> str:
        """Return what a person needs to find the fault."""
        return f"{self.run.hits} status={self.run.status}\n{self.run.err}"


def cell(row: Row, fault: Fault, k: int) -> Cell:
    """Run a verb with the fault in the k-th call, in a tree of its own."""
    lab = Lab()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve()
        (tree / "etc").mkdir()
        row.prepare(lab, tree)
        before = contents(tree)
        # A call is counted if it is about one of these, by name or by descriptor.
        names = [*_FOLDERS, *_PLACES, *(_beside(path) for path in _PLACES)]
        of_tree = Fault(fault.call, fault.what, tuple(f"{tree}{name}" for name in names))
        run = traced([INSTALLED, "host", row.verb, "--root", str(tree)], of_tree.options(k))
        after = contents(tree)
        done = vmnet(lab, row.verb, tree)
        assert done.status == 0, done
        again = contents(tree)
        assert vmnet(lab, "uninstall", tree).status == 0
        return Cell(run, before, after, again, contents(tree))


def _beside(path: str) -> str:
    return str(Path(path).with_name(f".{Path(path).name}.new"))


def walk(row: Row, call: str, what: str) -> list[Cell]:
    """Put the fault into every such call; fail if there are fewer of them than files."""
    cells: list[Cell] = []
    while not cells or cells[-1].run.touched:
        first = len(cells) + 1
        cells += in_workers(lambda k: cell(row, Fault(call, what), k), range(first, first + 8))
    touched = [each for each in cells if each.run.touched]
    assert len(touched) >= row.calls[call], f"{len(touched)} of {call}"
    return touched


def whole(row: Row, each: Cell) -> None:
    """Every file is as before or as it is to be; beside them may be what is not yet whole."""
    rests = {_beside(path).lstrip("/") for path in _PLACES}
    for name, text in each.after.items():
        if name not in rests:
            either = {each.before.get(name, "absent"), each.again.get(name, "absent")}
            assert text in either, f"{name}: {text}\n{each}"
    for name in (each.before.keys() & each.again.keys()) - each.after.keys():
        raise AssertionError(f"{name} is gone: {each}")
    assert not rests & each.again.keys(), str(each)


@pytest.mark.parametrize(("row", "call"), [(r, c) for r in ROWS for c in r.calls], ids=str)
def test_after_a_kill_each_file_is_whole_and_the_next_call_ends_it(
    lab: Lab, row: Row, call: str
) -> None:
    for each in walk(row, call, "signal=KILL"):
        assert each.run.status == -9, str(each)
        whole(row, each)
        assert {name for name in each.gone if each.gone[name] is not None} == set(), str(each)


@pytest.mark.parametrize(("row", "call"), [(r, c) for r in ROWS for c in r.calls], ids=str)
def test_an_error_anywhere_is_said_and_undone(lab: Lab, row: Row, call: str) -> None:
    for each in walk(row, call, "error=EIO"):
        assert each.run.status != 0, str(each)
        assert "Traceback" not in each.run.err, str(each)
        assert "try: " in each.run.err, str(each)
        assert each.after in (each.before, each.again), str(each)
        assert each.after == each.before or "cannot read " in each.run.err, str(each)
