"""`vmnet bridge add-uplink`, `confirm` and `remove-uplink`: a NIC of the host's in a bridge.

Job: their options in, service called, answer out.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import WAIT, DryRun, Json, Wait, state
from vmnet.errors import InvalidInput

BridgeName = Annotated[str, typer.Argument(metavar="BRIDGE", help="The bridge's name.")]
#: As `vmnet.service` has it, which `--help` does without.
CONFIRM_SECONDS = 60
NicName = Annotated[str, typer.Argument(metavar="NIC", help="The name of a NIC of this host's.")]
ConfirmWithin = Annotated[
    int | None,
    typer.Option(
        metavar="SECONDS",
        help="Put all back unless confirmed so soon.",
        min=1,
        show_default=str(CONFIRM_SECONDS),
    ),
]
NoTimer = Annotated[
    bool, typer.Option("--no-timer", help="Never put back: there is another way to this host.")
]


def _within(seconds: int | None, *, no_timer: bool) -> int | None:
    """Return after how many seconds all is put back; None for never.

    Raises:
        InvalidInput: both are asked for.
    """
    if no_timer and seconds is not None:
        raise InvalidInput(
            "--no-timer and --confirm-within exclude each other: one never puts back, one does",
            code="timer-options",
            remedy="leave --no-timer out, unless there is another way to this host",
        )
    return None if no_timer else seconds or CONFIRM_SECONDS


def add_uplink(
    bridge: BridgeName,
    nic: NicName,
    confirm_within: ConfirmWithin = None,
    no_timer: NoTimer = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Make a NIC of the host's a port of a bridge.

    Its addresses and routes go to the bridge, and no connection is lost. All is put back unless
    `vmnet bridge confirm` follows in time.

    \b
    Examples:
      vmnet bridge add-uplink br0 eth1
      vmnet bridge add-uplink br0 eth1 --confirm-within 300
    """
    from vmnet import service
    from vmnet.entry import say_uplink

    state["json"] = json
    within = _within(confirm_within, no_timer=no_timer)
    done = service.add_uplink(bridge, nic, confirm_within=within, dry_run=dry_run, wait=wait)
    say_uplink.added(bridge, nic, done, dry_run=dry_run, as_json=json)


def confirm(
    bridge: BridgeName, dry_run: DryRun = False, json: Json = False, wait: Wait = WAIT
) -> None:
    """Let a bridge's new uplink stay.

    \b
    Examples:
      vmnet bridge confirm br0
    """
    from vmnet import service
    from vmnet.entry import say_uplink

    state["json"] = json
    done = service.confirm_uplinks(bridge, dry_run=dry_run, wait=wait)
    say_uplink.confirmed(bridge, done, dry_run=dry_run, as_json=json)


def remove_uplink(
    bridge: BridgeName,
    nic: NicName,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Give a NIC back what went from it to a bridge.

    \b
    Examples:
      vmnet bridge remove-uplink br0 eth1
    """
    from vmnet import service
    from vmnet.entry import say_uplink

    state["json"] = json
    done = service.remove_uplink(bridge, nic, dry_run=dry_run, wait=wait)
    say_uplink.removed(bridge, nic, done, dry_run=dry_run, as_json=json)
