"""IP addresses that a guest may send from.

Job: addresses and prefixes, as values and as text.
Leaves to others: checking packets against them (`vmnet.model.nft`).
Privilege: none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from vmnet.errors import InvalidInput
from vmnet.model.names import shorten

#: A guest has few; what is longer is a mistake, or wants a prefix.
ADDRESSES_MAX = 64
#: They are checked whole and by their first half (`vmnet.model.nft`).
_PREFIXES_V6 = (64, 128)
_TO_ALL = IPv4Address("255.255.255.255")
_PLAIN = re.compile(r"[0-9a-fA-F.:/]{2,43}", re.ASCII)


@dataclass(frozen=True, order=True)
class Address:
    """An IPv4 or IPv6 address, or a prefix of them.

    Attributes:
        version: 4 or 6.
        base: the address, or the first of the prefix, in its canonical form.
        length: of the prefix, in bits; 32 or 128 for one address.
    """

    version: int
    base: str
    length: int

    @property
    def single(self) -> bool:
        """Whether it is one address."""
        return self.length == (32 if self.version == 4 else 128)

    def __str__(self) -> str:
        """Return `10.0.0.5` or `2001:db8::/64`."""
        return self.base if self.single else f"{self.base}/{self.length}"

    def within(self, other: Address) -> bool:
        """Say whether all of it is in another."""
        mine, theirs = _network(self), _network(other)
        if isinstance(mine, IPv4Network) and isinstance(theirs, IPv4Network):
            return mine.subnet_of(theirs)
        if isinstance(mine, IPv6Network) and isinstance(theirs, IPv6Network):
            return mine.subnet_of(theirs)
        return False


@cache
def _network(address: Address) -> IPv4Network | IPv6Network:
    return ip_network(f"{address.base}/{address.length}")


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Return addresses as `10.0.0.5,2001:db8::/64`, sorted; `+` stands for `,` as well.

    Raises:
        InvalidInput: one is none, or no guest can send from it; or there are too many.
    """
    found = sorted({parse_address(part) for part in text.replace("+", ",").split(",")})
    if len(found) > ADDRESSES_MAX:
        raise _bad(f"{len(found)} addresses are more than {ADDRESSES_MAX}", "give a prefix instead")
    kept = [a for a in found if not any(a != other and a.within(other) for other in found)]
    return tuple(kept)


def parse_address(text: str) -> Address:
    """Return one address or prefix.

    Raises:
        InvalidInput: it is none, or no guest can send from it.
    """
    shown = shorten(text)
    if not _PLAIN.fullmatch(text):
        raise _bad(f"{shown!r} is no IP address", "write it like 10.0.0.5 or 2001:db8::5")
    try:
        network = ip_network(text)
    except ValueError as error:
        raise _bad(
            f"{shown!r} is no IP address or prefix: {error}",
            "write it like 10.0.0.5, 10.0.0.0/24 or 2001:db8::/64",
        ) from error
    single = network.num_addresses == 1
    if network.is_multicast or network.is_loopback or (single and _is_nobodys(network)):
        raise _bad(f"no guest can send from {shown}", "give the address that the guest has")
    if network.version == 6 and network.prefixlen not in _PREFIXES_V6:
        raise _bad(f"{shown}: an IPv6 prefix is to be of 64 bits", "give it as .../64")
    return Address(network.version, str(network.network_address), network.prefixlen)


def _is_nobodys(network: IPv4Network | IPv6Network) -> bool:
    """Say whether an address is never on the wire as a source."""
    address = network.network_address
    if isinstance(address, IPv6Address):
        return address.is_unspecified or address.ipv4_mapped is not None
    return address.is_unspecified or address == _TO_ALL


def link_local(mac: str) -> IPv6Address:
    """Return the address that a guest makes of its MAC (RFC 4291, appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    eui64 = bytes([raw[0] ^ 2, *raw[1:3], 0xFF, 0xFE, *raw[3:]])
    return IPv6Address(b"\xfe\x80" + bytes(6) + eui64)


def _bad(why: str, remedy: str) -> InvalidInput:
    return InvalidInput(why, code="bad-address", remedy=remedy)
