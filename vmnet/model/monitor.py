"""A running QEMU as its monitor shows it, and what its monitor is told.

Job: what a planner needs of a QEMU, as a value; each step as a QMP command (QEMU's qapi/).
Leaves to others: asking and telling (`vmnet.peers.qmp`), what follows from it
(`vmnet.plan.hotplug`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from vmnet.model.names import netdev_id
from vmnet.model.step import (
    AddDevice,
    AddNetdev,
    CloseFd,
    MonitorStep,
    PassFd,
    RemoveDevice,
    RemoveNetdev,
)

#: These versions abort where vhost-net cannot be had, unless told that it is a must.
_ABORTS_FROM, _ABORTS_BEFORE = (7, 2), (9, 0)


@dataclass(frozen=True)
class Qemu:
    """What a QEMU answers about one NIC.

    Attributes:
        pid: the process that listens at its monitor; 0 if that cannot be seen.
        version: major and minor number.
        netdev: there is a back end with this NIC's id.
        devices: the id of each device, with the id of its back end; empty for none.
        ports: free PCI Express ports that take a device while the guest runs, by name.
    """

    pid: int
    version: tuple[int, int]
    netdev: bool = False
    devices: dict[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()

    @property
    def must_force(self) -> bool:
        """Whether this version aborts where vhost-net cannot be had and was not a must."""
        return _ABORTS_FROM <= self.version < _ABORTS_BEFORE


def tap_fd_names(nic: int, queues: int) -> tuple[str, ...]:
    """Return the names by which QEMU is passed the queues of a NIC's TAP."""
    return tuple(f"{netdev_id(nic)}-tap{position}" for position in range(queues))


def vhost_fd_names(nic: int, queues: int) -> tuple[str, ...]:
    """Return the names by which QEMU is passed a NIC's descriptors of vhost-net."""
    return tuple(f"{netdev_id(nic)}-vhost{position}" for position in range(queues))


def command(step: MonitorStep) -> tuple[str, dict[str, object]]:
    """Return the QMP command of a step, and its arguments."""
    match step:
        case PassFd(_, _, name):
            return "getfd", {"fdname": name}
        case CloseFd(name):
            return "closefd", {"fdname": name}
        case AddNetdev():
            return "netdev_add", _netdev(step)
        case RemoveNetdev(netdev):
            return "netdev_del", {"id": netdev}
        case AddDevice(_, properties):
            return "device_add", dict(properties)
        case RemoveDevice(device):
            return "device_del", {"id": device}
        case _:
            assert_never(step)


def _netdev(step: AddNetdev) -> dict[str, object]:
    options: dict[str, object] = {"type": "tap", "id": step.netdev, "fds": ":".join(step.fds)}
    options["vhost"] = bool(step.vhost_fds)
    if step.vhost_fds:
        options["vhostfds"] = ":".join(step.vhost_fds)
    if step.force:
        options["vhostforce"] = True
    return options
