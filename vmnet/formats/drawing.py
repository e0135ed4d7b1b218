"""The picture of a host as text: a tree, Graphviz's DOT, Mermaid.

Job: each link once; every name made harmless for where it goes.
Leaves to others: what is in the picture (`vmnet.plan.picture`), colours (`vmnet.entry`).
Privilege: none.

What things are called comes from tenants. A terminal acts on control characters, DOT ends a string
at a quote, Mermaid reads `#` and quotes and hands the rest to a browser.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmnet.model.picture import Item, Picture, Sort

_SHAPES = {
    Sort.BRIDGE: "box3d",
    Sort.SWITCH: "box3d",
    Sort.VM: "component",
    Sort.PLACE: "folder",
    Sort.UPLINK: "cds",
}
_COLOURS = {"vhost": "#2e7d32", "userspace": "#b26a00", "emulated": "#b26a00"}
_TROUBLE = "#c62828"
#: What Mermaid shows as it is, in a quoted label.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ._:/-,()")


def tree(picture: Picture) -> Iterator[tuple[str, Item | None, str]]:
    """Yield lines as what stands before the item, the item, what follows it.

    The item is None where a patch leads to one that has a line of its own.
    """
    for root in picture.roots():
        if root.sort is not Sort.VM:
            yield "", root, _of_vm(picture, root)
            yield from _below(picture, root, "")


def _below(picture: Picture, item: Item, indent: str) -> Iterator[tuple[str, Item | None, str]]:
    held = [each for each in picture.below(item.key) if each.sort is not Sort.VM]
    rows: list[tuple[Item | None, str]] = [(each, _of_vm(picture, each)) for each in held]
    rows += [(None, _led_to(picture, each)) for each in picture.beyond(item.key)]
    for number, (each, words) in enumerate(rows):
        last = number == len(rows) - 1
        yield indent + ("└─ " if last else "├─ "), each, words
        if each is not None:
            yield from _below(picture, each, indent + ("   " if last else "│  "))


def _of_vm(picture: Picture, item: Item) -> str:
    vms = [each.name for each in picture.below(item.key) if each.sort is Sort.VM]
    return f"{item.sort.value} of {vms[0]}, {', '.join(item.about)}" if vms else _words(item)


def _led_to(picture: Picture, item: Item) -> str:
    home = picture.home(item.key)
    return f"patch to {item.name}" + (f" in {home}" if home else "")


def _words(item: Item) -> str:
    kind = "" if item.sort is Sort.LINK else item.sort.value
    return ", ".join(filter(None, [kind, *item.about]))


def safe(text: str) -> str:
    """Return text with escapes for what could act on whatever shows it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def dot(picture: Picture) -> Iterator[str]:
    """Yield the lines of a graph for Graphviz (graphviz.org, the DOT language)."""
    names = {item.key: f"n{number}" for number, item in enumerate(picture.items)}
    yield "graph vmnet {"
    yield '  graph [rankdir=LR]; node [shape=box, fontname="sans-serif", fontsize=10];'
    for item in picture.items:
        shape = _SHAPES.get(item.sort, "box")
        colour = _TROUBLE if item.trouble else _COLOURS.get(item.path, "")
        more = f', color="{colour}", fontcolor="{colour}"' if colour else ""
        label = "\\n".join(map(_in_dot, _label(item)))
        yield f'  {names[item.key]} [label="{label}", shape={shape}{more}];'
    for join in picture.joins:
        style = " [style=dashed]" if join.what == "patch" else ""
        yield f"  {names[join.outer]} -- {names[join.inner]}{style};"
    yield "}"


def _label(item: Item) -> list[str]:
    return [item.name, *filter(None, [_words(item), item.trouble])]


def _in_dot(text: str) -> str:
    return safe(text).replace("\\", "\\\\").replace('"', '\\"')


def mermaid(picture: Picture) -> Iterator[str]:
    """Yield the lines of a flowchart (mermaid.js.org, flowcharts: entity codes)."""
    names = {item.key: f"n{number}" for number, item in enumerate(picture.items)}
    yield "flowchart LR"
    for item in picture.items:
        label = "<br/>".join(map(_in_mermaid, _label(item)))
        yield f'  {names[item.key]}["{label}"]'
    for join in picture.joins:
        line = "-.-" if join.what == "patch" else "---"
        yield f"  {names[join.outer]} {line} {names[join.inner]}"
    troubled = [names[item.key] for item in picture.items if item.trouble]
    if troubled:
        yield f"  classDef trouble stroke:{_TROUBLE},color:{_TROUBLE}"
        yield f"  class {','.join(troubled)} trouble"


def _in_mermaid(text: str) -> str:
    return "".join(c if c in _PLAIN else f"#{ord(c)};" for c in safe(text))
