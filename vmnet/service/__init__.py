"""The path: every change vmnet makes goes through here, whoever asks.

Job: lock, look, plan, carry out, look again; for CLI, scripts, launchers and the Python API alike.
Leaves to others: deciding (`vmnet.plan`), doing (`vmnet.kernel`), saying (`vmnet.entry`).
Privilege: CAP_NET_ADMIN in the network namespace, and write access to `/run/vmnet`.

Each call does all or nothing, and twice is the same as once.
"""

from vmnet.service.base import raise_all
from vmnet.service.bridges import create_bridge, delete_bridge
from vmnet.service.collect import collect
from vmnet.service.nics import (
    Attached,
    Detached,
    Launch,
    attach,
    detach,
    plug,
    prepare_run,
    unplug,
)

__all__ = [
    "Attached",
    "Detached",
    "Launch",
    "attach",
    "collect",
    "create_bridge",
    "delete_bridge",
    "detach",
    "plug",
    "prepare_run",
    "raise_all",
    "unplug",
]
