"""`vmnet status`: options in, service called, answer out.

Job: the command's own options.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import WAIT, Json, Wait, config, state

OneVm = Annotated[str | None, typer.Argument(metavar="VM", help="Only this VM.")]
Sample = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="How long to watch packets and workers; 0: not.", min=0),
]
Repair = Annotated[bool, typer.Option("--repair", help="Carry out what would mend it.")]

#: As of an operation that ended with something else than what was wished.
NOT_AS_WISHED = 11


def status(
    vm: OneVm = None,
    sample: Sample = 0.5,
    repair: Repair = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Show what NICs are asked to be and what they are, with proof.

    Who has the TAP open, with how many queues, and how many the guest uses; what QEMU was asked
    and what it has: descriptors of vhost-net, their workers in the kernel, and whether these wake
    while packets move. What is not as wished stands as the lines that would mend it.

    Exit status 0: all is as it was asked for; 11: something is not.

    \b
    Examples:
      vmnet status vm1
      vmnet status vm1 --sample 5
      vmnet status --json
      vmnet status vm1 --repair
    """
    from vmnet.entry import say_status
    from vmnet.errors import NotFound
    from vmnet.model.names import shorten
    from vmnet.service.base import raise_all
    from vmnet.service.status import repair as mend
    from vmnet.service.status import status as look

    state["json"] = json
    nics = look(vm, config=config(), sample=sample)
    if not nics and vm is not None:
        raise NotFound(
            f"nothing is attached for {shorten(vm)!r}",
            code="not-attached",
            remedy="`vmnet list` shows what is; `vmnet plan` what an attach would do",
        )
    if repair and any(nic.drift.moves for nic in nics):
        say_status.mended(nics)
        raise_all(mend(nics, config=config(), wait=wait))
        nics = look(vm, config=config(), sample=sample)
    say_status.status(nics, as_json=json)
    if any(nic.troubles for nic in nics):
        raise typer.Exit(NOT_AS_WISHED)
