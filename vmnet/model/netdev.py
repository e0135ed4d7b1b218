"""A NIC in QEMU's command line, as a value.

Job: what `-netdev tap` and its `-device` say.
Leaves to others: reading the command line (`vmnet.formats.qemuline`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Netdev:
    """One.

    Attributes:
        id: what the device calls it.
        ifname: the link's name; empty where descriptors are given.
        fds: the link's descriptors, by QEMU's own numbers.
        vhost: vhost=on is said.
        vhost_fds: descriptors of `/dev/vhost-net` that were handed over.
        queues: queue pairs.
        model: QEMU's device model; empty where no -device names it.
        mac: the guest's MAC; empty where it is not said.
    """

    id: str
    ifname: str = ""
    fds: tuple[int, ...] = ()
    vhost: bool = False
    vhost_fds: tuple[int, ...] = ()
    queues: int = 1
    model: str = ""
    mac: str = ""
