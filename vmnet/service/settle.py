"""What a wish means for a libvirt domain: its interface before and after, in each definition.

Job: fill in what the wish leaves open from the domain and its network, as text and as values.
Leaves to others: carrying it out (`vmnet.service.live`), the rules (`vmnet.plan.domain`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vmnet.errors import Conflict, InvalidInput
from vmnet.formats import domain as domain_xml
from vmnet.formats import interface as interface_xml
from vmnet.formats.config import Config
from vmnet.kernel.files import template
from vmnet.kernel.links import Netlink
from vmnet.model.domain import Domain, DomainState, Interface, NicWish
from vmnet.model.host import Link
from vmnet.model.mac import derive
from vmnet.model.names import is_made_name, link_name, typed
from vmnet.model.network import Network
from vmnet.model.nic import USUAL_MTU, Wish
from vmnet.model.port import PortAsk, merged_asks
from vmnet.model.step import Where
from vmnet.model.vhost import Policy
from vmnet.plan.domain import DomainNic, domain_nics
from vmnet.plan.live import Change
from vmnet.service.domains import network_of

_DRIVERS = {Policy.REQUIRE: "vhost", Policy.OFF: "qemu"}


@dataclass(frozen=True)
class Document:
    """One definition of a domain, as text and read."""

    xml: bytes
    domain: Domain


def documents(state: DomainState) -> dict[Where, Document]:
    """Return the definitions that a domain has."""
    texts = {Where.LIVE: state.live, Where.CONFIG: state.config}
    return {
        where: Document(xml, domain_xml.parse_domain(xml)) for where, xml in texts.items() if xml
    }


@dataclass(frozen=True)
class Settled:
    """A wish with nothing left open, and what it means for each definition."""

    domain: Domain
    each: DomainNic
    changes: dict[Where, Change]


def settle(
    wish: Wish,
    config: Config,
    there: dict[Where, Document],
    netlink: Netlink,
    *,
    by_libvirt: bool,
) -> Settled:
    """Fill in what a wish for a domain's NIC leaves open: from the domain, then the network.

    Raises:
        VmnetError: it contradicts the domain, or is beyond the network.
    """
    domains = [document.domain for document in there.values()]
    lost = _lost(domains)
    wishes = [each for domain in domains for each in domain.wishes]
    mac = _mac(wish, domains[0], [each for each in wishes if each.mac not in lost])
    # One that lost its interface still says on which network it was.
    olds = [w for w in wishes if w.nic == wish.nic]
    old = min(olds, key=lambda each: each.mac in lost, default=None)
    network = _network(wish, old, config)
    vhost = wish.vhost or (old.vhost if old else None)
    number = wish.nic
    port = merged_asks(old.port if old else PortAsk(), wish.port)
    new = NicWish(mac, number, network.name, vhost, port)
    known = next((i for d in domains if (i := d.interface(mac)) is not None), None)
    bridge = netlink.link(network.bridge)
    queues = wish.queues or (known.queues if known else network.queues)
    mtu = _mtu(wish, known, network, bridge)
    ask = _Ask(wish, new, network, queues, mtu, by_libvirt, known, lost)
    changes = {where: _change(ask, where, document) for where, document in there.items()}
    first = domains[0]
    wanted = next(iter(changes.values())).after
    whole = replace(first, interfaces=(wanted,) if wanted else (), wishes=(new,))
    (each,), _ = domain_nics(whole, {mac: network})
    return Settled(first, each, changes)


def _lost(domains: list[Domain]) -> frozenset[str]:
    """Return the MACs of wishes without an interface: a clone's are still those of the original."""
    macs = {wish.mac for domain in domains for wish in domain.wishes}
    return frozenset(mac for mac in macs if not any(domain.interface(mac) for domain in domains))


def _mtu(wish: Wish, known: Interface | None, network: Network, bridge: Link | None) -> int | None:
    """Return the MTU that the XML is to name; None if there is no need to."""
    mtu = wish.mtu or (known.mtu if known else None) or network.mtu
    usual = bridge.mtu if bridge is not None else USUAL_MTU
    if mtu is None and known is None:
        mtu = usual
    named = known is not None and known.mtu is not None
    # What libvirt and a guest take for granted; a TAP takes its bridge's.
    return None if mtu == usual == USUAL_MTU and not named else mtu


def _mac(wish: Wish, domain: Domain, wishes: list[NicWish]) -> str:
    old = next((each for each in wishes if each.nic == wish.nic), None)
    macs = {each.mac for each in wishes if each.nic == wish.nic}
    if len(macs) > 1:
        raise Conflict(
            f"NIC {wish.nic} of {domain.name!r} is {' and '.join(sorted(macs))}: one as it runs, "
            "another from the next start on",
            code="mac-differs",
            remedy=f"`vmnet detach {typed(domain.name)} --nic {wish.nic} --live` or --config",
        )
    user = next((each for each in wishes if each.mac == wish.mac and each.nic != wish.nic), None)
    if user is not None:
        raise Conflict(
            f"MAC {wish.mac} is that of NIC {user.nic} of {domain.name!r}",
            code="mac-used",
            remedy=f"change that NIC with --nic {user.nic}, or give another MAC",
        )
    if old is not None and wish.mac not in (None, old.mac):
        raise Conflict(
            f"NIC {wish.nic} of {domain.name!r} has MAC {old.mac}, which cannot be changed",
            code="mac-fixed",
            remedy="detach it first, or give the other NIC another number with --nic",
        )
    if old is not None:
        return old.mac
    # Of the domain, not of the host: it may move.
    return wish.mac or derive(domain.uuid, "nic", str(wish.nic))


