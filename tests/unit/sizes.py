"""How long files and functions are."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE_MAX, FUNCTION_MAX, FUNCTION_P90 = 400, 50, 25


@dataclass(frozen=True)
class Size:
    """A length with its place."""

    lines: int
    where: str


@cache
def files(root: Path, folder: str) -> list[Size]:
    """Return the files of a folder, the longest first."""
    return _sorted(
        [
            Size(len(path.read_text("utf-8").splitlines()), str(path.relative_to(root)))
            for path in (root / folder).rglob("*.py")
        ]
    )


@cache
def functions(root: Path, folder: str) -> list[Size]:
    """Return the functions of a folder, decorators left out, the longest first."""
    return _sorted(
        [
            size
            for path in (root / folder).rglob("*.py")
            for size in of_text(path.read_text("utf-8"), str(path.relative_to(root)))
        ]
    )


def of_text(text: str, where: str) -> list[Size]:
    """Return the functions of a text, inner ones and methods too."""
    return [
        Size((node.end_lineno or node.lineno) - node.lineno + 1, f"{where}:{node.name}")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _sorted(sizes: list[Size]) -> list[Size]:
    return sorted(sizes, key=lambda size: (-size.lines, size.where))


def share(sizes: list[Size], percent: int) -> int:
    """Return the length that so many per cent do not exceed."""
    lengths = sorted(size.lines for size in sizes)
    return lengths[max(0, -(-len(lengths) * percent // 100) - 1)]


def report(root: Path, folders: list[str]) -> str:
    """Return the size report as a table."""
    lines = [
        f"{'':10} {'files':>6} {'lines':>6} {'median':>6} {'functions':>9} {'p90':>4}  longest"
    ]
    for folder in folders:
        all_files, all_functions = files(root, folder), functions(root, folder)
        total = sum(size.lines for size in all_files)
        lines.append(
            f"{folder:10} {len(all_files):6} {total:6} {share(all_files, 50):6} "
            f"{len(all_functions):9} {share(all_functions, 90):4}  "
            f"{all_files[0].lines} {all_files[0].where}; "
            f"{all_functions[0].lines} {all_functions[0].where}"
        )
    return "\n".join(lines)
