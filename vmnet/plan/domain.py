"""A libvirt domain's NICs: what is wished for each, and what is missing.

Job: join the domain's XML, the wishes in its metadata and the networks of this host; the plans for
a TAP that vmnet makes for libvirt and for one that libvirt made.
Leaves to others: reading XML (`vmnet.formats.domain`), the order of the hook's operations
(`vmnet.service.domains`).
Privilege: none.

The host's networks are the ceiling: whoever may write a domain's metadata may name one of them and
ask for less, never for another bridge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vmnet.errors import Conflict, InvalidInput, NotFound, Unsupported, VmnetError
from vmnet.model.domain import Domain, Interface, NicWish
from vmnet.model.host import Link, NicView
from vmnet.model.names import (
    alt_name,
    check_link_name,
    is_made_name,
    link_name,
    mac_alt_name,
    shorten,
    typed,
)
from vmnet.model.network import Network
from vmnet.model.nic import Nic, check_model, check_mtu, check_queues
from vmnet.model.port import (
    port_digest,
)
from vmnet.model.step import (
    AddAltname,
    DropAltname,
    DropTap,
    Move,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMaster,
    SetMtu,
    SetUp,
)
from vmnet.model.tag import Life, Own, Tag, format_tag, vm_in_tag
from vmnet.model.vhost import Finding, Reason
from vmnet.plan.adjust import still_arriving
from vmnet.plan.attach import Moment, check_bridge, check_mac_free, check_mtu_fits, plan_attach
from vmnet.plan.ceiling import ceiled_port, check_ceiling, port_sources
from vmnet.plan.passage import plan_passage
from vmnet.plan.refusals import held, is_held, not_a_tap

#: Interface types whose TAP libvirt makes and puts into a Linux bridge.
_BRIDGED = ("bridge", "network")
#: libvirt opens the TAP itself, as root; so nobody else may.
_LIBVIRT_UID = 0


@dataclass(frozen=True)
class DomainNic:
    """One NIC that has a wish.

    Attributes:
        wish: what the metadata says.
        interface: what the XML says.
        nic: the wish with nothing left open.
        made: vmnet makes the TAP; else libvirt does.
        sources: where each setting comes from, by its name.
    """

    wish: NicWish
    interface: Interface
    nic: Nic
    made: bool
    sources: Mapping[str, str]


def domain_nics(
    domain: Domain, networks: Mapping[str, Network]
) -> tuple[list[DomainNic], list[str]]:
    """Return the NICs that have a wish, in the order of the XML, and notes about the others.

    Args:
        domain: the domain.
        networks: for each wish, by its MAC, the network it is on.

    Raises:
        Conflict: the XML or the metadata goes beyond the network, or two interfaces are one.
        Unsupported: an interface with a wish is of a kind that vmnet cannot serve.
        InvalidInput: a value that no TAP can have.
    """
    nics = []
    notes = []
    gone = [wish for wish in domain.wishes if domain.interface(wish.mac) is None]
    for interface in domain.interfaces:
        wish = domain.wish(interface.mac)
        if wish is None:
            which = f"{shorten(interface.mac or '?')} ({shorten(interface.kind)})"
            notes.append(f"interface {which} has no wish: left alone")
            continue
        nics.append(_joined(domain, interface, wish, networks[wish.mac]))
    notes += [
        f"the wish for {wish.mac} has no interface in the domain: nothing to do" for wish in gone
    ]
    _check_targets(nics)
    return nics, notes


def _check_targets(nics: list[DomainNic]) -> None:
    taken: dict[str, DomainNic] = {}
    for each in nics:
        name = each.interface.target
        first = taken.setdefault(name, each)
        if name and first is not each:
            raise Conflict(
                f"NICs {first.wish.nic} ({first.wish.mac}) and {each.wish.nic} ({each.wish.mac}) "
                f"both have <target dev={name!r}>",
                code="target-twice",
                remedy=f"name that of NIC {each.wish.nic} "
                f"{link_name(each.nic.vm, each.wish.nic)!r}, as `vmnet attach` does",
            )


def _joined(domain: Domain, interface: Interface, wish: NicWish, network: Network) -> DomainNic:
    try:
        made = _is_made(interface)
        check_ceiling(interface, wish, network, made=made)
        if made or interface.target:
            check_link_name(interface.target, "tap")
        check_mtu(interface.mtu)
        model = model_of(interface)
        check_model(model)
        check_queues(interface.queues, model)
        port = ceiled_port(wish, network)
    except VmnetError as error:
        error.message = f"NIC {wish.nic} ({wish.mac}): {error.message}"
        raise
    nic = Nic(
        vm=domain.name,
        nic=wish.nic,
        bridge=network.bridge,
        mac=wish.mac,
        mtu=interface.mtu or network.mtu,
        queues=interface.queues,
        vhost=wish.vhost or network.vhost,
        model=model,
        owner=_LIBVIRT_UID,
        port=port,
        strict=network.strict,
        trusted=network.uplinks,
    )
    return DomainNic(wish, interface, nic, made, _sources(interface, wish, network))


def _sources(interface: Interface, wish: NicWish, network: Network) -> dict[str, str]:
    of_network = f"network {network.name!r} of the configuration"
    mtu = of_network if network.mtu else f"bridge {network.bridge!r}"
    return {
        "network": "the domain's metadata" if wish.network else "the configuration's default",
        "bridge": of_network,
        "mac": "the domain's XML",
        "mtu": "the domain's XML, <mtu size=>" if interface.mtu else mtu,
        "queues": "the domain's XML, <driver queues=>" if interface.queues > 1 else "every NIC",
        "vhost": "the domain's metadata" if wish.vhost else of_network,
        "model": "the domain's XML, <model type=>" if interface.model else "libvirt's default",
        **port_sources(wish, network, of_network),
    }


def _is_made(interface: Interface) -> bool:
    if interface.kind == "ethernet":
        if interface.managed:
            raise Conflict(
                "type='ethernet' without managed='no': libvirt would make the TAP, in no bridge",
                code="not-managed-no",
                remedy="write <target dev='...' managed='no'/>: `vmnet template` shows it",
            )
        return True
    if interface.kind not in _BRIDGED or interface.virtualport:
        kind = interface.kind + (f" with {interface.virtualport}" if interface.virtualport else "")
        raise Unsupported(
            f"vmnet cannot carry out a wish for an interface of type {shorten(kind)}",
            code="interface-kind",
            remedy="use type ethernet, bridge or network, or take the wish out of the metadata",
        )
    return False


def model_of(interface: Interface) -> str:
    """Return QEMU's name for a device model of libvirt's, as far as the vhost decision asks."""
    if interface.model.startswith("virtio"):
        return "virtio-net-pci"
    return interface.model or "rtl8139"


def libvirt_vhost(domain: Domain, interface: Interface) -> Finding | None:
    """Return why libvirt will not use vhost-net for this NIC, or None if it will try to.

    Its rule (src/qemu/qemu_interface.c qemuInterfaceOpenVhostNet, 9.0): only for a domain of type
    kvm, a virtio model, and a driver that is not `qemu`. A domain of another type starts without,
    and without a word, even where the XML says driver name='vhost'.
    """
    if domain.kind != "kvm":
        return Finding(
            Reason.NOT_KVM,
            f"libvirt uses vhost-net only for domains of type kvm, and this is "
            f"{shorten(domain.kind)!r}",
            "define the domain with <domain type='kvm'>",
        )
    if interface.driver == "qemu":
        return Finding(
            Reason.DRIVER_QEMU,
            "the XML says <driver name='qemu'>, so libvirt does not use vhost-net",
            "write <driver name='vhost'>, or leave the name out",
        )
    return None


def plan_prepare(nic: Nic, view: NicView, now: Moment) -> Plan:
    """Return the steps that make a TAP before the domain starts; a leftover of its is made anew.

    Raises:
        As `plan_attach`; Busy also if a process holds the TAP; Conflict also if it was attached
            without libvirt, and otherwise: it is used as it is or not at all.
    """
    tap = view.tap
    tag = tap.tag if tap is not None and tap.is_tap else None
    if tap is not None and tag is not None and tag.vm != vm_in_tag(nic.vm):
        raise Conflict(
            f"NIC {nic.nic} ({nic.mac}): <target dev={tap.name!r}> is the TAP of VM "
            f"{tag.vm_name!r}, NIC {tag.nic}",
            code="tap-foreign",
            remedy=_own_name(nic, tap.name, tag),
        )
    # Also one that was another NIC's: the metadata may have been changed since.
    stale = tag is not None and tag.life is Life.DOMAIN
    if tap is None or tap.tun is None or not stale:
        plan = plan_attach(nic, view, now, life=Life.DOMAIN)
        if tag is not None and tag.life is Life.KEPT and plan.moves:
            raise Conflict(
                f"tap {view.name!r} was attached without libvirt, as another NIC than this",
                code="two-meanings",
                remedy=f"`vmnet detach {typed(nic.vm)} --plain --nic {tag.nic}`",
            )
        return plan
    if is_held(tap, view.holders):
        raise held(tap, view.holders, "make it anew for a domain that starts")
    user = view.mac_user
    if user is not None and user.index == tap.index:
        user = None
    drop = Move(DropTap(Ref(tap.name, tap.index), tap.tun.multi_queue))
    fresh = replace(view, tap=None, master=None, mac_user=user)
    made = plan_attach(nic, fresh, now, life=Life.DOMAIN)
    return Plan((drop, *made.moves), made.notes)


def _own_name(nic: Nic, name: str, tag: Tag) -> str:
    """Return how one of two NICs with one name for their TAPs gets another: a clone has both."""
    vm, number = nic.vm, nic.nic
    own = link_name(vm, number)
    if not is_made_name(name):
        return f"write <target dev='{own}' managed='no'/>"
    if own == name:  # so the other has been renamed
        vm, number = tag.vm_name, tag.nic
    return f"`vmnet attach {typed(vm)} --nic {number} --config` gives that NIC's TAP another name"


def plan_adopt(nic: Nic, view: NicView, now: Moment) -> Plan:
    """Return the steps that make vmnet's settings hold on a TAP that libvirt made.

    Raises:
        NotFound: no such TAP or bridge.
        Conflict: it is no TAP, or carries the tag of another NIC, or its MAC is in use.
        InvalidInput: the MTU is larger than the bridge's.
    """
    bridge = check_bridge(nic.bridge, view)
    check_mtu_fits(nic, bridge, view)
    check_mac_free(nic, view)
    tap = view.tap
    if tap is None:
        raise NotFound(
            f"libvirt's tap {view.name!r} is not here",
            code="tap-missing",
            remedy="`ip -br link` lists the links; libvirtd may be in another network namespace",
        )
    if not tap.is_tap:
        raise not_a_tap(tap)
    tag = _adoptable(nic, tap)
    wished = _managed_tag(nic, tag, now)
    link = Ref(tap.name, tap.index)
    wished = replace(wished, arriving=still_arriving(wished, view))
    passage = plan_passage(nic, wished, view, link, bridge)
    moves = [*passage.guard, *passage.rates]
    if tag != wished:
        moves.append(Move(SetAlias(link, format_tag(wished)), SetAlias(link, tap.alias)))
    if tag is None:
        moves.append(Move(QuietIpv6(link)))
    if nic.mtu is not None and tap.mtu != nic.mtu:
        moves.append(Move(SetMtu(link, nic.mtu), SetMtu(link, tap.mtu)))
    moves += [
        Move(AddAltname(link, name), DropAltname(link, name))
        for name in (alt_name(nic.vm, nic.nic), mac_alt_name(nic.mac))
        if name not in tap.altnames
    ]
    if tap.master != bridge.index:
        old = Ref(view.master.name, view.master.index) if view.master else None
        target = Ref(bridge.name, bridge.index)
        moves.append(Move(SetMaster(link, target), SetMaster(link, old)))
    moves += passage.port
    if not tap.up:
        moves.append(Move(SetUp(link), SetUp(link, up=False)))
    return Plan(tuple(moves))


def _adoptable(nic: Nic, tap: Link) -> Tag | None:
    tag = tap.tag
    mine = tag is not None and tag.is_for(nic.vm, nic.nic) and tag.own is Own.MANAGED
    made = not tap.alias and tap.tun is not None and not tap.tun.persist
    if mine or made:
        return tag
    if not tap.alias:
        raise Conflict(
            f"tap {tap.name!r} was there before libvirt opened it: it is persistent",
            code="tap-foreign",
            remedy="leave <target dev=> out, so that libvirt makes a TAP of its own",
        )
    whose = f"VM {tag.vm_name!r}, NIC {tag.nic}" if tag else f"somebody else ({tap.alias[:60]!r})"
    raise Conflict(
        f"tap {tap.name!r} carries the mark of {whose}",
        code="tap-foreign",
        remedy=f"if that is wrong: `ip link set {tap.name} alias ''`",
    )


def _managed_tag(nic: Nic, tag: Tag | None, now: Moment) -> Tag:
    return Tag(
        vm=vm_in_tag(nic.vm),
        nic=nic.nic,
        generation=tag.generation if tag else now.generation,
        own=Own.MANAGED,
        life=Life.PROCESS,
        mac=nic.mac,
        queues=nic.queues,
        bridge=nic.bridge,
        port=port_digest(nic.port),
        arriving=tag.arriving if tag else now.arriving,
    )


def check_arrived(interface: Interface, nic: Nic) -> None:
    """Raise if libvirt did not say which TAP it made.

    Raises:
        InvalidInput: so it is.
    """
    if not interface.target:
        raise InvalidInput(
            f"NIC {nic.nic} ({nic.mac}): the XML names no TAP",
            code="bad-domain-xml",
            remedy="give the XML of a running domain",
        )