def _network(wish: Wish, old: NicWish | None, config: Config) -> Network:
    if wish.bridge is None:
        return network_of(wish.network or (old.network if old else None), config)
    found = [each for each in config.networks.values() if each.bridge == wish.bridge]
    if len(found) == 1:
        return found[0]
    raise InvalidInput(
        f"a libvirt domain's NIC is on a network of the configuration, and {config.source} has "
        f"{'none' if not found else 'several'} on bridge {wish.bridge!r}",
        code="no-network",
        remedy="give --network NAME, after adding it there: [network.NAME] with bridge = ...",
    )


@dataclass(frozen=True)
class _Ask:
    """What an interface is to be.

    Attributes:
        given: what was asked for, in so many words.
        wish: the same as the metadata is to have it.
        network: where it is.
        queues: queue pairs.
        mtu: in bytes; None to leave it to libvirt, or as it is.
        by_libvirt: libvirt makes the TAP.
        there: the interface as one of the definitions has it.
        lost: MACs of wishes without an interface.
    """

    given: Wish
    wish: NicWish
    network: Network
    queues: int
    mtu: int | None
    by_libvirt: bool
    there: Interface | None
    lost: frozenset[str]


def _change(ask: _Ask, where: Where, document: Document) -> Change:
    domain = document.domain
    mac = ask.wish.mac
    before = domain.interface(mac)
    before_xml = domain_xml.interface_text(document.xml, mac)
    if before is not None:
        after_xml = _changed_xml(ask, where, domain.name, before, before_xml)
    else:
        after_xml = _new_xml(ask, domain)
    others = [wish for wish in domain.wishes if wish.mac != mac and not _replaced(wish, ask)]
    wishes = sorted([*others, ask.wish], key=lambda wish: wish.nic)
    return Change(
        where=where,
        wishes_before=domain_xml.nics_xml(domain.wishes, prefixed=False),
        wishes_after=domain_xml.nics_xml(wishes, prefixed=False),
        before=before,
        before_xml=before_xml,
        after=_parsed(after_xml),
        after_xml=after_xml,
    )


def _replaced(wish: NicWish, ask: _Ask) -> bool:
    return wish.nic == ask.wish.nic and wish.mac in ask.lost


def _policy(ask: _Ask) -> Policy:
    return ask.wish.vhost or ask.network.vhost


def _new_xml(ask: _Ask, domain: Domain) -> str:
    there = ask.there
    # The other definition may have it already: then it is to be of that kind here too.
    by_libvirt = there.kind != "ethernet" if there is not None else ask.by_libvirt
    values = interface_xml.settings(
        mac=ask.wish.mac,
        tap=there.target if there and not by_libvirt else link_name(domain.name, ask.wish.nic),
        bridge=ask.network.bridge,
        model=there.model if there else interface_xml.libvirt_model(ask.given.model),
        queues=ask.queues,
        mtu=ask.mtu,
        driver=_DRIVERS.get(_policy(ask), ""),
    )
    name = "interface-bridge.xml" if by_libvirt else "interface-ethernet.xml"
    return interface_xml.fill(template(name), values)


def _changed_xml(ask: _Ask, where: Where, vm: str, before: Interface, text: str) -> str:
    live = where is Where.LIVE
    own = link_name(vm, ask.wish.nic)
    # Of another VM's name: a clone's is still the original's, and of a renamed domain the old one.
    others = is_made_name(before.target) and before.target != own
    usual = "" if ask.given.vhost is not None else None
    return interface_xml.changed(
        text,
        queues=ask.queues,
        mtu=None if live and ask.given.mtu is None else ask.mtu,
        driver=_DRIVERS.get(_policy(ask), usual),
        bridge=ask.network.bridge if before.kind == "bridge" else "",
        tap=own if before.kind == "ethernet" and others and not live else "",
    )


def _parsed(text: str) -> Interface:
    """Return an interface as libvirt's XML would show it: by the reader that the hook uses."""
    whole = f"<domain><name>x</name><devices>{text}</devices></domain>"
    return domain_xml.parse_domain(whole.encode()).interfaces[0]


def removal(document: Document, where: Where, mac: str) -> Change:
    """Return the change that takes an interface and its wish away."""
    domain = document.domain
    before = domain_xml.nics_xml(domain.wishes, prefixed=False)
    rest = [wish for wish in domain.wishes if wish.mac != mac]
    after = domain_xml.nics_xml(rest, prefixed=False)
    text = domain_xml.interface_text(document.xml, mac)
    return Change(where, before, after, domain.interface(mac), text, None, "")
