"""Processes that have NICs open, and what their command lines say of these.

Job: from descriptors and command lines to NICs.
Leaves to others: who has a NIC open (`vmnet.kernel.observe`), what it means (`vmnet.model.status`).
Privilege: root, to see other users' processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vmnet.formats.qemuline import netdevs
from vmnet.kernel import processes
from vmnet.kernel.observe import nodes_of
from vmnet.model.host import Holders, Link
from vmnet.model.netdev import Netdev
from vmnet.model.status import Path, path_of


@dataclass(frozen=True)
class Process:
    """A process that has NICs open.

    Attributes:
        by_descriptor: the links it has, by its descriptors' numbers.
        netdevs: what its command line says.
    """

    by_descriptor: Mapping[int, str]
    netdevs: Sequence[Netdev]

    @property
    def queues(self) -> int:
        """How many queues of links it has open, of all its NICs."""
        return len(self.by_descriptor)

    def netdev_of(self, link: Link) -> Netdev | None:
        """Return what the command line says of a link."""
        names = {link.name, *link.altnames}
        for netdev in self.netdevs:
            if netdev.ifname in names or any(
                self.by_descriptor.get(fd) == link.name for fd in netdev.fds
            ):
                return netdev
        return None


def open_in(held: Mapping[str, Holders], links: Iterable[Link]) -> dict[int, Process]:
    """Return the processes that have links open, by their pids."""
    nodes = nodes_of(links)
    pids = {holder.pid for each in held.values() for holder in each.known}
    return {
        pid: Process(
            processes.links_by_descriptor(pid, nodes), netdevs(processes.command_line(pid))
        )
        for pid in pids
    }


def path_now(link: Link, who: Holders, known: Mapping[int, Process]) -> Path:
    """Say who moves a NIC's packets, without asking why.

    Args:
        link: the NIC's link.
        who: who has it open.
        known: what is known of these, by their pids.
    """
    process = known.get(who.known[0].pid) if who.known else None
    netdev = process.netdev_of(link) if process is not None else None
    return path_of(who.known, netdev, process.queues if process is not None else 0, None)
