"""The picture as text: each link once, and no name acts on what shows it."""

from __future__ import annotations

import re
import subprocess

import pytest

from vmnet.formats.drawing import dot, mermaid, tree
from vmnet.model.picture import Item, Join, Picture, Sort

HOSTILE = [
    "\x1b[31mred", "</svg><script>alert(1)</script>", 'a"b', "a'b", "a\\", "a\nb", "\u202eabc",
    "#quot;", "]-->x", "`x`", "%%{init: {}}%%", "&lt;", "v\udcff", "<b>", "n0 -- n1;", "\\n", "\\l",
]  # fmt: skip


def _picture(name: str) -> Picture:
    return Picture(
        (
            Item("br0", Sort.BRIDGE, "br0", ("mtu 1500",)),
            Item("tap0", Sort.TAP, "tap0", ("nic 0", "vhost"), "", "vhost"),
            Item("p-a", Sort.PATCH, "p-a", (), "down"),
            Item("vm", Sort.VM, name),
            Item("place", Sort.PLACE, name),
        ),
        (
            Join("br0", "tap0", "port"),
            Join("br0", "p-a", "port"),
            Join("tap0", "vm", "nic"),
            Join("p-a", "place", "patch"),
        ),
    )


def test_a_tree_has_ports_below_their_bridges() -> None:
    drawn = tree(_picture("vm1"))
    lines = [lead + (item.name if item else "") + "|" + words for lead, item, words in drawn]
    assert lines == [
        "br0|bridge, mtu 1500",
        "├─ tap0|tap of vm1, nic 0, vhost",
        "└─ p-a|patch",
        "   └─ |patch to vm1",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_graphviz_reads_each_name_as_it_is_written(name: str) -> None:
    """`dot -Tplain` gives the labels back, and finds no other nodes and edges."""
    text = "\n".join(dot(_picture(name)))
    done = subprocess.run(
        ["dot", "-Tplain"], input=text.encode(), capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines].count("node") == 5
    assert [line.split()[0] for line in lines].count("edge") == 4
    assert not re.search(r"[\x00-\x08\x0e-\x1f\u202a-\u202e]", text)


@pytest.mark.parametrize("name", HOSTILE)
def test_mermaid_gets_nothing_but_plain_text_and_numbered_characters(name: str) -> None:
    lines = list(mermaid(_picture(name)))
    nodes = [line for line in lines if "[" in line]
    assert len(nodes) == 5
    for line in nodes:
        found = re.fullmatch(r'  n\d+\["(.*)"\]', line)
        assert found is not None
        for part in found[1].split("<br/>"):
            assert re.fullmatch(r"([A-Za-z0-9 ._:/,()-]|#\d+;)*", part), part
    (vm,) = [line for line in nodes if line.startswith("  n3[")]
    text = re.fullmatch(r'  n3\["(.*)<br/>vm"\]', vm)
    assert text is not None
    back = re.sub(r"#(\d+);", lambda m: chr(int(m[1])), text[1])
    assert back == "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name
    )
