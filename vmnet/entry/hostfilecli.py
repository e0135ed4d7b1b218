"""`vmnet host`: files that keep the host's own programs off vmnet's ports.

Job: its options in, service called, answer out.
Leaves to others: what is written (`templates/host`), by whom (`vmnet.service.hostfile`).
Privilege: root.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vmnet.entry.options import WAIT, DryRun, Json, Wait, state

host_app = typer.Typer(no_args_is_help=True, help="Keep the host's own programs off vmnet's ports.")

Root = Annotated[
    str, typer.Option(metavar="DIR", help="A tree that is to become a host, instead of this one.")
]
Group = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Who may open /dev/vhost-net; left out, as it is, or kvm."),
]
Force = Annotated[bool, typer.Option("--force", help="Also what was changed since vmnet wrote it.")]


@host_app.command("install")
def host_install(
    group: Group = None,
    root: Root = "/",
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Write the files to /etc, each with what it is for.

    They keep udev, systemd-networkd and NetworkManager off vmnet's ports, load vhost_net at boot
    and give /dev/vhost-net its group; vmnet.service is for `vmnet up` at boot, and starts nothing
    until `systemctl enable vmnet`. --dry-run shows them whole. All are written or none; one that
    is not vmnet's is never replaced. Says what they have not brought about yet.

    \b
    Examples:
      vmnet host install --dry-run
      vmnet host install --group kvm
      vmnet host install --root /srv/image
    """
    from vmnet.entry import say_hostfile
    from vmnet.service import hostfile

    state["json"] = json
    done = hostfile.install(group, root=root, force=force, dry_run=dry_run, wait=wait)
    say_hostfile.changed(done, removed=False, dry_run=dry_run, as_json=json)


@host_app.command("uninstall")
def host_uninstall(
    root: Root = "/",
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Take vmnet's files away, and only those; of folders those that no program here wants.

    \b
    Examples:
      vmnet host uninstall
    """
    from vmnet.entry import say_hostfile
    from vmnet.service import hostfile

    state["json"] = json
    done = hostfile.uninstall(root=root, force=force, dry_run=dry_run, wait=wait)
    say_hostfile.changed(done, removed=True, dry_run=dry_run, as_json=json)


@host_app.command("status")
def host_status(root: Root = "/", json: Json = False) -> None:
    """Say of each file whether it is there and does its work.

    Exit status 1 if something keeps one from that.

    \b
    Examples:
      vmnet host status
    """
    from vmnet.entry import say_hostfile
    from vmnet.service import hostfile

    state["json"] = json
    found = hostfile.status(root)
    say_hostfile.status(found, as_json=json)
    if not found.well:
        raise typer.Exit(1)
