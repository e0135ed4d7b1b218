"""The command `vmnet`.

Job: options in, service called, answer out, exit code. The one file that imports typer.
Leaves to others: everything else; commands import what they use when they run, so that `--help`
and completion do not pay for rtnetlink.
Privilege: that of what is called.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, NoReturn

import typer

from vmnet import __version__
from vmnet.entry import files, process, report
from vmnet.errors import VmnetError

app = typer.Typer(
    name="vmnet",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    help="Network for QEMU/KVM virtual machines: TAPs, bridges, vhost-net.",
    epilog="Exit status: 0 done, 2 wrong call, 3 configuration, 4 not found, 5 conflict, 6 in use, "
    "7 not permitted, 8 not supported here, 9 vhost-net required and absent, 10 kernel error, "
    "11 not as wished afterwards, 12 several errors, 1 anything else.",
)
bridge_app = typer.Typer(no_args_is_help=True, help="Make and delete bridges of vmnet's own.")
config_app = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
app.add_typer(bridge_app, name="bridge")
app.add_typer(config_app, name="config")

_state: dict[str, Any] = {"config": None, "json": False}

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
    float, typer.Option(metavar="SECONDS", help="How long to wait for another vmnet.", min=0)
]

_DEFAULT_MODEL = "virtio-net-pci"
_WAIT = 10.0


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Configuration file.", show_default="/etc/vmnet/vmnet.toml"
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version.")
    ] = False,
    hooks_dir: Annotated[
        bool, typer.Option("--hooks-dir", help="Print where qemu-ifup and qemu-ifdown are.")
    ] = False,
) -> None:
    _state["config"] = config
    if version:
        report.answer(f"vmnet {__version__}")
        raise typer.Exit
    if hooks_dir:
        report.answer(str(files.hooks_dir()))
        raise typer.Exit
    if context.invoked_subcommand is None:
        report.answer(context.get_help())
        raise typer.Exit


@app.command()
def attach(
    vm: Vm,
    bridge: Bridge = None,
    network: Network = None,
    nic: NicNumber = 0,
    queues: Queues = None,
    mac: Mac = None,
    mtu: Mtu = None,
    owner: Owner = None,
    model: Model = _DEFAULT_MODEL,
    vhost: Vhost = False,
    no_vhost: NoVhost = False,
    require_vhost: NeedVhost = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = _WAIT,
) -> None:
    """Make the NIC of a VM ready before QEMU starts.

    Makes a TAP that stays until `vmnet detach`, plugs it into the bridge, decides whether vhost-net
    can be used, and prints the arguments to start QEMU with. Twice is the same as once; what is not
    asked for stays as it is.

    \b
    Examples:
      vmnet attach vm1 --bridge br0 --vhost
      qemu-system-x86_64 -m 1G disk.img $(vmnet attach vm1 --queues 2)
    """
    from vmnet.entry import verbs
    from vmnet.model.nic import Wish

    _state["json"] = json
    policy = verbs.policy(vhost=vhost, no_vhost=no_vhost, require_vhost=require_vhost)
    wish = Wish(vm, nic, bridge, network, mac, mtu, queues, policy, model)
    verbs.attach(wish, owner, verbs.How(_config(), dry_run=dry_run, wait=wait, as_json=json))


@app.command()
def plan(
    vm: Vm,
    bridge: Bridge = None,
    network: Network = None,
    nic: NicNumber = 0,
    queues: Queues = None,
    mac: Mac = None,
    mtu: Mtu = None,
    owner: Owner = None,
    model: Model = _DEFAULT_MODEL,
    json: Json = False,
) -> None:
    """Print what `vmnet attach` would do, as lines for sh.

    Changes nothing. Lines that begin with `#` have no form in sh.

    \b
    Examples:
      vmnet plan vm1 --bridge br0
    """
    from vmnet.entry import verbs
    from vmnet.model.nic import Wish

    _state["json"] = json
    wish = Wish(vm, nic, bridge, network, mac, mtu, queues, None, model)
    verbs.attach(wish, owner, verbs.How(_config(), dry_run=True, wait=0, as_json=json))


@app.command()
def detach(
    vm: Vm,
    nic: Annotated[
        int | None, typer.Option(metavar="N", help="Only this NIC; left out, all.")
    ] = None,
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = _WAIT,
) -> None:
    """Take away all that was made for a VM, and nothing else.

    Refuses while a process holds the TAP. Twice is fine.

    \b
    Examples:
      vmnet detach vm1
      vmnet detach vm1 --nic 1
    """
    from vmnet import service
    from vmnet.entry import say

    _state["json"] = json
    done = service.detach(vm, nic, force=force, dry_run=dry_run, wait=wait)
    say.detached(vm, done, dry_run=dry_run, as_json=json)


@app.command()
def run(
    vm: Vm,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="QEMU and its arguments.")
    ],
    nic: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="A NIC as key=value,...; the keys are above."),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="User to run QEMU as.")] = None,
    vhost: Vhost = False,
    no_vhost: NoVhost = False,
    require_vhost: NeedVhost = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not say what was chosen.")] = False,
    dry_run: DryRun = False,
    json: Annotated[bool, typer.Option("--json", help="With --dry-run: answer in JSON.")] = False,
    wait: Wait = _WAIT,
) -> None:
    """Start QEMU with its NICs.

    Opens the TAPs and vhost-net, appends -netdev and -device (or fills {netdev} and {device} where
    the command line has them), lowers privileges to --user, and becomes QEMU. The TAPs go when QEMU
    does, however it ends. Its exit status is passed on.

    Keys of --nic: bridge, network, queues, mac, mtu, model, nic (its number), and vhost (on, off,
    auto, require). Without --nic the VM gets one NIC on the default network.

    \b
    Examples:
      vmnet run vm1 --nic bridge=br0 -- qemu-system-x86_64 -m 1G disk.img
      vmnet run vm1 --nic bridge=br0,queues=4 --user joe -- qemu-system-x86_64 ...
    """
    from vmnet.entry import verbs

    _state["json"] = json
    policy = verbs.policy(vhost=vhost, no_vhost=no_vhost, require_vhost=require_vhost)
    wishes = verbs.wishes(vm, nic or [""], policy)
    how = verbs.How(_config(), dry_run=dry_run, wait=wait, as_json=json)
    verbs.run(wishes, command, user, how, quiet=quiet)


@app.command("list")
def list_(
    vm: Annotated[str | None, typer.Argument(metavar="VM", help="Only this VM's.")] = None,
    json: Json = False,
) -> None:
    """Show the NICs that vmnet made or manages, and who uses them.

    \b
    Examples:
      vmnet list
      vmnet list --json
    """
    from vmnet import look
    from vmnet.entry import say

    _state["json"] = json
    say.rows(look.list_nics(vm), as_json=json)


@app.command()
def who(
    tap: Annotated[
        str, typer.Argument(metavar="TAP", help="A TAP, by name or other name (vmnet-vm1-0).")
    ],
    json: Json = False,
) -> None:
    """Show which process holds a TAP, with its queues and vhost workers.

    \b
    Examples:
      vmnet who tap0
      vmnet who vmnet-vm1-0
    """
    from vmnet import look
    from vmnet.entry import say

    _state["json"] = json
    say.holding(look.who(tap), as_json=json)


@app.command()
def gc(
    idle: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Also kept TAPs unused for so long, e.g. 90s, 30m, 2h, 1d."
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Remove what vmnet made and nobody uses any more.

    Leftovers of attaches that were cut short, and TAPs whose process is gone. Kept ones only with
    --idle; their clock starts when they were attached, and again whenever gc finds them used since.

    \b
    Examples:
      vmnet gc
      vmnet gc --idle 1d
    """
    from vmnet.entry import verbs

    _state["json"] = json
    verbs.collect(idle, dry_run=dry_run, as_json=json)


