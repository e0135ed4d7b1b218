"""The codecs of rtnetlink messages. The one file that imports pyroute2.

Job: pyroute2's message classes, loaded without the rest of it; encoding, decoding, quick reading.
Leaves to others: what the messages say (`vmnet.kernel.links` and its neighbours).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmnet.kernel.parts import parts_of

with parts_of("pyroute2"):
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

__all__ = ["decoded", "encoded", "getter", "head", "ifaddrmsg", "ifinfmsg", "rtmsg", "text_of"]

# linux/netlink.h
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800


def head(message: Any, kind: int, flags: int) -> None:
    """Set type and flags of a message."""
    message["header"]["type"] = kind
    message["header"]["flags"] = flags


def encoded(message: Any) -> bytes:
    """Return a message as the kernel takes it."""
    message.encode()
    return bytes(message.data)


def decoded(codec: Any, raw: bytes) -> Any:
    """Return a message of the kernel's, read by that codec."""
    message = codec(raw)
    message.decode()
    return message


def getter(message: Any) -> Callable[[str], Any]:
    """Return a quick get_attr: one pass over some fifty attributes instead of one for each asked.

    Values are decoded when they are asked for.
    """
    slots = {slot[0]: slot for slot in message["attrs"]}
    return lambda name: slots[name][1] if name in slots else None


def text_of(value: str | bytes | None) -> str:
    """Return a name or alias as text; the kernel takes any bytes for one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""
