"""Every refusal of an uplink: its code, its kind, and a remedy that names what is to be done."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.unit.hosts import ADDRESS, BRIDGE, LOCAL, NIC, ROUTE, VIEW, after, nic_of
from tests.unit.source import REPO
from tests.unit.values import bridge, foreign_tap
from vmnet.errors import Busy, Conflict, NotFound, Unsupported, VmnetError
from vmnet.model.host import Link
from vmnet.model.hostaddress import DHCP, RA, HostAddress, Route
from vmnet.model.uplink import End, Manager, UplinkView
from vmnet.plan.uplink import Timer, plan_uplink, relabelled

TIMER = Timer("00c0ffee", 1000, 60)
OTHER = bridge("br9", 9)
BOND = replace(OTHER, name="bond0", kind="bond")
PEER = replace(NIC, name="eth9", index=9, kind="veth")


def having(*addresses: HostAddress, routes: tuple[Route, ...] = ()) -> UplinkView:
    return replace(VIEW, nic=End(NIC, addresses, routes))


def with_nic(**changes: object) -> UplinkView:
    return replace(VIEW, nic=End(replace(NIC, **changes)))  # type: ignore[arg-type]


def with_bridge(*addresses: HostAddress, **changes: object) -> UplinkView:
    return replace(VIEW, bridge=End(replace(BRIDGE, **changes), addresses))  # type: ignore[arg-type]


def facts(**changes: object) -> UplinkView:
    return replace(VIEW, nic_facts=replace(VIEW.nic_facts, **changes))  # type: ignore[arg-type]


def bridge_facts(**changes: object) -> UplinkView:
    return replace(VIEW, bridge_facts=replace(VIEW.bridge_facts, **changes))  # type: ignore[arg-type]


def upper(kind: str, **changes: object) -> Link:
    return replace(NIC, name="up0", index=9, kind=kind, **changes)  # type: ignore[arg-type]


def _elsewhere() -> UplinkView:
    """Return a host whose NIC is an uplink and was taken out of its bridge by hand."""
    view = after(VIEW, plan_uplink(VIEW, "br0", "eth1", TIMER))
    return replace(view, nic=replace(nic_of(view), link=replace(nic_of(view).link, master=0)))


_MANY = tuple(HostAddress(f"10.9.{n}.1", 24) for n in range(60))
_REFUSED: list[tuple[str, type[VmnetError], str, UplinkView]] = [
    ("bridge-missing", NotFound, "bridge create br0", replace(VIEW, bridge=None)),
    ("not-a-bridge", Conflict, "type bridge", with_bridge(kind="bond")),
    ("nic-missing", NotFound, "ip -br link", replace(VIEW, nic=None)),
    ("uplink-kind", Conflict, "vmnet attach", with_nic(tun=foreign_tap().tun)),
    ("uplink-kind", Conflict, "veth peer", with_nic(kind="bridge")),
    ("uplink-kind", Conflict, "ip_forward", facts(ethernet=False)),
    ("uplink-wireless", Conflict, "ip_forward", facts(wireless=True)),
    ("uplink-loop", Conflict, "show eth1", facts(lowers=(9, BRIDGE.index))),
    ("uplink-loop", Conflict, "show eth1", facts(other_end=replace(PEER, master=BRIDGE.index))),
    ("uplink-loop", Conflict, "show eth1", facts(other_end=replace(PEER, index=BRIDGE.index))),
    ("uplink-loop", Conflict, "show eth1", facts(uppers=(upper("vlan", master=BRIDGE.index),))),
    ("uplink-foreign", Conflict, "link set eth1 nomaster", facts(master=BRIDGE)),
    ("uplink-member", Conflict, "link set eth1 nomaster", facts(master=OTHER)),
    ("uplink-member", Conflict, "add-uplink br0 bond0", facts(master=BOND)),
    ("uplink-member", Conflict, "del-port eth1", facts(master=replace(BOND, kind="openvswitch"))),
    ("bridge-down", Conflict, "link set br0 up", with_bridge(up=False)),
    ("bridge-delays", Conflict, "stp_state 0", bridge_facts(delays=True)),
    ("bridge-vlan", Conflict, "bridge vlan add dev br0", bridge_facts(takes_untagged=False)),
    ("bridge-strict", Conflict, 'uplinks = ["eth1"]', bridge_facts(distrusts=True)),
    ("uplink-mtu", Conflict, "mtu 1400", with_nic(mtu=1400)),
    ("uplink-uppers", Conflict, "ip link del up0", facts(uppers=(upper("macvtap"),))),
    ("uplink-uppers", Conflict, "ip link del up0", facts(uppers=(upper("ipvlan"),))),
    ("uplink-alias", Conflict, "alias ''", with_nic(alias="mine")),
    ("uplink-managed", Conflict, "let networkd", facts(manager=Manager("networkd", "it does"))),
    ("uplink-managed", Conflict, "DHCP client", facts(manager=Manager("dhcp", "dhclient"))),
    ("uplink-autoconf", Conflict, "accept_ra=0", having(replace(LOCAL, by_router=True))),
    ("uplink-autoconf", Conflict, "accept_ra=0", having(routes=(replace(ROUTE, protocol=RA),))),
    ("uplink-unproven", Busy, "two seconds", having(replace(LOCAL, unproven=True))),
    ("uplink-twice", Conflict, "address del 10.9.0.1/24", with_bridge(ADDRESS)),
    ("uplink-twice", Conflict, "table all", replace(VIEW, bridge=End(BRIDGE, (), (ROUTE,)))),
    ("uplink-routes", Conflict, "proto", having(routes=(replace(ROUTE, protocol=DHCP),))),
    ("uplink-route", Unsupported, "anew", having(routes=(replace(ROUTE, other=("encap",)),))),
    ("uplink-route", Unsupported, "anew", having(routes=(replace(ROUTE, expires=True),))),
    ("uplink-rules", Conflict, "ip rule del", facts(rules=("9: iif eth1 lookup 7",))),
    ("uplink-neighbours", Conflict, "del 10.9.0.7 dev eth1", facts(neighbours=("10.9.0.7",))),
    ("bridge-no-ipv6", Conflict, "disable_ipv6=0", bridge_facts(has_ipv6=False)),
    ("uplink-label", Unsupported, "del 10.9.0.1/24", having(replace(ADDRESS, label="web"))),
    ("uplink-too-many", Unsupported, "by hand", having(*_MANY)),
    ("uplink-unfinished", Conflict, "remove-uplink br0 eth1", _elsewhere()),
]


@pytest.mark.parametrize(("code", "kind", "remedy", "view"), _REFUSED)
def test_it_is_refused_with_a_remedy(
    code: str, kind: type[VmnetError], remedy: str, view: UplinkView
) -> None:
    with pytest.raises(VmnetError) as caught:
        plan_uplink(view, "br0", "eth1", TIMER)
    assert (caught.value.code, type(caught.value)) == (code, kind)
    assert remedy in caught.value.remedy


def test_a_label_that_is_too_long_for_the_bridge_is_refused() -> None:
    fits = replace(ADDRESS, label="eth1:0123456789")
    assert relabelled(fits, "eth1", "bri0").label == "bri0:0123456789"
    with pytest.raises(Unsupported) as caught:
        relabelled(fits, "eth1", "brid0")
    assert caught.value.code == "uplink-label"


def test_no_code_is_missing_here() -> None:
    found: set[str] = set()
    for name in ("uplink", "uplinkrefusals"):
        text = (REPO / f"vmnet/plan/{name}.py").read_text(encoding="utf-8")
        found |= set(
            re.findall(r'(?:code=|^        )"([a-z0-9]+(?:-[a-z0-9]+)+)"', text, re.MULTILINE)
        )
    assert found == {code for code, *_ in _REFUSED}


@pytest.mark.parametrize(
    "view",
    [
        facts(other_end=PEER),
        facts(uppers=(upper("vlan"),)),
        facts(lowers=(9,)),
        with_bridge(mtu=1400),
        replace(having(ADDRESS, LOCAL), bridge_facts=replace(VIEW.bridge_facts, has_ipv6=False)),
        having(routes=(replace(ROUTE, protocol=0),)),
    ],
)
def test_what_only_looks_like_it_is_not_refused(view: UplinkView) -> None:
    assert plan_uplink(view, "br0", "eth1", TIMER).moves


def test_one_that_is_an_uplink_already_is_asked_for_nothing_more() -> None:
    """Whatever came since, it is there; what it takes to move is no question any more."""
    view = after(VIEW, plan_uplink(VIEW, "br0", "eth1", TIMER))
    since = replace(view.nic_facts, manager=Manager("dhcp", "dhclient"), rules=("9",))
    assert plan_uplink(replace(view, nic_facts=since), "br0", "eth1", TIMER).moves == ()
