"""Rates: how fast packets may pass.

Job: rates as text and as bit/s; what a shaper needs to hold one.
Leaves to others: setting it (`vmnet.kernel.messages`).
Privilege: none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vmnet.errors import InvalidInput
from vmnet.model.names import shorten

#: Below that a single packet of the usual size takes more than a second.
RATE_MIN = 12_000
#: Beyond that such a packet takes less than a nanosecond. The kernel accepts more, but it counts in
#: whole ones (net/sched/sch_generic.c psched_ratecfg_precompute, psched_l2t_ns): none were taken
#: from the bucket, and nothing held back.
RATE_MAX = 12 * 10**12

_RATE = re.compile(r"([0-9]{1,18})(bit|kbit|mbit|gbit|tbit)?", re.ASCII)
_UNITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "tbit": 10**12}
#: A guest hands over up to 64 KiB at once (segmentation offload): less would have to be cut.
_BURST_MIN = 8 << 10
_BURST_SECONDS = 0.004
#: What may wait: enough for TCP to find the rate without losing much, in seconds and in packets.
_QUEUE_SECONDS = 0.1
_QUEUE_MIN = 128 << 10


@dataclass(frozen=True)
class Shape:
    """A token bucket.

    Attributes:
        rate: bytes per second.
        burst: bytes that may pass at once.
        limit: bytes that may wait.
    """

    rate: int
    burst: int
    limit: int


def parse_rate(text: str) -> int:
    """Return a rate like `100mbit` in bit/s; units are powers of 1000, a bare number is bit/s.

    The kernel counts bytes: what is beyond a multiple of 8 is left out.

    Raises:
        InvalidInput: it is none, or too low to let packets pass.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise _bad(
            f"{shorten(text)!r} is no rate", "write a whole number like 100mbit, 1gbit or 2500mbit"
        )
    shown = shorten(text)
    rate = int(match[1]) * _UNITS[match[2] or "bit"]
    if rate < RATE_MIN:
        raise _bad(
            f"a rate of {shown} is less than a packet of 1500 bytes a second ({RATE_MIN} bit/s)",
            "give more, or none for no limit",
        )
    if rate > RATE_MAX:
        raise _bad(
            f"a rate of {shown} cannot be held: the kernel counts in nanoseconds, and a packet of "
            "1500 bytes would take less than one",
            f"give at most {rate_text(RATE_MAX)}, or none for no limit",
        )
    return rate - rate % 8


def rate_text(rate: int) -> str:
    """Return a rate in bit/s with the largest unit that fits."""
    for unit, factor in reversed(_UNITS.items()):
        if rate % factor == 0 and rate >= factor:
            return f"{rate // factor}{unit}"
    return f"{rate}bit"


def shape_of(rate: int) -> Shape:
    """Return the token bucket for a rate in bit/s.

    It holds few milliseconds, so that the average over a second is the rate; what is longer than
    the bucket the kernel cuts into packets (net/sched/sch_tbf.c tbf_segment).
    """
    speed = rate // 8
    burst = max(_BURST_MIN, int(speed * _BURST_SECONDS))
    limit = max(_QUEUE_MIN, int(speed * _QUEUE_SECONDS))
    return Shape(speed, min(burst, 2**31 - 1), min(limit, 2**31 - 1))


def _bad(why: str, remedy: str) -> InvalidInput:
    return InvalidInput(why, code="bad-rate", remedy=remedy)
