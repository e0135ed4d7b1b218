"""What a step does, in words: for errors (`cannot <words>`) and for `--json`.

Job: one line for each kind of step.
Leaves to others: the shell form (`vmnet.formats.shell`).
Privilege: none.
"""

from __future__ import annotations

from typing import assert_never

from vmnet.model.filestep import FileStep, MakeFolder, RemoveFile, RemoveFolder, WriteFile
from vmnet.model.hoststep import (
    AddAddress,
    AddressStep,
    AddRoute,
    DropAddress,
    DropRoute,
    RestoreIpv6,
    RouteStep,
    SettleAddress,
    StartGuardian,
)
from vmnet.model.ovs import AddOvsPort, DropOvsPort, OvsStep, SetOvsPort
from vmnet.model.portstep import (
    AddIngress,
    AddVlans,
    ChangeFilter,
    CreateIfb,
    DropIngress,
    DropRate,
    DropVlans,
    FilterStep,
    ForgetLink,
    InstallFilter,
    PinMac,
    Police,
    PortStep,
    RateStep,
    Redirect,
    RemoveFilter,
    SetPort,
    SetRate,
    SetStrict,
    UnpinMac,
)
from vmnet.model.rate import Shape, rate_text
from vmnet.model.step import (
    AddAltname,
    AddDevice,
    AddNetdev,
    CloseFd,
    CreateBridge,
    CreateTap,
    CreateTun,
    CreateVeth,
    DeleteLink,
    DomainStep,
    DropAltname,
    DropTap,
    DropTun,
    InPlace,
    MonitorStep,
    OpenQueues,
    PassFd,
    PeerStep,
    Persist,
    PlaceStep,
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
    SetVlanFiltering,
    Step,
    TunStep,
    UnplugDevice,
    UpdateDevice,
)
from vmnet.model.wirestep import (
    AddProxy,
    CreateMacvtap,
    DropProxy,
    GiveMacvtap,
    NodeStep,
    OpenMacvtap,
    PasstStep,
    SetRouting,
    SetTxChecksum,
    StartPasst,
    WireStep,
)


def describe(step: Step) -> str:
    """Return what the step does, as the rest of `cannot ...`."""
    if isinstance(step, TunStep):
        return _describe_tap(step)
    if isinstance(step, PeerStep):
        return _describe_peer(step)
    if isinstance(step, PortStep | RateStep | FilterStep):
        return _describe_passage(step)
    if isinstance(step, FileStep):
        return describe_file(step)
    if isinstance(step, PlaceStep):
        return _describe_place(step)
    if isinstance(step, AddressStep | RouteStep):
        return _describe_host(step)
    if isinstance(step, WireStep | NodeStep | SetTxChecksum):
        return _describe_wire(step)
    if isinstance(step, CreateBridge):
        return f"make bridge {step.name!r}{', filtering VLANs' if step.vlan_filtering else ''}"
    if isinstance(step, SetVlanFiltering):
        return f"set VLAN filtering {'on' if step.on else 'off'} on bridge {step.link.name!r}"
    return _describe_setting(step)


def _describe_peer(step: PeerStep) -> str:
    if isinstance(step, DomainStep):
        return _describe_domain(step)
    if isinstance(step, MonitorStep):
        return _describe_monitor(step)
    if isinstance(step, PasstStep):
        return f"{'start' if isinstance(step, StartPasst) else 'end'} 'passt' for NIC {step.nic}"
    return _describe_ovs(step) if isinstance(step, OvsStep) else _describe_host(step)


def _describe_place(step: PlaceStep) -> str:
    match step:
        case CreateVeth(name, peer, here, there):
            ends = [
                f"{link!r}{f' in {place!r}' if place else ''}"
                for link, place in ((name, here), (peer, there))
            ]
            return f"make the pair {' and '.join(ends)}"
        case InPlace(place, inner):
            return f"{describe(inner)}, in {place!r}"
        case _:
            assert_never(step)


def _describe_ovs(step: OvsStep) -> str:
    match step:
        case AddOvsPort(port, leaves):
            if leaves is None:
                return f"put link {port.name!r} into bridge {port.bridge!r} of Open vSwitch"
            way = f"from bridge {leaves.bridge!r} to {port.bridge!r}"
            return f"take port {port.name!r} of Open vSwitch {way}"
        case SetOvsPort(port):
            return f"set VLANs, rate and ids of port {port.name!r} of Open vSwitch"
        case DropOvsPort(name, bridge, limited):
            what = f"port {name!r}{' and its queue' if limited else ''}"
            return f"take {what} from bridge {bridge!r} of Open vSwitch"
        case _:
            assert_never(step)


def _describe_passage(step: PortStep | RateStep | FilterStep) -> str:
    if isinstance(step, PortStep):
        return _describe_port(step)
    return _describe_rate(step) if isinstance(step, RateStep) else _describe_filter(step)


