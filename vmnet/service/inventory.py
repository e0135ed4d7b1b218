"""libvirt's own NICs: those of its domains that vmnet neither made nor manages.

Job: the other half of `vmnet list`.
Leaves to others: vmnet's own NICs (`vmnet.look`).
Privilege: what the libvirt connection asks.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vmnet.errors import InvalidInput, VmnetError
from vmnet.formats.domain import parse_domain
from vmnet.model.domain import DomainState
from vmnet.peers import libvirt


@dataclass(frozen=True)
class DomainRow:
    """One interface of a domain.

    Attributes:
        vm: the domain.
        running: whether it runs.
        kind: the interface's type.
        mac: the guest's address.
        tap: its TAP's name; empty if it has none, or none yet.
        place: the bridge or libvirt network that the XML names; empty for none.
        queues: queue pairs.
        wished: it has a wish of vmnet's.
        nic: vmnet's number of it, if it has.
    """

    vm: str
    running: bool
    kind: str
    mac: str
    tap: str
    place: str
    queues: int
    wished: bool
    nic: int | None = None


def domain_rows(vm: str | None, known: Collection[str]) -> tuple[list[DomainRow], list[str]]:
    """Return the interfaces of libvirt's domains, but for those whose TAP is known already.

    Args:
        vm: one domain, or None for all.
        known: names of the TAPs that vmnet made or manages.

    Returns:
        The interfaces, and notes about what could not be seen; both empty where no libvirt is.
    """
    if not libvirt.is_here():
        return [], []
    try:
        with libvirt.Libvirt() as peer:
            states = peer.domains()
    except VmnetError as error:
        return [], [f"libvirt's own NICs are not shown: {error.message}"]
    rows: list[DomainRow] = []
    notes: list[str] = []
    for state in states:
        if vm is not None and state.name != vm:
            continue
        try:
            rows += _rows(state)
        except InvalidInput as error:
            notes.append(f"domain {state.name}: {error.message}")
    return [row for row in rows if not (row.running and row.tap in known)], notes


def _rows(state: DomainState) -> list[DomainRow]:
    domain = parse_domain(state.live or state.config)
    numbers = {wish.mac: wish.nic for wish in domain.wishes}
    return [
        DomainRow(
            vm=state.name,
            running=state.active,
            kind=each.kind,
            mac=each.mac,
            tap=each.target,
            place=each.bridge or each.network,
            queues=each.queues,
            wished=each.mac in numbers,
            nic=numbers.get(each.mac),
        )
        for each in domain.interfaces
    ]
