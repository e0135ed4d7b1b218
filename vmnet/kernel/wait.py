"""Waiting for the end of a process, of links, and for a guest to be heard of.

Job: sleep until it is so; no questions asked meanwhile.
Leaves to others: what to do then.
Privilege: none.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
import time
from collections.abc import Collection
from typing import Self

# linux/rtnetlink.h
_RTMGRP_LINK, _RTMGRP_NEIGH = 1, 4
_DELLINK = 17
_BYTES = 1 << 16


def until_ended(pid: int) -> None:
    """Sleep until a process has ended; not at all if there is none."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([fd], [], [])
    finally:
        os.close(fd)


def until_gone(indexes: Collection[int]) -> None:
    """Sleep until no link has any of these indexes.

    Raises:
        OSError: there is no netlink socket to be had.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as channel:
        channel.bind((0, _RTMGRP_LINK))
        while any(map(_there, indexes)):
            try:
                channel.recv(_BYTES)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more news than fit: look again
                    raise


class News:
    """What the kernel tells of links that go and of MACs that bridges learn."""

    def __init__(self) -> None:
        """Listen from now on.

        Raises:
            OSError: there is no netlink socket to be had.
        """
        self._channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._channel.bind((0, _RTMGRP_LINK | _RTMGRP_NEIGH))
        self._new = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def wait(self, macs: Collection[str], limit: float) -> bool:
        """Sleep until there is reason to look: a link went, or one of these MACs was learned.

        Returns:
            Whether there is; not if `limit`, in seconds, has passed.
        """
        if self._new:  # it may have happened before anybody listened
            self._new = False
            return True
        wanted = [bytes.fromhex(mac.replace(":", "")) for mac in macs]
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            self._channel.settimeout(left)
            try:
                data = self._channel.recv(_BYTES)
            except TimeoutError:
                return False
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # more news than fit
                    return True
                raise
            kind = int.from_bytes(data[4:6], sys.byteorder)
            if kind == _DELLINK or any(mac in data for mac in wanted):
                return True
        return False


def _there(index: int) -> bool:
    try:
        socket.if_indextoname(index)
    except OSError as error:
        return error.errno != errno.ENXIO
    return True
