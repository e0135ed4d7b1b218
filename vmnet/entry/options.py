"""Options that several commands have, and what is known before a command runs.

Job: one name, one help text, one meaning for an option everywhere.
Leaves to others: the commands (`vmnet.entry.cli` and its neighbours).
Privilege: none.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

#: What the words before a command said, and whether the answer is to be JSON.
state: dict[str, Any] = {"config": None, "json": False}

Vm = Annotated[
    str, typer.Argument(metavar="VM", help="The VM's name; any name that libvirt accepts.")
]
NicNumber = Annotated[int, typer.Option("--nic", metavar="N", help="Which NIC of the VM, from 0.")]
Bridge = Annotated[str | None, typer.Option(metavar="NAME", help="Bridge to plug into.")]
Network = Annotated[
    str | None, typer.Option(metavar="NAME", help="Network of the configuration to use.")
]
Queues = Annotated[
    int | None, typer.Option(metavar="N", help="Queue pairs, 1 to 256; at most the VM's CPUs.")
]
Mac = Annotated[
    str | None, typer.Option(metavar="MAC", help="The guest's MAC; left out, a stable one.")
]
Mtu = Annotated[
    int | None, typer.Option(metavar="BYTES", help="MTU in bytes; left out, the bridge's.")
]
BridgeMtu = Annotated[
    int | None,
    typer.Option("--mtu", metavar="BYTES", help="MTU in bytes; left out, 1500, or as it is."),
]
Owner = Annotated[
    str | None, typer.Option(metavar="USER", help="User QEMU will run as; left out, this one.")
]
Model = Annotated[str, typer.Option(metavar="MODEL", help="QEMU device model.")]
Vhost = Annotated[bool, typer.Option("--vhost", help="Use vhost-net; warn if it cannot be had.")]
NoVhost = Annotated[bool, typer.Option("--no-vhost", help="Do not use vhost-net.")]
NeedVhost = Annotated[bool, typer.Option("--require-vhost", help="Fail without vhost-net.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the steps, change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Also what is in use; says what breaks.")]
Wait = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", help="How long to wait for another vmnet (--qmp: and QEMU).", min=0
    ),
]

Libvirt = Annotated[
    str | None,
    typer.Option(
        "--libvirt", metavar="[=URI]", help="VM is a domain of this libvirt (qemu:///system)."
    ),
]
Plain = Annotated[
    bool, typer.Option("--plain", help="VM is a QEMU that you start yourself, not libvirt.")
]
Qmp = Annotated[
    str | None,
    typer.Option(metavar="SOCKET", help="VM is a running QEMU with this QMP socket: hot-plug."),
]
Live = Annotated[bool, typer.Option("--live", help="Of a domain: change the running one.")]
Persistent = Annotated[
    bool, typer.Option("--config", help="Of a domain: change what it starts with next.")
]
By = Annotated[
    str,
    typer.Option(
        metavar="WHO",
        help="Who makes the TAP of a domain's new NIC: vmnet, or libvirt (type bridge).",
        autocompletion=lambda: list(MAKERS),
    ),
]

#: Who can make a domain's TAP.
MAKERS = ("vmnet", "libvirt")
DEFAULT_MODEL = "virtio-net-pci"
WAIT = 10.0


def config() -> Any:
    """Return the configuration that was named, or the usual one."""
    from vmnet.entry.settings import load

    return load(state["config"])


def spelled(words: list[str]) -> list[str]:
    """Return a command line with `--libvirt` as `--libvirt=`: its value may be left out."""
    end = words.index("--") if "--" in words else len(words)
    head = ["--libvirt=" if word == "--libvirt" else word for word in words[:end]]
    return head + words[end:]
