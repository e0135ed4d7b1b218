"""`vmnet graph`: options in, service called, answer out.

Job: the command's own options.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import Json, state

Dot = Annotated[bool, typer.Option("--dot", help="For Graphviz.")]
Mermaid = Annotated[bool, typer.Option("--mermaid", help="For Mermaid, as in Markdown pages.")]


def graph(dot: Dot = False, mermaid: Mermaid = False, json: Json = False) -> None:
    """Draw this host: bridges, uplinks, patches, TAPs, VMs.

    As a tree, where a link stands below the bridge it is a port of, with who moves its packets.
    What is in trouble is red.

    \b
    Examples:
      vmnet graph
      vmnet graph --dot | dot -Tsvg > host.svg
      vmnet graph --mermaid
    """
    from vmnet.entry import say_graph
    from vmnet.errors import InvalidInput
    from vmnet.service.picture import graph as look

    state["json"] = json
    if dot + mermaid + json > 1:
        raise InvalidInput(
            "--dot, --mermaid and --json exclude each other",
            code="two-forms",
            remedy="give one of them",
        )
    picture = look()
    if json:
        say_graph.data(picture)
    elif dot or mermaid:
        say_graph.lines(picture, dot=dot)
    else:
        say_graph.tree(picture)
