"""Interfaces of a libvirt domain that have no wish, and yet a TAP of vmnet's.

Job: refuse what a clone, or a wish taken away by hand, would start with.
Leaves to others: interfaces with a wish (`vmnet.plan.domain`).
Privilege: none.
"""

from __future__ import annotations

from vmnet.errors import Conflict
from vmnet.model.domain import Domain, Interface
from vmnet.model.host import Link
from vmnet.model.names import NIC_MAX, is_made_name, shorten, typed
from vmnet.model.tag import Life, vm_in_tag


def check_unwished(domain: Domain, interface: Interface, tap: Link | None) -> None:
    """Raise if an interface without a wish is to open a TAP that is not there for it.

    A clone's interfaces have new addresses, so no wish is theirs; but they name the original's
    TAPs, and QEMU could open another queue of one.

    Raises:
        Conflict: nobody makes this TAP, or it is another VM's.
    """
    if interface.kind != "ethernet" or interface.managed:
        return
    tag = tap.tag if tap is not None and tap.is_tap else None
    mine = tag is not None and tag.vm == vm_in_tag(domain.name)
    stale = mine and tag is not None and tag.life is Life.DOMAIN
    lost = (tap is None or stale) and is_made_name(interface.target)
    if not lost and (tag is None or mine):
        return
    whose = "which nobody makes" if tag is None or mine else f"that of VM {tag.vm_name!r}"
    raise Conflict(
        f"interface {shorten(interface.mac)} has no wish, and its TAP {interface.target!r} is one "
        f"of vmnet's, {whose}",
        code="no-wish",
        remedy=f"`vmnet attach {typed(domain.name)} --nic {_free(domain)} "
        f"--mac {shorten(interface.mac)}` gives it a wish and a TAP of its own",
    )


def _free(domain: Domain) -> int:
    """Return the number of a wish that has lost its interface, or one that no wish has."""
    macs = {interface.mac for interface in domain.interfaces}
    lost = [wish.nic for wish in domain.wishes if wish.mac not in macs]
    used = {wish.nic for wish in domain.wishes}
    return min(lost or (number for number in range(NIC_MAX + 1) if number not in used))
