"""A NIC whose bridge is one of Open vSwitch's.

Job: what such a bridge carries, the port that a NIC is to have there, and the difference to what
its database shows, as moves.
Leaves to others: the TAP itself (`vmnet.plan.attach`, `.adjust`), asking (`vmnet.peers.ovs`).
Privilege: none.

A port whose TAP was deleted and made anew shows no error and passes nothing, and taking it out and
putting it in within one transaction does not mend it: two do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from vmnet.errors import Conflict, Unsupported
from vmnet.model.host import Link, NicView
from vmnet.model.nic import USUAL_MTU, Nic
from vmnet.model.ovs import (
    AddOvsPort,
    OvsBridge,
    OvsPort,
    OvsVlans,
    SetOvsPort,
    drop_step,
)
from vmnet.model.port import Port, PortAsk, port_digest, port_settings, settle_port
from vmnet.model.step import Move, Plan
from vmnet.model.tag import Tag, format_tag, parse_tag
from vmnet.model.vlan import VidRange, Vlans, merged

#: Device models of QEMU's that leave checksums to the host where the TAP could do them, and cannot
#: be told not to (hw/net/net_tx_pkt.c).
_UNABLE = ("e1000e", "igb", "vmxnet3")
_CARRIED = ("vlan", "trunk", "native", "guard", "rate-in")


def switch_of(view: NicView) -> OvsBridge | None:
    """Return the wished bridge if it is one of Open vSwitch's."""
    return view.ovs.bridge if view.ovs is not None else None


def as_link(name: str, bridge: OvsBridge, view: NicView) -> Link:
    """Return the bridge's own link as plans of TAPs take it.

    Frames between other ports pass whether it is up or not, and whatever its MTU is.

    Raises:
        Unsupported: the daemon could not make it.
    """
    link = own_link(name, bridge, view.bridge)
    return replace(link, up=True, mtu=view.tap.mtu if view.tap is not None else USUAL_MTU)


def own_link(name: str, bridge: OvsBridge, link: Link | None) -> Link:
    """Return the link of a bridge's name if it is the bridge's own.

    Raises:
        Unsupported: the daemon could not make it.
        Conflict: the bridge is in another network namespace.
    """
    if link is None:
        raise Unsupported(
            f"bridge {name!r} is in Open vSwitch's database, but has no link here: its datapath "
            f"({bridge.datapath}) could not be set up, or its daemon does not run",
            code="ovs-no-datapath",
            remedy="see the log of ovs-vswitchd; `modprobe openvswitch`, or for the datapath in "
            f"the daemon `ovs-vsctl set bridge {name} datapath_type=netdev`",
        )
    if bridge.index and not is_link_of(bridge, link):
        raise Conflict(
            f"link {name!r} is not the bridge of that name that Open vSwitch has: that one is in "
            "another network namespace",
            code="ovs-elsewhere",
            remedy="run vmnet in the namespace of ovs-vswitchd",
        )
    return link


def is_link_of(bridge: OvsBridge, link: Link | None) -> bool:
    """Say whether a link is a bridge's own.

    A database answers whoever reaches its socket, from whatever network namespace; and in another
    one another link can have that name, and even that index.
    """
    return link is not None and (link.index, link.mac) == (bridge.index, bridge.mac)


def on_switch(nic: Nic, bridge: OvsBridge) -> Nic:
    """Return the NIC as such a bridge carries it.

    Raises:
        Unsupported: the bridge does not carry something that is asked for.
    """
    beyond = [key for key in port_settings(nic.port) if key not in _CARRIED]
    beyond += ["strict"] if nic.strict else []
    if beyond:
        raise Unsupported(
            f"bridge {bridge.name!r} is Open vSwitch's, where vmnet cannot hold {beyond[0]}",
            code="ovs-cannot",
            remedy="leave it out: it is for OpenFlow rules of that bridge's controller; or use a "
            "Linux bridge",
        )
    return replace(nic, port=replace(nic.port, guard=False), offload=not bridge.userspace)


def check_offload(nic: Nic) -> None:
    """Raise `Unsupported` if a QEMU that inherits the TAP could not be told to finish checksums."""
    if not nic.offload and nic.model in _UNABLE:
        raise Unsupported(
            f"device model {nic.model} leaves checksums to the host, and the datapath of bridge "
            f"{nic.bridge!r} does not finish them: TCP would not work",
            code="ovs-offload",
            remedy="use virtio-net-pci or e1000; or `vmnet attach`, whose arguments switch it off",
        )


def switch_notes(bridge: OvsBridge) -> tuple[str, ...]:
    """Return what a user should know who knows Linux bridges."""
    what = "the guard does not hold there, the guest may send from any address"
    return (f"bridge {bridge.name!r} is Open vSwitch's: {what}",)


def port_vlans(port: OvsPort) -> Vlans | None:
    """Return the VLANs of a port as vmnet writes them; None for all."""
    vlans = port.vlans
    tagged = merged(VidRange(vid, vid) for vid in vlans.trunks if vid != vlans.tag)
    return Vlans(vlans.tag, tagged) if tagged or vlans.tag is not None else None


def switch_digest(port: Port) -> str:
    """Return what stands in a tag for what may pass at a port there, where no guard holds."""
    return port_digest(replace(port, guard=True))


