"""What is missing in vmnet's filter.

Job: the entries of a port, and the difference to those that are there; what a dead link has left.
Leaves to others: the rules that use them (`vmnet.model.nft`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address

from vmnet.errors import Conflict, InvalidInput, Unsupported
from vmnet.model.address import Address, link_local
from vmnet.model.host import Link, NicView
from vmnet.model.nft import hexadecimal
from vmnet.model.nic import Nic
from vmnet.model.port import Port
from vmnet.model.portfacts import Entry, Filter, Table, address_entries
from vmnet.model.portstep import (
    ChangeFilter,
    ForgetLink,
    InstallFilter,
    RemoveFilter,
    SetStrict,
)
from vmnet.model.ref import Ref
from vmnet.model.step import Move, Plan


def wanted_entries(port: Port, mac: str) -> frozenset[Entry]:
    """Return the entries of a guarded port; none without a guard.

    Raises:
        Unsupported: something is to be checked that wants the guest's MAC, which is not known.
    """
    if not port.guard:
        return frozenset()
    if not mac:
        if port.addresses or port.dhcp_guard or port.ra_guard:
            raise Unsupported(
                "QEMU does not tell a script its guest's MAC, and the network's address, DHCP or "
                "RA guard wants it",
                code="mac-unknown",
                remedy='give mac = "..." in [tap.NAME] of the configuration, or use `vmnet run`',
            )
        return frozenset()
    found = {Entry("port"), Entry("mac", mac)}
    if port.vlans is not None and port.vlans.tagged:
        found.add(Entry("trunk"))
    if port.dhcp_guard:
        found.add(Entry("dhcp_guard"))
    if port.ra_guard:
        found.add(Entry("ra_guard"))
    if port.addresses:
        found.add(Entry("listed"))
        found |= set(_address_entries(port.addresses, mac))
    return frozenset(found)


def _address_entries(addresses: tuple[Address, ...], mac: str) -> Iterable[Entry]:
    if any(address.version == 6 for address in addresses):
        addresses = (*addresses, Address(6, str(link_local(mac)), 128))
    for address in addresses:
        if address.version == 4:
            yield Entry("addr4", _one(address))
        elif address.single:
            yield Entry("addr6", address.base)
            yield Entry("target6", hexadecimal(int(IPv6Address(address.base))))
        else:
            half = hexadecimal(int(IPv6Address(address.base)) >> 64)
            yield Entry("half6", half)
            yield Entry("target_half6", half)


def _one(address: Address) -> str:
    if not address.single:
        raise InvalidInput(
            f"{address} are many addresses: the filter checks IPv4 one by one",
            code="address-needed",
            remedy="give those that this guest may send from: --address IP,IP,...",
        )
    return address.base


def address_notes(nic: Nic, view: NicView) -> list[str]:
    """Return which addresses that are new to this guest another one on the bridge has too.

    Some float from guest to guest (VRRP): it is no error, but seldom meant.
    """
    new = address_entries(nic.port) - view.filter.of(view.name)
    return [
        f"address {entry.value} is also that of {sharer.name!r}{_owner(sharer)}"
        for sharer in view.sharers
        for entry in sorted(new & view.filter.of(sharer.name))
    ]


def _owner(link: Link) -> str:
    return f" (VM {link.tag.vm_name!r}, NIC {link.tag.nic})" if link.tag is not None else ""


def filter_moves(nic: Nic, link: Ref, there: Filter, uplinks: Iterable[Ref] = ()) -> list[Move]:
    """Return what brings the filter to what is wished for one port.

    Args:
        nic: the wish.
        link: its TAP.
        there: what the filter has.
        uplinks: ports of a strict bridge that may send what they like.

    Raises:
        Conflict: somebody else has a table of that name.
        Unsupported: the guest's MAC is not known, and is wanted.
    """
    has = there.of(link.name) if link.index else frozenset()
    wanted = wanted_entries(nic.port, nic.mac)
    add, drop = tuple(sorted(wanted - has)), tuple(sorted(has - wanted))
    trusted = [u for u in uplinks if Entry("trusted") not in there.of(u.name)] if nic.strict else []
    unknown = nic.strict and nic.bridge not in there.strict
    if not (add or drop or trusted or unknown) and (not wanted or there.table is Table.OURS):
        return []
    if there.table is Table.FOREIGN:
        raise Conflict(
            "there is an nft table `bridge vmnet` that vmnet did not make",
            code="foreign-table",
            remedy="`nft list table bridge vmnet` shows it: rename or delete it; or --no-guard",
        )
    moves = []
    strict = there.strict_rules or nic.strict
    if there.table is not Table.OURS or strict is not there.strict_rules:
        moves.append(Move(InstallFilter(strict)))
    if add or drop:
        moves.append(Move(ChangeFilter(link, add, drop), ChangeFilter(link, drop, add)))
    moves += [Move(ChangeFilter(uplink, (Entry("trusted"),))) for uplink in trusted]
    if unknown:
        moves.append(Move(SetStrict(nic.bridge), SetStrict(nic.bridge, strict=False)))
    return moves


def sweep(there: Filter, living: frozenset[str], bridges: frozenset[str]) -> Plan:
    """Return what takes dead links' entries from the filter, and the filter if nothing needs it.

    Args:
        there: what the filter has.
        living: names of the links in it that are there, and stay.
        bridges: names of the strict bridges that are there.
    """
    if there.table not in (Table.OURS, Table.OUTDATED):
        return Plan()
    dead = {link: entries for link, entries in there.entries.items() if link not in living}
    moves = [
        Move(ForgetLink(int(link), tuple(sorted(entries))))
        for link, entries in sorted(dead.items())
        if link.isdigit()
    ]
    gone = there.strict - bridges
    if len(dead) == len(there.entries) and not (there.strict - gone):
        return Plan((Move(RemoveFilter()),))
    moves += [Move(SetStrict(bridge, strict=False)) for bridge in sorted(gone)]
    return Plan(tuple(moves))
