"""`vmnet patch` and `unpatch`: pairs of links between bridges and namespaces.

Job: their options in, service called, answer out.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import WAIT, DryRun, Json, Wait, state

EndA = Annotated[
    str, typer.Argument(metavar="A", help="One end: a bridge, netns:NAME, pid:NUMBER or lxc:NAME.")
]
EndB = Annotated[str, typer.Argument(metavar="B", help="The other end.")]
Inside = Annotated[
    str, typer.Option("--as", metavar="NAME", help="How the link is called in a namespace.")
]
Addresses = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="ADDRESS/LENGTH",
        help="Its address in a namespace; may be given several times.",
    ),
]
Mtu = Annotated[
    int | None,
    typer.Option(metavar="BYTES", help="MTU in bytes; left out, the narrower bridge's."),
]


def patch(
    a: EndA,
    b: EndB,
    inside: Inside = "eth0",
    address: Addresses = None,
    mtu: Mtu = None,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Join two bridges, or a bridge and a container.

    By a pair of links. A TAP joins a VM to a bridge; this is for all that is no VM. The link in
    the namespace has the same MAC each time. Again, what is broken is mended: after a container
    restarted, say.

    \b
    Examples:
      vmnet patch br0 br1
      vmnet patch br0 netns:web --address 10.0.0.9/24
      vmnet patch br0 pid:4711 --as net0
    """
    from vmnet import service
    from vmnet.entry import say
    from vmnet.model.patch import PatchWish, parse_end
    from vmnet.model.tun import parse_own_addresses

    state["json"] = json
    addresses = None if address is None else parse_own_addresses(address)
    wish = PatchWish(parse_end(a), parse_end(b), inside, addresses, mtu)
    done = service.patch(wish, dry_run=dry_run, wait=wait)
    say.patch(wish, done, "joined", dry_run=dry_run, as_json=json)


def unpatch(
    a: EndA,
    b: EndB,
    inside: Inside = "eth0",
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Take away what `vmnet patch` made between two ends.

    \b
    Examples:
      vmnet unpatch br0 br1
    """
    from vmnet import service
    from vmnet.entry import say
    from vmnet.model.patch import PatchWish, parse_end

    state["json"] = json
    wish = PatchWish(parse_end(a), parse_end(b), inside)
    done = service.unpatch(wish, dry_run=dry_run, wait=wait)
    say.patch(wish, done, "not joined any more", dry_run=dry_run, as_json=json)
