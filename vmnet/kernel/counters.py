"""rtnetlink: what went through a link.

Job: a link's counters.
Leaves to others: what they mean.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.kernel.codecs import REQUEST, decoded, encoded, getter, ifinfmsg
from vmnet.kernel.messages import link_message
from vmnet.kernel.rtnetlink import Channel

# linux/rtnetlink.h
_GETLINK = 18


@dataclass(frozen=True)
class Counters:
    """What went through a TAP, from its guest's point of view (linux/if_link.h IFLA_STATS64).

    Attributes:
        to_guest: packets that the guest was sent.
        from_guest: packets that the guest sent.
        bytes_to_guest: their bytes.
        bytes_from_guest: their bytes.
        dropped_to_guest: packets for the guest that found its queue full, or no one to take them.
        dropped_from_guest: packets of the guest that this host did not take.
    """

    to_guest: int
    from_guest: int
    bytes_to_guest: int
    bytes_from_guest: int
    dropped_to_guest: int
    dropped_from_guest: int


def counters(channel: Channel, index: int) -> Counters | None:
    """Return the counters of a TAP or macvtap, or None if it is gone.

    What the kernel sends on a TAP the guest receives.

    Raises:
        Refused: the kernel would not tell.
    """
    raw = channel.get(encoded(link_message(_GETLINK, REQUEST, [], index)))
    found = None if raw is None else getter(decoded(ifinfmsg, raw))("IFLA_STATS64")
    if found is None:
        return None
    return Counters(
        to_guest=found["tx_packets"],
        from_guest=found["rx_packets"],
        bytes_to_guest=found["tx_bytes"],
        bytes_from_guest=found["rx_bytes"],
        dropped_to_guest=found["tx_dropped"],
        dropped_from_guest=found["rx_dropped"],
    )
