"""Links over rtnetlink: requests packed by hand, and what `ip` and `bridge` show."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Sequence
from typing import Any

# linux/netlink.h, linux/rtnetlink.h
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWLINKPROP, RTM_DELLINKPROP = 108, 109
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
NLMSG_ERROR = 2
NLA_F_NESTED = 0x8000

# linux/if_link.h, linux/if.h
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_IFALIAS, IFLA_AF_SPEC, IFLA_CARRIER = 20, 26, 33
IFLA_CARRIER_CHANGES, IFLA_CARRIER_UP_COUNT, IFLA_CARRIER_DOWN_COUNT = 35, 47, 48
IFLA_PROP_LIST, IFLA_ALT_IFNAME = 52, 53
IFLA_INFO_KIND = 1
IFLA_INET6_ADDR_GEN_MODE = 8
IN6_ADDR_GEN_MODE_NONE = 1
IFF_UP = 1

_NLMSGHDR = struct.Struct("=IHHII")
_IFINFOMSG = struct.Struct("=BxHiII")
_RTA = struct.Struct("=HH")


def attr(kind: int, value: bytes | str | int) -> bytes:
    """Pack one attribute: text as it is, a number as u32."""
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode() + b"\0"
    return _RTA.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def nest(kind: int, *attrs: bytes) -> bytes:
    """Pack attributes into one."""
    return attr(kind | NLA_F_NESTED, b"".join(attrs))


def request(
    kind: int, *attrs: bytes, index: int = 0, up: bool | None = None, flags: int = 0
) -> bytes:
    """Pack one message about a link; `up` None leaves the link's flags alone."""
    change, state = (0, 0) if up is None else (IFF_UP, IFF_UP if up else 0)
    body = _IFINFOMSG.pack(socket.AF_UNSPEC, 0, index, state, change) + b"".join(attrs)
    flags |= NLM_F_REQUEST | NLM_F_ACK
    return _NLMSGHDR.pack(_NLMSGHDR.size + len(body), kind, flags, 0, 0) + body


def new_link(name: str, kind: str, *attrs: bytes, up: bool | None = None) -> bytes:
    """Pack the message that makes a link, which must not be there yet."""
    info = nest(IFLA_LINKINFO, attr(IFLA_INFO_KIND, kind))
    flags = NLM_F_CREATE | NLM_F_EXCL
    return request(RTM_NEWLINK, attr(IFLA_IFNAME, name), info, *attrs, up=up, flags=flags)


def set_link(link: str, *attrs: bytes, up: bool | None = None) -> bytes:
    """Pack the message that changes a link."""
    return request(RTM_SETLINK, *attrs, index=index(link), up=up)


def altname(link: str, name: str | bytes, *, add: bool = True) -> bytes:
    """Pack the message that gives a link another name, or takes it."""
    raw = name + b"\0" if isinstance(name, bytes) else name
    kind = RTM_NEWLINKPROP if add else RTM_DELLINKPROP
    flags = NLM_F_CREATE | NLM_F_EXCL if add else 0
    props = nest(IFLA_PROP_LIST, attr(IFLA_ALT_IFNAME, raw))
    return request(kind, props, index=index(link), flags=flags)


def no_ipv6_address() -> bytes:
    """Pack the attribute that keeps IPv6 from making a link-local address (addrgenmode none)."""
    mode = attr(IFLA_INET6_ADDR_GEN_MODE, bytes([IN6_ADDR_GEN_MODE_NONE]))
    return nest(IFLA_AF_SPEC, nest(socket.AF_INET6, mode))


