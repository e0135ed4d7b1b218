"""rtnetlink: routes, with all that vmnet can give to another link.

Job: read the routes through a link as values; steps about them as messages.
Leaves to others: sending (`vmnet.kernel.links`), addresses (`vmnet.kernel.addresses`).
Privilege: reading needs none.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, assert_never

from vmnet.kernel.codecs import (
    ACK,
    CREATE,
    DUMP,
    REQUEST,
    decoded,
    encoded,
    head,
    rtmsg,
)
from vmnet.kernel.rtnetlink import Channel
from vmnet.model.hostaddress import KERNEL, REDIRECT, Route
from vmnet.model.hoststep import AddRoute, DropRoute, RouteStep

# linux/rtnetlink.h
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
#: RTNH_F_ONLINK; and what says how the route fares: _DEAD, _OFFLOAD, _LINKDOWN, _TRAP.
_ONLINK, _FARING = 0x04, 0x01 | 0x08 | 0x10 | 0x40
#: RT_TABLE_COMPAT: the table's number is in its attribute.
_COMPAT = 252
_BYTE_MAX = 255
#: RTAX_FEATURE_ECN: the only one that `ip` can name.
_FEATURE_ECN = 1
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
#: Attributes that are understood.
_KNOWN = {
    *("RTA_DST", "RTA_SRC", "RTA_OIF", "RTA_GATEWAY", "RTA_VIA", "RTA_PRIORITY", "RTA_PREFSRC"),
    *("RTA_METRICS", "RTA_CACHEINFO", "RTA_TABLE", "RTA_PREF"),
}
_METRICS = (
    *("lock", "mtu", "window", "rtt", "rttvar", "ssthresh", "cwnd", "advmss", "reordering"),
    *("hoplimit", "initcwnd", "features", "rto_min", "initrwnd", "quickack", "cc_algo"),
)


def host_routes(channel: Channel, index: int) -> tuple[Route, ...]:
    """Return the routes through a link that the kernel did not make for an address.

    They are in an order in which they can be made: the ways to gateways before the gateways.

    Raises:
        Refused: the kernel would not tell.
    """
    found = [route for family in _FAMILIES for route in _dumped(channel, index, family)]
    return tuple(sorted(found, key=lambda route: (route.family, bool(route.gateway))))


def all_routes(channel: Channel) -> Iterator[tuple[int, Route]]:
    """Yield the index of a link and a route through it, for all links and tables.

    One that the kernel made for an address is among them.

    Raises:
        Refused: the kernel would not tell.
    """
    for family, number in _FAMILIES.items():
        request = rtmsg()
        request["family"] = number
        head(request, _GETROUTE, REQUEST | DUMP)
        for raw in channel.dump(encoded(request)):
            message = decoded(rtmsg, raw)
            yield message.get_attr("RTA_OIF") or 0, _to_route(message, family)


def _dumped(channel: Channel, index: int, family: int) -> Iterator[Route]:
    request = rtmsg()
    request["family"] = _FAMILIES[family]
    request["attrs"] = [("RTA_OIF", index)]
    head(request, _GETROUTE, REQUEST | DUMP)
    for raw in channel.dump(encoded(request)):
        message = decoded(rtmsg, raw)
        # What a router redirected is the cache's, and learnt anew.
        if message["proto"] not in (KERNEL, REDIRECT) and _uses(message, index):
            yield _to_route(message, family)


def _uses(message: Any, index: int) -> bool:
    """Say whether a route leads through a link, for a kernel that does not choose by it."""
    ways = message.get_attr("RTA_MULTIPATH") or ()
    return message.get_attr("RTA_OIF") == index or any(way["oif"] == index for way in ways)


def _to_route(message: Any, family: int) -> Route:
    get = message.get_attr
    via = get("RTA_VIA")
    cache = get("RTA_CACHEINFO")
    return Route(
        family=family,
        to=_network(get("RTA_DST"), message["dst_len"]),
        kind=message["type"],
        table=get("RTA_TABLE") or message["table"],
        protocol=message["proto"],
        scope=message["scope"],
        origin=_network(get("RTA_SRC"), message["src_len"]) if message["src_len"] else "",
        tos=message["tos"],
        metric=get("RTA_PRIORITY") or 0,
        gateway=via["addr"] if via else get("RTA_GATEWAY") or "",
        source=get("RTA_PREFSRC") or "",
        onlink=bool(message["flags"] & _ONLINK),
        preference=get("RTA_PREF"),
        metrics=_metrics(get("RTA_METRICS")),
        expires=bool(cache and cache["rta_expires"]),
        other=tuple(_not_understood(message)),
    )


def _network(address: str, length: int) -> str:
    return f"{address}/{length}" if length else "default"


def _metrics(found: Any) -> tuple[tuple[str, int | str], ...]:
    values = {} if found is None else {name: found.get_attr(_rtax(name)) for name in _METRICS}
    return tuple((name, value) for name, value in values.items() if value is not None)


def _rtax(name: str) -> str:
    return f"RTAX_{name.upper()}"


def _not_understood(message: Any) -> Iterator[str]:
    for name, value in message["attrs"]:
        if name == "RTA_MULTIPATH":
            yield "more than one way"
        elif name == "RTA_METRICS":
            known = {_rtax(metric) for metric in _METRICS}
            yield from (metric for metric, _ in value["attrs"] if metric not in known)
            if value.get_attr("RTAX_FEATURES") not in (None, _FEATURE_ECN):
                yield "features"
        elif name not in _KNOWN:
            yield "a nexthop object or another attribute" if name == "UNKNOWN" else name
    flags = message["flags"] & ~(_ONLINK | _FARING)
    if flags:
        yield f"flags {flags:#x}"


def route_message(step: RouteStep, index: int) -> Any:
    """Return the message of a step about a route through the link of that index."""
    route = step.route
    message = rtmsg()
    message["family"] = _FAMILIES[route.family]
    message["type"] = route.kind
    message["table"] = route.table if route.table <= _BYTE_MAX else _COMPAT
    message["proto"] = route.protocol
    message["scope"] = route.scope
    message["tos"] = route.tos
    message["flags"] = _ONLINK if route.onlink else 0
    message["attrs"] = [("RTA_OIF", index), ("RTA_TABLE", route.table)]
    for network, length, attribute in (
        (route.to, "dst_len", "RTA_DST"),
        (route.origin, "src_len", "RTA_SRC"),
    ):
        address, _, prefix = network.partition("/")
        if prefix:
            message[length] = int(prefix)
            message["attrs"].append((attribute, address))
    match step:
        case AddRoute():
            # Neither NLM_F_EXCL nor NLM_F_APPEND: before the one through the other link.
            head(message, _NEWROUTE, REQUEST | ACK | CREATE)
            message["attrs"] += _settings(route)
        case DropRoute():
            head(message, _DELROUTE, REQUEST | ACK)
            message["attrs"] += _distinction(route)
        case _:
            assert_never(step)
    return message


def _distinction(route: Route) -> list[tuple[str, Any]]:
    """Return what tells a route from another one to the same place through the same link."""
    found: list[tuple[str, Any]] = [("RTA_PRIORITY", route.metric)] if route.metric else []
    if route.gateway:
        own = (":" in route.gateway) == (route.family == 6)
        via = {"family": socket.AF_INET6, "addr": route.gateway}
        found.append(("RTA_GATEWAY", route.gateway) if own else ("RTA_VIA", via))
    return found + ([("RTA_PREFSRC", route.source)] if route.source else [])


def _settings(route: Route) -> list[tuple[str, Any]]:
    found = _distinction(route)
    if route.metrics:
        found.append(("RTA_METRICS", {"attrs": [(_rtax(n), v) for n, v in route.metrics]}))
    if route.preference is not None:
        found.append(("RTA_PREF", route.preference))
    return found
