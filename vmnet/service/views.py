"""A NIC's surroundings, whatever kind of bridge it is on.

Job: ask Open vSwitch too where a bridge is none of Linux's; what a NIC is there, from its wish.
Leaves to others: the kernel's part (`vmnet.kernel.observe`), the database (`vmnet.peers.ovs`).
Privilege: that of the database's socket, where it is asked: root, as a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from vmnet.errors import Conflict, PeerError, Unsupported
from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import holders_of, nic_view
from vmnet.kernel.ovsplace import is_here, socket_path
from vmnet.model.host import Link, NicView
from vmnet.model.nic import Nic, Wish
from vmnet.model.ovs import OvsPort, OvsView
from vmnet.model.port import settle_port
from vmnet.model.step import PeerStep, Plan
from vmnet.model.tag import Tag
from vmnet.model.wire import Direct, Routed, wire_phrase
from vmnet.plan.direct import on_nic
from vmnet.plan.ovs import is_link_of, kept_port, on_switch, port_first
from vmnet.plan.routed import on_route

if TYPE_CHECKING:
    from vmnet.peers.ovs import Ovsdb


class Views:
    """Looks at the host for a planner, and has Open vSwitch do what is its part; with `with`."""

    def __init__(self, netlink: Netlink) -> None:
        """Look through this socket; Open vSwitch is asked when a bridge turns out to be none."""
        self.netlink = netlink
        self._stack = ExitStack()
        self._switch: Ovsdb | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, name: str, nic: Nic, *, others: bool = True, holders: bool = True) -> NicView:
        """Return what a planner needs to know for a NIC; arguments as for `nic_view`.

        Raises:
            PeerError, Unsupported: Open vSwitch would have to be asked, and cannot be.
        """
        view = nic_view(self.netlink, name, nic, others=others, holders=holders)
        if isinstance(nic.wire, Routed):
            from vmnet.kernel.routed import routed_view  # noqa: PLC0415 - not for bridges

            seen = routed_view(self.netlink, view.tap, nic.port.addresses, nic.wire.proxy)
            return replace(view, routed=seen)
        if isinstance(nic.wire, Direct):
            return self._on_nic(view, nic.wire)
        return replace(view, ovs=self._shown(nic.bridge, view.bridge, view.tap, name))

    def _on_nic(self, view: NicView, wire: Direct) -> NicView:
        lower = self.netlink.link(wire.lower)
        there = view.tap
        if there is None or there.macvtap is None:
            return replace(view, lower=lower)
        from vmnet.kernel.macvtaps import owner_of_node  # noqa: PLC0415 - not for TAPs

        owner = owner_of_node(there.name, there.index)
        # Nothing but a search tells who has a macvtap open.
        return replace(view, lower=lower, holders=holders_of(there), node_owner=owner)

    def settled(self, nic: Nic, wish: Wish, there: Link | None, name: str) -> Nic:
        """Return a NIC as its bridge carries it.

        Args:
            nic: what came of the wish, its bridge taken for one of Linux.
            wish: the wish.
            there: the TAP, or None.
            name: its name.

        Raises:
            Unsupported: the bridge does not carry something that is asked for.
            Conflict: what the NIC had there is lost.
        """
        check_same_wire(nic, there)
        if isinstance(nic.wire, Direct):
            return on_nic(nic, guard_asked=bool(wish.port.guard))
        if isinstance(nic.wire, Routed):
            return on_route(nic, guard_asked=bool(wish.port.guard))
        shown = self._shown(nic.bridge, self.netlink.link(nic.bridge), there, name)
        if shown is None or shown.bridge is None:
            return nic
        if wish.port.guard:
            raise Unsupported(
                f"bridge {nic.bridge!r} is Open vSwitch's, where vmnet cannot hold guard",
                code="ovs-cannot",
                remedy="leave --guard out, or use a Linux bridge",
            )
        tag = there.tag if there is not None else None
        if tag is not None and wish.network is None:
            kept = kept_port(shown.port, tag, wish.port)
            nic = replace(nic, port=settle_port(kept, wish.port))
        return on_switch(nic, shown.bridge)

    def is_stopped(self, view: NicView) -> bool:
        """Say whether a NIC is on a bridge of Open vSwitch whose daemon does not run."""
        there = view.ovs is not None and view.ovs.bridge is not None
        return there and self._switch is not None and not self._switch.has_daemon()

    def do(self, step: PeerStep) -> None:
        """Have Open vSwitch carry out a step of a plan for which it was asked.

        Raises:
            VmnetError: it was not carried out.
        """
        if self._switch is None:
            raise TypeError(f"nobody to carry out {step}")
        self._switch.do(step)

    def _shown(self, name: str, bridge: Link | None, tap: Link | None, port: str) -> OvsView | None:
        links = [bridge]
        if tap is not None and tap.tag is not None and tap.tag.bridge not in ("", name):
            links.append(self.netlink.link(tap.tag.bridge))
        if all(link is not None and link.kind == "bridge" for link in links):
            return None
        if self._switch is None:
            needed = any(link is not None and link.kind != "bridge" for link in links)
            self._switch = self._stack.enter_context(asked(needed=needed))
            if self._switch is not None:
                self._switch.catch_up()
        return None if self._switch is None else self._switch.view(name, port)


def check_same_wire(nic: Nic, there: Link | None) -> None:
    """Raise `Conflict` if the NIC is there and leaves the host another way."""
    tag = there.tag if there is not None else None
    if tag is None or there is None or type(tag.wire) is type(nic.wire):
        return
    now = f"on bridge {tag.bridge!r}" if tag.wire is None else wire_phrase(tag.wire)
    raise Conflict(
        f"NIC {tag.nic} of VM {tag.vm_name!r} is there ({there.name}, {now}), and cannot become "
        "another kind of wire",
        code="other-wire",
        remedy="stop the VM, `vmnet detach` it, attach it again",
    )


@dataclass(frozen=True)
class AtSwitch:
    """A TAP at Open vSwitch.

    Attributes:
        switch: Open vSwitch; None where it has nothing to do with the TAP, or does not answer.
        port: the port, or None.
        silent: it may have a port, and does not answer.
    """

    switch: Ovsdb | None = None
    port: OvsPort | None = None
    silent: bool = False

    def first(self, plan: Plan) -> Plan:
        """Return a plan that takes the TAP away with the port taken away before.

        Where it cannot be asked the TAP goes all the same: gc sweeps what its database has left.
        """
        if self.silent and plan.moves:
            note = "Open vSwitch does not answer: what it has of it is for `vmnet gc`, when it does"
            return Plan(plan.moves, (*plan.notes, note))
        return port_first(plan, self.port)


@contextmanager
def at_switch(netlink: Netlink, tap: Link) -> Iterator[AtSwitch]:
    """Look for the port that a TAP has at Open vSwitch, which is only asked if it may have one."""
    tag = tap.tag
    bridge = netlink.link(tag.bridge) if tag is not None and tag.bridge else None
    if tag is None or (bridge is not None and bridge.kind == "bridge"):
        yield AtSwitch()
        return
    with asked() as switch:
        if switch is None:
            yield AtSwitch(silent=bridge is not None)
        else:
            yield AtSwitch(switch, switch.view(tag.bridge, tap.name).port)


@contextmanager
def asked(*, needed: bool = False) -> Iterator[Ovsdb | None]:
    """Talk with Open vSwitch if it can be asked.

    Raises:
        PeerError, Unsupported: it is needed, is here, and cannot be.
    """
    if not is_here():
        yield None
        return
    from vmnet.peers.ovs import Ovsdb  # noqa: PLC0415 - not for Linux bridges

    try:
        switch = Ovsdb(socket_path())
        if not needed and not switch.answers():
            switch.close()
            yield None
            return
    except (PeerError, Unsupported):
        if needed:
            raise
        yield None
        return
    with switch:
        yield switch


def switched(netlink: Netlink, found: Iterable[tuple[Link, Tag]]) -> dict[str, str]:
    """Return of TAPs on no Linux bridge on which of Open vSwitch they are, by their names."""
    kinds = {name: netlink.link(name) for name in {tag.bridge for _, tag in found if tag.bridge}}
    others = {name for name, link in kinds.items() if link is None or link.kind != "bridge"}
    if not others:
        return {}
    with asked() as switch:
        ports = switch.marked() if switch is not None else []
    return {port.name: port.bridge for port in ports}


def ports_here(netlink: Netlink, switch: Ovsdb) -> list[OvsPort]:
    """Return the ports with vmnet's mark whose bridges are in this network namespace."""
    bridges = switch.bridges()
    here = {each.name for each in bridges if is_link_of(each, netlink.link(each.name))}
    return [port for port in switch.marked() if port.bridge in here]
