"""Which NIC cannot be an uplink, which bridge cannot have one, and what to do about it.

Job: the refusals of `vmnet bridge add-uplink`, in the order in which they are worth knowing.
Leaves to others: the plan (`vmnet.plan.uplink`), the text to paste for another program
(`vmnet.formats.managers`).
Privilege: none.
"""

from __future__ import annotations

from vmnet.errors import Busy, Conflict, NotFound, Unsupported
from vmnet.model.host import Link
from vmnet.model.hostaddress import BY_HAND, RA, HostAddress, Route
from vmnet.model.uplink import End, NicFacts, UplinkView

#: Links that take all that their lower one receives, so that no bridge can (rx_handler).
_TAKE_ALL = ("macvlan", "macvtap", "ipvlan", "ipvtap")
_MASTERS = {
    "bond": "make {master} the uplink instead: `vmnet bridge add-uplink {bridge} {master}`",
    "team": "make {master} the uplink instead: `vmnet bridge add-uplink {bridge} {master}`",
    "openvswitch": "`ovs-vsctl del-port {nic}`, if nobody needs it there",
}
_NOMASTER = "`ip link set {nic} nomaster`, if nobody needs it there"


def check_uplink(view: UplinkView, bridge: str, nic: str) -> tuple[End, End]:
    """Return the bridge and the NIC, or raise if there are no such links.

    Raises:
        NotFound: one is not there.
        Conflict: the bridge is none, or the NIC can never be a port of it.
    """
    whole = check_bridge(view, bridge)
    if view.nic is None:
        raise NotFound(
            f"no NIC {nic!r} here",
            code="nic-missing",
            remedy="`ip -br link` lists the links there are",
        )
    _check_kind(view.nic.link, view.nic_facts, bridge)
    _check_loop(view.nic.link, view.nic_facts, whole.link)
    return whole, view.nic


def check_bridge(view: UplinkView, bridge: str) -> End:
    """Return the bridge.

    Raises:
        NotFound: there is none.
        Conflict: it is another link.
    """
    if view.bridge is None:
        there = ", ".join(view.bridges) or "none"
        raise NotFound(
            f"no bridge {bridge!r} here (bridges: {there})",
            code="bridge-missing",
            remedy=f"make it with `vmnet bridge create {bridge}`",
        )
    if view.bridge.link.kind != "bridge":
        raise Conflict(
            f"link {bridge!r} is not a Linux bridge but of kind "
            f"{view.bridge.link.kind or 'hardware'}",
            code="not-a-bridge",
            remedy="name a bridge: `ip -br link show type bridge` lists them",
        )
    return view.bridge


def _check_kind(link: Link, facts: NicFacts, bridge: str) -> None:
    if link.tun is not None:
        raise Conflict(
            f"{link.name!r} is a TAP or TUN: that is a guest's, not a NIC of the host's",
            code="uplink-kind",
            remedy=f"for a guest: `vmnet attach VM --bridge {bridge}`",
        )
    if link.kind == "bridge":
        raise Conflict(
            f"{link.name!r} is a bridge, and a bridge cannot be a port of one",
            code="uplink-kind",
            remedy="join two by a pair: `ip link add TO type veth peer name FRO`",
        )
    if not facts.ethernet:
        raise Conflict(
            f"{link.name!r} carries no Ethernet frames: no bridge can have it",
            code="uplink-kind",
            remedy="route between it and the bridge instead: `sysctl net.ipv4.ip_forward=1`",
        )
    if facts.wireless:
        raise Conflict(
            f"{link.name!r} is Wi-Fi: an access point takes frames from no address but its own",
            code="uplink-wireless",
            remedy="route between it and the bridge instead: `sysctl net.ipv4.ip_forward=1`",
        )


