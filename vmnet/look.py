"""Looking without touching: what vmnet has made, and who uses it.

Job: `list` and `who` as values.
Leaves to others: the tables (`vmnet.entry.report`).
Privilege: reading links needs none; seeing other users' processes needs root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from vmnet.errors import Conflict, NotFound
from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import holders_of_all
from vmnet.model.host import Holders, Link
from vmnet.model.names import ALT_NAME_MAX, LINK_NAME_MAX, check_vm_name
from vmnet.model.tag import Tag
from vmnet.service.base import opened, tagged
from vmnet.service.views import asked, switched


@dataclass(frozen=True)
class Row:
    """One NIC that vmnet knows.

    Attributes:
        link: its TAP.
        tag: what vmnet wrote about it.
        bridge: the bridge it is a port of now; empty for none.
        holders: who has it open.
    """

    link: Link
    tag: Tag
    bridge: str
    holders: Holders


@dataclass(frozen=True)
class TunRow:
    """One TUN.

    Attributes:
        link: the link.
        ours: vmnet made it.
        addresses: this host's there, each with its prefix length.
        routes: where its routes lead that the kernel did not make.
        holders: who has it open.
    """

    link: Link
    ours: bool
    addresses: tuple[str, ...]
    routes: tuple[str, ...]
    holders: Holders


@dataclass(frozen=True)
class PatchRow:
    """One patch, as far as it is in this namespace.

    Attributes:
        a: one end, as it is written.
        b: the other one.
        links: its links here.
        bridges: the bridges they are ports of, each in its link's place; empty for none.
    """

    a: str
    b: str
    links: tuple[Link, ...]
    bridges: tuple[str, ...]

    @property
    def broken(self) -> bool:
        """Whether an end is out of its bridge, or down."""
        return not all(self.bridges) or not all(link.up and link.carrier for link in self.links)


@dataclass(frozen=True)
class Holding:
    """Who has a TAP open.

    Attributes:
        link: the TAP.
        tag: what vmnet wrote about it, or None for a foreign one.
        bridge: the bridge it is a port of; empty for none.
        holders: the processes, with their vhost workers.
    """

    link: Link
    tag: Tag | None
    bridge: str
    holders: Holders


def list_nics(vm: str | None = None) -> list[Row]:
    """Return the NICs that vmnet made or manages, of one VM or of all.

    Raises:
        InvalidInput: no VM can have that name.
    """
    if vm is not None:
        check_vm_name(vm)
    with opened() as netlink:
        found = list(tagged(netlink, vm))
        names = {link.master: "" for link, _ in found if link.master}
        for index in names:
            bridge = netlink.link_by_index(index)
            names[index] = bridge.name if bridge else ""
        switches = switched(netlink, found)
    # All of them: a carrier that was switched off is no sign that nobody holds the TAP.
    held = holders_of_all(link for link, _ in found) if found else {}
    return [
        Row(
            link,
            tag,
            switches.get(link.name) or names.get(link.master, ""),
            held.get(link.name, Holders()),
        )
        for link, tag in found
    ]


def list_tuns(*, ours: bool = False) -> list[TunRow]:
    """Return all TUNs, or those that vmnet made, sorted by name."""
    from vmnet.kernel.tuns import tun_view  # noqa: PLC0415 - not for who lists NICs
    from vmnet.model.tun import is_our_tun  # noqa: PLC0415

    with opened() as netlink:
        found = netlink.links(b"vmnet/1 vm= " if ours else b"")
        links = [link for link in found if link.tun is not None and not link.tun.tap]
        views = {link.name: tun_view(netlink, link.name) for link in links}
    held = holders_of_all(links) if links else {}
    return [
        TunRow(
            link=view.link,
            ours=is_our_tun(view.link),
            addresses=tuple(address.key for address in view.addresses),
            routes=tuple(map(str, view.routes)),
            holders=held.get(name, Holders()),
        )
        for name, view in sorted(views.items())
        if view.link is not None
    ]


@dataclass(frozen=True)
class Others:
    """What vmnet made that is no VM's.

    Attributes:
        tuns: links for programs.
        patches: pairs of links.
    """

    tuns: tuple[TunRow, ...] = ()
    patches: tuple[PatchRow, ...] = ()


def list_others() -> Others:
    """Return what vmnet made that is no VM's."""
    return Others(tuple(row for row in list_tuns(ours=True) if row.ours), tuple(list_patches()))


