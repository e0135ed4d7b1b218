"""The command `vmnet`.

Job: options in, service called, answer out, exit code.
Leaves to others: options that several commands have (`vmnet.entry.options`), everything else;
commands import what they use when they run, so that `--help` and completion do not pay for
rtnetlink.
Privilege: that of what is called.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, NoReturn

import typer

from vmnet import __version__
from vmnet.entry import (
    domaincli,
    door,
    files,
    graphcli,
    hostcli,
    lookcli,
    options,
    patchcli,
    report,
    statuscli,
    topcli,
)
from vmnet.entry.hookcli import hook_app
from vmnet.entry.hostcli import bridge_app, config_app
from vmnet.entry.hostfilecli import host_app
from vmnet.entry.options import (
    DEFAULT_MODEL,
    WAIT,
    Bridge,
    By,
    DryRun,
    Force,
    Json,
    Libvirt,
    Live,
    Mac,
    Model,
    Mtu,
    NeedVhost,
    Network,
    NicNumber,
    NoVhost,
    Owner,
    Persistent,
    Plain,
    Qmp,
    Queues,
    Vhost,
    Vm,
    Wait,
    state,
)
from vmnet.entry.portoptions import port_options
from vmnet.entry.tuncli import tun_app
from vmnet.errors import VmnetError

app = typer.Typer(
    name="vmnet",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    help="Network for QEMU/KVM virtual machines: TAPs, bridges, vhost-net.",
    epilog="Exit status: 0 done, 2 wrong call, 3 configuration, 4 not found, 5 conflict, 6 in use, "
    "7 not permitted, 8 not supported here, 9 vhost-net required and absent, 10 kernel error, "
    "11 not as wished afterwards, 12 several errors, 13 libvirt or QEMU refused, 1 anything else.",
)
app.add_typer(bridge_app, name="bridge")
app.add_typer(config_app, name="config")
app.add_typer(hook_app, name="hook")
app.add_typer(host_app, name="host")
app.add_typer(tun_app, name="tun")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Configuration file; stands before the command.",
            show_default="/etc/vmnet/vmnet.toml",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version.")
    ] = False,
    hooks_dir: Annotated[
        bool, typer.Option("--hooks-dir", help="Print where qemu-ifup and qemu-ifdown are.")
    ] = False,
) -> None:
    state["config"] = config
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
@port_options
def attach(
    vm: Vm,
    asked: Any,
    bridge: Bridge = None,
    network: Network = None,
    nic: NicNumber = 0,
    queues: Queues = None,
    mac: Mac = None,
    mtu: Mtu = None,
    owner: Owner = None,
    model: Model = DEFAULT_MODEL,
    vhost: Vhost = False,
    no_vhost: NoVhost = False,
    require_vhost: NeedVhost = False,
    libvirt: Libvirt = None,
    plain: Plain = False,
    qmp: Qmp = None,
    live: Live = False,
    config: Persistent = False,
    by: By = "vmnet",
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Make the NIC of a VM ready, or plug one into a VM that runs.

    Makes a TAP that stays until `vmnet detach`, plugs it into the bridge, decides whether vhost-net
    can be used, and prints the arguments to start QEMU with. Twice is the same as once; what is not
    asked for stays as it is.

    Of a libvirt domain it writes the wish into the metadata and adds the interface, to the running
    domain, to its definition, or to both as there are. Where libvirt is, give --plain for a name
    that is neither a domain nor attached already. With --qmp a QEMU that runs gets the NIC.

    \b
    Examples:
      vmnet attach vm1 --bridge br0 --vhost
      vmnet attach vm1 --vlan 10 --address 10.0.0.5 --rate-out 100mbit
      qemu-system-x86_64 -m 1G disk.img $(vmnet attach vm1 --queues 2)
      vmnet attach vm1 --libvirt --network lan --vhost --queues 4
      vmnet attach vm1 --qmp /run/vm1.qmp --nic 1 --bridge br1
    """
    from vmnet.entry import verbs
    from vmnet.model.nic import Wish

    policy = verbs.policy(vhost=vhost, no_vhost=no_vhost, require_vhost=require_vhost)
    wish = Wish(vm, nic, bridge, network, mac, mtu, queues, policy, model, *asked)
    how = verbs.How(options.config(), dry_run=dry_run, wait=wait, as_json=json)
    target = verbs.Target(libvirt, plain=plain, live=live, config=config, by=by, qmp=qmp)
    verbs.attach(wish, owner, target, how)


