"""`vmnet bridge` and `vmnet config`: the host's side.

Job: their options in, service called, answer out.
Leaves to others: everything else.
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry import uplinkcli
from vmnet.entry.options import WAIT, BridgeMtu, DryRun, Force, Json, Wait, config, state

bridge_app = typer.Typer(no_args_is_help=True, help="Bridges: make, delete, connect.")
config_app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")


@bridge_app.command("create")
def bridge_create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The bridge's name, at most 15 bytes.")
    ],
    mtu: BridgeMtu = None,
    vlan_filtering: Annotated[
        bool | None,
        typer.Option(
            "--vlan-filtering/--no-vlan-filtering",
            help="Keep VLANs apart; left out, no, or as it is.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Make a bridge: own address, no STP, silent in IPv6, up.

    \b
    Examples:
      vmnet bridge create br0
      vmnet bridge create br1 --vlan-filtering
    """
    from vmnet import service
    from vmnet.entry import say

    state["json"] = json
    done = service.create_bridge(
        name, mtu=mtu, vlan_filtering=vlan_filtering, dry_run=dry_run, wait=wait
    )
    say.bridge(name, done, "made", dry_run=dry_run, as_json=json)


@bridge_app.command("delete")
def bridge_delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The bridge's name.")],
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Delete a bridge that vmnet made and nothing uses.

    \b
    Examples:
      vmnet bridge delete br0
    """
    from vmnet import service
    from vmnet.entry import say

    state["json"] = json
    done = service.delete_bridge(name, force=force, dry_run=dry_run, wait=wait)
    say.bridge(name, done, "deleted", dry_run=dry_run, as_json=json)


bridge_app.command("add-uplink")(uplinkcli.add_uplink)
bridge_app.command("confirm")(uplinkcli.confirm)
bridge_app.command("remove-uplink")(uplinkcli.remove_uplink)


@config_app.command("check")
def config_check(json: Json = False) -> None:
    """Read the configuration and say what is in it, or what is wrong.

    \b
    Examples:
      vmnet config check
    """
    from vmnet.entry import say_whole

    state["json"] = json
    say_whole.config(config(), as_json=json)


def up(dry_run: DryRun = False, json: Json = False, wait: Wait = WAIT) -> None:
    """Bring about what the configuration wishes.

    Its bridges, then its VMs' NICs. What is there as wished stays untouched, what differs is
    changed; what fails does not stop the rest. What the file does not name any more stays too:
    `vmnet detach`, `vmnet bridge delete`. At boot, the unit vmnet.service does this.

    \b
    Examples:
      vmnet up
      vmnet up --dry-run | sh -e
    """
    from vmnet import service
    from vmnet.entry import say_whole

    state["json"] = json
    done = service.up(config(), dry_run=dry_run, wait=wait)
    say_whole.parts(done, dry_run=dry_run, as_json=json)
    service.raise_all(say_whole.failures(done))


def down(dry_run: DryRun = False, json: Json = False, wait: Wait = WAIT) -> None:
    """Take away what the configuration wishes.

    Nothing that is in use: a VM that runs keeps its NIC and its bridge.

    \b
    Examples:
      vmnet down
    """
    from vmnet import service
    from vmnet.entry import say_whole

    state["json"] = json
    done = service.down(config(), dry_run=dry_run, wait=wait)
    say_whole.parts(done, dry_run=dry_run, as_json=json)
    service.raise_all(say_whole.failures(done))
