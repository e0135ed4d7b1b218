"""A NIC's port: what may pass there, and how fast.

Job: VLANs, guard, addresses and rates as a value; the part of it that somebody asks for; the same
as text, one key a setting, for options, metadata and configuration alike.
Leaves to others: how it is done (`vmnet.plan.port`), what the host can (`vmnet.kernel`).
Privilege: none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from vmnet.errors import InvalidInput
from vmnet.model.address import Address, parse_addresses
from vmnet.model.rate import parse_rate, rate_text
from vmnet.model.vlan import VidRange, Vlans, parse_vid, parse_vids, without

_ON = ("on", "yes", "true")
_OFF = ("off", "no", "false")
#: What takes a setting away that was made before.
NONE = "none"


@dataclass(frozen=True)
class Port:
    """What may pass at a NIC's port, with nothing left open.

    Attributes:
        vlans: the VLANs it is in; None for the bridge's own default.
        guard: the guest-port profile: no bridge control frames from the guest, never towards the
            root of a spanning tree, no learning but its own MAC, no other source than that.
        isolated: no frame to or from another isolated port.
        flood: frames to an unknown address come here too.
        neigh_suppress: the bridge answers ARP and ND for what it knows.
        addresses: what the guest may send from; empty for any.
        dhcp_guard: no DHCP server at this port.
        ra_guard: no router advertisement and no redirect from it.
        rate_in: to the guest, in bit/s; None for no limit.
        rate_out: from the guest, in bit/s; None for no limit.
    """

    vlans: Vlans | None = None
    guard: bool = True
    isolated: bool = False
    flood: bool = True
    neigh_suppress: bool = False
    addresses: tuple[Address, ...] = ()
    dhcp_guard: bool = False
    ra_guard: bool = False
    rate_in: int | None = None
    rate_out: int | None = None


#: What a NIC gets that nobody says anything about.
USUAL = Port()


@dataclass(frozen=True)
class PortAsk:
    """What is asked of a port; None leaves it as it is.

    Attributes:
        vlan: the VLAN of untagged frames; 0 for none of these settings.
        trunk: VLANs of tagged frames; empty for none.
        native: the VLAN of untagged frames beside a trunk; 0 for none.
        rate_in: in bit/s; 0 for no limit.
        rate_out: in bit/s; 0 for no limit.
    """

    vlan: int | None = None
    trunk: tuple[VidRange, ...] | None = None
    native: int | None = None
    guard: bool | None = None
    isolated: bool | None = None
    flood: bool | None = None
    neigh_suppress: bool | None = None
    addresses: tuple[Address, ...] | None = None
    dhcp_guard: bool | None = None
    ra_guard: bool | None = None
    rate_in: int | None = None
    rate_out: int | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return all(getattr(self, field.name) is None for field in fields(self))


#: The keys of the settings as text, in the order they are shown.
PORT_KEYS = {
    "vlan": "vlan",
    "trunk": "trunk",
    "native": "native",
    "guard": "guard",
    "isolated": "isolated",
    "flood": "flood",
    "neigh-suppress": "neigh_suppress",
    "address": "addresses",
    "dhcp-guard": "dhcp_guard",
    "ra-guard": "ra_guard",
    "rate-in": "rate_in",
    "rate-out": "rate_out",
}


def parse_port(texts: Mapping[str, str | None]) -> PortAsk:
    """Return what is asked for in so many words; keys as in `PORT_KEYS`, None for not said.

    Raises:
        InvalidInput: a value that can never be.
    """
    return PortAsk(**{PORT_KEYS[k]: _parsed(k, v) for k, v in texts.items() if v is not None})


def _parsed(key: str, text: str) -> Any:
    if key in ("vlan", "native"):
        return 0 if text == NONE else parse_vid(text)
    if key == "trunk":
        return () if text == NONE else parse_vids(text)
    if key == "address":
        return () if text == NONE else parse_addresses(text)
    if key in ("rate-in", "rate-out"):
        return 0 if text == NONE else parse_rate(text)
    if text in _ON or text in _OFF:
        return text in _ON
    raise InvalidInput(
        f"{key}={text[:40]!r} is neither on nor off",
        code="bad-port",
        remedy=f"write {key}=on or {key}=off",
    )


def port_texts(ask: PortAsk) -> dict[str, str]:
    """Return what is asked for as text, by its keys: the inverse of `parse_port`."""
    values = {key: getattr(ask, name) for key, name in PORT_KEYS.items()}
    return {key: _text(key, value) for key, value in values.items() if value is not None}


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if not value:
        return NONE
    if isinstance(value, int):
        return rate_text(value) if key.startswith("rate") else str(value)
    return ",".join(map(str, value))


def merged_asks(old: PortAsk, new: PortAsk) -> PortAsk:
    """Return what is asked for after asking again; what is lifted is not asked for any more."""
    asked = {f.name: getattr(new, f.name) for f in fields(PortAsk)}
    both = replace(old, **{name: value for name, value in asked.items() if value is not None})
    lifted = [n for n in asked if not (getattr(both, n) or isinstance(getattr(both, n), bool))]
    return replace(both, **dict.fromkeys(lifted))


def settle_port(base: Port, ask: PortAsk) -> Port:
    """Return the port that comes of what there is and what is asked for.

    Raises:
        InvalidInput: two things that exclude each other.
    """
    same = {f.name for f in fields(Port)} & {f.name for f in fields(PortAsk)}
    changes = {name: getattr(ask, name) for name in same if getattr(ask, name) is not None}
    for rate in ("rate_in", "rate_out"):
        if rate in changes:
            changes[rate] = changes[rate] or None
    return check_port(replace(base, vlans=_vlans(base.vlans, ask), **changes))


def _vlans(base: Vlans | None, ask: PortAsk) -> Vlans | None:
    if ask.vlan is not None and (ask.trunk or ask.native):
        raise InvalidInput(
            "a VLAN of its own (vlan) and a trunk exclude each other",
            code="bad-vlan",
            remedy="give --vlan, or --trunk with --native for untagged frames",
        )
    if ask.vlan is not None:
        return Vlans(ask.vlan) if ask.vlan else None
    if ask.trunk is None and ask.native is None:
        return base
    kept = base if base is not None and base.tagged else None
    tagged = ask.trunk if ask.trunk is not None else (kept.tagged if kept else ())
    native = ask.native if ask.native is not None else (kept.untagged if kept else None)
    if native and not tagged:
        raise InvalidInput(
            "a native VLAN is that of untagged frames on a trunk, and no trunk is given",
            code="bad-vlan",
            remedy="give --trunk too, or --vlan for a port without tags",
        )
    if any(native in each.vids for each in tagged):
        raise _both_ways(native or 0, tagged)
    return Vlans(native or None, tagged) if tagged else None


def _both_ways(native: int, tagged: tuple[VidRange, ...]) -> InvalidInput:
    """Return the error for a VLAN whose frames would have to have a tag, and none."""
    rest = ",".join(map(str, without(tagged, native)))
    return InvalidInput(
        f"VLAN {native} is in the trunk and native: its frames have a tag there or none, not both",
        code="bad-vlan",
        remedy=f"take it out of the trunk (--trunk {rest}), or give another --native, or none"
        if rest
        else f"give --vlan {native} for a port without tags, or leave --native out",
    )


def check_port(port: Port) -> Port:
    """Return the port if its settings go together.

    Raises:
        InvalidInput: they do not.
    """
    needing = {
        "address": port.addresses,
        "dhcp-guard": port.dhcp_guard,
        "ra-guard": port.ra_guard,
    }
    asked = [key for key, value in needing.items() if value]
    if asked and not port.guard:
        raise InvalidInput(
            f"{asked[0]} is checked by the guard, which is off",
            code="bad-port",
            remedy=f"leave --no-guard out, or take {asked[0]} away",
        )
    return port


def port_digest(port: Port) -> str:
    """Return a short text that differs where ports do; empty for the usual port."""
    if port == USUAL:
        return ""
    return hashlib.sha256(port_key(port).encode()).digest()[:4].hex()


def port_key(port: Port) -> str:
    """Return the whole port as one line."""
    return " ".join(f"{key}={value}" for key, value in port_settings(port).items())


def port_settings(port: Port) -> dict[str, str]:
    """Return what a port is, by the keys of `PORT_KEYS`; what is not limited is left out."""
    vlans = port.vlans
    ask = PortAsk(
        vlan=vlans.untagged if vlans and not vlans.tagged else None,
        trunk=vlans.tagged if vlans and vlans.tagged else None,
        native=vlans.untagged if vlans and vlans.tagged else None,
        guard=port.guard,
        isolated=port.isolated or None,
        flood=None if port.flood else False,
        neigh_suppress=port.neigh_suppress or None,
        addresses=port.addresses or None,
        dhcp_guard=port.dhcp_guard or None,
        ra_guard=port.ra_guard or None,
        rate_in=port.rate_in,
        rate_out=port.rate_out,
    )
    return port_texts(ask)


def beyond(port: Port, ceiling: Port) -> str:
    """Return the key of a setting with which a port goes beyond another; empty for none."""
    wider = {
        "vlan": not _vlans_within(port.vlans, ceiling.vlans),
        "guard": ceiling.guard and not port.guard,
        "isolated": ceiling.isolated and not port.isolated,
        "flood": port.flood and not ceiling.flood,
        "neigh-suppress": port.neigh_suppress != ceiling.neigh_suppress and ceiling.neigh_suppress,
        "address": not _addresses_within(port.addresses, ceiling.addresses),
        "dhcp-guard": ceiling.dhcp_guard and not port.dhcp_guard,
        "ra-guard": ceiling.ra_guard and not port.ra_guard,
        "rate-in": not _rate_within(port.rate_in, ceiling.rate_in),
        "rate-out": not _rate_within(port.rate_out, ceiling.rate_out),
    }
    return next((key for key, is_wider in wider.items() if is_wider), "")


def _vlans_within(vlans: Vlans | None, ceiling: Vlans | None) -> bool:
    if ceiling is None or vlans is None:
        return vlans == ceiling
    # An untagged frame of the guest's must land where it could have sent a tagged one.
    untagged = vlans.untagged is None or vlans.untagged in ceiling
    return untagged and all(each in ceiling for r in vlans.tagged for each in r.vids)


def _addresses_within(addresses: tuple[Address, ...], ceiling: tuple[Address, ...]) -> bool:
    if not ceiling:
        return True
    return bool(addresses) and all(any(a.within(c) for c in ceiling) for a in addresses)


def _rate_within(rate: int | None, ceiling: int | None) -> bool:
    return ceiling is None or (rate is not None and rate <= ceiling)
