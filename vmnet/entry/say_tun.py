"""TUNs in answers.

Job: as `vmnet.entry.say`, of which this is a part.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmnet.entry import report

if TYPE_CHECKING:
    from vmnet.look import TunRow


def rows(found: list[TunRow], *, as_json: bool) -> None:
    """Answer `tun list`."""
    if as_json:
        report.answer_json({"tuns": [data(row) for row in found]})
        return
    if not found:
        report.note("no TUN is here; `vmnet tun create NAME` makes one")
        return
    table(found)


def table(found: list[TunRow]) -> None:
    """Print TUNs as a table."""
    head = ("TUN", "MADE BY", "OWNER", "ADDRESSES", "ROUTES", "MTU", "PID")
    report.table(head, [_cells(row) for row in found])


def data(row: TunRow) -> dict[str, Any]:
    """Return a TUN as JSON data."""
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


def _cells(row: TunRow) -> list[str]:
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
