"""rtnetlink: what went through links.

Job: the counters of one link, or of all, by the question that asks for nothing else.
Leaves to others: what they mean.
Privilege: none.

Read here with `struct`, not by pyroute2's codec: the answer has one attribute of a fixed form, and
a thousand links are asked for every second or two.
Source: linux/if_link.h, struct if_stats_msg, IFLA_STATS_LINK_64, struct rtnl_link_stats64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from vmnet.kernel.rtnetlink import Channel
from vmnet.model.traffic import Counters

# linux/rtnetlink.h, linux/netlink.h
_GETSTATS = 94
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")
#: family, two paddings, ifindex, filter_mask.
_STATS = struct.Struct("=BBHII")
_ATTRIBUTE = struct.Struct("=HH")
_STATS_LINK_64 = 1
#: rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped.
_COUNTERS = struct.Struct("=8Q")


def counters(channel: Channel, index: int) -> Counters | None:
    """Return the counters of a TAP or macvtap, or None if it is gone.

    Raises:
        Refused: the kernel would not tell.
    """
    raw = channel.get(_question(_REQUEST, index))
    return None if raw is None else dict(_read([raw])).get(index)


def all_counters(channel: Channel) -> dict[int, Counters]:
    """Return the counters of all links, by their indexes.

    Raises:
        Refused: the kernel would not tell.
    """
    return dict(_read(channel.dump(_question(_REQUEST | _DUMP, 0))))


def _question(flags: int, index: int) -> bytes:
    body = _STATS.pack(0, 0, 0, index, 1 << (_STATS_LINK_64 - 1))
    return _HEADER.pack(_HEADER.size + len(body), _GETSTATS, flags, 0, 0) + body


def _read(messages: list[bytes]) -> Iterator[tuple[int, Counters]]:
    start = _HEADER.size + _STATS.size
    for raw in messages:
        if len(raw) < start + _ATTRIBUTE.size + _COUNTERS.size:
            continue
        index = _STATS.unpack_from(raw, _HEADER.size)[3]
        if _ATTRIBUTE.unpack_from(raw, start)[1] != _STATS_LINK_64:
            continue
        received, sent, received_bytes, sent_bytes, _, _, received_lost, sent_lost = (
            _COUNTERS.unpack_from(raw, start + _ATTRIBUTE.size)
        )
        # What the kernel sends on a TAP the guest receives.
        yield (
            index,
            Counters(sent, received, sent_bytes, received_bytes, sent_lost, received_lost),
        )
