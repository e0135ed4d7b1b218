"""What the configuration wishes for the host itself: bridges to make, NICs to keep attached.

Job: `[bridge.NAME]` and `[[vm.NAME]]` as values.
Leaves to others: networks and the file as a whole (`vmnet.formats.config`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmnet.errors import InvalidInput
from vmnet.formats.portconfig import port_ask, wrong
from vmnet.model.names import check_link_name
from vmnet.model.nic import DEFAULT_MODEL, Wish, check_mtu, check_wish
from vmnet.model.port import PORT_KEYS
from vmnet.model.vhost import Policy
from vmnet.model.wire import WIRE_KEYS, WIRE_SWITCHES, Wire, by_socket, parse_wire

_BRIDGE_KEYS = ("mtu", "vlan-filtering", "uplinks")
_VM_KEYS = ("nic", "network", "mac", "mtu", "queues", "vhost", "model", "owner")
#: The last one stands for nobody to the kernel.
_UID_END = 2**32 - 1


@dataclass(frozen=True)
class BridgeRule:
    """A bridge that `vmnet up` makes.

    Attributes:
        mtu: in bytes; None for the kernel's default.
        vlan_filtering: it keeps VLANs apart.
        uplinks: NICs of the host's that become its ports, with their addresses and routes.
    """

    name: str
    mtu: int | None = None
    vlan_filtering: bool = False
    uplinks: tuple[str, ...] = ()


@dataclass(frozen=True)
class NicRule:
    """A NIC whose TAP `vmnet up` makes.

    Attributes:
        wish: the NIC.
        owner: the user QEMU will run as, by name or number; None for root.
    """

    wish: Wish
    owner: str | None = None


def bridge_rule(name: str, table: Mapping[str, Any]) -> BridgeRule:
    """Return what a table says of a bridge.

    Raises:
        InvalidInput: a key that is not known, or a value that cannot be.
    """
    check_keys(table, _BRIDGE_KEYS)
    mtu = number(table, "mtu")
    filtering = switch(table, "vlan-filtering")
    check_mtu(mtu)
    uplinks = table.get("uplinks", [])
    if not isinstance(uplinks, list) or not all(isinstance(each, str) for each in uplinks):
        raise wrong("uplinks", uplinks, "a list of links' names")
    nics = tuple(check_link_name(each, "NIC") for each in uplinks)
    return BridgeRule(check_link_name(name, "bridge"), mtu, filtering, nics)


def nic_rule(vm: str, place: int, table: Mapping[str, Any]) -> NicRule:
    """Return what a table says of a VM's NIC.

    Args:
        vm: the VM's name.
        place: where it stands among the VM's, from 0: its number unless it says another.
        table: its keys.

    Raises:
        InvalidInput: a key that is not known, or a value that cannot be.
    """
    check_keys(table, (*_VM_KEYS, *PORT_KEYS, *WIRE_KEYS))
    vhost = text(table, "vhost")
    if vhost is not None and vhost not in list(Policy):
        raise wrong("vhost", vhost, "one of " + ", ".join(Policy))
    place_said = number(table, "nic")
    model = text(table, "model")
    wish = Wish(
        vm=vm,
        nic=place if place_said is None else place_said,
        network=text(table, "network"),
        mac=text(table, "mac"),
        mtu=number(table, "mtu"),
        queues=number(table, "queues"),
        vhost=None if vhost is None else Policy(vhost),
        model=DEFAULT_MODEL if model is None else model,
        port=port_ask(table),
        wire=_wire(table),
    )
    return NicRule(check_wish(wish), owner_of(table))


def _wire(table: Mapping[str, Any]) -> Wire | None:
    switches = {key: "on" if switch(table, key) else None for key in WIRE_SWITCHES}
    rest = {key: text(table, key) for key in WIRE_KEYS if key not in switches}
    wire = parse_wire({**rest, **switches})
    if by_socket(wire):
        raise InvalidInput(
            "user and vhost-user are for `vmnet run VM --nic ...`: `vmnet up` could make "
            "nothing of them",
            code="wire-of-run",
            remedy="ask for it where QEMU is started: `vmnet run VM --nic ...`",
        )
    return wire


def owner_of(table: Mapping[str, Any]) -> str | None:
    """Return who is to own something, by name or number; None if nobody is said.

    Raises:
        InvalidInput: it is neither.
    """
    owner = table.get("owner")
    is_number = type(owner) is int and 0 <= owner < _UID_END
    if owner is not None and not is_number and not (isinstance(owner, str) and owner):
        raise wrong("owner", owner, "a user's name or number")
    return None if owner is None else str(owner)


def check_keys(table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    """Raise `InvalidInput` for a key that is not one of these."""
    for key in table:
        if key not in keys:
            raise InvalidInput(
                f"{key} is not known; expected one of {', '.join(keys)}",
                code="config",
                remedy="docs/reference.md, Configuration, has them all",
            )


def number(table: Mapping[str, Any], key: str) -> int | None:
    """Return a number, or None if it is not said; raise `InvalidInput` for anything else."""
    value = table.get(key)
    if value is not None and type(value) is not int:
        raise wrong(key, value, "a number")
    return value


def text(table: Mapping[str, Any], key: str) -> str | None:
    """Return a text, or None if it is not said; raise `InvalidInput` for anything else."""
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise wrong(key, value, "a text")
    return value


def switch(table: Mapping[str, Any], key: str) -> bool:
    """Return a switch, off if it is not said; raise `InvalidInput` for anything else."""
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise wrong(key, value, "true or false")
    return value
