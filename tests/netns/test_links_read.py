"""What is read of links, field by field, against `ip -j -d link`."""

from __future__ import annotations

import os
from typing import Any

from tests.netns import taps
from tests.support.lab import Lab
from vmnet.kernel.links import Netlink
from vmnet.model.host import Link

_KINDS = """
ip link add br0 address 52:00:00:00:00:01 mtu 1400 type bridge
ip link set br0 up alias 'an alias with  spaces and ü'
ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 master br0
ip link property add dev v0 altname other-name altname yet-another-name-that-is-longer-than-15
ip tuntap add dev tap0 mode tap vnet_hdr user 4242 group 4343
ip tuntap add dev tap1 mode tap multi_queue vnet_hdr; ip link set tap1 master br0 up mtu 1300
ip link set tap1 type bridge_slave guard on learning off flood off isolated on
ip tuntap add dev tun0 mode tun
ip link add link v0 name m0 type macvtap mode vepa
ip link add link v0 name m1 type macvtap mode bridge
ip link add i0 type ifb
ip link set m1 up
"""
_FLAGS = {
    "guard": "guard", "root_block": "root_block", "learning": "learning", "flood": "flood",
    "neigh_suppress": "neigh_suppress", "isolated": "isolated", "locked": "locked",
}  # fmt: skip


def _shown(netlink: Netlink, link: dict[str, Any]) -> dict[str, Any]:
    """Return what `ip` shows, in vmnet's words."""
    info = link.get("linkinfo", {})
    data, port = info.get("info_data", {}), info.get("info_slave_data", {})
    kind = info.get("info_kind", "")
    master = netlink.link(link["master"]) if "master" in link else None
    tun = kind == "tun"
    return {
        "index": link["ifindex"],
        "name": link["ifname"],
        "kind": kind,
        "mac": link.get("address", ""),
        "mtu": link["mtu"],
        "master": master.index if master is not None else 0,
        "up": "UP" in link["flags"],
        "alias": link.get("ifalias", ""),
        "altnames": tuple(link.get("altnames", ())),
        "port": {name: port[flag] for name, flag in _FLAGS.items()} if tun and port else {},
        "tap": tun and data["type"] == "tap",
        "persist": tun and data["persist"],
        "multi_queue": tun and data["multi_queue"],
        "vnet_hdr": tun and data["vnet_hdr"],
        "owner": str(data["user"]) if "user" in data else None,
        "group": str(data["group"]) if "group" in data else None,
        "mode": data.get("mode") if kind == "macvtap" else None,
        "lower": link.get("link") if kind == "macvtap" else None,
    }


def _read(netlink: Netlink, link: Link) -> dict[str, Any]:
    tun, macvtap = link.tun, link.macvtap
    lower = netlink.link_by_index(macvtap.lower) if macvtap is not None else None
    words = ("index", "name", "kind", "mac", "mtu", "master", "up", "alias", "altnames", "port")
    return {
        **{word: getattr(link, word) for word in words},
        "tap": tun is not None and tun.tap,
        "persist": tun is not None and tun.persist,
        "multi_queue": tun is not None and tun.multi_queue,
        "vnet_hdr": tun is not None and tun.vnet_hdr,
        "owner": None if tun is None or tun.owner is None else str(tun.owner),
        "group": None if tun is None or tun.group is None else str(tun.group),
        "mode": macvtap.mode if macvtap is not None else None,
        "lower": lower.name if lower is not None else None,
    }


def test_each_field_is_what_ip_shows(lab: Lab) -> None:
    lab.sh(_KINDS)
    with Netlink() as netlink:
        links = {link.name: link for link in netlink.links()}
        shown = {link["ifname"]: link for link in lab.ip("link", "show")}
        assert links.keys() == shown.keys()
        for name, link in links.items():
            assert _read(netlink, link) == _shown(netlink, shown[name])
            assert netlink.link(name) == link
            assert netlink.link_by_index(link.index) == link
        assert {link.name for link in netlink.bridges()} == {"br0"}
        assert {link.name for link in netlink.ports(links["br0"].index)} == {"v1", "tap1"}


def test_queues_open_and_switched_off(lab: Lab) -> None:
    lab.sh("ip tuntap add dev tap0 mode tap multi_queue vnet_hdr; ip link set tap0 up")
    with Netlink() as netlink:
        fds = [taps.open_tap("tap0", taps.MANY) for _ in range(3)]
        try:
            link = netlink.link("tap0")
            assert link is not None
            assert link.tun is not None
            assert (link.tun.queues, link.tun.disabled, link.carrier) == (3, 0, True)
            taps.set_queue(fds[2], attached=False)
            off = netlink.link("tap0")
            assert off is not None
            assert off.tun is not None
            assert (off.tun.queues, off.tun.disabled) == (3, 1)
        finally:
            for fd in fds:
                os.close(fd)
        lab.sh("ip link del tap0")


def test_bytes_that_are_no_text_are_kept(lab: Lab) -> None:
    lab.sh(r"""ip link add v0 type veth peer name v1; ip link set v0 alias "$(printf 'a\377b')" """)
    with Netlink() as netlink:
        link = netlink.link("v0")
    assert link is not None
    assert link.alias == "a\udcffb"
