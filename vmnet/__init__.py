"""vmnet gives virtual machines their network on a Linux host.

The library behind the command; everything here is what the commands themselves call.

    >>> import vmnet
    >>> done = vmnet.attach(vmnet.Wish(vm="vm1", bridge="br0"))    # doctest: +SKIP
    >>> done.args.words()                                          # doctest: +SKIP
    ['-netdev', 'tap,id=vmnet0,...', '-device', 'virtio-net-pci,...']

Every call does all or nothing and raises a `VmnetError` with a message, a code and a remedy.
Names are loaded when they are first used, so that `import vmnet` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmnet.errors import VmnetError
    from vmnet.formats.config import Config, parse_config
    from vmnet.look import list_nics, list_tuns, who
    from vmnet.model.nic import Wish
    from vmnet.model.port import PortAsk, parse_port
    from vmnet.model.status import NicStatus
    from vmnet.model.tun import TunWish, parse_own_addresses, parse_own_routes
    from vmnet.model.vhost import DataPath, Policy, Reason
    from vmnet.probe import prove
    from vmnet.service import (
        Attached,
        Launch,
        Part,
        add_uplink,
        attach,
        collect,
        confirm_uplinks,
        create_bridge,
        create_tun,
        delete_bridge,
        delete_tun,
        detach,
        down,
        make_tun,
        open_tun,
        plug,
        prepare_run,
        remove_uplink,
        unplug,
        up,
    )
    from vmnet.service.hotplug import Hotplugged, hotplug, hotunplug
    from vmnet.service.live import On, Plugged, Unplugged, attach_domain, detach_domain
    from vmnet.service.status import status
    from vmnet.service.sync import Synced, sync
    from vmnet.service.tuns import Tun

__version__ = "0.1.0"

__all__ = [
    "Attached",
    "Config",
    "DataPath",
    "Hotplugged",
    "Launch",
    "NicStatus",
    "On",
    "Part",
    "Plugged",
    "Policy",
    "PortAsk",
    "Reason",
    "Synced",
    "Tun",
    "TunWish",
    "Unplugged",
    "VmnetError",
    "Wish",
    "add_uplink",
    "attach",
    "attach_domain",
    "collect",
    "confirm_uplinks",
    "create_bridge",
    "create_tun",
    "delete_bridge",
    "delete_tun",
    "detach",
    "detach_domain",
    "down",
    "hotplug",
    "hotunplug",
    "list_nics",
    "list_tuns",
    "make_tun",
    "open_tun",
    "parse_config",
    "parse_own_addresses",
    "parse_own_routes",
    "parse_port",
    "plug",
    "prepare_run",
    "prove",
    "remove_uplink",
    "status",
    "sync",
    "unplug",
    "up",
    "who",
]

_HOMES = {
    "VmnetError": "vmnet.errors",
    "Config": "vmnet.formats.config",
    "parse_config": "vmnet.formats.config",
    "list_nics": "vmnet.look",
    "list_tuns": "vmnet.look",
    "who": "vmnet.look",
    "Wish": "vmnet.model.nic",
    "PortAsk": "vmnet.model.port",
    "parse_port": "vmnet.model.port",
    "TunWish": "vmnet.model.tun",
    "parse_own_addresses": "vmnet.model.tun",
    "parse_own_routes": "vmnet.model.tun",
    "Tun": "vmnet.service.tuns",
    "DataPath": "vmnet.model.vhost",
    "Policy": "vmnet.model.vhost",
    "Reason": "vmnet.model.vhost",
    "prove": "vmnet.probe",
    "On": "vmnet.service.live",
    "Plugged": "vmnet.service.live",
    "Unplugged": "vmnet.service.live",
    "attach_domain": "vmnet.service.live",
    "detach_domain": "vmnet.service.live",
    "NicStatus": "vmnet.model.status",
    "status": "vmnet.service.status",
    "Synced": "vmnet.service.sync",
    "sync": "vmnet.service.sync",
    "Hotplugged": "vmnet.service.hotplug",
    "hotplug": "vmnet.service.hotplug",
    "hotunplug": "vmnet.service.hotplug",
}


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "vmnet.service")), name)
