"""TUNs and patches in answers.

Job: as `vmnet.entry.say`, of which this is a part.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vmnet.entry import report

if TYPE_CHECKING:
    from vmnet.look import Others, PatchRow, TunRow


def data(found: Others) -> dict[str, Any]:
    """Return TUNs and patches as JSON data."""
    return {
        "tuns": [_tun_data(row) for row in found.tuns],
        "patches": [_patch_data(row) for row in found.patches],
    }


def tables(found: Others) -> None:
    """Print TUNs and patches, each kind as a table if there is one."""
    if found.tuns:
        _tun_table(found.tuns)
    if found.patches:
        report.table(
            ("PATCH", "TO", "LINKS", "BRIDGES", "MTU", "STATE"), map(_cells, found.patches)
        )


def tuns(found: Sequence[TunRow], *, as_json: bool) -> None:
    """Answer `tun list`."""
    if as_json:
        report.answer_json({"tuns": [_tun_data(row) for row in found]})
        return
    if not found:
        report.note("no TUN is here; `vmnet tun create NAME` makes one")
        return
    _tun_table(found)


def _tun_table(found: Sequence[TunRow]) -> None:
    head = ("TUN", "MADE BY", "OWNER", "ADDRESSES", "ROUTES", "MTU", "PID")
    report.table(head, [_tun_cells(row) for row in found])


def _tun_data(row: TunRow) -> dict[str, Any]:
    tun = row.link.tun
    return {
        "tun": row.link.name,
        "ifindex": row.link.index,
        "own": row.ours,
        "owner": None if tun is None else tun.owner,
        "addresses": list(row.addresses),
        "routes": list(row.routes),
        "mtu": row.link.mtu,
        "up": row.link.up,
        "kept": tun is not None and tun.persist,
        "multi_queue": tun is not None and tun.multi_queue,
        "pids": [holder.pid for holder in row.holders.known],
    }


def _tun_cells(row: TunRow) -> list[str]:
    tun = row.link.tun
    owner = "any" if tun is None or tun.owner is None else str(tun.owner)
    pids = " ".join(str(holder.pid) for holder in row.holders.known)
    return [
        report.safe(row.link.name),
        "vmnet" if row.ours else "other",
        owner,
        " ".join(row.addresses) or "-",
        " ".join(row.routes) or "-",
        str(row.link.mtu),
        pids or ("?" if row.link.in_use else "-"),
    ]


def _patch_data(row: PatchRow) -> dict[str, Any]:
    links = [
        {"link": link.name, "ifindex": link.index, "bridge": bridge, "mtu": link.mtu, "up": link.up}
        for link, bridge in zip(row.links, row.bridges, strict=True)
    ]
    return {"a": row.a, "b": row.b, "links": links, "broken": row.broken}


def _cells(row: PatchRow) -> list[str]:
    return [
        report.safe(row.a),
        report.safe(row.b),
        " ".join(report.safe(link.name) for link in row.links),
        " ".join(report.safe(bridge) or "-" for bridge in row.bridges),
        str(min(link.mtu for link in row.links)),
        "broken" if row.broken else "up",
    ]
