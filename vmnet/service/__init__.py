"""The path: every change vmnet makes goes through here, whoever asks.

Job: lock, look, plan, carry out, look again; for CLI, scripts, launchers and the Python API alike.
Leaves to others: deciding (`vmnet.plan`), doing (`vmnet.kernel`), saying (`vmnet.entry`).
Privilege: CAP_NET_ADMIN in the network namespace, and write access to `/run/vmnet`.

Each call does all or nothing, and twice is the same as once. Names are loaded when they are first
used: libvirt's hook wants one module of this room, and pays for each it loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmnet.service.base import raise_all
    from vmnet.service.bridges import create_bridge, delete_bridge
    from vmnet.service.launch import Launch, prepare_run
    from vmnet.service.leftovers import collect
    from vmnet.service.nics import (
        Attached,
        Detached,
        attach,
        detach,
        plug,
        unplug,
    )
    from vmnet.service.patches import patch, unpatch
    from vmnet.service.tuns import create_tun, delete_tun, make_tun, open_tun
    from vmnet.service.uplinks import add_uplink, confirm_uplinks, remove_uplink
    from vmnet.service.whole import Part, down, up

__all__ = [
    "Attached",
    "Detached",
    "Launch",
    "Part",
    "add_uplink",
    "attach",
    "collect",
    "confirm_uplinks",
    "create_bridge",
    "create_tun",
    "delete_bridge",
    "delete_tun",
    "detach",
    "down",
    "make_tun",
    "open_tun",
    "patch",
    "plug",
    "prepare_run",
    "raise_all",
    "remove_uplink",
    "unpatch",
    "unplug",
    "up",
]

_HOMES = {
    "Launch": "vmnet.service.launch",
    "prepare_run": "vmnet.service.launch",
    "collect": "vmnet.service.leftovers",
    "create_bridge": "vmnet.service.bridges",
    "delete_bridge": "vmnet.service.bridges",
    "raise_all": "vmnet.service.base",
    "patch": "vmnet.service.patches",
    "unpatch": "vmnet.service.patches",
    "create_tun": "vmnet.service.tuns",
    "delete_tun": "vmnet.service.tuns",
    "make_tun": "vmnet.service.tuns",
    "open_tun": "vmnet.service.tuns",
    "add_uplink": "vmnet.service.uplinks",
    "confirm_uplinks": "vmnet.service.uplinks",
    "remove_uplink": "vmnet.service.uplinks",
    "Part": "vmnet.service.whole",
    "down": "vmnet.service.whole",
    "up": "vmnet.service.whole",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "vmnet.service.nics")), name)
