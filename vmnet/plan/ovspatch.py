"""An end of a patch on a bridge of Open vSwitch.

Job: the port that the link is to have there, what is left of one, checksums; as moves.
Leaves to others: the pair of links (`vmnet.plan.patch`), asking (`vmnet.peers.ovs`).
Privilege: none.

As for a TAP the port comes last and goes first: one without a link behind it is worse than a link
without a port.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from vmnet.model.host import Link
from vmnet.model.ovs import AddOvsPort, OvsPort, SetOvsPort, drop_step
from vmnet.model.patch import EndView, parse_patch
from vmnet.model.ref import Ref
from vmnet.model.step import Move
from vmnet.model.wirestep import SetTxChecksum


def port_moves(bridge: str, name: str, seen: EndView, mark: str) -> Iterator[Move]:
    """Return what is missing at the port of a link that is there.

    Args:
        bridge: the bridge's name.
        name: the link's.
        seen: what is seen at this end.
        mark: the tag of the patch, as text.
    """
    port, link = seen.port, seen.link
    if seen.switch is None:
        return
    wished = OvsPort(name, bridge, mark=mark)
    if port is None:
        yield _add(wished)
    elif link is not None and _is_stale(port, link, mark):
        yield Move(drop_step(port))
        yield _add(wished)
    elif port.bridge != bridge:
        yield Move(AddOvsPort(wished, port), AddOvsPort(port, wished))
    elif port.mark != mark:
        yield Move(SetOvsPort(wished), SetOvsPort(port))


def _is_stale(port: OvsPort, link: Link, mark: str) -> bool:
    """Say whether a port is of a link that is gone, though its name is not."""
    another = bool(port.mark) and parse_patch(port.mark) != parse_patch(mark)
    return another or bool(port.error) or port.index not in (0, link.index)


def gone_first(seen: EndView) -> list[Move]:
    """Return what takes away the port of a link that is about to go, or is gone."""
    port = seen.port
    return [] if port is None else [Move(drop_step(port), AddOvsPort(port))]


def checksum_moves(name: str, here: EndView, there: EndView, *, fresh: bool) -> Iterator[Move]:
    """Return what keeps frames whole whose other end is a datapath that finishes no checksums.

    Args:
        name: the link at this end.
        here: what is seen at this end.
        there: at the other one.
        fresh: the link is about to be made.
    """
    if there.switch is None or not there.switch.userspace or not (fresh or here.finishes):
        return
    link = Ref(name, 0 if fresh or here.link is None else here.link.index)
    yield Move(SetTxChecksum(link, on=False), None if fresh else SetTxChecksum(link, on=True))


def stray_patch_ports(ports: Iterable[OvsPort], alive: Collection[str]) -> Iterator[Move]:
    """Yield what takes away ports of patches whose links are gone.

    Args:
        ports: ports with vmnet's mark, of bridges of this network namespace.
        alive: the tags of patches' links that are there, as text.
    """
    for port in ports:
        if parse_patch(port.mark) is not None and port.mark not in alive:
            yield Move(drop_step(port))


def _add(port: OvsPort) -> Move:
    return Move(AddOvsPort(port), drop_step(port))
