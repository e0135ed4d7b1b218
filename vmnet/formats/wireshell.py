"""Steps about wires that are no port of a bridge, as lines a person could type.

Job: as `vmnet.formats.shell`, of which this is a part.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

import shlex
from typing import assert_never

from vmnet.model.passt import passt_words
from vmnet.model.routed import PROTOCOL
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

_ROUTING = ("forwarding", "proxy_arp", "rp_filter")


def wire_words(step: WireStep) -> list[list[str]]:
    """Return the commands of a step."""
    if isinstance(step, CreateMacvtap):
        words = ["ip", "link", "add", "link", step.lower.name, "name", step.name]
        words += ["address", step.mac, "type", "macvtap", "mode", step.mode.value]
        return [words, ["ip", "link", "set", "dev", step.name, "allmulticast", "on"]]
    name = step.link.name
    match step:
        case SetRouting():
            return [["sysctl", "-q", "-w", f"net/ipv4/conf/{name}/{key}=1"] for key in _ROUTING]
        case AddProxy(_, address):
            words = ["ip", "neighbour", "add", "proxy", address, "dev", name]
            return [[*words, "protocol", str(PROTOCOL)]]
        case DropProxy(_, address):
            return [["ip", "neighbour", "del", "proxy", address, "dev", name]]
        case _:
            assert_never(step)


def checksum_words(step: SetTxChecksum) -> list[str]:
    """Return a command of ethtool(8)."""
    return ["ethtool", "-K", step.link.name, "tx", "on" if step.on else "off"]


def node_line(step: NodeStep | SetTxChecksum) -> str:
    """Return a command, or of a macvtap a comment: which node it is only sysfs tells."""
    match step:
        case SetTxChecksum():
            return shlex.join(checksum_words(step))
        case OpenMacvtap(link, count):
            queues = "1 queue" if count == 1 else f"{count} queues"
            return f"# vmnet opens {queues} of {link.name}: /dev/tap<its index>, by its number"
        case GiveMacvtap(link, uid):
            return f"# vmnet gives /dev/tap<index of {link.name}> to uid {uid}"
        case _:
            assert_never(step)


def passt_line(step: PasstStep) -> str:
    """Return a comment: sh has no pairs of sockets."""
    if isinstance(step, StartPasst):
        words = " ".join(passt_words(step))
        return f"# vmnet runs, on one of a pair of sockets: {words}"
    return f"# vmnet closes the socket of NIC {step.nic}: its passt ends"
