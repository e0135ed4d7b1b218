"""`vmnet tun`: TUNs for the user's own programs.

Job: their options in, service called, answer out.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import WAIT, DryRun, Force, Json, Wait, state

tun_app = typer.Typer(
    no_args_is_help=True,
    help="TUNs: links whose packets a program of yours reads and writes.",
)
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The link's name, at most 15 bytes, e.g. tun0.")
]

Owner = Annotated[
    str | None,
    typer.Option(metavar="USER", help="Who may open it; left out, you, or as it is."),
]
Addresses = Annotated[
    list[str] | None,
    typer.Option(
        "--address",
        metavar="ADDRESS/LENGTH",
        help="This host's address there; may be given several times.",
    ),
]
Routes = Annotated[
    list[str] | None,
    typer.Option(
        "--route",
        metavar="NETWORK",
        help="A network to lead into it; may be given several times.",
    ),
]
Mtu = Annotated[
    int | None, typer.Option(metavar="BYTES", help="MTU in bytes; left out, 1500, or as it is.")
]
MultiQueue = Annotated[
    bool, typer.Option("--multi-queue", help="Several programs may have it open at once.")
]


@tun_app.command("create")
def tun_create(
    name: Name,
    owner: Owner = None,
    address: Addresses = None,
    route: Routes = None,
    mtu: Mtu = None,
    multi_queue: MultiQueue = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Make a TUN that stays, with addresses and routes.

    What this host sends there, the program that opens it reads, and the other way round: packets of
    IP, without Ethernet. Again with other options, it is changed.

    \b
    Examples:
      vmnet tun create tun0 --address 10.8.0.1/24
      vmnet tun create tun0 --address fd00:8::1/64 --route fd00:9::/64 --owner joe
    """
    from vmnet import service
    from vmnet.entry import say, verbs

    state["json"] = json
    wish = verbs.tun_wish(name, owner, address, route, mtu, multi_queue=multi_queue)
    done = service.create_tun(wish, dry_run=dry_run, wait=wait)
    say.tun(name, done, "ready", dry_run=dry_run, as_json=json)


@tun_app.command("delete")
def tun_delete(
    name: Name,
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Delete a TUN that vmnet made and no program has open.

    \b
    Examples:
      vmnet tun delete tun0
    """
    from vmnet import service
    from vmnet.entry import say

    state["json"] = json
    done = service.delete_tun(name, force=force, dry_run=dry_run, wait=wait)
    say.tun(name, done, "deleted", dry_run=dry_run, as_json=json)


@tun_app.command("list")
def tun_list(json: Json = False) -> None:
    """Show the TUNs that are here, vmnet's and others.

    \b
    Examples:
      vmnet tun list
    """
    from vmnet import look
    from vmnet.entry import say_others

    state["json"] = json
    say_others.tuns(look.list_tuns(), as_json=json)
