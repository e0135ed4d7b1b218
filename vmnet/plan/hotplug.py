"""Plugging a NIC into a running QEMU, and taking it out.

Job: what is left of an earlier try, what QEMU is to be given, what is to be taken from it.
Leaves to others: the TAP and its bridge (`vmnet.plan.attach`), asking QEMU (`vmnet.peers.qmp`).
Privilege: none.

QEMU does not tell which descriptors it was passed and keeps. The TAP's tag says how many queues it
has, and a TAP that hangs on such a descriptor is there: so they are closed by their names.
"""

from __future__ import annotations

from dataclasses import replace

from vmnet.errors import Conflict
from vmnet.model.host import Holders, Link, NicView
from vmnet.model.monitor import Qemu, tap_fd_names, vhost_fd_names
from vmnet.model.names import device_id, netdev_id
from vmnet.model.nic import Nic, device_properties
from vmnet.model.step import (
    AddDevice,
    AddNetdev,
    CloseFd,
    Move,
    PassFd,
    Plan,
    RemoveDevice,
    RemoveNetdev,
    Step,
)
from vmnet.model.tag import Life
from vmnet.plan.attach import Moment, plan_left, plan_run


def is_plugged(vm: str, nic: int, tap: Link | None, holders: Holders, qemu: Qemu) -> bool:
    """Say whether a QEMU has this NIC plugged in.

    Raises:
        Conflict: it has a device or a back end of that id which is not this NIC.
    """
    device, netdev = device_id(nic), netdev_id(nic)
    if device in qemu.devices:
        if qemu.devices[device] == netdev and _is_with(vm, nic, tap, holders, qemu):
            return True
        raise Conflict(
            f"this QEMU (pid {qemu.pid}) has a device {device!r} that is not on the TAP of VM "
            f"{vm!r}, NIC {nic}",
            code="device-taken",
            remedy="`vmnet list` shows which VM that process is; or give another --nic",
        )
    users = [name for name, used in qemu.devices.items() if used == netdev]
    if users:
        raise Conflict(
            f"this QEMU (pid {qemu.pid}) uses netdev {netdev!r} for its device {users[0]!r}",
            code="netdev-taken",
            remedy="give another --nic: its number makes the id",
        )
    return False


def _is_with(vm: str, nic: int, tap: Link | None, holders: Holders, qemu: Qemu) -> bool:
    """Say whether that QEMU has the TAP of this NIC open, as far as can be seen."""
    if tap is None or tap.tag is None or not tap.tag.is_for(vm, nic):
        return False
    if not holders.known:
        return tap.in_use
    return any(holder.pid == qemu.pid for holder in holders.known)


def plan_clear(vm: str, nic: int, tap: Link | None, holders: Holders, qemu: Qemu) -> Plan:
    """Return the steps that take from a QEMU what an earlier try, cut short, has left there.

    Raises:
        Conflict: as `is_plugged`.
    """
    if is_plugged(vm, nic, tap, holders, qemu):
        return Plan()
    steps: list[Step] = [RemoveNetdev(netdev_id(nic))] if qemu.netdev else []
    tag = tap.tag if tap is not None else None
    if tag is not None and _is_with(vm, nic, tap, holders, qemu):
        # vhost-net's first: as long as one of these is left, the TAP is there to tell of it.
        steps += map(CloseFd, vhost_fd_names(nic, tag.queues))
        steps += map(CloseFd, reversed(tap_fd_names(nic, tag.queues)))
    return Plan(tuple(map(Move, steps)))


def cleared(view: NicView) -> NicView:
    """Return what is to be seen once QEMU has let go of a TAP."""
    tap = view.tap
    if tap is not None and tap.tun is not None and tap.tun.persist:
        free = replace(tap, carrier=False, tun=replace(tap.tun, queues=0))
        return replace(view, tap=free, holders=Holders())
    same = tap is not None and view.mac_user is not None and view.mac_user.index == tap.index
    return replace(
        view,
        tap=None,
        master=None,
        holders=Holders(),
        mac_user=None if same else view.mac_user,
    )


def plan_open(nic: Nic, view: NicView, qemu: Qemu, now: Moment) -> Plan:
    """Return the steps that make the TAP and hold its queues; for a plugged NIC, what is off.

    Raises:
        As `plan_run`; Conflict also if the NIC is plugged in with other queues.
    """
    if not is_plugged(nic.vm, nic.nic, view.tap, view.holders, qemu):
        return plan_run(nic, view, now)
    tag = view.tap.tag if view.tap is not None else None
    if tag is not None and tag.queues != nic.queues:
        raise Conflict(
            f"NIC {nic.nic} of VM {nic.vm!r} is plugged in with queues: {tag.queues}, "
            f"asked for: {nic.queues}",
            code="queues-fixed",
            remedy=f"`vmnet detach` it with --qmp and --nic {nic.nic}, then attach it again",
        )
    return plan_left(nic, view, Life.PROCESS)


def plan_plug(nic: Nic, tap: str, mtu: int, vhost_node: str, qemu: Qemu) -> Plan:
    """Return the steps that give QEMU a NIC whose queues vmnet holds.

    Args:
        nic: the NIC.
        tap: its TAP's name.
        mtu: its MTU, in bytes.
        vhost_node: the path on which vmnet holds as many descriptors; empty for none.
        qemu: the QEMU.
    """
    fds = tap_fd_names(nic.nic, nic.queues)
    vhost_fds = vhost_fd_names(nic.nic, nic.queues) if vhost_node else ()
    # The TAP's come first, so that it is there as long as QEMU has any of them (`plan_clear`).
    passed = [PassFd(tap, place, name) for place, name in enumerate(fds)]
    passed += [PassFd(vhost_node, place, name) for place, name in enumerate(vhost_fds)]
    force = bool(vhost_fds) and qemu.must_force
    add = AddNetdev(netdev_id(nic.nic), fds, vhost_fds, force)
    return Plan(
        (
            *(Move(step, CloseFd(step.name)) for step in passed),
            Move(add, RemoveNetdev(add.netdev)),
            Move(_device(nic, mtu, qemu), RemoveDevice(device_id(nic.nic))),
        )
    )


def _device(nic: Nic, mtu: int, qemu: Qemu) -> AddDevice:
    properties = {"driver": nic.model, **device_properties(nic, mtu)}
    if qemu.ports and not nic.model.startswith("usb-"):
        # pcie.0 takes nothing while the guest runs; without such ports QEMU chooses.
        properties["bus"] = qemu.ports[0]
    return AddDevice(device_id(nic.nic), tuple(properties.items()))


def plan_unplug(vm: str, nic: int, tap: Link | None, holders: Holders, qemu: Qemu) -> Plan:
    """Return the steps that take a NIC from a QEMU, or what was left of one.

    Raises:
        Conflict: as `is_plugged`.
    """
    if not is_plugged(vm, nic, tap, holders, qemu):
        return plan_clear(vm, nic, tap, holders, qemu)
    return Plan((Move(RemoveDevice(device_id(nic))), Move(RemoveNetdev(netdev_id(nic)))))
