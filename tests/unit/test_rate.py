"""Rates as text and as buckets: within what the kernel can count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.errors import InvalidInput
from vmnet.model.rate import RATE_MAX, RATE_MIN, parse_rate, rate_text, shape_of

#: With its Ethernet header, which the kernel counts too.
PACKET = 1514


def _nanoseconds(length: int, speed: int) -> int:
    """Return what the kernel takes from a bucket (net/sched/sch_generic.c, psched_l2t_ns)."""
    factor, shift = 10**9, 0
    while not (factor // speed >= 1 << 31 or factor >= 1 << 63):
        factor, shift = factor << 1, shift + 1
    return length * (factor // speed) >> shift


@pytest.mark.parametrize("text", ["12000000000008bit", "12001gbit", "13tbit", "99999gbit"])
def test_a_rate_that_the_kernel_cannot_hold_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InvalidInput, match="counts in nanoseconds") as caught:
        parse_rate(text)
    assert caught.value.code == "bad-rate"
    assert "at most 12tbit" in caught.value.remedy


def test_beyond_the_bound_a_packet_would_cost_nothing() -> None:
    assert parse_rate("12tbit") == RATE_MAX
    assert _nanoseconds(PACKET, RATE_MAX // 8) == 1
    assert _nanoseconds(PACKET, RATE_MAX // 8 * 102 // 100) == 0


@given(st.integers(RATE_MIN, RATE_MAX))
def test_every_rate_between_the_bounds_is_read_written_and_held(rate: int) -> None:
    whole = parse_rate(f"{rate}bit")
    assert parse_rate(rate_text(whole)) == whole == rate - rate % 8
    shape = shape_of(whole)
    assert shape.rate == whole // 8
    assert max(shape.burst, shape.limit) < 2**32
    assert _nanoseconds(PACKET, shape.rate) >= 1
