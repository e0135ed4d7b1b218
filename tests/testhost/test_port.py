"""What a port lets pass where the kernel has VLAN filtering, `meta ibrname` and policing."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.netns.commands import until
from tests.netns.frames import (
    ARP,
    BROADCAST,
    ICMP6,
    IP,
    IP6,
    OPTIONS,
    QINQ,
    UDP,
    arp,
    ether,
    extension,
    ipv4,
    ipv6,
    router_advert,
    snap,
    tag,
    udp,
)
from tests.netns.traffic import ALIEN4, LISTED, LOCAL, MAC, OTHER, OWN4, v4
from tests.netns.wire import FAR_IP, FAR_MAC, End, attach, bare_bridges, end, passed, uplink
from tests.support.lab import Lab, checked
from vmnet.formats.config import Config
from vmnet.model.network import Network
from vmnet.model.nic import Wish
from vmnet.service import nics

DATA = ipv4(OWN4, udp(4000, 4001))


def _frame(
    tags: bytes = b"", packet: bytes = DATA, source: str = MAC, to: str = BROADCAST
) -> bytes:
    return ether(source, IP, packet, to, tags)


@pytest.fixture
def filtering(lab: Lab) -> Lab:
    """A bridge that filters VLANs."""
    bare_bridges()
    lab.vmnet("bridge", "create", "br0", "--vlan-filtering")
    return lab


@contextmanager
def _guest(lab: Lab, *options: str) -> Iterator[tuple[End, End]]:
    """Be a guest, and an uplink with VLANs 5, 10 and 20 to 22 beside the bridge's own, 1."""
    with uplink() as far, end(attach(lab, "vm1", MAC, *options)) as near:
        for vids in ("5", "10", "20-22"):
            lab.sh(f"bridge vlan add dev up0 vid {vids}")
        yield near, far


def _became(sender: End, receiver: End, frames: dict[str, bytes], last: bytes) -> list[bytes]:
    """Send frames, and return what comes out until this last one does."""
    receiver.arrived()
    for frame in frames.values():
        sender.send(frame)
    ours = (bytes.fromhex(MAC.replace(":", "")), bytes.fromhex(FAR_MAC.replace(":", "")))
    return [frame for frame in receiver.wait(last)[:-1] if frame[6:12] in ours]


def _tagged(named: dict[str, bytes], number: int) -> dict[str, bytes]:
    return {name: frame[:12] + tag(number) + frame[12:] for name, frame in named.items()}


def test_a_guest_of_a_vlan_has_no_tags_and_is_in_no_other(filtering: Lab) -> None:
    with _guest(filtering, "--vlan", "10") as (near, far):
        last = ether(MAC, ARP, arp(MAC, OWN4, OWN4))
        kinds = [tag(10), tag(20), tag(1), tag(0), tag(10) + tag(20), tag(10, QINQ)]
        sent = {str(n): _frame(tags) for n, tags in enumerate(kinds)}
        near.send(_frame())
        near.send(last)
        far.wait(last[:12] + tag(10) + last[12:])
        sent |= {"good": _frame(), "last": last}
        got = _became(near, far, sent, last[:12] + tag(10) + last[12:])
        assert got == [_frame(tag(10))]

        to_guest = {"own": tag(10), "another": tag(20), "bridge's": b"", "bridge's own": tag(1)}
        frames = {n: _frame(t, source=FAR_MAC, to=MAC) for n, t in to_guest.items()}
        last = ether(FAR_MAC, ARP, arp(FAR_MAC, FAR_IP, OWN4), MAC)
        frames["last"] = last[:12] + tag(10) + last[12:]
        assert _became(far, near, frames, last) == [_frame(source=FAR_MAC, to=MAC)]


