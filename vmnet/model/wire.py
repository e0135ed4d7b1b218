"""How a NIC leaves the host where it is no port of a bridge.

Job: the kinds of wire as values, and the same as text, one key a setting, for options, `--nic` and
configuration alike.
Leaves to others: what each can carry (`vmnet.plan`), making it (`vmnet.kernel`).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vmnet.errors import InvalidInput
from vmnet.model.names import check_link_name

#: linux/un.h: sizeof(sun_path), less the NUL that ends it.
_SOCKET_MAX = 107


class Mode(StrEnum):
    """What the links on one NIC may say to each other (linux/if_link.h MACVLAN_MODE_*)."""

    BRIDGE = "bridge"  # each other directly
    VEPA = "vepa"  # each other through the switch outside, if that sends frames back
    PRIVATE = "private"  # nothing
    PASSTHRU = "passthru"  # there is only one


@dataclass(frozen=True)
class Direct:
    """A macvtap: straight on a NIC of the host.

    Attributes:
        lower: the NIC.
        mode: what it may say to other macvtaps there.
    """

    lower: str
    mode: Mode = Mode.BRIDGE


@dataclass(frozen=True)
class Routed:
    """A TAP that is no port of anything: the host routes the guest's addresses to it.

    Attributes:
        proxy: the link at which the host answers for the guest's addresses; empty for none.
    """

    proxy: str = ""


@dataclass(frozen=True)
class User:
    """Sockets of a process of the user's own, passt: no privilege, no link.

    Attributes:
        forward: pairs of TCP ports: one of this host's loopback, and the guest's that it leads to.
    """

    forward: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class VhostUser:
    """The rings of a program that forwards packets itself, such as Open vSwitch with DPDK.

    Attributes:
        socket: the path of the socket at which the two meet.
        server: QEMU makes it, and that program connects; otherwise that program made it.
    """

    socket: str
    server: bool = False


#: What shows as a link of this host, and what does not.
LinkWire = Direct | Routed
SocketWire = User | VhostUser
Wire = LinkWire | SocketWire
#: The keys of the settings as text, in the order they are shown.
WIRE_KEYS = ("direct", "mode", "routed", "proxy", "user", "forward", "vhost-user", "server")
#: Those that are on or off.
WIRE_SWITCHES = ("routed", "user", "server")
_KINDS = ("direct", "routed", "user", "vhost-user")
_PORT_MAX = 65535
_ON = ("on", "yes", "true")
_OFF = ("off", "no", "false")


def parse_wire(texts: Mapping[str, str | None]) -> Wire | None:
    """Return the wire that is asked for in so many words; None for a bridge.

    Args:
        texts: keys as in `WIRE_KEYS`, None for not said.

    Raises:
        InvalidInput: a value that can never be, or two wires.
    """
    said = {key: text for key, text in texts.items() if text is not None}
    for key in WIRE_SWITCHES:
        if not _is_on(key, said.get(key)):
            said.pop(key, None)
    kinds = [key for key in _KINDS if key in said]
    if len(kinds) > 1:
        raise InvalidInput(
            f"{kinds[0]} and {kinds[1]} exclude each other: a NIC has one wire",
            code="two-wires",
            remedy="give one of them",
        )
    kind = kinds[0] if kinds else ""
    _check_belongs("mode", "direct", kind, said)
    _check_belongs("proxy", "routed", kind, said)
    _check_belongs("forward", "user", kind, said)
    _check_belongs("server", "vhost-user", kind, said)
    match kind:
        case "direct":
            return Direct(_link(said["direct"], "direct"), _mode(said.get("mode")))
        case "routed":
            return Routed(_link(said["proxy"], "proxy") if "proxy" in said else "")
        case "user":
            return User(_forward(said["forward"]) if "forward" in said else ())
        case "vhost-user":
            return VhostUser(_socket(said["vhost-user"]), "server" in said)
        case _:
            return None


def wire_texts(wire: Wire | None) -> dict[str, str]:
    """Return a wire as text, by its keys: the inverse of `parse_wire`."""
    match wire:
        case Direct(lower, mode):
            return {"direct": lower, "mode": mode.value}
        case Routed(proxy):
            return {"routed": "on", **({"proxy": proxy} if proxy else {})}
        case User(forward):
            ports = ",".join(f"{host}:{guest}" for host, guest in forward)
            return {"user": "on", **({"forward": ports} if ports else {})}
        case VhostUser(socket, server):
            return {"vhost-user": socket, **({"server": "on"} if server else {})}
        case None:
            return {}


def wire_word(wire: LinkWire) -> str:
    """Return a wire as one word, for its tag: `routed`, `direct:eth0`."""
    return ":".join(_words(wire, ":"))


def wire_phrase(wire: Wire) -> str:
    """Return a wire for a person: `routed`, `direct eth0`."""
    return " ".join(_words(wire, " "))


def by_socket(wire: Wire | None) -> bool:
    """Say whether a NIC has no link on this host."""
    return isinstance(wire, SocketWire)


def link_wire(wire: Wire | None) -> LinkWire | None:
    """Return a wire that has a link, or None for a bridge.

    Raises:
        TypeError: it has none.
    """
    if isinstance(wire, SocketWire):
        raise TypeError(wire)
    return wire


def wire_from(word: str) -> LinkWire:
    """Return the wire that `wire_word` wrote.

    Raises:
        ValueError: it did not.
    """
    parts = word.split(":")
    found: dict[str, str] = {}
    while parts:
        key = parts.pop(0)
        found[key] = "on" if key in WIRE_SWITCHES else parts.pop(0) if parts else ""
    try:
        wire = parse_wire(found) if found.keys() <= set(WIRE_KEYS) else None
    except InvalidInput as error:
        raise ValueError(word) from error
    if wire is None or isinstance(wire, SocketWire):
        raise ValueError(word)
    return wire


def _words(wire: Wire, between: str) -> list[str]:
    usual = ("mode", Mode.BRIDGE.value)
    said = [pair for pair in wire_texts(wire).items() if pair != usual]
    return [key if text == "on" else f"{key}{between}{text}" for key, text in said]


def _is_on(key: str, text: str | None) -> bool:
    if text is not None and text not in _ON + _OFF:
        raise _bad(f"{key}={text[:40]!r} is neither on nor off", f"write {key}=on")
    return text in _ON


def _check_belongs(key: str, to: str, kind: str, said: Mapping[str, str]) -> None:
    if key in said and kind != to:
        raise _bad(f"{key} is of a NIC with {to}, which is not asked for", f"give {to} too")


def _link(text: str, key: str) -> str:
    check_link_name(text, key)
    return text


def _mode(text: str | None) -> Mode:
    try:
        return Mode(text or Mode.BRIDGE)
    except ValueError:
        known = ", ".join(Mode)
        raise _bad(f"mode {str(text)[:40]!r} is none of a macvtap", f"use {known}") from None


def _forward(text: str) -> tuple[tuple[int, int], ...]:
    pairs = tuple(_ports(each) for each in text.replace("+", ",").split(","))
    hosts = [host for host, _ in pairs]
    twice = [host for host in hosts if hosts.count(host) > 1]
    if twice:
        raise _bad(f"port {twice[0]} is to lead to two of the guest's", "give it once")
    return pairs


def _ports(text: str) -> tuple[int, int]:
    host, _, guest = text.partition(":")
    numbers = [int(n) if n.isascii() and n.isdigit() and len(n) < 6 else 0 for n in (host, guest)]
    if not all(1 <= number <= _PORT_MAX for number in numbers):
        raise _bad(
            f"forward={text[:40]!r} is not a pair of TCP ports",
            "write HOST:GUEST, e.g. forward=2222:22; several with + between",
        )
    return numbers[0], numbers[1]


def _socket(text: str) -> str:
    if not text.startswith("/") or len(text.encode()) > _SOCKET_MAX or not text.isprintable():
        raise _bad(
            f"{text[:60]!r} is not the absolute path of a socket",
            f"write a path that begins with / and has at most {_SOCKET_MAX} bytes",
        )
    return text


def _bad(why: str, remedy: str) -> InvalidInput:
    return InvalidInput(why, code="bad-wire", remedy=remedy)
