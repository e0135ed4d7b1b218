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
    """Sockets of a process of the user's own, passt: no privilege, no link."""


@dataclass(frozen=True)
class VhostUser:
    """The rings of a program that forwards packets itself, such as Open vSwitch with DPDK.

    Attributes:
        socket: the path of its socket.
    """

    socket: str


Wire = Direct | Routed | User | VhostUser
#: The keys of the settings as text, in the order they are shown.
WIRE_KEYS = ("direct", "mode", "routed", "proxy", "user", "vhost-user")
_SWITCHES = ("routed", "user")
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
    switched = [key for key in _SWITCHES if _is_on(key, said.get(key))]
    kinds = [key for key in ("direct", *switched, "vhost-user") if key in said]
    if len(kinds) > 1:
        raise InvalidInput(
            f"{kinds[0]} and {kinds[1]} exclude each other: a NIC has one wire",
            code="two-wires",
            remedy="give one of them",
        )
    kind = kinds[0] if kinds else ""
    _check_belongs("mode", "direct", kind, said)
    _check_belongs("proxy", "routed", kind, said)
    match kind:
        case "direct":
            return Direct(_link(said["direct"], "direct"), _mode(said.get("mode")))
        case "routed":
            return Routed(_link(said["proxy"], "proxy") if "proxy" in said else "")
        case "user":
            return User()
        case "vhost-user":
            return VhostUser(_socket(said["vhost-user"]))
        case _:
            return None


def wire_texts(wire: Wire | None) -> dict[str, str]:
    """Return a wire as text, by its keys: the inverse of `parse_wire`."""
    match wire:
        case Direct(lower, mode):
            return {"direct": lower, "mode": mode.value}
        case Routed(proxy):
            return {"routed": "on", **({"proxy": proxy} if proxy else {})}
        case User():
            return {"user": "on"}
        case VhostUser(socket):
            return {"vhost-user": socket}
        case None:
            return {}


def wire_word(wire: Wire) -> str:
    """Return a wire as one word, for its tag: `routed`, `direct:eth0`."""
    return ":".join(key if text == "on" else f"{key}:{text}" for key, text in _said(wire))


def wire_phrase(wire: Wire) -> str:
    """Return a wire for a person: `routed`, `direct eth0`."""
    return wire_word(wire).replace(":", " ")


def wire_from(word: str) -> Wire:
    """Return the wire that `wire_word` wrote.

    Raises:
        ValueError: it did not.
    """
    parts = word.split(":")
    found: dict[str, str] = {}
    while parts:
        key = parts.pop(0)
        found[key] = "on" if key in _SWITCHES else parts.pop(0) if parts else ""
    try:
        wire = parse_wire(found) if found.keys() <= set(WIRE_KEYS) else None
    except InvalidInput as error:
        raise ValueError(word) from error
    if wire is None:
        raise ValueError(word)
    return wire


def _said(wire: Wire) -> list[tuple[str, str]]:
    usual = ("mode", Mode.BRIDGE.value)
    return [pair for pair in wire_texts(wire).items() if pair != usual]


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


def _socket(text: str) -> str:
    if not text.startswith("/") or len(text.encode()) > _SOCKET_MAX or not text.isprintable():
        raise _bad(
            f"{text[:60]!r} is not the absolute path of a socket",
            f"write a path that begins with / and has at most {_SOCKET_MAX} bytes",
        )
    return text


def _bad(why: str, remedy: str) -> InvalidInput:
    return InvalidInput(why, code="bad-wire", remedy=remedy)
