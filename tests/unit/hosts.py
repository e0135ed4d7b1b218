"""A host of values with one NIC and one bridge, and what steps make of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from tests.unit.values import bridge
from vmnet.model.hostaddress import BOOT, NODAD, SCOPE_LINK, STATIC, HostAddress, Route
from vmnet.model.hoststep import (
    AddAddress,
    AddressStep,
    AddRoute,
    DropAddress,
    DropRoute,
    RestoreIpv6,
    RouteStep,
    SettleAddress,
    StartGuardian,
)
from vmnet.model.step import Plan, QuietIpv6, Ref, SetAlias, SetMac, SetMaster, SetUp, Step
from vmnet.model.uplink import BridgeFacts, End, NicFacts, UplinkTag, UplinkView, parse_uplink

#: IN6_ADDR_GEN_MODE_NONE.
_QUIET = 1
BRIDGE = bridge()
NIC = bridge("eth1", 3, kind="", mac="02:00:00:00:00:e1")
ADDRESS = HostAddress("10.9.0.1", 24, broadcast="10.9.0.255", label="eth1")
SECOND = HostAddress("10.9.0.2", 24, label="eth1:web")
GLOBAL = HostAddress("fd00:9::1", 64)
LOCAL = HostAddress("fe80::ff:fe00:e1", 64, scope=SCOPE_LINK)
#: The second needs the first: its gateway is there.
ROUTE = Route(4, "198.51.100.0/24", protocol=STATIC, gateway="10.9.0.254")
DEFAULT = Route(4, "default", protocol=BOOT, gateway="198.51.100.1", metric=50)
VIEW = UplinkView(
    bridge=End(BRIDGE),
    nic=End(NIC, (ADDRESS, SECOND, GLOBAL, LOCAL), (ROUTE, DEFAULT)),
    nic_facts=NicFacts(ipv6=0),
    bridge_facts=BridgeFacts(),
    bridges=("br0",),
)
Thing = TypeVar("Thing", bound=HostAddress | Route)


def nic_of(view: UplinkView) -> End:
    """Return the NIC of a host that has one."""
    assert view.nic is not None
    return view.nic


def bridge_of(view: UplinkView) -> End:
    """Return the bridge of a host that has one."""
    assert view.bridge is not None
    return view.bridge


def tag_of(view: UplinkView) -> UplinkTag:
    """Return the NIC's tag."""
    tag = parse_uplink(nic_of(view).link.alias)
    assert tag is not None
    return tag


def after(view: UplinkView, plan: Plan) -> UplinkView:
    """Return the host as a plan would leave it."""
    return carried(view, (move.do for move in plan.moves))


def undone(view: UplinkView, plan: Plan) -> UplinkView:
    """Return the host as the plan's undo would leave it, last move first."""
    return carried(view, (move.undo for move in reversed(plan.moves) if move.undo is not None))


def carried(view: UplinkView, steps: Iterable[Step]) -> UplinkView:
    """Return the host as steps would leave it; each must be possible when it comes."""
    for step in steps:
        if isinstance(step, StartGuardian):
            continue
        if isinstance(step, QuietIpv6 | RestoreIpv6):
            mode = step.mode if isinstance(step, RestoreIpv6) else _QUIET
            view = replace(view, nic_facts=replace(view.nic_facts, ipv6=mode))
            continue
        assert isinstance(step, SetAlias | SetMac | SetMaster | SetUp | AddressStep | RouteStep)
        view = _at(view, step.link, _change(step))
    return view


def _at(view: UplinkView, ref: Ref, change: Callable[[End], End]) -> UplinkView:
    """Change the end that a step is about."""
    if ref.name == nic_of(view).link.name:
        assert ref.index == nic_of(view).link.index
        return replace(view, nic=change(nic_of(view)))
    assert (ref.name, ref.index) == (bridge_of(view).link.name, bridge_of(view).link.index)
    return replace(view, bridge=change(bridge_of(view)))


def _change(
    step: SetAlias | SetMac | SetMaster | SetUp | AddressStep | RouteStep,
) -> Callable[[End], End]:
    def change(end: End) -> End:
        match step:
            case SetAlias(_, alias):
                return replace(end, link=replace(end.link, alias=alias))
            case SetMac(_, mac):
                return replace(end, link=replace(end.link, mac=mac))
            case SetMaster(_, master):
                return replace(end, link=replace(end.link, master=master.index if master else 0))
            case SetUp(_, up):
                return replace(end, link=replace(end.link, up=up))
            case AddRoute(_, route) | DropRoute(_, route):
                return replace(end, routes=_routes(end, step, route))
            case _:
                return replace(end, addresses=_addresses(end, step))

    return change


def _routes(end: End, step: AddRoute | DropRoute, route: Route) -> tuple[Route, ...]:
    return _added(end.routes, route) if isinstance(step, AddRoute) else _less(end.routes, route)


def _addresses(end: End, step: AddressStep) -> tuple[HostAddress, ...]:
    address = step.address
    if isinstance(step, DropAddress):
        return _less(end.addresses, address)
    if isinstance(step, AddAddress):
        quiet = NODAD if address.family == 6 else 0
        return _added(end.addresses, replace(address, flags=address.flags | quiet))
    assert isinstance(step, SettleAddress)
    assert [each.key for each in end.addresses].count(address.key) == 1
    return tuple(address if each.key == address.key else each for each in end.addresses)


def _added(there: tuple[Thing, ...], new: Thing) -> tuple[Thing, ...]:
    assert new.key not in [each.key for each in there], f"{new} twice"
    return (*there, new)


def _less(there: tuple[Thing, ...], gone: Thing) -> tuple[Thing, ...]:
    assert gone.key in [each.key for each in there], f"{gone} is not there"
    return tuple(each for each in there if each.key != gone.key)


def unordered(view: UplinkView) -> tuple[object, ...]:
    """Return a host without the order of its addresses and routes."""
    ends = (nic_of(view), bridge_of(view))
    sides = [(end.link, frozenset(end.addresses), frozenset(end.routes)) for end in ends]
    return (*sides, view.nic_facts)
