"""What the host says into a TAP by itself, unasked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from select import select

import pytest

from tests.facts import links, tun
from tests.facts.links import IFLA_ADDRESS, IFLA_MASTER, attr

BRIDGE_MAC = "020000000001"
IPV6 = "86dd"
NEIGHBOUR_SOLICITATION = 135


class Listener:
    """What came out of held TAPs so far: (source address, ethertype, ICMPv6 type) of each frame."""

    def __init__(self, taps: dict[str, int]) -> None:
        self._taps = taps
        self.heard: dict[str, list[tuple[str, str, int]]] = {name: [] for name in taps}

    def until(self, enough: Callable[[], bool]) -> None:
        """Listen until something was heard."""
        deadline = time.monotonic() + 10
        while not enough():
            left = deadline - time.monotonic()
            assert left > 0, f"not heard in 10 s; only {self.heard}"
            for fd in select(list(self._taps.values()), [], [], left)[0]:
                self._read(fd)

    def _read(self, fd: int) -> None:
        frame = os.read(fd, 4096)
        (name,) = (name for name, tap in self._taps.items() if tap == fd)
        # Ethernet, IPv6, and for a listener report a hop-by-hop header of 8 bytes.
        icmp = frame[54] if frame[12:14].hex() == IPV6 and len(frame) > 54 else 0
        self.heard[name].append((frame[6:12].hex(), frame[12:14].hex(), icmp))

    def from_itself(self, name: str) -> list[tuple[str, str, int]]:
        """Return what the host sent through this TAP from the TAP's own address."""
        own = str(links.show(name)["address"]).replace(":", "")
        return [frame for frame in self.heard[name] if frame[0] == own]

    def solicits(self, name: str) -> bool:
        """Say whether the host asked through this TAP if its new address is free."""
        return any(frame[2] == NEIGHBOUR_SOLICITATION for frame in self.from_itself(name))


@contextmanager
def listening(taps: Sequence[str]) -> Iterator[Listener]:
    """Hold these TAPs."""
    with ExitStack() as stack:
        yield Listener({name: stack.enter_context(tun.tap(name)) for name in taps})


@pytest.fixture(name="bridge")
def quiet_bridge() -> int:
    """Make a bridge without IPv6 address of its own; return its index."""
    links.do(links.new_link("br0", "bridge", attr(IFLA_ADDRESS, bytes.fromhex(BRIDGE_MAC))))
    links.do(links.set_link("br0", links.no_ipv6_address()), links.set_link("br0", up=True))
    return links.index("br0")


def test_tap_with_addrgenmode_none_gets_nothing_from_the_host_and_any_other_does(
    bridge: int,
) -> None:
    """`QuietIpv6`, in a message before `SetUp`: no address for guests to talk to, no frame."""
    master = attr(IFLA_MASTER, bridge)
    with listening(("plain", "quiet")) as listener:
        links.do(
            links.set_link("quiet", links.no_ipv6_address()),
            links.set_link("quiet", master, up=True),
            links.set_link("plain", master, up=True),
        )
        listener.until(lambda: listener.solicits("plain"))
        assert listener.from_itself("quiet") == []


def test_addrgenmode_none_in_the_message_that_brings_the_link_up_is_too_late() -> None:
    """`QuietIpv6` and `SetUp` must not become one message: flags apply first."""
    with listening(("t0",)) as listener:
        links.do(links.set_link("t0", links.no_ipv6_address(), up=True))
        assert links.show("t0")["inet6_addr_gen_mode"] == "none"
        listener.until(lambda: listener.solicits("t0"))


def test_bridge_that_snoops_multicast_speaks_into_its_ports_even_without_an_address(
    bridge: int,
) -> None:
    """`QuietIpv6` on a bridge is not silence: it joins the group of all snoopers (RFC 4286).

    Guests see the bridge's address as the source. Snooping off ends that.
    """
    with listening(("t0",)) as listener:
        links.do(links.set_link("t0", links.no_ipv6_address()))
        links.do(links.set_link("t0", attr(IFLA_MASTER, bridge), up=True))
        listener.until(lambda: any(f[:2] == (BRIDGE_MAC, IPV6) for f in listener.heard["t0"]))


def test_tap_that_is_up_has_a_link_local_address_and_a_quiet_one_has_not() -> None:
    """`QuietIpv6`: the host cannot be reached by a guest through its TAP."""
    with listening(("plain", "quiet")):
        links.do(
            links.set_link("quiet", links.no_ipv6_address()),
            links.set_link("quiet", up=True),
            links.set_link("plain", up=True),
        )
        addresses = links.addresses("plain"), links.addresses("quiet")
    assert len(addresses[0]) == 1
    assert addresses[0][0].startswith("fe80::")
    assert addresses[1] == []
