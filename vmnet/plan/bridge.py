"""Bridges of vmnet's own: making them and taking them away.

Job: the plans of `vmnet bridge create` and `delete`.
Leaves to others: looking and doing (`vmnet.kernel`).
Privilege: none.

A bridge cannot get its tag in the message that creates it. It gets its address there, and the
address follows from this host and the bridge's name; so a bridge without a tag that has just that
address, and nothing on it, is one whose making was cut short.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vmnet.errors import Conflict, NotFound
from vmnet.model.host import BridgeView, Link
from vmnet.model.hoststep import DropAddress, DropRoute
from vmnet.model.patch import other_link
from vmnet.model.step import (
    IPV6_MIN_MTU,
    CreateBridge,
    DeleteLink,
    DropTap,
    Move,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMaster,
    SetMtu,
    SetUp,
    SetVlanFiltering,
    Step,
)
from vmnet.model.tag import Life, Own, Tag, format_tag

#: net/ethernet/eth.c ether_setup: what a new bridge has.
_DEFAULT_MTU = 1500


def is_leftover(view: BridgeView) -> bool:
    """Say whether this is a bridge whose making by vmnet was cut short."""
    link = view.link
    return (
        link is not None
        and link.kind == "bridge"
        and not link.alias
        and link.mac == view.mac
        and not link.up
        and view.empty
    )


def is_ours(link: Link) -> bool:
    """Say whether vmnet made this bridge."""
    tag = link.tag
    return link.kind == "bridge" and tag is not None and tag.own is Own.MADE and not tag.vm


def plan_bridge_create(
    name: str,
    view: BridgeView,
    *,
    mtu: int | None,
    generation: str,
    vlan_filtering: bool | None = None,
) -> Plan:
    """Return the steps that make a bridge: own address, STP off, no IPv6 of its own, up.

    Args:
        name: its name.
        view: the host.
        mtu: in bytes; None leaves it.
        generation: eight hexadecimal digits for a bridge made now.
        vlan_filtering: keep VLANs apart; None leaves it.

    Raises:
        Conflict: a link of that name is there and is not vmnet's bridge.
    """
    link = view.link
    moves: list[Move] = []
    if link is None:
        made = CreateBridge(name, view.mac, bool(vlan_filtering))
        moves.append(Move(made, DeleteLink(Ref(name))))
    elif not is_ours(link) and not is_leftover(view):
        what = "bridge" if link.kind == "bridge" else f"link of kind {link.kind or 'hardware'}"
        raise Conflict(
            f"a {what} {name!r} is already there and vmnet did not make it",
            code="bridge-foreign",
            remedy="use it as it is with --bridge, or choose another name",
        )
    ref = Ref(name, link.index if link else 0)
    if link is not None and vlan_filtering not in (None, link.vlan_filtering):
        on = bool(vlan_filtering)
        moves.append(Move(SetVlanFiltering(ref, on), SetVlanFiltering(ref, not on)))
    moves += [Move(step, _undo(step, link)) for step in _missing(ref, link, mtu, generation)]
    return Plan(tuple(moves))


def _missing(ref: Ref, link: Link | None, mtu: int | None, generation: str) -> list[Step]:
    steps: list[Step] = []
    if link is None or link.tag is None:
        tag = Tag("", 0, generation, Own.MADE, Life.KEPT)
        steps += [QuietIpv6(ref), SetAlias(ref, format_tag(tag))]
    if link is None or link.tag is None:
        steps += _pinned_mtu(ref, mtu or _DEFAULT_MTU)
    elif mtu is not None and link.mtu != mtu:
        steps.append(SetMtu(ref, mtu))
        if link.mtu < IPV6_MIN_MTU <= mtu:
            steps.append(QuietIpv6(ref))
    if link is None or not link.up:
        steps.append(SetUp(ref))
    return steps


def _undo(step: Step, link: Link | None) -> Step | None:
    """Return what takes a step back on a bridge that was there; one made now goes as a whole."""
    match step:
        case SetAlias(ref) if link is not None:
            return SetAlias(ref, link.alias)
        case SetMtu(ref) if link is not None:
            return SetMtu(ref, link.mtu)
        case SetUp(ref) if link is not None:
            return SetUp(ref, up=False)
        case _:
            return None


def _pinned_mtu(ref: Ref, mtu: int) -> list[Step]:
    """Return the steps after which no port can pull the bridge's MTU down.

    A bridge follows its narrowest port until its MTU was set by hand, and the kernel counts only a
    change as that (net/bridge/br_device.c br_change_mtu, net/core/dev.c dev_set_mtu_ext).
    """
    beside = mtu - 1 if mtu == _DEFAULT_MTU else _DEFAULT_MTU
    return [SetMtu(ref, beside), SetMtu(ref, mtu)]


def plan_bridge_delete(name: str, view: BridgeView, *, force: bool) -> Plan:
    """Return the step that takes a bridge away.

    Raises:
        NotFound: there is no such link.
        Conflict: vmnet did not make it, or it has the addresses of a NIC of the host's, or ports,
            addresses, routes or links on it; `force` takes only these last ones along.
    """
    link = view.link
    if link is None:
        raise NotFound(
            f"no bridge {name!r} here",
            code="bridge-missing",
            remedy="`ip -br link show type bridge` lists those there are",
        )
    if not is_ours(link) and not is_leftover(view):
        raise Conflict(
            f"{name!r} was not made by vmnet: will not delete it",
            code="bridge-foreign",
            remedy=f"if it is really not needed: `ip link delete dev {name}`",
        )
    if view.uplinks:
        # They are nowhere else: with the bridge the host itself would lose its network for good.
        raise Conflict(
            f"bridge {name!r} has the addresses and routes of {', '.join(view.uplinks)}",
            code="bridge-has-uplink",
            remedy=f"`vmnet bridge remove-uplink {name} {view.uplinks[0]}` gives them back",
        )
    notes: tuple[str, ...] = ()
    if not view.empty:
        used = _used(view)
        if not force:
            raise Conflict(
                f"bridge {name!r} is in use: {used}",
                code="bridge-in-use",
                remedy="take those away first, or --force, after which they have no network",
            )
        notes = (f"bridge {name!r} is deleted although in use: {used}; they lose their network",)
    return Plan((Move(DeleteLink(Ref(name, link.index))),), notes)


def _used(view: BridgeView) -> str:
    parts = (
        ("ports", view.ports),
        ("addresses", view.addresses),
        ("routes", view.routes),
        ("links on it", view.uppers),
    )
    return "; ".join(f"{what} {', '.join(items)}" for what, items in parts if items)


def bridge_after(view: BridgeView, done: Iterable[Step]) -> BridgeView:
    """Return a bridge as it will be, for a dry run of what comes after other steps."""
    gone: set[str] = set()
    for step in done:
        match step:
            case DeleteLink(ref):
                gone |= {ref.name, other_link(ref.name)}
            case DropTap(ref) | SetMaster(ref, None):
                gone.add(ref.name)
            case DropAddress(ref, address) if _is(ref, view):
                gone.add(f"{address.local}/{address.prefix}")
            case DropRoute(ref, route) if _is(ref, view):
                gone.add("default/0" if route.to == "default" else route.to)
            case _:
                pass
    return replace(
        view,
        # A port is named with who holds it.
        ports=tuple(port for port in view.ports if port.partition(" ")[0] not in gone),
        addresses=tuple(each for each in view.addresses if each not in gone),
        routes=tuple(each for each in view.routes if each not in gone),
        uplinks=tuple(each for each in view.uplinks if each not in gone),
    )


def _is(ref: Ref, view: BridgeView) -> bool:
    return view.link is not None and ref.name == view.link.name
