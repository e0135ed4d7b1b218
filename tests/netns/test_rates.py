"""Rates, by the bytes that come out; and that a change of them costs no frame."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from itertools import count

import pytest

from tests.netns.frames import IP, ether, ipv4, udp
from tests.netns.test_port_again import FULL, bad, steps
from tests.netns.traffic import GOOD, MAC, OWN4, guest, judge, own, v4
from tests.netns.wire import FAR_IP, FAR_MAC, End, bare_bridges, passed
from tests.support.lab import Lab

RATE = 2_500_000  # 20mbit, in bytes per second
BOTH = ("--rate-in", "20mbit", "--rate-out", "20mbit")
SECONDS = 10.0


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    bare_bridges()
    lab.vmnet("bridge", "create", "br0")


def _to_guest(payload: bytes) -> bytes:
    return ether(FAR_MAC, IP, ipv4(FAR_IP, udp(1, 2, payload), to=OWN4), MAC)


def _from_guest(payload: bytes) -> bytes:
    return v4(OWN4, udp(1, 2, payload))


def _pour(pairs: list[tuple[End, End, bytes]], seconds: float, speed: float) -> list[int]:
    """Send as many bytes per second from each of some ends to its other; return what arrived.

    The first quarter of a second is left out: until then what is too much has filled a queue.
    """
    begin = time.monotonic()
    sent, got = [0] * len(pairs), [0] * len(pairs)
    while (now := time.monotonic() - begin) < seconds + 0.25:
        for number, (sender, receiver, frame) in enumerate(pairs):
            while sent[number] < now * speed:
                sender.send(frame)
                sent[number] += len(frame)
            arrived = receiver.arrived().count(frame) * len(frame)
            got[number] += arrived if now >= 0.25 else 0
        time.sleep(0.001)  # a timer for the sender, nothing is waited for
    return got


def test_a_rate_is_held_both_ways_over_ten_seconds(lab: Lab) -> None:
    into, out = _to_guest(bytes(1400)), _from_guest(bytes(1400))
    with guest(lab, *BOTH) as (near, far):
        for _ in range(3):  # a machine that is busy elsewhere sends less
            got = _pour([(far, near, into), (near, far, out)], SECONDS, 2 * RATE)
            rates = [one / SECONDS for one in got]
            assert max(rates) < 1.1 * RATE
            if min(rates) > 0.9 * RATE:
                return
    pytest.fail(f"{rates} bytes per second, {RATE} are allowed")


def test_without_a_rate_all_of_it_arrives(lab: Lab) -> None:
    into, out = _to_guest(bytes(1400)), _from_guest(bytes(1400))
    with guest(lab) as (near, far):
        got = _pour([(far, near, into), (near, far, out)], 0.5, 2 * RATE)
    assert all(one / 0.5 > 1.6 * RATE for one in got), got


def test_what_is_slower_than_the_rate_waits_for_nothing_and_loses_nothing(lab: Lab) -> None:
    with guest(lab, "--rate-in", "100kbit", "--rate-out", "100kbit") as (near, far):
        # A bucket's worth at once.
        inward = {str(n): _to_guest(n.to_bytes(400, "big")) for n in range(15)}
        outward = {str(n): _from_guest(n.to_bytes(400, "big")) for n in range(15)}
        assert passed(far, near, inward, _to_guest(b"last")) == set(inward)
        assert passed(near, far, outward, GOOD) == set(outward)


def test_what_a_guest_may_send_is_the_same_with_a_rate(lab: Lab) -> None:
    with guest(lab, *BOTH, *FULL) as ends:
        judge(ends, own(), bad())
        lab.vmnet("attach", "vm1", "--rate-out", "none")
        judge(ends, own(), bad())


_CHANGES = [
    ("--rate-in", "30mbit"),
    ("--rate-out", "30mbit"),
    ("--rate-in", "5mbit", "--rate-out", "5mbit"),
    ("--address", "10.0.0.5,10.0.0.9"),
    ("--rate-in", "40gbit", "--rate-out", "40gbit", "--address", "none"),
    ("--no-flood", "--isolated"),
]
#: The kernel gives a link no frames while it gets or loses a qdisc, also one for what it receives
#: (net/sched/sch_api.c qdisc_graft: dev_deactivate, which waits for all processors).
_SWITCHES = [
    ("--rate-out", "none"),
    ("--rate-out", "10mbit"),
    ("--rate-in", "none", "--rate-out", "none"),
    ("--rate-in", "20mbit", "--rate-out", "20mbit"),
]


def test_a_change_loses_nothing(lab: Lab) -> None:
    numbers = count()
    with guest(lab, *BOTH) as ends:
        for change in _CHANGES:
            _exchange(*ends, _while_attaching(lab, change, numbers))
            assert steps(lab, *change) == []


def test_to_have_a_rate_or_none_loses_nothing_of_the_guests(lab: Lab) -> None:
    numbers = count()
    with guest(lab, *BOTH) as ends:
        for change in _SWITCHES:
            _exchange(*ends, _while_attaching(lab, change, numbers), whole=False)
            _exchange(*ends, itertools.islice(numbers, 20))


def _while_attaching(lab: Lab, change: tuple[str, ...], numbers: Iterator[int]) -> Iterator[int]:
    """Return numbers while the command runs, one each 2 ms, and fail if it does."""
    pid = lab.start("attach", "vm1", *change)
    while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        yield next(numbers)
        time.sleep(0.002)  # below the rate
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def _exchange(near: End, far: End, numbers: Iterator[int], *, whole: bool = True) -> None:
    """Send numbered frames both ways and expect each of them, in order and once.

    Args:
        near: the guest.
        far: the other end.
        numbers: the frames.
        whole: False: those to the guest may have gaps.
    """
    sent, inward, outward = [], list[bytes](), list[bytes]()
    for number in numbers:
        data = number.to_bytes(400, "big")
        far.send(_to_guest(data))
        near.send(_from_guest(data))
        inward += near.arrived()
        outward += far.arrived()
        sent.append(number)
    assert sent
    last = sent[-1].to_bytes(401, "big")
    far.send(_to_guest(last))
    near.send(_from_guest(last))
    inward += near.wait(_to_guest(last))
    outward += far.wait(_from_guest(last))
    assert _numbers(outward) == sent
    got = _numbers(inward)
    assert (got == sent) if whole else (got == sorted(set(got) & set(sent)))


def _numbers(frames: list[bytes]) -> list[int]:
    return [int.from_bytes(frame[42:], "big") for frame in frames if len(frame) == 442]


_RATES = {
    "12kbit": 1500,
    "999kbit": 124_875,
    "1gbit": 125_000_000,
    "34359738352bit": 2**32 - 2,
    # From here on the kernel wants it in 64 bits.
    "34359738360bit": 2**32 - 1,
    "40gbit": 5_000_000_000,
    "11999999999992bit": 1_499_999_999_999,
    "12tbit": 1_500_000_000_000,
}


@pytest.mark.parametrize("rate", _RATES)
def test_a_rate_reads_back_as_it_was_asked_for(lab: Lab, rate: str) -> None:
    with guest(lab, "--rate-in", rate, "--rate-out", rate) as (near, _):
        assert steps(lab) == []
        assert steps(lab, "--rate-in", rate, "--rate-out", rate) == []
        shaped = {near.name, near.name.replace("vmn", "vmi", 1)}
        assert _shapers(lab) == dict.fromkeys(shaped, _RATES[rate])
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


def _shapers(lab: Lab) -> dict[str, int]:
    """Return the rates of all buckets, in bytes per second, by link, as `tc` says."""
    rows = json.loads(lab.sh("tc -j qdisc").out)
    return {row["dev"]: row["options"]["rate"] for row in rows if row["kind"] == "tbf"}
