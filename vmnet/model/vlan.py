"""VLANs of a bridge's port.

Job: VLAN ids and ranges of them, as values and as text.
Leaves to others: which bridge filters them (`vmnet.plan.port`).
Privilege: none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vmnet.errors import InvalidInput
from vmnet.model.names import shorten

#: linux/if_vlan.h: 0 is a priority alone, VLAN_N_VID - 1 is reserved (IEEE 802.1Q, 9.6).
VID_MIN, VID_MAX = 1, 4094

_VID = re.compile(r"[0-9]{1,4}", re.ASCII)


@dataclass(frozen=True, order=True)
class VidRange:
    """VLANs from the first to the last, both included."""

    first: int
    last: int

    @property
    def vids(self) -> range:
        """Each of them."""
        return range(self.first, self.last + 1)

    def __str__(self) -> str:
        """Return `10` or `10-20`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Vlans:
    """The VLANs of a port.

    Attributes:
        untagged: where frames without a tag belong (the port's PVID); None to drop them.
        tagged: those whose frames carry their tag at this port; sorted, apart, without `untagged`.
    """

    untagged: int | None = None
    tagged: tuple[VidRange, ...] = ()

    def __contains__(self, vid: int) -> bool:
        """Say whether the port is in a VLAN."""
        return vid == self.untagged or any(vid in each.vids for each in self.tagged)

    @property
    def ranges(self) -> tuple[VidRange, ...]:
        """All VLANs the port is in."""
        one = (VidRange(self.untagged, self.untagged),) if self.untagged else ()
        return tuple(sorted((*one, *self.tagged)))


def parse_vid(text: str) -> int:
    """Return a VLAN's id.

    Raises:
        InvalidInput: it is none.
    """
    vid = int(text) if _VID.fullmatch(text) else -1
    if not VID_MIN <= vid <= VID_MAX:
        raise InvalidInput(
            f"VLAN {shorten(text)!r} is not in {VID_MIN}..{VID_MAX}",
            code="bad-vlan",
            remedy="give the number of the VLAN, e.g. 10",
        )
    return vid


def parse_vids(text: str) -> tuple[VidRange, ...]:
    """Return VLANs as `10,20-29`, sorted and merged; `+` stands for `,` where that parts options.

    Raises:
        InvalidInput: one is none, or a range goes backwards.
    """
    ranges = []
    for part in text.replace("+", ",").split(","):
        first, dash, last = part.partition("-")
        low = parse_vid(first)
        high = parse_vid(last) if dash else low
        if low > high:
            raise InvalidInput(
                f"VLAN range {shorten(part)!r} goes backwards",
                code="bad-vlan",
                remedy=f"write {high}-{low}",
            )
        ranges.append(VidRange(low, high))
    return merged(ranges)


def merged(ranges: Iterable[VidRange]) -> tuple[VidRange, ...]:
    """Return the same VLANs as few sorted ranges."""
    result: list[VidRange] = []
    for each in sorted(ranges):
        if result and each.first <= result[-1].last + 1:
            result[-1] = VidRange(result[-1].first, max(result[-1].last, each.last))
        else:
            result.append(each)
    return tuple(result)


def without(ranges: tuple[VidRange, ...], vid: int) -> tuple[VidRange, ...]:
    """Return the ranges less one VLAN."""
    parts = [
        VidRange(low, high)
        for each in ranges
        for low, high in (
            (each.first, min(each.last, vid - 1)),
            (max(each.first, vid + 1), each.last),
        )
        if low <= high
    ]
    return merged(parts)
