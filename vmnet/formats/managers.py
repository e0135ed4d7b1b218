"""What to write for the program that sees to a NIC, so that it makes it an uplink itself.

Job: a text to paste for systemd-networkd, NetworkManager, netplan, ifupdown and DHCP clients, with
the addresses that the NIC has.
Leaves to others: finding out which of them it is (`vmnet.kernel.managers`).
Privilege: none.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from vmnet.model.hostaddress import DHCP, MAIN_TABLE
from vmnet.model.uplink import End, Manager


@dataclass(frozen=True)
class _Way:
    """How a family of addresses comes to the NIC: by DHCP or a router, or these."""

    asked: bool
    addresses: tuple[str, ...]
    gateway: str

    @property
    def fixed(self) -> bool:
        return bool(self.addresses) and not self.asked


def paste(manager: Manager, nic: End, bridge: str) -> str:
    """Return what to write for that program, in several lines.

    Args:
        manager: who sees to the NIC.
        nic: the NIC, with what it has now.
        bridge: the bridge that it is to be a port of.
    """
    name, mac = nic.link.name, nic.link.mac
    ways = {family: _way(nic, family) for family in (4, 6)}
    if manager.kind == "networkd":
        return _networkd(name, mac, bridge, ways)
    if manager.kind == "NetworkManager":
        return _network_manager(name, mac, bridge, ways)
    if manager.kind == "netplan":
        return _netplan(name, mac, bridge, ways)
    if manager.kind == "ifupdown":
        return _ifupdown(name, mac, bridge, ways)
    return _dhcp(manager.program, name, bridge)


def _way(nic: End, family: int) -> _Way:
    mine = [a for a in nic.addresses if a.family == family and not a.is_link_local]
    defaults = [
        route
        for route in nic.routes
        if route.family == family and route.to == "default" and route.table == MAIN_TABLE
    ]
    best = min(defaults, key=lambda route: route.metric, default=None)
    asked = any(a.leased or a.by_router for a in mine)
    asked = asked or any(route.protocol == DHCP for route in defaults)
    keys = tuple(f"{a.local}/{a.prefix}" for a in mine if not (a.leased or a.by_router))
    return _Way(asked, keys, best.gateway if best else "")


def _networkd(name: str, mac: str, bridge: str, ways: dict[int, _Way]) -> str:
    settings = []
    for family, way in ways.items():
        if way.asked:
            settings.append(f"DHCP=ipv{family}" if family == 4 else "IPv6AcceptRA=yes")
        settings += [f"Address={address}" for address in way.addresses]
        settings += [f"Gateway={way.gateway}"] if way.fixed and way.gateway else []
    return "\n".join(
        (
            f"# /etc/systemd/network/05-{bridge}.netdev",
            "[NetDev]",
            f"Name={bridge}",
            "Kind=bridge",
            f"MACAddress={mac}",
            f"# /etc/systemd/network/05-{name}.network",
            "[Match]",
            f"Name={name}",
            "[Network]",
            f"Bridge={bridge}",
            f"# /etc/systemd/network/05-{bridge}.network",
            "[Match]",
            f"Name={bridge}",
            "[Network]",
            *(settings or ["LinkLocalAddressing=no"]),
            "# then: networkctl reload",
        )
    )


def _network_manager(name: str, mac: str, bridge: str, ways: dict[int, _Way]) -> str:
    made = ["nmcli", "connection", "add", "type", "bridge", "ifname", bridge, "con-name", bridge]
    made += ["bridge.stp", "no", "bridge.mac-address", mac]
    for family, way in ways.items():
        if way.fixed:
            made += [f"ipv{family}.method", "manual"]
            made += [f"ipv{family}.addresses", ",".join(way.addresses)]
            made += [f"ipv{family}.gateway", way.gateway] if way.gateway else []
        elif not way.asked and family == 4:
            made += ["ipv4.method", "disabled"]
    port = f"{bridge}-{name}"
    join = ["nmcli", "connection", "add", "type", "ethernet", "ifname", name, "con-name", port]
    begin = ["nmcli", "connection", "up", port]
    return "\n".join(map(shlex.join, (made, [*join, "master", bridge], begin)))


def _netplan(name: str, mac: str, bridge: str, ways: dict[int, _Way]) -> str:
    lines = [
        f"# /etc/netplan/90-{bridge}.yaml; take the addresses of {name} out of the other files",
        "network:",
        "  version: 2",
        "  ethernets:",
        f"    {json.dumps(name)}: {{dhcp4: false, dhcp6: false}}",
        "  bridges:",
        f"    {json.dumps(bridge)}:",
        f"      interfaces: [{json.dumps(name)}]",
        f'      macaddress: "{mac}"',
        "      parameters: {stp: false}",
    ]
    lines += [f"      dhcp{family}: true" for family, way in ways.items() if way.asked]
    fixed = [address for way in ways.values() for address in way.addresses]
    lines += [f"      addresses: {json.dumps(fixed)}"] if fixed else []
    gateways = [way.gateway for way in ways.values() if way.fixed and way.gateway]
    routes = ", ".join(f'{{to: default, via: "{gateway}"}}' for gateway in gateways)
    lines += [f"      routes: [{routes}]"] if routes else []
    return "\n".join((*lines, "# then: netplan try"))


def _ifupdown(name: str, mac: str, bridge: str, ways: dict[int, _Way]) -> str:
    lines = [
        f"# /etc/network/interfaces, in place of what is there for {name}; wants bridge-utils",
        f"iface {name} inet manual",
        "",
        f"auto {bridge}",
    ]
    port = [f"    bridge_ports {name}", f"    bridge_hw {mac}", "    bridge_stp off"]
    for family, word in ((4, "inet"), (6, "inet6")):
        way = ways[family]
        if way.fixed:
            lines += [f"iface {bridge} {word} static", *(port if family == 4 else [])]
            lines.append(f"    address {way.addresses[0]}")
            lines += [f"    gateway {way.gateway}"] if way.gateway else []
            for more in way.addresses[1:]:
                lines += [f"iface {bridge} {word} static", f"    address {more}"]
        elif way.asked or family == 4:
            method = "auto" if family == 6 else "dhcp" if way.asked else "manual"
            lines += [f"iface {bridge} {word} {method}", *(port if family == 4 else [])]
    return "\n".join((*lines, f"# then, at the console: ifdown {name}; ifup {bridge}"))


def _dhcp(program: str, name: str, bridge: str) -> str:
    release, ask = {
        "dhclient": (["dhclient", "-r", name], ["dhclient", bridge]),
        "dhcpcd": (["dhcpcd", "-k", name], ["dhcpcd", bridge]),
    }.get(program, ([], []))
    join = ["vmnet", "bridge", "add-uplink", bridge, name, "--no-timer"]
    if not release:
        return (
            f"# at the console: stop the DHCP client of {name} so that it gives its address back,\n"
            f"{shlex.join(join)}\n# and start it on {bridge}"
        )
    lines = map(shlex.join, (release, join, ask))
    return "\n".join(("# at the console: the host has no address meanwhile", *lines))
