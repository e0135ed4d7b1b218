"""`vmnet hook`: libvirt's hook as a file.

Job: its options in, service called, answer out.
Leaves to others: what the hook does when libvirt calls it (`vmnet.entry.hook`).
Privilege: root.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vmnet.entry.options import WAIT, DryRun, Json, Wait, state

hook_app = typer.Typer(no_args_is_help=True, help="Let libvirt call vmnet for its domains.")

Timeout = Annotated[
    int,
    typer.Option(metavar="SECONDS", help="How long a start may wait for vmnet, 1 to 600."),
]
Python = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Interpreter that has vmnet; left out, this one."),
]


@hook_app.command("install")
def hook_install(
    timeout: Timeout = 20,
    python: Python = None,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Put the hook to /etc/libvirt/hooks/qemu.d/50-vmnet.

    Says what may keep libvirt from calling it: a daemon that has to be restarted, AppArmor,
    SELinux. Twice is the same as once; a file of that name that is not vmnet's stays.

    \b
    Examples:
      vmnet hook install
      vmnet hook install --timeout 60
    """
    from vmnet.entry import files, say_hook
    from vmnet.model.hookfile import Script
    from vmnet.service import hookfile

    state["json"] = json
    script = Script(python or sys.executable, timeout)
    done = hookfile.install(files.libvirt_hook(), script, dry_run=dry_run, wait=wait)
    say_hook.installed(done, dry_run=dry_run, as_json=json)


@hook_app.command("uninstall")
def hook_uninstall(dry_run: DryRun = False, json: Json = False, wait: Wait = WAIT) -> None:
    """Take the hook away; only if it is vmnet's. Running VMs stay as they are.

    \b
    Examples:
      vmnet hook uninstall
    """
    from vmnet.entry import files, say_hook
    from vmnet.service import hookfile

    state["json"] = json
    done = hookfile.uninstall(files.libvirt_hook(), dry_run=dry_run, wait=wait)
    say_hook.uninstalled(done, dry_run=dry_run, as_json=json)


@hook_app.command("status")
def hook_status(json: Json = False) -> None:
    """Say whether the hook is there and libvirt will call it; exit status 1 if not.

    \b
    Examples:
      vmnet hook status
    """
    from vmnet.entry import files, say_hook
    from vmnet.service import hookfile

    state["json"] = json
    found = hookfile.status(files.libvirt_hook())
    say_hook.status(found, as_json=json)
    if not found.well:
        raise typer.Exit(1)
