"""Answers ping for every address of the networks that are led into a TUN.

    vmnet tun create tun0 --address 10.8.0.1/24 --owner "$USER"
    python answer_ping.py tun0        # as that user; needs no privilege
    ping 10.8.0.7

Each packet of IP that this host sends there is read here, turned round and written back.
"""

from __future__ import annotations

import sys

import vmnet

_ICMP, _ICMPV6 = 1, 58
_ECHO, _ECHO_V6 = 8, 128


def answer(packet: bytes) -> bytes | None:
    """Return the answer to an echo request, or None for any other packet."""
    return _answer_v4(packet) if packet[0] >> 4 == 4 else _answer_v6(packet)


def _answer_v4(packet: bytes) -> bytes | None:
    start = (packet[0] & 0xF) * 4
    if packet[9] != _ICMP or packet[start] != _ECHO:
        return None
    # Source and destination change places, which leaves the header's own checksum right.
    head = packet[:12] + packet[16:20] + packet[12:16] + packet[20:start]
    return head + _echo_reply(packet[start:], kind=0, change=_ECHO << 8)


def _answer_v6(packet: bytes) -> bytes | None:
    if packet[6] != _ICMPV6 or packet[40] != _ECHO_V6:
        return None
    head = packet[:8] + packet[24:40] + packet[8:24]
    return head + _echo_reply(packet[40:], kind=129, change=0xFFFF - (1 << 8))


def _echo_reply(message: bytes, *, kind: int, change: int) -> bytes:
    """Return an ICMP message of another kind, its checksum corrected (RFC 1624)."""
    total = int.from_bytes(message[2:4], "big") + change
    checksum = (total & 0xFFFF) + (total >> 16)
    return bytes([kind, 0]) + checksum.to_bytes(2, "big") + message[4:]


def main(name: str) -> None:
    """Answer until somebody interrupts, or the TUN is deleted."""
    with vmnet.open_tun(name) as tun:
        while True:
            packet = tun.read()
            reply = answer(packet) if packet else None
            if reply:
                tun.write(reply)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        pass
    except vmnet.VmnetError as error:
        sys.exit(f"{error.message}\n  try: {error.remedy}")
