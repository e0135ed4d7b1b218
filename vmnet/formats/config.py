"""The configuration: `/etc/vmnet/vmnet.toml` as values.

Job: parse TOML (the standard library's tomllib), refuse what is unknown or of the wrong type, and
name file, key and what was expected.
Leaves to others: reading the file safely (`vmnet.kernel.files`).
Privilege: none.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vmnet.errors import ConfigError, InvalidInput, NotFound
from vmnet.formats.contradictions import contradictions
from vmnet.formats.hostconfig import BridgeRule, NicRule, bridge_rule, nic_rule
from vmnet.formats.portconfig import port_ask
from vmnet.formats.wireconfig import TunRule, patch_wish, tun_rule
from vmnet.model.mac import parse_guest_mac
from vmnet.model.names import check_link_name, check_vm_name
from vmnet.model.network import Network
from vmnet.model.nic import check_mtu, check_queues
from vmnet.model.patch import PatchWish
from vmnet.model.port import PORT_KEYS, USUAL, settle_port
from vmnet.model.vhost import Policy

T = TypeVar("T")

PATH = "/etc/vmnet/vmnet.toml"
#: TOML's own limit for numbers; and how deep a table may be in others, which is more than any is.
_NUMBERS = range(-(2**63), 2**63)
_DEEP = 16
_KEYS = ("default", "network", "tap", "migrate", "bridge", "vm", "tun", "patch")
_NETWORK_KEYS = ("bridge", "mtu", "queues", "vhost", "strict", "uplinks", *PORT_KEYS)


@dataclass(frozen=True)
class TapRule:
    """What a TAP that QEMU makes (`script=`) is for.

    Attributes:
        network: the network to plug it into.
        vm: its VM's name, or None for the TAP's own name.
        mac: its guest's MAC, which QEMU does not tell a script; None if nobody says.
    """

    network: str
    vm: str | None = None
    mac: str | None = None


@dataclass(frozen=True)
class Config:
    """All of the configuration; empty where there is no file.

    Attributes:
        source: the file, for messages.
        default: the network of NICs that name neither network nor bridge.
        networks: by name.
        taps: by the TAP's name.
        bridges: for domains that come from another host: its bridge's name, and the one here.
        own_bridges: those that `vmnet up` makes.
        nics: those that `vmnet up` attaches.
        tuns: those that `vmnet up` makes.
        patches: what `vmnet up` joins.
    """

    source: str = PATH
    default: str | None = None
    networks: dict[str, Network] = field(default_factory=dict)
    taps: dict[str, TapRule] = field(default_factory=dict)
    bridges: dict[str, str] = field(default_factory=dict)
    own_bridges: tuple[BridgeRule, ...] = ()
    nics: tuple[NicRule, ...] = ()
    tuns: tuple[TunRule, ...] = ()
    patches: tuple[PatchWish, ...] = ()

    def network(self, name: str) -> Network:
        """Return the network of that name.

        Raises:
            NotFound: the configuration has none.
        """
        if name not in self.networks:
            known = ", ".join(self.networks) or "none"
            raise NotFound(
                f"no network {name[:60]!r} in {self.source} (networks: {known})",
                code="no-network",
                remedy=f"add [network.{name[:60]}] with its bridge there, or name another",
            )
        return self.networks[name]


def parse_config(text: str, source: str) -> Config:
    """Return the configuration in `text`.

    Raises:
        ConfigError: no TOML, an unknown key, a wrong type or an impossible value.
    """
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number or a nesting past Python's limits
        raise _bad(source, "", f"is not TOML: {error}") from error
    _check_limits(source, data)
    _known(source, "", data, _KEYS)
    networks = {
        name: _network(source, name, table)
        for name, table in _tables(source, data, "network").items()
    }
    taps = {
        name: _tap(source, name, table, networks)
        for name, table in _tables(source, data, "tap").items()
    }
    default = _typed(source, "default", data.get("default"), str, "the name of a network")
    if default is not None and default not in networks:
        raise _bad(source, "default", f"names no network: {default!r}")
    bridges, nics = _own_bridges(source, data), _nics(source, data, networks)
    for at, why in contradictions(networks, default, bridges, nics, taps):
        raise _bad(source, at, why)
    return Config(
        source,
        default,
        networks,
        taps,
        _bridges(source, data),
        bridges,
        nics,
        _tuns(source, data),
        _patches(source, data),
    )


def _check_limits(source: str, data: dict[str, Any]) -> None:
    """Refuse what Python reads and cannot write in a message: huge numbers, endless nesting."""
    left: list[tuple[Any, int]] = [(data, 0)]
    while left:
        value, depth = left.pop()
        if type(value) is int and value not in _NUMBERS:
            raise _bad(source, "", "is not TOML: a number in it is beyond 64 bits")
        if depth > _DEEP:
            raise _bad(source, "", f"has tables or lists {_DEEP} deep in others: vmnet knows none")
        inner = value.values() if isinstance(value, dict) else value
        left += [(each, depth + 1) for each in inner] if isinstance(value, dict | list) else []


def _own_bridges(source: str, data: dict[str, Any]) -> tuple[BridgeRule, ...]:
    rules = []
    for name, table in _tables(source, data, "bridge").items():
        try:
            rules.append(bridge_rule(name, table))
        except InvalidInput as error:
            raise _bad(source, f"bridge.{name}", f"cannot be: {error.message}") from error
    return tuple(rules)


def _tuns(source: str, data: dict[str, Any]) -> tuple[TunRule, ...]:
    rules = []
    for name, table in _tables(source, data, "tun").items():
        try:
            rules.append(tun_rule(name, table))
        except InvalidInput as error:
            raise _bad(source, f"tun.{name}", f"cannot be: {error.message}") from error
    return tuple(rules)


def _patches(source: str, data: dict[str, Any]) -> tuple[PatchWish, ...]:
    found: list[PatchWish] = []
    for table in _typed(source, "patch", data.get("patch", []), list, "[[patch]]") or []:
        _typed(source, "patch", table, dict, "[[patch]]")
        try:
            found.append(patch_wish(table))
        except InvalidInput as error:
            raise _bad(source, "patch", f"cannot be: {error.message}") from error
        if found[-1].ends in [each.ends for each in found[:-1]]:
            raise _bad(source, "patch", f"joins {' and '.join(map(str, found[-1].ends))} twice")
    return tuple(found)


def _nics(source: str, data: dict[str, Any], networks: dict[str, Network]) -> tuple[NicRule, ...]:
    rules: list[NicRule] = []
    vms = _typed(source, "vm", data.get("vm", {}), dict, "tables") or {}
    for vm, listed in vms.items():
        at = f"vm.{vm}"
        for place, table in enumerate(_typed(source, at, listed, list, "[[vm.NAME]]") or []):
            _typed(source, at, table, dict, "[[vm.NAME]]")
            try:
                rule = nic_rule(vm, place, table)
            except InvalidInput as error:
                raise _bad(source, at, f"cannot be: {error.message}") from error
            if rule.wish.network is not None and rule.wish.network not in networks:
                raise _bad(source, f"{at}.network", f"names no network: {rule.wish.network!r}")
            if (vm, rule.wish.nic) in [(known.wish.vm, known.wish.nic) for known in rules]:
                raise _bad(source, at, f"has NIC {rule.wish.nic} twice")
            rules.append(rule)
    return tuple(rules)


def _tables(source: str, data: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    tables = _typed(source, key, data.get(key, {}), dict, "tables")
    for name, table in (tables or {}).items():
        _typed(source, f"{key}.{name}", table, dict, "a table")
    return tables or {}


def _network(source: str, name: str, table: dict[str, Any]) -> Network:
    if not name:
        raise _bad(source, 'network.""', "has no name")
    at = f"network.{name}"
    _known(source, at, table, _NETWORK_KEYS)
    bridge = _typed(source, f"{at}.bridge", table.get("bridge"), str, "a bridge's name")
    if bridge is None:
        raise _bad(source, f"{at}.bridge", "is missing")
    mtu = _typed(source, f"{at}.mtu", table.get("mtu"), int, "a number of bytes")
    queues = _typed(source, f"{at}.queues", table.get("queues", 1), int, "a number of queue pairs")
    vhost = _typed(source, f"{at}.vhost", table.get("vhost", "auto"), str, _policies())
    strict = _typed(source, f"{at}.strict", table.get("strict", False), bool, "true or false")
    uplinks = _names(source, f"{at}.uplinks", table.get("uplinks", []))
    try:
        check_link_name(bridge, "bridge")
        check_mtu(mtu)
        check_queues(queues)
        port = settle_port(USUAL, port_ask(table))
    except InvalidInput as error:
        raise _bad(source, at, f"cannot be: {error.message}") from error
    if vhost not in list(Policy):
        raise _bad(source, f"{at}.vhost", f"is {vhost!r}, expected {_policies()}")
    network = Network(name, bridge, mtu, queues or 1, Policy(vhost), port, bool(strict), uplinks)
    if uplinks and not strict:
        raise _bad(source, f"{at}.uplinks", "says who may send beside vmnet's ports: with strict")
    return network


def _names(source: str, at: str, value: Any) -> tuple[str, ...]:
    names = _typed(source, at, value, list, "a list of links' names") or []
    for name in names:
        _typed(source, at, name, str, "a list of links' names")
        try:
            check_link_name(name, "link")
        except InvalidInput as error:
            raise _bad(source, at, f"cannot be: {error.message}") from error
    return tuple(names)


def _policies() -> str:
    return "one of " + ", ".join(f'"{policy}"' for policy in Policy)


def _tap(source: str, name: str, table: dict[str, Any], networks: dict[str, Network]) -> TapRule:
    at = f"tap.{name}"
    _known(source, at, table, ("network", "vm", "mac"))
    network = _typed(source, f"{at}.network", table.get("network"), str, "the name of a network")
    if network is None:
        raise _bad(source, f"{at}.network", "is missing")
    if network not in networks:
        raise _bad(source, f"{at}.network", f"names no network: {network!r}")
    vm = _typed(source, f"{at}.vm", table.get("vm"), str, "a VM's name")
    mac = _typed(source, f"{at}.mac", table.get("mac"), str, "the guest's MAC")
    try:
        check_link_name(name, "tap")
        check_vm_name(name if vm is None else vm)
        mac = parse_guest_mac(mac) if mac is not None else None
    except InvalidInput as error:
        raise _bad(source, at, f"cannot be: {error.message}") from error
    return TapRule(network, vm, mac)


def _bridges(source: str, data: dict[str, Any]) -> dict[str, str]:
    table = _typed(source, "migrate", data.get("migrate", {}), dict, "a table") or {}
    _known(source, "migrate", table, ("bridges",))
    at = "migrate.bridges"
    names = _typed(source, at, table.get("bridges", {}), dict, "bridges' names by name") or {}
    for there, here in names.items():
        _typed(source, f"{at}.{there}", here, str, "a bridge's name")
        try:
            check_link_name(there, "bridge")
            check_link_name(here, "bridge")
        except InvalidInput as error:
            raise _bad(source, f"{at}.{there}", f"cannot be: {error.message}") from error
    return dict(names)


def _known(source: str, at: str, table: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            where = f"{at}.{key}" if at else key
            raise _bad(source, where, f"is not known; expected one of {', '.join(keys)}")


def _typed(source: str, key: str, value: Any, kind: type[T], expected: str) -> T | None:
    if value is None:
        return None
    # bool is an int to Python, not to a reader of the file.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _bad(
            source, key, f"is {type(value).__name__} {str(value)[:40]!r}, expected {expected}"
        )
    return value


def _bad(source: str, key: str, why: str) -> ConfigError:
    where = f"{source}: {key}" if key else source
    return ConfigError(
        f"{where} {why}", code="config", remedy="mend the file; `vmnet config check` reads it again"
    )
