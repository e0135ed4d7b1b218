"""A NIC without a link: user mode by passt, or the rings of another program.

Job: what such a wire carries, what has to be there, the steps.
Leaves to others: looking (`vmnet.kernel.unixsockets`), doing (`vmnet.peers.passt`), QEMU's command
line (`vmnet.formats`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import replace

from vmnet.errors import Busy, Conflict, InvalidInput, NotFound, Unsupported
from vmnet.model.nic import USUAL_MTU, Nic
from vmnet.model.passt import PASST_MTU
from vmnet.model.port import port_settings
from vmnet.model.step import Move, Plan
from vmnet.model.unixsocket import Meeting
from vmnet.model.vhost import is_virtio
from vmnet.model.wire import User, VhostUser
from vmnet.model.wirestep import EndPasst, StartPasst


def on_socket(nic: Nic, *, guard_asked: bool) -> Nic:
    """Return the NIC as a wire without a link carries it, its MTU settled.

    Raises:
        Unsupported: something is asked for that it does not carry.
        InvalidInput: more than one queue of user mode.
    """
    kind = "user mode" if isinstance(nic.wire, User) else "vhost-user"
    beyond = [key for key in port_settings(nic.port) if key != "guard"]
    if guard_asked:
        beyond.append("guard")
    if beyond:
        raise Unsupported(
            f"a NIC of {kind} is no link of this host, where vmnet could hold {beyond[0]}",
            code="socket-cannot",
            remedy="leave it out, or use a bridge",
        )
    if isinstance(nic.wire, User) and nic.queues > 1:
        raise InvalidInput(
            f"user mode has one queue, {nic.queues} were asked for",
            code="bad-queues",
            remedy="leave queues out, or use a bridge",
        )
    return replace(nic, port=replace(nic.port, guard=False), mtu=nic.mtu or _usual_mtu(nic))


def _usual_mtu(nic: Nic) -> int:
    """Return the MTU, in bytes, for a NIC that asks for none."""
    return PASST_MTU if isinstance(nic.wire, User) and is_virtio(nic.model) else USUAL_MTU


def plan_user(nic: Nic, *, unasked: bool) -> Plan:
    """Return the steps for a NIC of user mode.

    Args:
        nic: the NIC; its wire is `User`.
        unasked: nothing else can be had, and nobody asked for this.
    """
    if not isinstance(nic.wire, User) or nic.mtu is None:
        raise TypeError(nic)
    notes = ["user mode by passt: the guest reaches out; in, only the ports of forward= lead"]
    if unasked:
        notes.insert(
            0,
            "this process may not make links (no CAP_NET_ADMIN), and nothing was asked for: user "
            "mode is all it can have",
        )
    start = Move(StartPasst(nic.nic, nic.mtu, nic.wire.forward), EndPasst(nic.nic))
    return Plan((start,), tuple(notes))


def plan_vhost_user(wire: VhostUser, there: Meeting) -> Plan:
    """Return what is to be said of a NIC whose rings another program serves; there are no steps.

    Raises:
        NotFound: there is no socket, or no folder for one.
        Conflict: something else is there.
        Busy: QEMU is to make the socket, and a program listens there.
    """
    path = wire.socket
    if there is Meeting.NO_FOLDER:
        raise NotFound(
            f"there is no folder for the socket {path}",
            code="socket-missing",
            remedy="make it, for the user that makes the socket",
        )
    if there is Meeting.OTHER:
        raise Conflict(
            f"{path} is no socket",
            code="not-a-socket",
            remedy=f"`ls -l {path}` shows what it is; vmnet leaves it alone",
        )
    if wire.server and there is Meeting.LISTENING:
        raise Busy(
            f"a program listens at {path}, where QEMU is to: it would take its place",
            code="socket-in-use",
            remedy="give each NIC a socket of its own; leave server out if that program is the "
            "switch",
        )
    if not wire.server and there is Meeting.NOTHING:
        raise NotFound(
            f"no socket {path} here for QEMU to connect to",
            code="socket-missing",
            remedy="start the program that makes it; for one that connects itself (OVS-DPDK's "
            "dpdkvhostuserclient) give server too",
        )
    memory = "-object memory-backend-memfd,id=mem,size=SIZE,share=on -machine memory-backend=mem"
    notes = [f"QEMU has to share the guest's memory: {memory}"]
    if wire.server:
        notes.append("QEMU waits at its start until that program connects")
    elif there is Meeting.SILENT:
        notes.append(f"at {path} there is {there.value}")
    return Plan((), tuple(notes))
