"""What the configuration wishes beside bridges and NICs: TUNs, and patches between places.

Job: `[tun.NAME]` and `[[patch]]` as values.
Leaves to others: the file as a whole (`vmnet.formats.config`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmnet.formats.hostconfig import check_keys, number, owner_of, switch, text
from vmnet.formats.portconfig import wrong
from vmnet.model.patch import USUAL_INSIDE, End, PatchWish, check_patch, parse_end
from vmnet.model.tun import TunWish, check_tun, parse_own_addresses, parse_own_routes

_TUN_KEYS = ("owner", "address", "route", "mtu", "multi-queue")
_PATCH_KEYS = ("ends", "as", "address", "mtu")


@dataclass(frozen=True)
class TunRule:
    """A TUN that `vmnet up` makes.

    Attributes:
        wish: the TUN; its owner is filled in when that user is looked up.
        owner: who may open it, by name or number; None for root.
    """

    wish: TunWish
    owner: str | None = None


def tun_rule(name: str, table: Mapping[str, Any]) -> TunRule:
    """Return what a table says of a TUN.

    Raises:
        InvalidInput: a key that is not known, or a value that cannot be.
    """
    check_keys(table, _TUN_KEYS)
    wish = TunWish(
        name=name,
        addresses=parse_own_addresses(_texts(table, "address")),
        routes=parse_own_routes(_texts(table, "route")),
        mtu=number(table, "mtu"),
        multi_queue=switch(table, "multi-queue"),
    )
    return TunRule(check_tun(wish), owner_of(table))


def patch_wish(table: Mapping[str, Any]) -> PatchWish:
    """Return what a table says of a patch.

    Raises:
        InvalidInput: a key that is not known, or a value that cannot be.
    """
    check_keys(table, _PATCH_KEYS)
    inside = text(table, "as")
    a, b = _ends(table)
    wish = PatchWish(
        a,
        b,
        inside=USUAL_INSIDE if inside is None else inside,
        addresses=parse_own_addresses(_texts(table, "address")) if "address" in table else None,
        mtu=number(table, "mtu"),
    )
    return check_patch(wish)


def _ends(table: Mapping[str, Any]) -> tuple[End, End]:
    ends = table.get("ends")
    if not isinstance(ends, list) or len(ends) != 2 or not all(isinstance(e, str) for e in ends):
        raise wrong("ends", ends, 'two places, e.g. ["br0", "netns:web"]')
    a, b = map(parse_end, ends)
    return a, b


def _texts(table: Mapping[str, Any], key: str) -> list[str]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise wrong(key, values, "a list of texts")
    return values
