"""A network: a bridge with what the NICs on it get, and may at most ask for.

Job: the configured network as a value.
Leaves to others: reading the configuration (`vmnet.formats.config`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.model.port import USUAL, Port
from vmnet.model.vhost import Policy


@dataclass(frozen=True)
class Network:
    """A named network.

    Attributes:
        bridge: the bridge it is on.
        mtu: in bytes, or None for the bridge's.
        queues: queue pairs a NIC gets unless it asks otherwise.
        vhost: the policy for NICs that do not say.
        port: what may pass at a NIC's port, and at most may be asked for in a domain's metadata.
        strict: only ports that vmnet knows may send into the bridge.
        uplinks: names of the other ports that may, then.
    """

    name: str
    bridge: str
    mtu: int | None = None
    queues: int = 1
    vhost: Policy = Policy.AUTO
    port: Port = USUAL
    strict: bool = False
    uplinks: tuple[str, ...] = ()