def test_a_trunk_has_its_vlans_and_one_tag_at_most(filtering: Lab) -> None:
    with _guest(filtering, "--trunk", "20-21", "--native", "5") as (near, far):
        kinds = {
            "untagged": b"",
            "of no VLAN": tag(0, priority=5),
            "20": tag(20),
            "21": tag(21),
            "22, which only the uplink has": tag(22),
            "10": tag(10),
            "1": tag(1),
            "two": tag(20) + tag(10),
            "two, outer 0": tag(0) + tag(20),
            "802.1ad": tag(20, QINQ),
            "802.1ad within": tag(20) + tag(10, QINQ),
        }
        packets = {name: ipv4(OWN4, udp(1, number)) for number, name in enumerate(kinds)}
        last = _frame(tag(21), ipv4(OWN4, udp(9, 9)))
        sent = {name: _frame(tags, packets[name]) for name, tags in kinds.items()}
        assert _became(near, far, {**sent, "last": last}, last) == [
            _frame(tag(5), packets["untagged"]),
            _frame(tag(5, priority=5), packets["of no VLAN"]),
            sent["20"],
            sent["21"],
        ]


def test_policies_hold_within_a_tag(filtering: Lab) -> None:
    advert = router_advert(LOCAL)
    policies = (*LISTED, "--ra-guard", "--dhcp-guard", "--trunk", "20-21")
    with _guest(filtering, *policies) as ends:
        bad = {
            "alien": _frame(packet=ipv4(ALIEN4, udp(1, 2))),
            "impostor": _frame(source=OTHER),
            "alien ARP": ether(MAC, ARP, arp(MAC, ALIEN4, FAR_IP)),
            "ARP with an alien MAC": ether(MAC, ARP, arp(OTHER, OWN4, FAR_IP)),
            "DHCP server": _frame(packet=ipv4(OWN4, udp(67, 68))),
            "DHCPv6 server": ether(MAC, IP6, ipv6(LOCAL, udp(547, 546), UDP)),
            "RA": ether(MAC, IP6, ipv6(LOCAL, advert, ICMP6)),
            "RA behind options": ether(MAC, IP6, ipv6(LOCAL, extension(ICMP6) + advert, OPTIONS)),
            "another protocol": ether(MAC, 0x88B5, bytes(46)),
        }
        good = {"own": _frame(), "ARP": ether(MAC, ARP, arp(MAC, OWN4, FAR_IP))}
        good["DHCP client"] = _frame(packet=ipv4("0.0.0.0", udp(68, 67)))  # noqa: S104
        last = _frame(tag(21), ipv4(OWN4, udp(9, 9)))
        assert passed(*ends, _tagged({**bad, **good}, 20), last) == set(good)


def test_snap_within_a_tag(filtering: Lab) -> None:
    with _guest(filtering, "--trunk", "20") as ends:
        bad = _tagged({"SNAP": snap(MAC, IP, DATA)}, 20)
        assert passed(*ends, bad, _frame(tag(20))) == set()


def test_the_guests_mac_stays_in_each_of_its_vlans(filtering: Lab) -> None:
    with _guest(filtering, "--trunk", "20-21", "--native", "5") as (near, far):
        for vid in (20, 21, 5):
            far.send(_frame(tag(vid)))
        rows = json.loads(filtering.sh("bridge -j fdb show br br0").out)
        entries = {(row["ifname"], row.get("vlan", 0)) for row in rows if row["mac"] == MAC}
        # In VLAN 10, where the guest is not, it may be anybody's.
        assert entries >= {(near.name, vid) for vid in (5, 20, 21)}
        assert not {vid for name, vid in entries if name == "up0"} & {5, 20, 21}
        assert filtering.vmnet("attach", "vm1", "--json").json["steps"] == []


def test_vlans_change_while_the_tap_is_held(filtering: Lab) -> None:
    with _guest(filtering, "--vlan", "10") as (near, far):
        for option, vid in (("20", 20), ("5", 5), ("10", 10), ("none", 0)):
            filtering.vmnet("attach", "vm1", "--vlan", option)
            out = _frame(tag(vid)) if vid else _frame()
            near.send(_frame())
            assert far.wait(out)[-1] == out


