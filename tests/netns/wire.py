"""Both ends of a bridge in the test's hands: what one sends, and what of it the other gets.

Between two TAPs the kernel moves a frame within the sender's system call, unless a rate holds it
back; a good frame that follows tells when it is time to judge.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.netns import taps
from tests.netns.commands import until
from tests.netns.frames import ARP, arp, ether
from tests.support.lab import PATIENCE, Lab, checked

_HEADER = 10  # linux/virtio_net.h struct virtio_net_hdr
#: Who sits at the far end.
FAR_MAC, FAR_IP = "52:54:00:00:00:fe", "10.0.0.254"


@dataclass(frozen=True)
class End:
    """An open TAP: the guest's side of it."""

    fd: int
    name: str

    def send(self, frame: bytes) -> None:
        """Send a frame as a guest does: none of QEMU's offloads."""
        sent = os.write(self.fd, bytes(_HEADER) + frame)
        assert sent == _HEADER + len(frame)

    def arrived(self) -> list[bytes]:
        """Return the frames that are there to be read."""
        found = []
        while True:
            try:
                found.append(os.read(self.fd, 70000)[_HEADER:])
            except BlockingIOError:
                return found

    def wait(self, good: bytes, seconds: float = 10.0) -> list[bytes]:
        """Return what arrives until this frame does, that one included."""
        deadline = time.monotonic() + seconds * PATIENCE
        found = self.arrived()
        while good not in found:
            left = deadline - time.monotonic()
            assert left > 0, f"{self.name}: the good frame did not arrive; {len(found)} others did"
            select.select([self.fd], [], [], left)
            found += self.arrived()
        return found


@contextmanager
def end(name: str) -> Iterator[End]:
    """Be the guest at a TAP, which goes with it unless it was made to stay."""
    with taps.opened(name) as fd:
        until(lambda: not _is_waiting(name))
        yield End(fd, name)


@contextmanager
def uplink(bridge: str = "br0", name: str = "up0") -> Iterator[End]:
    """Be what is behind a bridge's port that is nobody's NIC."""
    with end(name) as far:
        enter(bridge, name)
        yield far


def bare_bridges() -> None:
    """Let the bridges of this namespace not look into packets by themselves (br_netfilter)."""
    for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
        path.write_text("0", encoding="ascii")


def enter(bridge: str, name: str = "up0") -> None:
    """Put a link into a bridge."""
    checked(["ip", "link", "set", name, "addrgenmode", "none", "master", bridge, "up"])
    until(lambda: not _is_waiting(name))


def _is_waiting(name: str) -> bool:
    """Say whether a port is still to learn that its TAP is open: the kernel tells it later."""
    (link,) = json.loads(checked(["ip", "-j", "-d", "link", "show", "dev", name]).out)
    port = link["linkinfo"].get("info_slave_data")
    return port is not None and port["state"] == "disabled"


def passed(
    sender: End, receiver: End, named: Mapping[str, bytes], good: bytes, via: End | None = None
) -> set[str]:
    """Send frames one after the other, then a good one, and return the names of those that arrived.

    Args:
        sender: who sends them.
        receiver: where they should come out, or not.
        named: the frames.
        good: what passes in any case.
        via: who sends the good one, if not the sender.
    """
    frames = [good, *named.values()]
    twice = [name for name, frame in named.items() if frames.count(frame) > 1]
    assert not twice, f"frames that are the same: {twice}"
    receiver.arrived()
    for frame in named.values():
        sender.send(frame)
    (via or sender).send(good)
    got = receiver.wait(good)
    counts = {name: got.count(frame) for name, frame in named.items()}
    assert all(count in (0, 1) for count in counts.values()), counts
    return {name for name, count in counts.items() if count}


def far_frame(to: str) -> bytes:
    """Return a good frame of the far end's to a guest."""
    return ether(FAR_MAC, ARP, arp(FAR_MAC, FAR_IP, "10.0.0.5", 2), to)


def attach(lab: Lab, vm: str, mac: str, *options: str) -> str:
    """Attach a VM to br0 and return its TAP's name."""
    done = lab.vmnet("attach", vm, "--bridge", "br0", "--mac", mac, *options, "--json").json
    assert isinstance(done["tap"], str)
    return done["tap"]
