"""What a step does, in words: for errors (`cannot <words>`) and for `--json`.

Job: one line for each kind of step.
Leaves to others: the shell form (`vmnet.formats.shell`).
Privilege: none.
"""

from __future__ import annotations

from typing import assert_never

from vmnet.model.step import (
    AddAltname,
    AddDevice,
    AddNetdev,
    CloseFd,
    CreateBridge,
    CreateTap,
    DeleteLink,
    DomainStep,
    DropAltname,
    DropTap,
    MonitorStep,
    OpenQueues,
    PassFd,
    Persist,
    PlugDevice,
    QuietIpv6,
    RemoveDevice,
    RemoveNetdev,
    SetAlias,
    SetMac,
    SetMaster,
    SetMetadata,
    SetMtu,
    SetOwner,
    SetUp,
    Step,
    TunStep,
    UnplugDevice,
    UpdateDevice,
)


def describe(step: Step) -> str:
    """Return what the step does, as the rest of `cannot ...`."""
    if isinstance(step, TunStep):
        return _describe_tap(step)
    if isinstance(step, DomainStep):
        return _describe_domain(step)
    if isinstance(step, MonitorStep):
        return _describe_monitor(step)
    if isinstance(step, CreateBridge):
        return f"make bridge {step.name!r}"
    return _describe_setting(step)


def _describe_tap(step: TunStep) -> str:
    match step:
        case CreateTap(name):
            return f"make tap {name!r}"
        case OpenQueues(link, count):
            queues = "1 queue" if count == 1 else f"{count} queues"
            return f"open {queues} of tap {link.name!r}"
        case SetOwner(link, uid):
            return f"give tap {link.name!r} to uid {uid}"
        case Persist(link):
            return f"make tap {link.name!r} persistent"
        case DropTap(link):
            return f"remove tap {link.name!r}"
        case _:
            assert_never(step)


def _describe_domain(step: DomainStep) -> str:
    of = f"of domain {step.domain!r} ({step.where})"
    match step:
        case SetMetadata(_, _, xml):
            return f"{'write' if xml else 'remove'} the wishes {of}"
        case PlugDevice(_, _, mac):
            return f"add interface {mac} {of}"
        case UnplugDevice(_, _, mac):
            return f"remove interface {mac} {of}"
        case UpdateDevice(_, _, mac):
            return f"change interface {mac} {of}"
        case _:
            assert_never(step)


def _describe_monitor(step: MonitorStep) -> str:
    match step:
        case PassFd(source, position, name):
            return f"pass descriptor {position} of {source!r} to QEMU as {name!r}"
        case CloseFd(name):
            return f"take descriptor {name!r} back from QEMU"
        case AddNetdev(netdev):
            return f"give QEMU netdev {netdev!r}"
        case RemoveNetdev(netdev):
            return f"take netdev {netdev!r} from QEMU"
        case AddDevice(device):
            return f"plug device {device!r} into the guest"
        case RemoveDevice(device):
            return f"take device {device!r} from the guest"
        case _:
            assert_never(step)


def _describe_setting(  # noqa: C901 - one case for each kind of step
    step: DeleteLink
    | SetAlias
    | SetMac
    | SetMtu
    | QuietIpv6
    | AddAltname
    | DropAltname
    | SetMaster
    | SetUp,
) -> str:
    name = repr(step.link.name)
    match step:
        case DeleteLink():
            return f"delete link {name}"
        case SetAlias():
            return f"write the tag of link {name}"
        case SetMac(_, mac):
            return f"set the address of link {name} to {mac}"
        case SetMtu(_, mtu):
            return f"set the MTU of link {name} to {mtu}"
        case QuietIpv6():
            return f"keep IPv6 of link {name} silent"
        case AddAltname(_, altname):
            return f"give link {name} the name {altname!r}"
        case DropAltname(_, altname):
            return f"take the name {altname!r} from link {name}"
        case SetMaster(_, master):
            if master is None:
                return f"take link {name} out of its bridge"
            return f"put link {name} into bridge {master.name!r}"
        case SetUp(_, up):
            return f"bring link {name} {'up' if up else 'down'}"
        case _:
            assert_never(step)
