"""Proving the machinery of this host without a guest: `vmnet probe`.

Job: in a throw-away network namespace, send a frame through each piece and look at the other end.
Leaves to others: the rings of vhost-net (`vmnet.kernel.vring`), why a node cannot be opened
(`vmnet.kernel.devices`).
Privilege: root, or a host that lets ordinary users have user namespaces and open `/dev/net/tun`.

All of it happens in a forked child; when that ends, the namespace and all in it are gone.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from vmnet.errors import VmnetError
from vmnet.kernel import devices, ioctl
from vmnet.kernel.child import in_child
from vmnet.kernel.links import Netlink
from vmnet.kernel.namespaces import enter_own_network
from vmnet.model.step import CreateBridge, NetlinkStep, QuietIpv6, Ref, SetMaster, SetUp
from vmnet.model.vhost import Reason

WORKS, ABSENT, BROKEN = "works", "absent", "broken"
_TIMEOUT = 1.0  # seconds for one frame, which takes microseconds
_ETHERTYPE = 0x88B5  # IEEE 802: local experimental
#: linux/virtio_net.h struct virtio_net_hdr without num_buffers: what a TAP puts before a frame.
_VNET_HDR = bytes(10)
_ANY = "ff:ff:ff:ff:ff:ff"
_PROTO_ALL = 0x0003  # linux/if_ether.h ETH_P_ALL


@dataclass(frozen=True)
class Check:
    """What came of one check.

    Attributes:
        name: what was tried.
        outcome: `works`, `absent` (this host has not got it) or `broken`.
        detail: what was seen.
        remedy: what would help; empty if nothing is to be done.
        code: a stable word for the cause; empty if it works.
        milliseconds: how long it took.
    """

    name: str
    outcome: str
    detail: str
    remedy: str = ""
    code: str = ""
    milliseconds: float = 0.0

    def data(self) -> dict[str, Any]:
        """Return the check as JSON data."""
        return asdict(self)


class _Absent(Exception):
    """This host has not got what the check is about."""

    def __init__(self, detail: str, remedy: str, code: str) -> None:
        super().__init__(detail)
        self.detail, self.remedy, self.code = detail, remedy, code


def prove() -> list[Check]:
    """Try everything and return what came of it; nothing of it stays.

    Raises:
        VmnetError: this user may not have a namespace to try it in.
    """
    return [Check(**data) for data in in_child(_prove_here)]


def _prove_here() -> list[dict[str, Any]]:
    enter_own_network()
    tried: list[tuple[str, Callable[[], str]]] = [
        ("tap frame", _tap),
        ("tun packet", _tun),
        ("veth frame", _veth),
        ("bridge frame", _bridge),
        ("vhost-net rings", _vhost),
    ]
    return [_timed(name, work).data() for name, work in tried]


def _timed(name: str, work: Callable[[], str]) -> Check:
    start = time.monotonic()
    try:
        outcome, detail, remedy, code = WORKS, work(), "", ""
    except _Absent as absent:
        outcome, detail, remedy, code = ABSENT, absent.detail, absent.remedy, absent.code
    except VmnetError as error:
        outcome, detail, remedy, code = BROKEN, error.message, error.remedy, error.code
    except OSError as error:
        outcome, detail, code = BROKEN, str(error), "os-error"
        remedy = "report it, with the kernel's version"
    spent = round((time.monotonic() - start) * 1000, 1)
    return Check(name, outcome, detail, remedy, code, spent)


def _tap() -> str:
    with _tun_device("vmnp0", ioctl.IFF_TAP | ioctl.IFF_VNET_HDR) as tap:
        _up("vmnp0")
        with _listening("vmnp0") as wire:
            frame = _frame()
            os.write(tap, _VNET_HDR + frame)
            _expect(wire.fileno(), lambda: wire.recv(2048), frame)
            back = _frame()
            wire.send(back)
            _expect(tap, lambda: os.read(tap, 2048)[len(_VNET_HDR) :], back)
    return "a frame each way between the TAP's descriptor and its link"


def _tun() -> str:
    with _tun_device("vmnp1", ioctl.IFF_TUN) as tun:
        _up("vmnp1")
        with _listening("vmnp1") as wire:
            packet = _packet()
            os.write(tun, packet)
            _expect(wire.fileno(), lambda: wire.recv(2048), packet)
            back = _packet()
            wire.send(back)
            _expect(tun, lambda: os.read(tun, 2048), back)
    return "a packet each way between the TUN's descriptor and its link"


def _veth() -> str:
    with Netlink() as netlink:
        netlink.create_veth("vmnp2", "vmnp3")
    _up("vmnp2", "vmnp3")
    with _listening("vmnp2") as here, _listening("vmnp3") as there:
        frame = _frame()
        here.send(frame)
        _expect(there.fileno(), lambda: there.recv(2048), frame)
    return "a frame from one end of a veth pair to the other"


def _bridge() -> str:
    with Netlink() as netlink:
        netlink.create_veth("vmnp4", "vmnp5")
    with _tun_device("vmnp6", ioctl.IFF_TAP | ioctl.IFF_VNET_HDR) as tap:
        _send(CreateBridge("vmnp7", "52:00:00:00:00:01"))
        for port in ("vmnp5", "vmnp6"):
            _send(SetMaster(Ref(port), Ref("vmnp7")))
        _up("vmnp4", "vmnp5", "vmnp6", "vmnp7")
        with _listening("vmnp4") as wire:
            frame = _frame()
            # A port forwards a moment after its carrier is seen.
            _expect(
                tap, lambda: os.read(tap, 2048)[len(_VNET_HDR) :], frame, lambda: wire.send(frame)
            )
    return "a frame from a veth pair across a bridge into a TAP"


def _vhost() -> str:
    from vmnet.kernel.vring import Rings  # noqa: PLC0415 - mmap and ctypes, for this check only

    fds, finding = devices.open_vhost(1)
    if finding.reason is not Reason.OK:
        raise _Absent(finding.detail, finding.remedy, finding.reason.value)
    try:
        with _tun_device("vmnp8", ioctl.IFF_TAP | ioctl.IFF_VNET_HDR) as tap:
            _up("vmnp8")
            with _listening("vmnp8") as wire, Rings(fds[0], tap) as rings:
                frame = _frame()
                rings.send(frame, _TIMEOUT)
                _expect(wire.fileno(), lambda: wire.recv(2048), frame)
                back = _frame()
                wire.send(back)
                _expect_ring(rings, back)
    finally:
        for fd in fds:
            os.close(fd)
    return "a frame each way through the rings of /dev/vhost-net and a TAP"


def _expect_ring(rings: Any, wanted: bytes) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        frame = rings.receive(_TIMEOUT)
        if frame is not None and frame[: len(wanted)] == wanted:
            return
    raise TimeoutError("no frame came out of the receiving ring")


@contextmanager
def _tun_device(name: str, flags: int) -> Iterator[int]:
    fd = devices.open_tun()
    try:
        ioctl.tun_set_iff(fd, name, flags | ioctl.IFF_NO_PI | ioctl.IFF_TUN_EXCL)
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _listening(name: str) -> Iterator[socket.socket]:
    """A packet socket (packet(7)) on one link."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_PROTO_ALL)) as wire:
        wire.bind((name, _PROTO_ALL))
        wire.setblocking(False)  # noqa: FBT003 - the standard library's signature
        yield wire


