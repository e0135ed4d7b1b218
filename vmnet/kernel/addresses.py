"""rtnetlink: addresses, with all that a program may set of one.

Job: read a link's addresses as values; steps about them as messages.
Leaves to others: sending (`vmnet.kernel.links`), routes (`vmnet.kernel.routes`).
Privilege: reading needs none.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, assert_never

from vmnet.kernel.codecs import (
    ACK,
    CREATE,
    DUMP,
    EXCL,
    REPLACE,
    REQUEST,
    decoded,
    encoded,
    getter,
    head,
    ifaddrmsg,
)
from vmnet.kernel.rtnetlink import Channel
from vmnet.model.hostaddress import FOREVER, KEPT_FLAGS, NODAD, HostAddress
from vmnet.model.hoststep import AddAddress, AddressStep, DropAddress, SettleAddress

# linux/rtnetlink.h
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
# linux/if_addr.h: IFA_F_TEMPORARY (of IPv6; IPv4 calls a second address of a subnet so),
# IFA_F_OPTIMISTIC, _DADFAILED, _TENTATIVE, _MANAGETEMPADDR, _DEPRECATED; IFAPROT_KERNEL_RA.
_TEMPORARY, _UNPROVEN, _MANAGES_TEMPORARY, _DEPRECATED = 0x01, 0x04 | 0x08 | 0x40, 0x100, 0x20
_BY_ROUTER = 2
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def host_addresses(channel: Channel, index: int) -> tuple[HostAddress, ...]:
    """Return a link's addresses, in the order in which another link is to get them.

    A new address of IPv6 goes before those of its scope (net/ipv6/addrconf.c
    ipv6_link_dev_addr), so that these come in the order opposite to what the kernel shows.

    Raises:
        Refused: the kernel would not tell.
    """
    return (*_dumped(channel, index, 4), *reversed(_dumped(channel, index, 6)))


def all_addresses(channel: Channel) -> Iterator[tuple[int, HostAddress]]:
    """Yield the index of a link and an address of it, for all links.

    Raises:
        Refused: the kernel would not tell.
    """
    for family in _FAMILIES:
        for message in _messages(channel, 0, family):
            yield message["index"], _to_address(message, family)


def _dumped(channel: Channel, index: int, family: int) -> list[HostAddress]:
    found = _messages(channel, index, family)
    return [_to_address(message, family) for message in found if message["index"] == index]


def _messages(channel: Channel, index: int, family: int) -> Iterator[Any]:
    request = ifaddrmsg()
    request["family"] = _FAMILIES[family]
    request["index"] = index
    head(request, _GETADDR, REQUEST | DUMP)
    yield from (decoded(ifaddrmsg, raw) for raw in channel.dump(encoded(request)))


def _to_address(message: Any, family: int) -> HostAddress:
    get = getter(message)
    end = get("IFA_ADDRESS")
    local = get("IFA_LOCAL") or end
    flags = get("IFA_FLAGS") or message["flags"]
    life = get("IFA_CACHEINFO") or {"ifa_preferred": FOREVER, "ifa_valid": FOREVER}
    ipv6 = family == 6
    protocol = get("IFA_PROTO") or 0
    by_router = protocol == _BY_ROUTER or bool(ipv6 and flags & (_TEMPORARY | _MANAGES_TEMPORARY))
    return HostAddress(
        local=local,
        prefix=message["prefixlen"],
        peer="" if end == local else end,
        broadcast=get("IFA_BROADCAST") or "",
        label=get("IFA_LABEL") or "",
        scope=message["scope"],
        flags=flags & KEPT_FLAGS,
        metric=get("IFA_RT_PRIORITY") or 0,
        protocol=protocol,
        # Of IPv4 the kernel tells this only by the flag.
        preferred=0 if flags & _DEPRECATED else life["ifa_preferred"],
        leased=life["ifa_valid"] != FOREVER or life["ifa_preferred"] not in (0, FOREVER),
        by_router=by_router,
        unproven=bool(ipv6 and flags & _UNPROVEN),
    )


def address_message(step: AddressStep, index: int) -> Any:
    """Return the message of a step about an address of the link of that index."""
    address = step.address
    message = ifaddrmsg()
    message["family"] = _FAMILIES[address.family]
    message["prefixlen"] = address.prefix
    message["index"] = index
    message["attrs"] = [
        ("IFA_LOCAL", address.local),
        ("IFA_ADDRESS", address.peer or address.local),
    ]
    match step:
        case DropAddress():
            head(message, _DELADDR, REQUEST | ACK)
            return message
        case AddAddress():
            head(message, _NEWADDR, REQUEST | ACK | CREATE | EXCL)
            flags = address.flags | (NODAD if address.family == 6 else 0)
        case SettleAddress():
            head(message, _NEWADDR, REQUEST | ACK | REPLACE)
            flags = address.flags
        case _:
            assert_never(step)
    message["scope"] = address.scope
    message["attrs"] += _settings(address, flags)
    return message


def _settings(address: HostAddress, flags: int) -> list[tuple[str, Any]]:
    optional = {
        "IFA_BROADCAST": address.broadcast,
        "IFA_LABEL": address.label,
        "IFA_RT_PRIORITY": address.metric,
        "IFA_PROTO": address.protocol,
    }
    life = {"ifa_preferred": address.preferred, "ifa_valid": FOREVER}
    return [
        ("IFA_FLAGS", flags),
        ("IFA_CACHEINFO", life),
        *((name, value) for name, value in optional.items() if value),
    ]
