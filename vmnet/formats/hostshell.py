"""Steps about the host's addresses and routes as lines a person could type.

Job: as `vmnet.formats.shell`, of which this is a part: `ip address` and `ip route`.
Leaves to others: as there.
Privilege: none.

Who made an address (IFA_PROTO) has no word in `ip` before iproute2 6.3 and is left out.
"""

from __future__ import annotations

from typing import assert_never

from vmnet.model.hostaddress import (
    AUTO_JOIN,
    HOME,
    NO_PREFIX_ROUTE,
    NODAD,
    UNICAST,
    HostAddress,
    Route,
)
from vmnet.model.hoststep import (
    AddAddress,
    AddressStep,
    AddRoute,
    DropAddress,
    DropRoute,
    RouteStep,
    SettleAddress,
)

_FLAGS = {HOME: "home", NODAD: "nodad", NO_PREFIX_ROUTE: "noprefixroute", AUTO_JOIN: "autojoin"}
#: linux/rtnetlink.h RTN_*.
_KINDS = {2: "local", 3: "broadcast", 4: "anycast", 5: "multicast"}
#: RFC 4191, as two bits.
_PREFERENCES = {0: "medium", 1: "high", 3: "low"}
#: linux/rtnetlink.h RTAX_*: which bit of the lock stands for which; and those that `ip` calls
#: otherwise.
_METRIC_BITS = {"mtu": 2, "window": 3, "rtt": 4, "rttvar": 5, "ssthresh": 6, "cwnd": 7}
_METRIC_BITS |= {"advmss": 8, "reordering": 9, "hoplimit": 10, "initcwnd": 11, "rto_min": 13}
_METRIC_NAMES = {"cc_algo": "congctl"}
#: IN6_ADDR_GEN_MODE_* of linux/if_link.h.
GEN_MODES = {0: "eui64", 1: "none", 2: "stable_secret", 3: "random"}


def address_words(step: AddressStep) -> list[str]:
    """Return the command of a step about an address."""
    address, name = step.address, step.link.name
    match step:
        case DropAddress():
            return ["ip", "address", "del", *_place(address), "dev", name]
        case AddAddress():
            flags = address.flags | (NODAD if address.family == 6 else 0)
            return ["ip", "address", "add", *_place(address), "dev", name, *_set(step, flags)]
        case SettleAddress():
            words = ["ip", "address", "change", *_place(address), "dev", name]
            return [*words, *_set(step, address.flags)]
        case _:
            assert_never(step)


def _place(address: HostAddress) -> list[str]:
    if address.peer:
        return [address.local, "peer", f"{address.peer}/{address.prefix}"]
    return [f"{address.local}/{address.prefix}"]


def _set(step: AddAddress | SettleAddress, flags: int) -> list[str]:
    address = step.address
    words = ["broadcast", address.broadcast] if address.broadcast else []
    if address.label and address.label != step.link.name:
        words += ["label", address.label]
    if address.family == 4 and address.scope:
        words += ["scope", str(address.scope)]
    words += ["metric", str(address.metric)] if address.metric else []
    words += ["valid_lft", "forever", "preferred_lft", "0"] if not address.preferred else []
    return [*words, *(word for flag, word in _FLAGS.items() if flags & flag)]


def route_words(step: RouteStep) -> list[str]:
    """Return the command of a step about a route."""
    route = step.route
    words = ["ip", "-6"] if route.family == 6 else ["ip"]
    match step:
        case AddRoute():
            words += ["route", "prepend", *_way(route, step.link.name)]
            words += ["proto", str(route.protocol)]
            words += ["onlink"] if route.onlink else []
            if route.preference is not None:
                words += ["pref", _PREFERENCES.get(route.preference, "medium")]
            return [*words, *_metrics(route)]
        case DropRoute():
            return [*words, "route", "del", *_way(route, step.link.name)]
        case _:
            assert_never(step)


def _way(route: Route, name: str) -> list[str]:
    """Return what tells a route from others."""
    words = [_KINDS.get(route.kind, str(route.kind))] if route.kind != UNICAST else []
    words += [route.to]
    words += ["from", route.origin] if route.origin else []
    words += ["tos", f"{route.tos:#x}"] if route.tos else []
    if route.gateway:
        other = (":" in route.gateway) != (route.family == 6)
        words += ["via", *(["inet6"] if other else []), route.gateway]
    words += ["dev", name, "table", str(route.table)]
    words += ["scope", str(route.scope)] if route.family == 4 else []
    words += ["src", route.source] if route.source else []
    return [*words, "metric", str(route.metric)] if route.metric else words


def _metrics(route: Route) -> list[str]:
    values = dict(route.metrics)
    lock = values.pop("lock", 0)
    words: list[str] = []
    for name, value in values.items():
        fixed = isinstance(lock, int) and lock & 1 << _METRIC_BITS.get(name, 0) & ~1
        if name == "features":
            words += ["features", "ecn"]  # which is all there is
        else:
            words += [_METRIC_NAMES.get(name, name), *(["lock"] if fixed else []), str(value)]
    return words