@app.command()
@port_options
def plan(
    vm: Vm,
    asked: Any,
    bridge: Bridge = None,
    network: Network = None,
    nic: NicNumber = 0,
    queues: Queues = None,
    mac: Mac = None,
    mtu: Mtu = None,
    owner: Owner = None,
    model: Model = DEFAULT_MODEL,
    libvirt: Libvirt = None,
    plain: Plain = False,
    live: Live = False,
    config: Persistent = False,
    by: By = "vmnet",
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

    wish = Wish(vm, nic, bridge, network, mac, mtu, queues, None, model, *asked)
    how = verbs.How(options.config(), dry_run=True, wait=0, as_json=json)
    target = verbs.Target(libvirt, plain=plain, live=live, config=config, by=by)
    verbs.attach(wish, owner, target, how)


@app.command()
def detach(
    vm: Vm,
    nic: Annotated[
        int | None, typer.Option(metavar="N", help="Only this NIC; left out, all.")
    ] = None,
    force: Force = False,
    libvirt: Libvirt = None,
    plain: Plain = False,
    qmp: Qmp = None,
    live: Live = False,
    config: Persistent = False,
    dry_run: DryRun = False,
    json: Json = False,
    wait: Wait = WAIT,
) -> None:
    """Take away all that was made for a VM, and nothing else.

    Refuses while a process holds the TAP. Twice is fine. Of a libvirt domain it unplugs the NICs
    that have a wish, waits until the guest has let go, and takes the wish away. With --qmp it
    takes them out of a QEMU that runs, once the guest has let go.

    \b
    Examples:
      vmnet detach vm1
      vmnet detach vm1 --nic 1
      vmnet detach vm1 --libvirt --nic 1 --live
      vmnet detach vm1 --qmp /run/vm1.qmp --nic 1
    """
    from vmnet.entry import verbs
    from vmnet.formats.config import Config

    state["json"] = json
    how = verbs.How(Config(), dry_run=dry_run, wait=wait, as_json=json)
    target = verbs.Target(libvirt, plain=plain, live=live, config=config, qmp=qmp)
    verbs.detach(vm, nic, target, how, force=force)


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
    wait: Wait = WAIT,
) -> None:
    """Start QEMU with its NICs.

    Opens the TAPs and vhost-net, appends -netdev and -device (or fills {netdev} and {device} where
    the command line has them), lowers privileges to --user, and becomes QEMU. The TAPs go when QEMU
    does, however it ends. Its exit status is passed on.

    Keys of --nic: bridge, network, queues, mac, mtu, model, nic (its number), vhost (on, off, auto,
    require); and what may pass, as of attach: vlan, trunk, native, address, rate-in, rate-out,
    guard, isolated, flood, neigh-suppress, dhcp-guard, ra-guard (on, off); or the wire: direct,
    mode, routed, proxy, vhost-user, user (on: passt, no privilege). In a list, + stands for a
    comma. Without --nic the VM gets one NIC on the default network.

    \b
    Examples:
      vmnet run vm1 --nic bridge=br0 -- qemu-system-x86_64 -m 1G disk.img
      vmnet run vm1 --nic bridge=br0,queues=4 --user joe -- qemu-system-x86_64 ...
    """
    from vmnet.entry import verbs

    state["json"] = json
    policy = verbs.policy(vhost=vhost, no_vhost=no_vhost, require_vhost=require_vhost)
    wishes = verbs.wishes(vm, nic or [""], policy)
    how = verbs.How(options.config(), dry_run=dry_run, wait=wait, as_json=json)
    verbs.run(wishes, command, user, how, quiet=quiet)


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

    state["json"] = json
    verbs.collect(idle, dry_run=dry_run, as_json=json)


for command in (
    lookcli.list_,
    statuscli.status,
    graphcli.graph,
    topcli.top,
    topcli.metrics,
    lookcli.who,
    lookcli.probe,
    domaincli.explain,
    domaincli.sync,
    domaincli.template,
    hostcli.up,
    hostcli.down,
    patchcli.patch,
    patchcli.unpatch,
):
    app.command(command.__name__.rstrip("_"))(command)


def main() -> NoReturn:
    """Run the command line and exit."""
    door.begin()
    sys.argv[1:] = options.spelled(sys.argv[1:])
    try:
        app()
    except VmnetError as error:
        report.failure(error, as_json=state["json"])
        sys.exit(error.exit_code)
    sys.exit(0)