def _describe_tap(step: TunStep) -> str:
    match step:
        case CreateTap(name):
            return f"make tap {name!r}"
        case CreateTun(name):
            return f"make tun {name!r}"
        case OpenQueues(link, count):
            queues = "1 queue" if count == 1 else f"{count} queues"
            return f"open {queues} of tap {link.name!r}"
        case SetOwner(link, uid, _, tun):
            return f"give {'tun' if tun else 'tap'} {link.name!r} to uid {uid}"
        case Persist(link):
            return f"make {link.name!r} persistent"
        case DropTap(link):
            return f"remove tap {link.name!r}"
        case DropTun(link):
            return f"remove tun {link.name!r}"
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


def _describe_host(step: AddressStep | RouteStep | StartGuardian) -> str:
    name = repr(step.link.name)
    match step:
        case AddAddress(_, address):
            return f"give link {name} the address {address.key}"
        case SettleAddress(_, address):
            return f"set the flags of address {address.key} of link {name}"
        case DropAddress(_, address):
            return f"take the address {address.key} from link {name}"
        case AddRoute(_, route):
            return f"add a route through link {name}: {route}"
        case DropRoute(_, route):
            return f"remove the route through link {name}: {route}"
        case StartGuardian(_, seconds):
            return f"start a process that puts link {name} back in {seconds} s unless confirmed"
        case _:
            assert_never(step)


def _describe_setting(  # noqa: C901 - one case for each kind of step
    step: DeleteLink
    | SetAlias
    | SetMac
    | SetMtu
    | QuietIpv6
    | RestoreIpv6
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
        case RestoreIpv6():
            return f"give link {name} its IPv6 back"
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


def _describe_wire(step: WireStep | NodeStep | SetTxChecksum) -> str:
    name = repr(step.name if isinstance(step, CreateMacvtap) else step.link.name)
    match step:
        case SetTxChecksum(_, on):
            return f"set tx checksumming of link {name} {'on' if on else 'off'}"
        case SetRouting():
            return f"set link {name} to forward, answer and check"
        case AddProxy(_, address):
            return f"add the proxy for {address} at link {name}"
        case CreateMacvtap(_, lower, mode):
            return f"make macvtap {name} on {lower.name!r}, mode {mode}"
        case OpenMacvtap(_, count):
            return f"open {'1 queue' if count == 1 else f'{count} queues'} of macvtap {name}"
        case GiveMacvtap(_, uid):
            return f"give macvtap {name} to uid {uid}"
        case DropProxy(_, address):
            return f"remove the proxy for {address} at link {name}"
        case _:
            assert_never(step)


def _describe_port(step: PortStep) -> str:
    name = repr(step.link.name)
    match step:
        case SetPort(_, flags):
            words = ", ".join(f"{flag} {'on' if on else 'off'}" for flag, on in flags)
            return f"set {words} on port {name}"
        case AddVlans(_, vids, untagged):
            return f"add port {name} to VLAN {vids}{' untagged' if untagged else ''}"
        case DropVlans(_, vids):
            return f"take port {name} out of VLAN {vids}"
        case PinMac(_, mac):
            return f"keep {mac} at port {name} for good"
        case UnpinMac(_, mac):
            return f"take the entry of {mac} from port {name}"
        case _:
            assert_never(step)


def _describe_rate(step: RateStep) -> str:
    match step:
        case CreateIfb(name):
            return f"make ifb {name!r}"
        case SetRate(link, shape):
            return f"set the rate of what {link.name!r} sends to {_rate(shape)}"
        case DropRate(link):
            return f"take the rate from what {link.name!r} sends"
        case AddIngress(link):
            return f"open what {link.name!r} receives to filters"
        case DropIngress(link):
            return f"take the filters from what {link.name!r} receives"
        case Redirect(link, to):
            return f"pass what {link.name!r} receives through {to.name!r}"
        case Police(link, shape):
            return f"keep what {link.name!r} receives to {_rate(shape)}, dropping the rest"
        case _:
            assert_never(step)


def _rate(shape: Shape) -> str:
    return f"{rate_text(shape.rate * 8)}/s"


def _describe_filter(step: FilterStep) -> str:
    match step:
        case InstallFilter(strict):
            with_strict = ", with the rules for strict bridges" if strict else ""
            return f"make the filter, nft table 'bridge vmnet'{with_strict}"
        case ChangeFilter(link, add, drop):
            counts = f"{len(add)} in, {len(drop)} out"
            return f"change the filter's entries of {link.name!r} ({counts})"
        case ForgetLink(index):
            return f"take the entries of link '{index}', which is gone, from the filter"
        case SetStrict(bridge, strict):
            return (
                f"keep bridge {bridge!r} to known ports"
                if strict
                else f"open bridge {bridge!r} to all ports"
            )
        case RemoveFilter():
            return "remove the filter, nft table 'bridge vmnet'"
        case _:
            assert_never(step)


def describe_file(step: FileStep) -> str:
    """Return what a step about a file does, as the rest of `cannot ...`."""
    match step:
        case MakeFolder(path):
            return f"make folder {path!r}"
        case RemoveFolder(path):
            return f"remove folder {path!r}"
        case WriteFile(path):
            return f"write file {path!r}"
        case RemoveFile(path):
            return f"remove file {path!r}"
        case _:
            assert_never(step)