def _check_loop(link: Link, facts: NicFacts, bridge: Link) -> None:
    end = facts.other_end
    if not bridge.index:  # of a dry run: it is not there yet, and nothing leads to it
        return
    if bridge.index in facts.lowers:
        why = "sits on that bridge"
    elif end is not None and bridge.index in (end.index, end.master):
        why = f"leads back to that bridge ({end.name!r} is its other end)"
    elif any(upper.master == bridge.index for upper in facts.uppers):
        why = "has a link on it that is a port of that bridge"
    else:
        return
    raise Conflict(
        f"{link.name!r} {why}: as a port of {bridge.name!r} it would make a loop",
        code="uplink-loop",
        remedy=f"`ip -d link show {link.name}` shows how; take that away first",
    )


def check_place(view: UplinkView, whole: End, nic: End) -> None:
    """Raise if the host could not be reached through the bridge, or the NIC is taken."""
    facts, link, bridge = view.bridge_facts, nic.link, whole.link
    _check_master(link, view.nic_facts, bridge)
    name = bridge.name
    ways = {
        "bridge-down": (not bridge.up, "is down", f"`ip link set {name} up`"),
        "bridge-delays": (
            facts.delays,
            "keeps a new port silent at first, by spanning tree",
            f"`ip link set {name} type bridge stp_state 0`",
        ),
        "bridge-vlan": (
            not facts.takes_untagged,
            "keeps the host and a new port in different VLANs",
            (
                f"`bridge vlan add dev {name} vid 1 pvid untagged self`, and the same VLAN as "
                f"`ip link set {name} type bridge vlan_default_pvid 1`"
            ),
        ),
        "bridge-strict": (
            facts.distrusts,
            f"is strict: vmnet's filter drops what comes from {link.name!r} there",
            (
                f"`nft add element bridge vmnet trusted '{{ \"{link.name}\" }}'`, and "
                f'uplinks = ["{link.name}"] in that network of /etc/vmnet/vmnet.toml'
            ),
        ),
        "uplink-mtu": (
            link.mtu < bridge.mtu,
            f"sends frames of {bridge.mtu} bytes, and {link.name!r} takes {link.mtu}",
            f"`ip link set {link.name} mtu {bridge.mtu}`, or `ip link set {name} mtu {link.mtu}`",
        ),
    }
    for code, (stands_in_the_way, why, remedy) in ways.items():
        if stands_in_the_way:
            raise Conflict(f"bridge {name!r} {why}", code=code, remedy=remedy)
    _check_uppers(link, view.nic_facts)


def _check_master(link: Link, facts: NicFacts, bridge: Link) -> None:
    master = facts.master
    if master is None:
        return
    if master.index == bridge.index:
        raise Conflict(
            f"{link.name!r} is a port of {bridge.name!r} already, and vmnet did not put it there",
            code="uplink-foreign",
            remedy=f"leave it so, or `ip link set {link.name} nomaster` and try again",
        )
    remedy = _MASTERS.get(master.kind, _NOMASTER)
    raise Conflict(
        f"{link.name!r} belongs to {master.name!r} (kind {master.kind or 'unknown'})",
        code="uplink-member",
        remedy=remedy.format(nic=link.name, master=master.name, bridge=bridge.name),
    )


def _check_uppers(link: Link, facts: NicFacts) -> None:
    taking = [upper for upper in facts.uppers if upper.kind in _TAKE_ALL]
    if taking:
        names = ", ".join(f"{upper.name} ({upper.kind})" for upper in taking)
        raise Conflict(
            f"{link.name!r} has links on it that take all it receives: {names}",
            code="uplink-uppers",
            remedy=f"put them on the bridge or away first: `ip link del {taking[0].name}`",
        )
    if link.alias:
        raise Conflict(
            f"{link.name!r} has an alias, where vmnet keeps its record: {link.alias[:60]!r}",
            code="uplink-alias",
            remedy=f"`ip link set {link.name} alias ''`",
        )