def _up(*names: str) -> None:
    for name in names:
        _send(QuietIpv6(Ref(name)), SetUp(Ref(name)))


def _send(*steps: NetlinkStep) -> None:
    with Netlink() as netlink:
        netlink.send(steps, lambda link: socket.if_nametoindex(link.name))


def _frame() -> bytes:
    """Return a frame that no other can be taken for, of the least length a wire carries."""
    addresses = bytes.fromhex(_ANY.replace(":", "")) + bytes.fromhex("520000000002")
    return addresses + _ETHERTYPE.to_bytes(2, "big") + secrets.token_bytes(46)


def _packet() -> bytes:
    """Return an IPv4 packet of protocol 253 (RFC 3692: experiments) that no other looks like."""
    body = secrets.token_bytes(20)
    header = bytearray.fromhex("4500002800000000 40fd0000 c0000201 c0000202".replace(" ", ""))
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    return bytes(header) + body


def _expect(
    fd: int,
    read: Callable[[], bytes],
    wanted: bytes,
    again: Callable[[], object] | None = None,
) -> None:
    """Wait until the wanted frame comes, past any other; call `again` every so often.

    Raises:
        TimeoutError: it did not come.
    """
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        if again is not None:
            again()
        if not select.select([fd], [], [], 0.02 if again else _TIMEOUT)[0]:
            continue
        with suppress(BlockingIOError):
            if read() == wanted:
                return
    raise TimeoutError(f"the frame did not arrive within {_TIMEOUT:g} s")
