"""Steps as the lines a person could type.

Job: each step as `ip` lines, every word quoted for sh; what has no such form as a comment.
Leaves to others: printing them.
Privilege: none.

Replaying the lines as root in a namespace that looked like the observed one gives the same state,
with one difference that the kernel's tools force: `ip tuntap add` makes a TAP persistent at once.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import assert_never

from vmnet.formats.fileshell import file_lines
from vmnet.formats.hostshell import GEN_MODES, address_words, route_words
from vmnet.formats.ovsshell import ovs_line
from vmnet.formats.portshell import filter_lines, port_words, rate_words
from vmnet.formats.wireshell import checksum_words, node_line, passt_line, wire_words
from vmnet.model.domain import NICS_KEY, NICS_URI
from vmnet.model.filestep import FileStep
from vmnet.model.hoststep import AddressStep, RestoreIpv6, RouteStep, StartGuardian
from vmnet.model.monitor import command
from vmnet.model.ovs import OvsStep
from vmnet.model.portstep import FilterStep, PortStep, RateStep
from vmnet.model.step import (
    AddAltname,
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
    NetlinkStep,
    OpenQueues,
    PassFd,
    Persist,
    PlaceStep,
    Plan,
    PlugDevice,
    QuietIpv6,
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
from vmnet.model.wirestep import NodeStep, PasstStep, SetTxChecksum, WireStep


def plan_lines(plan: Plan) -> list[str]:
    """Return a plan as lines for sh; an empty plan is an empty list."""
    uids = {m.do.link.name: m.do.uid for m in plan.moves if isinstance(m.do, SetOwner)}
    made = {m.do.name for m in plan.moves if isinstance(m.do, CreateTap | CreateTun)}
    kept = {m.do.link.name for m in plan.moves if isinstance(m.do, Persist)}
    lines = []
    for move in plan.moves:
        step = move.do
        if isinstance(step, CreateTap | CreateTun):
            lines += _create(step, uids.get(step.name), kept=step.name in kept)
        elif not (isinstance(step, SetOwner) and step.link.name in made):
            lines += step_lines(step)
    return lines


def step_lines(step: Step) -> list[str]:
    """Return one step as lines for sh."""
    if isinstance(step, NetlinkStep):
        return [shlex.join(words) for words in _netlink_words(step)]
    if isinstance(step, PlaceStep):
        return [shlex.join(words) for words in _place_words(step)]
    if isinstance(step, FilterStep):
        return filter_lines(step)
    if isinstance(step, FileStep):
        return file_lines(step)
    if isinstance(step, OvsStep):
        return [ovs_line(step)]
    if isinstance(step, MonitorStep):
        return [_monitor_line(step)]
    if isinstance(step, PasstStep):
        return [passt_line(step)]
    if isinstance(step, NodeStep | SetTxChecksum):
        return [node_line(step)]
    if isinstance(step, StartGuardian):
        what = f"puts {step.link.name} back in {step.seconds} s unless somebody confirms"
        return [f"# vmnet starts a process that {what}"]
    return [_domain_line(step)] if isinstance(step, DomainStep) else _tun_lines(step)


def _place_words(step: PlaceStep) -> list[list[str]]:
    match step:
        case CreateVeth(name, peer, here, there):
            words = ["ip", "link", "add", "dev", name, "type", "veth", "peer", "name", peer]
            if there:
                words += ["netns", there]
            return [_inside(here, words)]
        case InPlace(place, inner):
            if isinstance(inner, SetTxChecksum):
                return [_inside(place, checksum_words(inner))]
            return [_inside(place, words) for words in _netlink_words(inner)]
        case _:
            assert_never(step)


def _inside(place: str, words: list[str]) -> list[str]:
    return ["nsenter", f"--net={place}", *words] if place else words


def _monitor_line(step: MonitorStep) -> str:
    """Return a comment: sh cannot pass descriptors. JSON escapes what would end the line."""
    execute, arguments = command(step)
    line = f"# qmp {json.dumps({'execute': execute, 'arguments': arguments})}"
    if isinstance(step, PassFd):
        line += f" with descriptor {step.position} of {json.dumps(step.source)}"
    return line


def _domain_line(step: DomainStep) -> str:
    match step:
        case SetMetadata(domain, where, xml):
            words = ["virsh", "metadata", domain, "--uri", NICS_URI, f"--{where}"]
            change = ["--remove"] if not xml else ["--key", NICS_KEY, "--set", _one_line(xml)]
            return shlex.join(words + change)
        case PlugDevice():
            verb = "attach-device"
        case UnplugDevice():
            verb = "detach-device"
        case UpdateDevice():
            verb = "update-device"
        case _:
            assert_never(step)
    words = ["virsh", verb, step.domain, "/dev/stdin", f"--{step.where}"]
    return f"printf %s {shlex.quote(_one_line(step.xml))} | {shlex.join(words)}"


def _one_line(xml: str) -> str:
    return re.sub(r">\s+<", "><", xml.strip())


def _create(step: CreateTap | CreateTun, uid: int | None, *, kept: bool) -> list[str]:
    words = ["ip", "tuntap", "add", "dev", step.name, "mode"]
    words += ["tap", "vnet_hdr"] if isinstance(step, CreateTap) else ["tun"]
    words += ["multi_queue"] if step.multi_queue else []
    words += ["user", str(uid)] if uid is not None else []
    lines = [f"# vmnet makes {step.name} only if no link has that name (IFF_TUN_EXCL)"]
    if not kept:
        lines.append("# vmnet does not make it persistent: it goes with its process")
    return [*lines, shlex.join(words)]


def _tun_lines(step: TunStep) -> list[str]:
    match step:
        case CreateTap() | CreateTun():
            return _create(step, None, kept=True)
        case OpenQueues(link, count):
            queues = "1 queue" if count == 1 else f"{count} queues"
            return [f"# vmnet opens {queues} of {link.name}, unless a process has it open"]
        case SetOwner(link, uid):
            return [f"# vmnet gives {link.name} to uid {uid} (TUNSETOWNER has no ip command)"]
        case Persist(link):
            return [f"# vmnet makes {link.name} persistent only now"]
        case DropTap(link, multi_queue) | DropTun(link, multi_queue):
            mode = "tap" if isinstance(step, DropTap) else "tun"
            words = ["ip", "tuntap", "del", "dev", link.name, "mode", mode]
            return [shlex.join(words + (["multi_queue"] if multi_queue else []))]
        case _:
            assert_never(step)


def _netlink_words(step: NetlinkStep) -> list[list[str]]:
    if isinstance(step, PortStep):
        return [port_words(step)]
    if isinstance(step, RateStep):
        return [rate_words(step)]
    if isinstance(step, AddressStep):
        return [address_words(step)]
    if isinstance(step, RouteStep):
        return [route_words(step)]
    if isinstance(step, WireStep):
        return wire_words(step)
    if isinstance(step, CreateBridge):
        words = ["ip", "link", "add", "dev", step.name, "address", step.mac]
        words += ["type", "bridge", "stp_state", "0", "mcast_snooping", "0"]
        return [[*words, "vlan_filtering", "1"] if step.vlan_filtering else words]
    if isinstance(step, SetVlanFiltering):
        words = ["ip", "link", "set", "dev", step.link.name, "type", "bridge"]
        return [[*words, "vlan_filtering", str(int(step.on))]]
    if isinstance(step, DeleteLink):
        return [["ip", "link", "delete", "dev", step.link.name]]
    if isinstance(step, AddAltname | DropAltname):
        verb = "add" if isinstance(step, AddAltname) else "del"
        return [["ip", "link", "property", verb, "dev", step.link.name, "altname", step.altname]]
    return [["ip", "link", "set", "dev", step.link.name, *_setting(step)]]


def _setting(
    step: SetAlias | SetMac | SetMtu | QuietIpv6 | RestoreIpv6 | SetMaster | SetUp,
) -> list[str]:
    match step:
        case SetAlias(_, alias):
            return ["alias", alias]
        case SetMac(_, mac):
            return ["address", mac]
        case SetMtu(_, mtu):
            return ["mtu", str(mtu)]
        case QuietIpv6():
            return ["addrgenmode", "none"]
        case RestoreIpv6(_, mode):
            return ["addrgenmode", GEN_MODES.get(mode, "eui64")]
        case SetMaster(_, master):
            return ["nomaster"] if master is None else ["master", master.name]
        case SetUp(_, up):
            return ["up" if up else "down"]
        case _:
            assert_never(step)