def send(batch: Sequence[bytes]) -> list[int]:
    """Send messages in one sendmsg(2) and return the errno of each, 0 for done."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(b"".join(_numbered(batch)))
        answers: dict[int, int] = {}
        while len(answers) < len(batch):
            for sequence, kind, body in _messages(sock.recv(1 << 16)):
                assert kind == NLMSG_ERROR
                answers[sequence] = -struct.unpack_from("=i", body)[0]
    return [answers[number] for number in range(len(batch))]


def _numbered(batch: Sequence[bytes]) -> list[bytes]:
    return [raw[:8] + struct.pack("=I", number) + raw[12:] for number, raw in enumerate(batch)]


def _messages(raw: bytes) -> list[tuple[int, int, bytes]]:
    found = []
    while raw:
        length, kind, _, sequence, _ = _NLMSGHDR.unpack_from(raw)
        found.append((sequence, kind, raw[_NLMSGHDR.size : length]))
        raw = raw[(length + 3) & ~3 :]
    return found


def do(*batch: bytes) -> None:
    """Send messages in one sendmsg(2), all of which have to succeed."""
    for number in send(batch):
        if number:
            raise OSError(number, "rtnetlink")


def look(link: str) -> dict[int, bytes]:
    """Return the attributes of a link, as the kernel packs them."""
    return _ask(request(RTM_GETLINK, index=index(link)))


def by_name(name: str, attribute: int = IFLA_IFNAME) -> str:
    """Return the name of the link which the kernel finds under this name.

    Raises:
        OSError: ENODEV.
    """
    return _text(_ask(request(RTM_GETLINK, attr(attribute, name)))[IFLA_IFNAME])


def _ask(message: bytes) -> dict[int, bytes]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(message)
        _, kind, body = _messages(sock.recv(1 << 16))[0]
    if kind == NLMSG_ERROR:
        raise OSError(-struct.unpack_from("=i", body)[0], "rtnetlink")
    return dict(_attrs(body[_IFINFOMSG.size :]))


def _attrs(raw: bytes) -> list[tuple[int, bytes]]:
    found = []
    while raw:
        length, kind = _RTA.unpack_from(raw)
        found.append((kind & ~NLA_F_NESTED, raw[_RTA.size : length]))
        raw = raw[(length + 3) & ~3 :]
    return found


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode()


def number(link: str, attribute: int) -> int:
    """Return one attribute that is a number, of one byte or four."""
    return int.from_bytes(look(link)[attribute], "little")


def carrier(link: str) -> bool:
    """Say whether the link has a carrier."""
    return bool(number(link, IFLA_CARRIER))


def ups(link: str) -> int:
    """Return how often the link got a carrier."""
    return number(link, IFLA_CARRIER_UP_COUNT)


def downs(link: str) -> int:
    """Return how often the link lost its carrier."""
    return number(link, IFLA_CARRIER_DOWN_COUNT)


def alias(link: str) -> str:
    """Return the link's alias, empty if it has none."""
    return _text(look(link).get(IFLA_IFALIAS, b""))


def altnames(link: str) -> list[bytes]:
    """Return the link's other names."""
    return [raw.rstrip(b"\0") for _, raw in _attrs(look(link).get(IFLA_PROP_LIST, b""))]


def index(link: str) -> int:
    """Return the link's index."""
    return socket.if_nametoindex(link)


def names() -> set[str]:
    """Return the names of all links but `lo`; other names do not count."""
    return {name for _, name in socket.if_nameindex()} - {"lo"}


def show(link: str) -> dict[str, Any]:
    """Return what `ip -j -d` shows of the link, with its counters."""
    shown: list[dict[str, Any]] = _json("ip", "-j", "-d", "-s", "-s", "link", "show", "dev", link)
    return shown[0]


def port(link: str) -> dict[str, Any]:
    """Return what `bridge -j -d` shows of a bridge's port."""
    shown: list[dict[str, Any]] = _json("bridge", "-j", "-d", "link", "show", "dev", link)
    return shown[0]


def addresses(link: str) -> list[str]:
    """Return the addresses that `ip -j` shows on the link."""
    shown = _json("ip", "-j", "address", "show", "dev", link)
    return [str(found["local"]) for found in shown[0]["addr_info"]]


def ip(*words: str) -> None:
    """Run `ip` with these words."""
    subprocess.run(("ip", *words), check=True, capture_output=True)


def _json(*argv: str) -> list[dict[str, Any]]:
    done = subprocess.run(argv, check=True, capture_output=True)
    shown: list[dict[str, Any]] = json.loads(done.stdout)
    return shown
