"""vmnet's own source as syntax trees, and what a module imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Import:
    """One import.

    Attributes:
        module: what is imported, to the module: `vmnet.kernel.links`, `pyroute2.netlink`.
        line: where it stands.
        at_load: it happens when the module is loaded, not in a function or for types alone.
    """

    module: str
    line: int
    at_load: bool


@cache
def modules() -> dict[str, str]:
    """Return the text of every module of vmnet, by dotted name."""
    return {_dotted(path): path.read_text("utf-8") for path in (REPO / "vmnet").rglob("*.py")}


def _dotted(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(text: str) -> ast.Module:
    """Return a text's syntax tree."""
    return ast.parse(text)


@cache
def calls(text: str) -> list[tuple[str, ast.Call]]:
    """Return every call with the dotted name of what is called."""
    nodes = [node for node in ast.walk(tree(text)) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func), node) for node in nodes]


@cache
def imports(text: str) -> list[Import]:
    """Return every import of a text, wherever it stands."""
    return [
        Import(module, node.lineno, at_load)
        for node, at_load in _statements(tree(text), at_load=True)
        for module in _imported(node)
    ]


def _statements(node: ast.AST, *, at_load: bool) -> Iterator[tuple[ast.stmt, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_load
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        )
        yield from _statements(child, at_load=at_load and not later)


def _imported(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        whole = node.module or ""
        for alias in node.names:
            inner = f"{whole}.{alias.name}"
            yield inner if inner in modules() else whole
