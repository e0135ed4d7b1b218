"""The rtnetlink socket: encoded messages out, raw answers in.

Job: number messages, send several in one sendmsg(2) so that a signal cannot part them, and tell
which of them the kernel refused, with its own words.
Leaves to others: what the messages say (`vmnet.kernel.links`).
Privilege: none to ask; CAP_NET_ADMIN for messages that change something.

Not pyroute2's own socket: that one cannot say which message of a batch failed, and a request costs
about 3 times as much through its event loop (`docs/benchmarks.md`).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

# linux/netlink.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_DUMP_INTR, _CAPPED, _ACK_TLVS = 0x10, 0x100, 0x200
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT = 270, 10, 11, 12
_NLMSGERR_ATTR_MSG = 1
_HEADER = struct.Struct("=IHHII")
_SEQUENCE_AT = 8
_DUMP_TRIES = 5


class Refused(OSError):
    """The kernel refused one message of a batch, or to talk at all.

    Attributes:
        position: the first message that was refused, from 0.
        said: the kernel's own words (extended ack), or an empty string.
        failed: all that were refused.
    """

    def __init__(self, number: int, said: str = "", position: int = 0) -> None:
        super().__init__(number, said or errno.errorcode.get(number, str(number)))
        self.said = said
        self.position = position
        self.failed = {position}


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the socket itself answers (no memory, no descriptor left) into `Refused`."""
    try:
        yield
    except OSError as error:
        raise Refused(error.errno or 0) from error


class Channel:
    """A socket to the kernel of the network namespace it is opened in."""

    def __init__(self) -> None:
        """Open the socket (AF_NETLINK, close-on-exec).

        Raises:
            Refused: there is none to be had.
        """
        self._sequence = 0
        with _refusals():
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            with _refusals():
                for option in (_CAP_ACK, _EXT_ACK, _STRICT):
                    self._socket.setsockopt(_SOL_NETLINK, option, 1)
                self._socket.bind((0, 0))
        except Refused:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return its descriptor, which stands for its network namespace."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; twice is fine."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def exchange(
        self, messages: Sequence[bytes], tolerated: Mapping[int, int] | None = None
    ) -> None:
        """Send messages in one system call, and wait for the answer to each.

        Args:
            messages: encoded, each asking for an acknowledgement (NLM_F_ACK).
            tolerated: by a message's position, an errno that is as good as success.

        Raises:
            Refused: the first message that was refused, all answers having been read; or the socket
                itself: `failed` then names all messages if nothing was sent, and none if what was
                sent got no answer, for then each may have been carried out.
        """
        first = self._sequence + 1
        try:
            self._send(b"".join(map(self._numbered, messages)))
        except Refused as error:
            error.failed = set(range(len(messages)))
            raise
        refused: Refused | None = None
        waiting = len(messages)
        while waiting:
            for kind, flags, sequence, raw in self._receive():
                if kind != _NLMSG_ERROR or sequence < first:
                    continue
                waiting -= 1
                number = -struct.unpack_from("=i", raw, 16)[0]
                if tolerated and tolerated.get(sequence - first) == number:
                    continue
                if number and refused is None:
                    refused = Refused(number, _said(raw, flags), sequence - first)
                elif number and refused is not None:
                    refused.failed.add(sequence - first)
        if refused is not None:
            raise refused

    def get(self, message: bytes) -> bytes | None:
        """Send a question and return its one answer, or None if there is no such link.

        Raises:
            Refused: the kernel would not tell.
        """
        self._send(self._numbered(message))
        while True:
            for kind, flags, sequence, raw in self._receive():
                if sequence != self._sequence:
                    continue
                if kind != _NLMSG_ERROR:
                    return raw
                refused = _refusal(raw, flags)
                if refused.errno == errno.ENODEV:
                    return None
                raise refused

    def ask(self, message: bytes) -> list[bytes]:
        """Send a question that may have no answer, and return what came before its acknowledgement.

        Args:
            message: encoded, with NLM_F_ACK, and NLM_F_ECHO where the answer is a notification.

        Raises:
            Refused: the kernel would not tell.
        """
        self._send(self._numbered(message))
        found: list[bytes] = []
        while True:
            for kind, flags, sequence, raw in self._receive():
                if sequence != self._sequence:
                    continue
                if kind != _NLMSG_ERROR:
                    found.append(raw)
                    continue
                refused = _refusal(raw, flags)
                if refused.errno:
                    raise refused
                return found

    def dump(self, message: bytes) -> list[bytes]:
        """Send a question that has many answers, and return them; nothing disturbed them.

        Raises:
            Refused: the kernel would not tell.
        """
        for _ in range(_DUMP_TRIES):
            found, disturbed = self._dump_once(message)
            if not disturbed:
                break
        # Disturbed five times over, the last look is as good as any: it shows every link that was
        # there all the while.
        return found

    def _dump_once(self, message: bytes) -> tuple[list[bytes], bool]:
        self._send(self._numbered(message))
        found: list[bytes] = []
        disturbed = False
        while True:
            for kind, flags, sequence, raw in self._receive():
                if sequence != self._sequence:
                    continue
                disturbed = disturbed or bool(flags & _DUMP_INTR)
                if kind == _NLMSG_DONE:
                    return found, disturbed
                if kind == _NLMSG_ERROR:
                    raise _refusal(raw, flags)
                found.append(raw)

    def _numbered(self, message: bytes) -> bytes:
        self._sequence += 1
        number = struct.pack("=I", self._sequence)
        return message[:_SEQUENCE_AT] + number + message[_SEQUENCE_AT + 4 :]

    def _send(self, data: bytes) -> None:
        with _refusals():
            self._socket.sendmsg([data])

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        try:
            with _refusals():
                data = self._socket.recv(1 << 18)
        except Refused as error:
            error.failed = set()
            raise
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset : offset + length]
            offset += (length + 3) & ~3


def _refusal(raw: bytes, flags: int) -> Refused:
    return Refused(-struct.unpack_from("=i", raw, 16)[0], _said(raw, flags))


def _said(raw: bytes, flags: int) -> str:
    """Return the words of an extended ack (NLMSGERR_ATTR_MSG), if there are any."""
    if not flags & _ACK_TLVS:
        return ""
    offset = 16 + 4 + 16
    if not flags & _CAPPED:
        offset += struct.unpack_from("=I", raw, 20)[0] - 16
    while offset + 4 <= len(raw):
        length, kind = struct.unpack_from("=HH", raw, offset)
        if kind == _NLMSGERR_ATTR_MSG:
            return raw[offset + 4 : offset + length].rstrip(b"\0").decode("utf-8", "replace")
        offset += max((length + 3) & ~3, 4)
    return ""
