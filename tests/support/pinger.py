"""ICMP echo by hand, finer than ping(1): `pinger.py until|count IP SECONDS`.

`until` asks every 50 ms and ends well with the first answer, or badly when the time is over.
`count` asks every SECONDS until its standard input ends, waits half a second for late answers, and
prints as JSON how many were sent, which are lost, which were answered later than after 100 ms, and
the longest gap between answers in seconds.
It runs by itself, inside the namespaces of a test: the standard library is all it may want.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_MARK = os.getpid() & 0xFFFF
_LATE = 0.1


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.setblocking(False)  # noqa: FBT003 - its signature
    return sock


def _packet(number: int) -> bytes:
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, _MARK, number & 0xFFFF)
    total = sum(struct.unpack("!4H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return head[:2] + struct.pack("!H", ~total & 0xFFFF) + head[4:]


def _ask(sock: socket.socket, address: str, number: int) -> None:
    try:
        sock.sendto(_packet(number), (address, 0))
    except OSError:
        return  # no route or no neighbour: one that gets no answer


def _answers(sock: socket.socket, address: str) -> list[int]:
    found: list[int] = []
    while True:
        try:
            data, (sender, _) = sock.recvfrom(2048)
        except BlockingIOError:
            return found
        except OSError:
            continue  # an earlier one that could not be delivered
        kind, _, _, mark, number = struct.unpack_from("!BBHHH", data, (data[0] & 15) * 4)
        if (kind, mark, sender) == (_ECHO_REPLY, _MARK, address):
            found.append(number)


def until(address: str, seconds: float) -> int:
    """Return 0 as soon as an answer comes, 1 when it is too late."""
    deadline = time.monotonic() + seconds
    number = 0
    with _open() as sock:
        while time.monotonic() < deadline:
            _ask(sock, address, number)
            number += 1
            select.select([sock], [], [], 0.05)
            if _answers(sock, address):
                return 0
    return 1


class Count:
    """Questions and answers of a run."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.answered: set[int] = set()
        self.late: list[int] = []
        self.last = 0.0
        self.gap = 0.0

    def take(self, numbers: list[int]) -> None:
        """Note answers that came now."""
        if not numbers:
            return
        now = time.monotonic()
        if self.answered:
            self.gap = max(self.gap, now - self.last)
        self.last = now
        self.answered.update(numbers)
        self.late += [n for n in numbers if now - self.asked[n] > _LATE]

    def report(self) -> str:
        """Return all of it as JSON."""
        lost = [n for n in range(len(self.asked)) if n not in self.answered]
        gap = round(self.gap, 3)
        return json.dumps({"sent": len(self.asked), "lost": lost, "late": self.late, "gap": gap})


def count(address: str, seconds: float) -> int:
    """Ask until standard input ends, then print the report."""
    result, due, ending = Count(), time.monotonic(), 0.0
    with _open() as sock:
        while not ending or time.monotonic() < ending:
            if not ending and time.monotonic() >= due:
                assert len(result.asked) < 1 << 16, "the numbers are used up"
                result.asked.append(time.monotonic())
                _ask(sock, address, len(result.asked) - 1)
                due += seconds
            wished = [sock] if ending else [sock, sys.stdin]
            ready, _, _ = select.select(wished, [], [], max(0.0, min(due - time.monotonic(), 0.05)))
            if sys.stdin in ready and not os.read(0, 1):
                ending = time.monotonic() + 0.5
            result.take(_answers(sock, address))
    print(result.report(), flush=True)  # noqa: T201 - its answer
    return 0


if __name__ == "__main__":
    what, ip, number_of_seconds = sys.argv[1:]
    sys.exit({"until": until, "count": count}[what](ip, float(number_of_seconds)))