@app.command()
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

    _state["json"] = json
    results = proving.prove()
    say.checks(results, as_json=json)
    if any(check.outcome == "broken" for check in results):
        raise typer.Exit(1)


@bridge_app.command("create")
def bridge_create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The bridge's name, at most 15 bytes.")
    ],
    mtu: Mtu = None,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = _WAIT,
) -> None:
    """Make a bridge: an address of its own, STP off, silent in IPv6, up.

    \b
    Examples:
      vmnet bridge create br0
    """
    from vmnet import service
    from vmnet.entry import say

    _state["json"] = json
    done = service.create_bridge(name, mtu=mtu, dry_run=dry_run, wait=wait)
    say.bridge(name, done, "made", dry_run=dry_run, as_json=json)


@bridge_app.command("delete")
def bridge_delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The bridge's name.")],
    force: Force = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = _WAIT,
) -> None:
    """Delete a bridge that vmnet made and nothing uses.

    \b
    Examples:
      vmnet bridge delete br0
    """
    from vmnet import service
    from vmnet.entry import say

    _state["json"] = json
    done = service.delete_bridge(name, force=force, dry_run=dry_run, wait=wait)
    say.bridge(name, done, "deleted", dry_run=dry_run, as_json=json)


@config_app.command("check")
def config_check(json: Json = False) -> None:
    """Read the configuration and say what is in it, or what is wrong.

    \b
    Examples:
      vmnet config check
    """
    from vmnet.entry import say

    _state["json"] = json
    say.config(_config(), as_json=json)


def _config() -> Any:
    from vmnet.entry.settings import load

    return load(_state["config"])


def main() -> NoReturn:
    """Run the command line and exit."""
    process.begin()
    try:
        app()
    except VmnetError as error:
        report.failure(error, as_json=_state["json"])
        sys.exit(error.exit_code)
    sys.exit(0)