def test_a_strict_bridge_takes_frames_of_those_it_knows_alone(lab: Lab) -> None:
    bare_bridges()
    lab.vmnet("bridge", "create", "br0")
    network = Network("lan", "br0", strict=True, uplinks=("up0",))
    config = Config(networks={"lan": network})
    with uplink() as far, uplink(name="x0") as stranger:
        sent = _frame(source=OTHER)
        assert passed(stranger, far, {"before": sent}, _frame(source=FAR_MAC)) == {"before"}
        done = nics.attach(Wish("vm1", network="lan", mac=MAC), config=config)
        with end(done.tap) as near:
            assert (
                passed(stranger, near, {"stranger": sent}, _frame(source=FAR_MAC), via=far) == set()
            )
            assert passed(stranger, far, {"stranger": sent}, v4(OWN4), via=near) == set()
            assert passed(far, near, {"uplink": sent}, _frame(source=FAR_MAC)) == {"uplink"}
            assert nics.attach(Wish("vm1", network="lan"), config=config).plan.moves == ()
            # What the host itself sends comes out of the bridge, not in.
            lab.sh("ip addr add 10.0.0.1/24 dev br0")
            near.arrived()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
                host.sendto(b"", ("10.0.0.9", 9))
            until(lambda: any(frame[12:14] == b"\x08\x06" for frame in near.arrived()))
    lab.vmnet("detach", "vm1")
    lab.sh("ip link del br0")
    lab.vmnet("gc")
    assert lab.sh("nft list ruleset").out == ""


@pytest.fixture
def no_ifb() -> Iterator[None]:
    """A kernel that has no ifb and does not get it."""
    for module in ("sch_tbf", "sch_ingress", "cls_u32", "act_police"):
        checked(["modprobe", module])
    checked(["sh", "-c", "! grep -q ^ifb /proc/modules || rmmod ifb"])
    loader = Path("/proc/sys/kernel/modprobe")
    before = loader.read_text("ascii")
    loader.write_text("/bin/false", "ascii")
    yield
    loader.write_text(before, "ascii")


@pytest.mark.usefixtures("no_ifb")
def test_without_ifb_what_is_too_much_is_dropped(lab: Lab) -> None:
    bare_bridges()
    lab.vmnet("bridge", "create", "br0")
    rate, seconds = 250_000, 8.0
    with uplink() as far, end(attach(lab, "vm1", MAC, "--rate-out", "2mbit")) as near:
        assert set(lab.links()) == {"br0", "up0", near.name}
        assert "police" in lab.sh(f"tc filter show dev {near.name} ingress").out
        assert lab.vmnet("attach", "vm1", "--rate-out", "2mbit", "--json").json["steps"] == []
        frame = v4(OWN4, udp(1, 2, bytes(1400)))
        begin, sent, got = time.monotonic(), 0, 0
        while (now := time.monotonic() - begin) < seconds:
            while sent < now * 2 * rate:
                near.send(frame)
                sent += len(frame)
            got += far.arrived().count(frame) * len(frame)
        assert sent > 1.5 * rate * seconds
        assert got / seconds == pytest.approx(rate, rel=0.1)
        lab.vmnet("attach", "vm1", "--rate-out", "none")
        assert "ingress" not in lab.sh(f"tc qdisc show dev {near.name}").out
    lab.vmnet("detach", "vm1")


def test_of_a_shared_address_it_is_told_within_a_vlan(filtering: Lab) -> None:
    words = ("--bridge", "br0", "--address", OWN4, "--json")
    for vm, vlan in (("vm1", ("--vlan", "10")), ("vm2", ("--vlan", "20")), ("vm3", ())):
        assert _shared(filtering, "attach", vm, *words, *vlan) == []
        (note,) = _shared(filtering, "plan", "vm4", *words, *vlan)
        assert f"(VM '{vm}', NIC 0)" in note


def _shared(lab: Lab, *words: str) -> list[str]:
    return [note for note in lab.vmnet(*words).json["notes"] if "is also that of" in note]
