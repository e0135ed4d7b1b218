"""Waiting for the end of a process, and of links.

Job: sleep until it is so; no questions asked meanwhile.
Leaves to others: what to do then.
Privilege: none.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Collection

# linux/rtnetlink.h
_RTMGRP_LINK = 1
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


def _there(index: int) -> bool:
    try:
        socket.if_indextoname(index)
    except OSError as error:
        return error.errno != errno.ENXIO
    return True