def kept_port(port: OvsPort | None, tag: Tag, ask: PortAsk) -> Port:
    """Return what may pass at a TAP's port as it is.

    Args:
        port: the port of its name, or None.
        tag: the TAP's tag.
        ask: what is asked for.

    Raises:
        Conflict: its port has gone, what was set there with it, and not all of it is asked for
            again. Without its VLAN a NIC would be in all of them.
    """
    mark = parse_tag(port.mark) if port is not None else None
    if port is not None and mark is not None and mark.generation == tag.generation:
        return Port(vlans=port_vlans(port), rate_in=port.rate)
    anew = ask.guard is not None or switch_digest(settle_port(Port(), ask)) == tag.port
    if tag.port and not anew:
        raise Conflict(
            f"the port of {tag.vm_name}'s NIC {tag.nic} at Open vSwitch has gone, and with it what "
            "may pass there",
            code="port-lost",
            remedy="give all its options again as they were, or --network NAME; or say it all "
            "anew: --no-guard and what else is to hold",
        )
    return Port()


def wished_port(nic: Nic, name: str, tag: Tag) -> OvsPort:
    """Return the port that a NIC is to have."""
    return OvsPort(
        name=name,
        bridge=nic.bridge,
        vlans=_vlans(nic.port.vlans),
        rate=nic.port.rate_in,
        external_ids={
            "attached-mac": nic.mac,
            "iface-id": f"{nic.vm}-{nic.nic}",
            "iface-status": "active",
            "vm-id": nic.vm,
        },
        mark=format_tag(replace(tag, idle=None)),
    )


def _vlans(vlans: Vlans | None) -> OvsVlans:
    if vlans is None:
        return OvsVlans()
    tagged = tuple(vid for each in vlans.tagged for vid in each.vids)
    if not tagged:
        return OvsVlans(vlans.untagged, (), "access")
    return OvsVlans(
        vlans.untagged, tagged, "trunk" if vlans.untagged is None else "native-untagged"
    )


def stale_moves(view: NicView) -> list[Move]:
    """Return what takes away the port of a TAP that is gone, before one of its name is made."""
    port = view.ovs.port if view.ovs is not None else None
    return [] if port is None or view.tap is not None else [_drop(port)]


def new_port(nic: Nic, name: str, tag: Tag) -> Move:
    """Return what puts a new TAP into the bridge."""
    return _add(wished_port(nic, name, tag))


def port_moves(nic: Nic, view: NicView, tap: Link, tag: Tag) -> list[Move]:
    """Return what is missing at the port of a TAP that is there.

    Args:
        nic: the wish.
        view: the host.
        tap: the TAP.
        tag: its tag, as it is to be.
    """
    wished = wished_port(nic, tap.name, tag)
    port = view.ovs.port if view.ovs is not None else None
    if port is None:
        return [_add(wished)]
    if _is_stale(port, tap, tag):
        return [_drop(port), _add(wished)]
    if port.bridge != wished.bridge:
        # Not one after the other: what it was limited to would be nowhere in between.
        return [Move(AddOvsPort(wished, port), AddOvsPort(port, wished))]
    if _same(port, wished):
        return []
    back = SetOvsPort(port, wished.rate is not None)
    return [Move(SetOvsPort(wished, port.rate is not None), back)]


def moves_port(view: NicView, bridge: str) -> str:
    """Return the bridge that a live TAP's port would leave for another; empty for none."""
    port = view.ovs.port if view.ovs is not None else None
    if port is None or view.tap is None or port.bridge == bridge:
        return ""
    return port.bridge


def check_one_switch(view: NicView) -> None:
    """Raise `Conflict` if the TAP is a port of a bridge of the other sort."""
    switch, tap = switch_of(view), view.tap
    if tap is None:
        return
    port = view.ovs.port if view.ovs is not None else None
    if switch is None and port is not None:
        where, sort = port.bridge, "of Open vSwitch"
    elif switch is not None and view.master is not None and view.master.kind == "bridge":
        where, sort = view.master.name, "of Linux"
    else:
        return
    raise Conflict(
        f"tap {tap.name!r} is a port of bridge {where!r} {sort}",
        code="other-switch",
        remedy="stop the VM, `vmnet detach` it, attach it again",
    )


def port_first(plan: Plan, port: OvsPort | None) -> Plan:
    """Return a plan that takes a TAP away, with its port taken away before."""
    if port is None or not plan.moves:
        return plan
    return Plan((Move(drop_step(port), AddOvsPort(port)), *plan.moves), plan.notes)


def stray_ports(
    ports: Iterable[OvsPort], alive: Collection[str], vms: Collection[str]
) -> Iterator[Move]:
    """Yield what takes away ports whose TAPs are gone.

    Args:
        ports: ports with vmnet's mark, of bridges of this network namespace.
        alive: the generations of TAPs that are there.
        vms: whose ports, as in tags; empty for all.
    """
    for port in ports:
        mark = parse_tag(port.mark)
        if mark is None or mark.generation in alive or (vms and mark.vm not in vms):
            continue
        yield Move(drop_step(port))


def _is_stale(port: OvsPort, tap: Link, tag: Tag) -> bool:
    mark = parse_tag(port.mark)
    another = mark is not None and mark.generation != tag.generation
    return another or bool(port.error) or (port.index not in (0, tap.index))


def _same(port: OvsPort, wished: OvsPort) -> bool:
    mark, new = parse_tag(port.mark), parse_tag(wished.mark)
    known = mark is not None and new is not None and mark.generation == new.generation
    told = all(port.external_ids.get(key) == value for key, value in wished.external_ids.items())
    return known and told and port.vlans == wished.vlans and port.rate == wished.rate


def _add(port: OvsPort) -> Move:
    return Move(AddOvsPort(port), drop_step(port))


def _drop(port: OvsPort) -> Move:
    return Move(drop_step(port))
