"""The wish: what a VM's NIC is to be.

Job: the wish as a value, checked as far as it can be without looking at the host.
Leaves to others: defaults that come from the configuration or the host (`vmnet.service`).
Privilege: none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vmnet.errors import InvalidInput
from vmnet.model.mac import parse_guest_mac
from vmnet.model.names import check_link_name, check_nic, check_vm_name, device_id, netdev_id
from vmnet.model.port import USUAL, Port, PortAsk, settle_port
from vmnet.model.vhost import Policy, is_virtio
from vmnet.model.wire import Wire, wire_texts

#: linux/if_tun.h MAX_TAP_QUEUES.
QUEUES_MAX = 256
#: drivers/net/tun.c: an Ethernet device of at least ETH_MIN_MTU and at most 65535 less the header.
MTU_MIN, MTU_MAX = 68, 65521
DEFAULT_MODEL = "virtio-net-pci"
#: What a guest takes for granted without being told, in bytes.
USUAL_MTU = 1500

#: What QEMU's virtio-net offers to do in the guest's stead.
_OFFLOADS = ("csum", "gso", "host_tso4", "host_tso6", "host_ecn", "host_ufo")

_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Wish:
    """What one NIC of a VM asks for; None leaves the choice to the network or the host.

    Attributes:
        vm: the VM's name, any that libvirt accepts.
        nic: the NIC's number, from 0.
        bridge: the bridge to plug into.
        network: a network of the configuration, instead of a bridge.
        mac: the guest's MAC.
        mtu: in bytes, of the IP packet (not of the frame).
        queues: queue pairs, 1 to 256.
        vhost: who is to move the packets.
        model: QEMU's device model.
        port: what may pass at its port, and how fast.
        wire: how it leaves the host, where not by a bridge.
    """

    vm: str
    nic: int = 0
    bridge: str | None = None
    network: str | None = None
    mac: str | None = None
    mtu: int | None = None
    queues: int | None = None
    vhost: Policy | None = None
    model: str = DEFAULT_MODEL
    port: PortAsk = PortAsk()  # noqa: RUF009 - frozen
    wire: Wire | None = None


@dataclass(frozen=True)
class Nic:
    """A wish with nothing left open: what the planner works from.

    Attributes:
        mac: the guest's MAC.
        bridge: the bridge's name; empty where it is on none.
        mtu: in bytes, or None for the bridge's own.
        owner: the uid that may open a kept TAP (QEMU's); None if the TAP dies with its process.
        port: what may pass at its port, and how fast.
        strict: only known ports of its bridge may send.
        trusted: names of the bridge's other ports that may, then.
        police: drop what is too much from the guest; the kernel cannot shape it.
        offload: the guest may leave checksums and segments to the host.
        wire: how it leaves the host; None: by the bridge.
    """

    vm: str
    nic: int
    bridge: str
    mac: str
    mtu: int | None
    queues: int
    vhost: Policy
    model: str
    owner: int | None
    port: Port = USUAL
    strict: bool = False
    trusted: tuple[str, ...] = ()
    police: bool = False
    offload: bool = True
    wire: Wire | None = None


def device_properties(nic: Nic, mtu: int) -> dict[str, str | int | bool]:
    """Return the properties of a NIC's device, as QEMU names them.

    Args:
        nic: the NIC.
        mtu: its TAP's MTU, in bytes.
    """
    properties: dict[str, str | int | bool] = {
        "netdev": netdev_id(nic.nic),
        "id": device_id(nic.nic),
        "mac": nic.mac,
    }
    if nic.queues > 1:
        properties["mq"] = True
        # One vector for each ring, one for configuration changes, one for the control ring.
        properties["vectors"] = 2 * nic.queues + 2
    if is_virtio(nic.model) and mtu != USUAL_MTU:
        properties["host_mtu"] = mtu
    if is_virtio(nic.model) and not nic.offload:
        properties |= dict.fromkeys(_OFFLOADS, False)
    return properties


def check_wish(wish: Wish) -> Wish:
    """Return the wish with names and addresses in canonical form.

    Raises:
        InvalidInput: a part of it can never be.
    """
    check_vm_name(wish.vm)
    check_nic(wish.nic)
    if wish.bridge is not None and wish.network is not None:
        raise InvalidInput(
            "both a bridge and a network are given",
            code="bridge-and-network",
            remedy="give --bridge or --network, not both",
        )
    if wish.bridge is not None:
        check_link_name(wish.bridge, "bridge")
    _check_one_place(wish)
    check_model(wish.model)
    check_mtu(wish.mtu)
    check_queues(wish.queues, wish.model)
    settle_port(USUAL, wish.port)
    mac = None if wish.mac is None else parse_guest_mac(wish.mac)
    return Wish(
        vm=wish.vm,
        nic=wish.nic,
        bridge=wish.bridge,
        network=wish.network,
        mac=mac,
        mtu=wish.mtu,
        queues=wish.queues,
        vhost=wish.vhost,
        model=wish.model,
        port=wish.port,
        wire=wish.wire,
    )


def _check_one_place(wish: Wish) -> None:
    if wish.wire is None or (wish.bridge is None and wish.network is None):
        return
    kind = next(iter(wire_texts(wish.wire)))
    raise InvalidInput(
        f"{kind} is a wire of its own, and a bridge or network is given too",
        code="wire-and-bridge",
        remedy=f"give --{kind}, or --bridge or --network",
    )


def check_mtu(mtu: int | None) -> None:
    """Raise `InvalidInput` if no TAP can have this MTU (bytes)."""
    if mtu is not None and not MTU_MIN <= mtu <= MTU_MAX:
        raise InvalidInput(
            f"MTU {mtu} is not in {MTU_MIN}..{MTU_MAX}",
            code="bad-mtu",
            remedy="leave --mtu out to get the bridge's",
        )


def check_queues(queues: int | None, model: str = DEFAULT_MODEL) -> None:
    """Raise `InvalidInput` if no TAP, or not this model, can have so many queue pairs."""
    if queues is None:
        return
    if not 1 <= queues <= QUEUES_MAX:
        raise InvalidInput(
            f"{queues} queues are not in 1..{QUEUES_MAX}",
            code="bad-queues",
            remedy="use as many queues as the VM has CPUs, at most",
        )
    if queues > 1 and not is_virtio(model):
        raise InvalidInput(
            f"device model {model} has one queue, {queues} were asked for",
            code="bad-queues",
            remedy="use queues=1, or model virtio-net-pci",
        )


def check_model(model: str) -> None:
    """Raise `InvalidInput` if the text cannot name a QEMU device model."""
    if not _MODEL.fullmatch(model):
        raise InvalidInput(
            f"device model {model[:60]!r} is not a name QEMU could know",
            code="bad-model",
            remedy="use virtio-net-pci, e1000, or another of `qemu-system-x86_64 -device help`",
        )
