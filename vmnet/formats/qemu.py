"""QEMU's command line: the `-netdev` and `-device` of a NIC.

Job: write the two option values, and put them into a command line.
Leaves to others: the vhost decision (`vmnet.model.vhost`); nothing here hopes for `vhost=on`.
Privilege: none.

Grammar: qapi/net.json and qemu(1). A comma in a value is written twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vmnet.errors import InvalidInput
from vmnet.model.names import netdev_id
from vmnet.model.nic import DEFAULT_MODEL, Nic, device_properties
from vmnet.model.wire import VhostUser

#: The first that a shell leaves to its user.
_FIRST_FD = 3
_PLACE = re.compile(r"\{(netdev|device)([0-9]{0,9})\}")


@dataclass(frozen=True)
class Args:
    """A NIC's option values.

    Attributes:
        netdev: what follows `-netdev`.
        device: what follows `-device`.
        chardev: what follows `-chardev`; empty where the netdev needs none.
    """

    netdev: str
    device: str
    chardev: str = ""

    def words(self) -> list[str]:
        """Return them as words of a command line."""
        return [*self.before(), "-netdev", self.netdev, "-device", self.device]

    def before(self) -> list[str]:
        """Return the words that the netdev needs beside it."""
        return ["-chardev", self.chardev] if self.chardev else []


def by_name(nic: Nic, tap: str, mtu: int, *, vhost: bool) -> Args:
    """Return the arguments with which QEMU opens a kept TAP itself.

    Args:
        nic: the NIC.
        tap: the TAP's name.
        mtu: the TAP's MTU, in bytes.
        vhost: whether vhost-net was proved to be usable by QEMU's user.
    """
    options = {
        "id": netdev_id(nic.nic),
        "ifname": tap,
        "script": "",
        "downscript": "",
        "vhost": "on" if vhost else "off",
    }
    if nic.queues > 1:
        options["queues"] = str(nic.queues)
    if not nic.offload:
        options["vnet_hdr"] = "off"
    return Args(_join("tap", options), _device(nic, mtu))


def by_fds(nic: Nic, mtu: int, tap_fds: list[int], vhost_fds: list[int]) -> Args:
    """Return the arguments for descriptors that QEMU inherits.

    Args:
        nic: the NIC.
        mtu: the TAP's MTU, in bytes.
        tap_fds: one for each queue.
        vhost_fds: as many, or none.
    """
    options = {"id": netdev_id(nic.nic), "fds": ":".join(map(str, tap_fds))}
    if vhost_fds:
        options["vhost"] = "on"
        options["vhostfds"] = ":".join(map(str, vhost_fds))
    else:
        options["vhost"] = "off"
    return Args(_join("tap", options), _device(nic, mtu))


def by_node(nic: Nic, mtu: int, *, vhost: bool) -> Args:
    """Return the arguments for a macvtap whose node the shell opens, from descriptor 3 on.

    Only since 10.0 QEMU opens one by its name.
    """
    fds = ":".join(str(fd) for fd in node_fds(nic.queues))
    options = {"id": netdev_id(nic.nic), "fds": fds, "vhost": "on" if vhost else "off"}
    return Args(_join("tap", options), _device(nic, mtu))


def by_stream(nic: Nic, mtu: int, fd: int) -> Args:
    """Return the arguments for a socket that QEMU inherits, with frames in it (QEMU 7.2)."""
    options = {
        "id": netdev_id(nic.nic),
        "server": "off",
        "addr.type": "fd",
        "addr.str": str(fd),
    }
    return Args(_join("stream", options), _device(nic, mtu))


def by_vhost_user(nic: Nic, mtu: int, wire: VhostUser) -> Args:
    """Return the arguments for rings that another program serves."""
    chardev = f"{netdev_id(nic.nic)}-char"
    socket = {"id": chardev, "path": wire.socket, **({"server": "on"} if wire.server else {})}
    options = {"id": netdev_id(nic.nic), "chardev": chardev}
    if nic.queues > 1:
        options["queues"] = str(nic.queues)
    return Args(_join("vhost-user", options), _device(nic, mtu), _join("socket", socket))


def node_fds(queues: int) -> range:
    """Return the descriptors that `by_node` names."""
    return range(_FIRST_FD, _FIRST_FD + queues)


def _device(nic: Nic, mtu: int) -> str:
    options = {key: _word(value) for key, value in device_properties(nic, mtu).items()}
    return _join(nic.model or DEFAULT_MODEL, options)


def _word(value: str | int | bool) -> str:  # noqa: FBT001 - a value, not a switch
    return str(value) if not isinstance(value, bool) else "on" if value else "off"


def _join(first: str, options: dict[str, str]) -> str:
    return ",".join([_value(first), *(f"{key}={_value(text)}" for key, text in options.items())])


def _value(text: str) -> str:
    return text.replace(",", ",,")


def fill(command: list[str], args: dict[int, Args]) -> list[str]:
    """Return the command line with the NICs' arguments in it.

    `{netdev}` and `{device}` stand for the values of the only NIC, `{netdev2}` for those of NIC 2.
    NICs that the command line does not mention are appended.

    Raises:
        InvalidInput: a place for a NIC that is not there, or one without a number among several.
    """
    used: set[int] = set()

    def value(match: re.Match[str]) -> str:
        nic = _nic_of(match, args)
        used.add(nic)
        return args[nic].netdev if match[1] == "netdev" else args[nic].device

    filled = [_PLACE.sub(value, word) for word in command]
    for nic, arguments in args.items():
        filled += arguments.before() if nic in used else arguments.words()
    return filled


def _nic_of(match: re.Match[str], args: dict[int, Args]) -> int:
    if match[2]:
        nic = int(match[2])
    elif len(args) == 1:
        nic = next(iter(args))
    else:
        nic = -1
    if nic not in args:
        numbers = ", ".join(map(str, args))
        raise InvalidInput(
            f"{match[0]} in the command line names no NIC (there are: {numbers})",
            code="bad-place",
            remedy=f"write {{{match[1]}N}} with the NIC's number",
        )
    return nic
