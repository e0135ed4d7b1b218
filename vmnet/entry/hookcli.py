"""`vmnet hook`: libvirt's hook as a file, and what it would do.

Job: its options in, service called, answer out.
Leaves to others: what the hook does when libvirt calls it (`vmnet.entry.hook`).
Privilege: root.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from vmnet.entry.options import WAIT, DryRun, Json, Wait, config, state

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
    """Write the hook to /etc/libvirt/hooks/qemu.d/50-vmnet.

    From then on libvirt calls vmnet whenever a domain starts or ends. Says what may keep libvirt
    from calling it: a daemon that has to be restarted, AppArmor, SELinux. Twice is the same as
    once; a file of that name that is not vmnet's stays.

    \b
    Examples:
      vmnet hook install
      vmnet hook install --timeout 60
    """
    from vmnet.entry import files, say_hook
    from vmnet.model.hookfile import Script
    from vmnet.service import hookfile

    state["json"] = json
    script = Script(sys.executable if python is None else python, timeout)
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
    """Say whether the hook is there and libvirt will call it.

    Exit status 1 if something keeps it from that.

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


@hook_app.command("test")
def hook_test(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A domain's XML; - reads standard input.")
    ],
    json: Json = False,
) -> None:
    """Show what the hook would do for a domain; changes nothing.

    One operation of libvirt's hook after the other. Exit status is that of the first refusal.

    \b
    Examples:
      vmnet hook test vm1.xml
      virsh dumpxml vm1 | vmnet hook test -
    """
    from vmnet.entry import say_domain
    from vmnet.errors import NotFound
    from vmnet.service.rehearse import rehearse

    state["json"] = json
    try:
        xml = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise NotFound(
            f"cannot read {file}: {error.strerror}",
            code="no-file",
            remedy="`virsh dumpxml VM >FILE` makes one",
        ) from error
    found = rehearse(xml, config())
    say_domain.rehearsed(found, as_json=json)
    for each in found:
        if each.refusal is not None:
            raise typer.Exit(each.refusal.exit_code)
