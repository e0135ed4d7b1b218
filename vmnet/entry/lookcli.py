"""`vmnet list`, `who` and `probe`: what changes nothing.

Job: their options in, look or probe called, answer out.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import Json, state


def list_(
    vm: Annotated[str | None, typer.Argument(metavar="VM", help="Only this VM's.")] = None,
    json: Json = False,
) -> None:
    """Show the NICs that vmnet made or manages, and libvirt's own.

    The PID is that of the process that holds the TAP. LIFE is how long the TAP stays: kept until
    `vmnet detach`, as long as its process or domain, or as libvirt's own (managed, libvirt; off for
    a domain that does not run).

    \b
    Examples:
      vmnet list
      vmnet list --json
    """
    from vmnet import look
    from vmnet.entry import say
    from vmnet.service.inventory import domain_rows

    state["json"] = json
    found = look.list_nics(vm)
    theirs, notes = domain_rows(vm, {row.link.name for row in found})
    others = look.list_others() if vm is None else look.Others()
    say.rows(found, theirs, others, as_json=json)
    say.notes(notes)


def who(
    tap: Annotated[
        str, typer.Argument(metavar="TAP", help="A TAP, by name or other name (vmnet-vm1-0).")
    ],
    json: Json = False,
) -> None:
    """Show which process holds a TAP.

    With its queues, its vhost-net descriptors and their workers in the kernel.

    \b
    Examples:
      vmnet who tap0
      vmnet who vmnet-vm1-0
    """
    from vmnet import look
    from vmnet.entry import say

    state["json"] = json
    say.holding(look.who(tap), as_json=json)


def probe(json: Json = False) -> None:
    """Prove that this host's machinery works, without a guest.

    In a network namespace of its own: frames through a TAP, packets through a TUN, frames through a
    veth pair and across a bridge, and through the rings of /dev/vhost-net. Leaves nothing.

    \b
    Examples:
      vmnet probe
    """
    from vmnet import probe as proving
    from vmnet.entry import say

    state["json"] = json
    results = proving.prove()
    say.checks(results, as_json=json)
    if any(check.outcome == "broken" for check in results):
        raise typer.Exit(1)