def list_patches() -> list[PatchRow]:
    """Return what joins bridges and namespaces, sorted by its ends."""
    from vmnet.model.patch import PatchTag, parse_patch  # noqa: PLC0415 - not for who lists NICs

    found: dict[PatchTag, list[Link]] = {}
    with opened() as netlink:
        for link in netlink.links(b"vmnet/1 patch "):
            tag = parse_patch(link.alias)
            if tag is not None and link.kind == "veth":
                found.setdefault(tag, []).append(link)
        for links in found.values():
            links.sort(key=lambda link: link.name)  # as the ends are
        names = {index: netlink.link_by_index(index) for index in _masters(found.values())}
    bridges = {
        index: bridge.name
        for index, bridge in names.items()
        if bridge is not None and bridge.kind == "bridge"
    }
    theirs = _ports_of_patches([e for links in found.values() for e in links], bridges)
    rows = [
        PatchRow(
            *(tag.a, tag.b, tuple(links)),
            tuple(bridges.get(e.master) or theirs.get(e.alias, {}).get(e.name, "") for e in links),
        )
        for tag, links in found.items()
    ]
    return sorted(rows, key=lambda row: (row.a, row.b))


def _ports_of_patches(links: list[Link], linux: Mapping[int, str]) -> dict[str, dict[str, str]]:
    """Return on which bridge of Open vSwitch links are, by their patch's tag and their names."""
    if all(link.master in linux for link in links):
        return {}
    found: dict[str, dict[str, str]] = {}
    with asked() as switch:
        for port in switch.marked() if switch is not None else []:
            if not port.error:
                found.setdefault(port.mark, {})[port.name] = port.bridge
    return found


def _masters(found: Iterable[list[Link]]) -> set[int]:
    return {link.master for links in found for link in links if link.master}


def who(name: str) -> Holding:
    """Return which processes hold a TUN or TAP.

    Args:
        name: the link's name, or another name of it (`vmnet-<vm>-<nic>`).

    Raises:
        NotFound: no such link.
        Conflict: it is no TUN or TAP; nobody can hold it.
    """
    with opened() as netlink:
        link = _find(netlink, name)
        bridge = netlink.link_by_index(link.master) if link is not None and link.master else None
    if link is None:
        raise NotFound(
            f"no link {name[:127]!r} here",
            code="link-missing",
            remedy="`vmnet list` shows vmnet's own, `ip -br link` all",
        )
    if link.tun is None and link.macvtap is None:
        raise Conflict(
            f"link {name!r} is of kind {link.kind or 'hardware'}: only a TUN, TAP or macvtap has "
            "holders",
            code="not-a-tap",
            remedy="`vmnet list` shows vmnet's TAPs",
        )
    holders = holders_of_all([link])[link.name]
    if holders.known:
        from vmnet.kernel.processes import with_workers  # noqa: PLC0415 - psutil, only when needed

        holders = replace(holders, known=tuple(map(with_workers, holders.known)))
    return Holding(link, link.tag, bridge.name if bridge else "", holders)


def _find(netlink: Netlink, name: str) -> Link | None:
    raw = name.encode("utf-8", "ignore")
    # An argument that is not UTF-8 holds surrogates, and no link can be asked for by them.
    if not 1 <= len(raw) <= ALT_NAME_MAX or raw.decode() != name:
        return None
    link = netlink.link(name) if len(raw) <= LINK_NAME_MAX else None
    return link or netlink.link_by_altname(name)