def check_managed(facts: NicFacts, link: Link, bridge: str) -> None:
    """Raise if another program sees to the NIC."""
    manager = facts.manager
    if manager is None:
        return
    raise Conflict(
        f"{link.name!r} is not vmnet's to change: {manager.why}",
        code="uplink-managed",
        remedy=f"let {manager.kind} make {link.name} a port of {bridge!r}"
        if manager.kind != "dhcp"
        else f"let the DHCP client work on the bridge {bridge!r}, or make the addresses static",
    )


def check_movable(view: UplinkView, whole: End, nic: End) -> None:
    """Raise if something of the NIC cannot be given to the bridge."""
    name = nic.link.name
    for address in nic.addresses:
        _check_address(address, whole, name)
    for route in nic.routes:
        _check_route(route, whole, name)
    _check_rest(view.nic_facts, name, whole.link.name)
    if view.bridge_facts.has_ipv6:
        return
    if any(a.family == 6 and not a.is_link_local for a in nic.addresses) or any(
        route.family == 6 for route in nic.routes
    ):
        raise Conflict(
            f"{name!r} has IPv6 addresses or routes, and bridge {whole.link.name!r} has no IPv6",
            code="bridge-no-ipv6",
            remedy=f"`sysctl net/ipv6/conf/{whole.link.name}/disable_ipv6=0`",
        )


def _check_address(address: HostAddress, whole: End, name: str) -> None:
    if address.by_router:
        raise Conflict(
            f"{name!r} has an address that a router's advertisements gave it: {address.key}",
            code="uplink-autoconf",
            remedy=f"make it static: `sysctl net/ipv6/conf/{name}/accept_ra=0`, `ip address "
            f"change {address.key} dev {name} valid_lft forever preferred_lft forever`",
        )
    if address.unproven:
        raise Busy(
            f"address {address.key} of {name!r} is not known to be the only one on the network",
            code="uplink-unproven",
            remedy="try again in two seconds; if it stays so, another host has it",
        )
    twice = any(other.key == address.key for other in whole.addresses)
    if twice and not address.is_link_local:
        raise Conflict(
            f"{name!r} and bridge {whole.link.name!r} both have the address {address.key}",
            code="uplink-twice",
            remedy=f"`ip address del {address.key} dev {name}`, or of the bridge",
        )


def _check_route(route: Route, whole: End, name: str) -> None:
    if route.protocol == RA:
        raise Conflict(
            f"{name!r} has a route that a router's advertisements gave it: {route}",
            code="uplink-autoconf",
            remedy=f"`sysctl net/ipv6/conf/{name}/accept_ra=0`, and make that route by hand",
        )
    if route.protocol not in BY_HAND:
        raise Conflict(
            f"{name!r} has a route that another program keeps (protocol {route.protocol}): {route}",
            code="uplink-routes",
            remedy="let that program use the bridge; `ip -d route show` names it as `proto`",
        )
    if route.other or route.expires:
        what = ", ".join(route.other) or "an end in time"
        raise Unsupported(
            f"route {route} of {name!r} has what vmnet cannot give to a bridge: {what}",
            code="uplink-route",
            remedy="take it away and make it anew through the bridge afterwards",
        )
    if any(other.key == route.key for other in whole.routes):
        raise Conflict(
            f"{name!r} and bridge {whole.link.name!r} both have the route {route}",
            code="uplink-twice",
            remedy="take one of them away: `ip route show table all`",
        )


def _check_rest(facts: NicFacts, name: str, bridge: str) -> None:
    if facts.rules:
        raise Conflict(
            f"routing rules name {name!r}: {'; '.join(facts.rules)}",
            code="uplink-rules",
            remedy=f"make each for {bridge} (`ip rule add`) and take this one away (`ip rule del`)",
        )
    if facts.neighbours:
        raise Conflict(
            f"neighbours of {name!r} were set for good: {', '.join(facts.neighbours)}",
            code="uplink-neighbours",
            remedy=f"`ip neighbour del {facts.neighbours[0]} dev {name}`; it is asked for anew",
        )
