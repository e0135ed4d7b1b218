"""Open vSwitch: its bridges and ports, by its database.

Job: look at bridges and ports, and carry out the steps that are its own, each in one transaction;
see that the daemon did what the database says, which it does not by itself tell.
Leaves to others: the protocol (`vmnet.peers.ovsdb`), what to ask for (`vmnet.plan.ovs`).
Privilege: that of the database's socket.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from vmnet.errors import Conflict, NotFound, PeerError, VmnetError
from vmnet.model.names import shorten
from vmnet.model.ovs import (
    MARK,
    AddOvsPort,
    DropOvsPort,
    OvsBridge,
    OvsPatchView,
    OvsPort,
    OvsStep,
    OvsView,
    OvsVlans,
    SetOvsPort,
    drop_step,
)
from vmnet.model.step import PeerStep
from vmnet.model.words import describe
from vmnet.peers.ovsdb import DATABASE, EMPTY, Talk, as_map, items, one, only_if, pairs, select

#: What ovs-vswitchd locks for as long as it runs.
_DAEMONS_LOCK = "ovs_vswitchd"
_POLL_SECONDS = 0.005
_PATCH_COLUMNS = ["name", "options"]


class Ovsdb(Talk):
    """A talk with the database; used with `with`."""

    # Looking

    def view(self, bridge: str, port: str) -> OvsView:
        """Return what a planner needs to know for one NIC.

        Args:
            bridge: the bridge's name.
            port: the TAP's name.

        Raises:
            PeerError: the database gives no sensible answer.
        """
        bridges = self.bridges()
        return OvsView(
            bridge=next((each for each in bridges if each.name == bridge), None),
            port=next(iter(self._ports(bridges, [["name", "==", port]])), None),
            bridges=tuple(each.name for each in bridges),
        )

    def bridges(self) -> list[OvsBridge]:
        """Return all bridges."""
        rows, ports, own = self.ask(
            select("Bridge", [], ["name", "datapath_type", "ports"]),
            select("Port", [], ["_uuid", "name"]),
            select("Interface", [["type", "==", "internal"]], ["name", "ifindex", "mac_in_use"]),
        )
        names = {row["_uuid"][1]: row["name"] for row in ports}
        links = {row["name"]: (one(row["ifindex"], 0), one(row["mac_in_use"], "")) for row in own}
        return [
            OvsBridge(
                row["name"],
                row["datapath_type"] or "system",
                tuple(names[uuid[1]] for uuid in items(row["ports"]) if uuid[1] in names),
                *links.get(row["name"], (0, "")),
            )
            for row in rows
        ]

    def catch_up(self) -> None:
        """Wait until the daemon has done all that the database says; not for one that is not there.

        Who changed it may have been killed before the daemon was ready. A port that is gone and
        comes again would be none to it, and it would go on with a link that is gone; and when it
        lets go of a link, it puts one down that has its name by then.
        """
        (rows,) = self.ask(select("Open_vSwitch", [], ["next_cfg", "cur_cfg"]))
        if rows and rows[0]["cur_cfg"] < rows[0]["next_cfg"] and self.has_daemon():
            self._see_done(rows[0]["next_cfg"])

    def marked(self) -> list[OvsPort]:
        """Return the ports that have vmnet's mark."""
        return [port for port in self._ports(self.bridges(), []) if port.mark]

    def patching(self, names: Sequence[str]) -> OvsPatchView:
        """Return what a planner needs to know for one patch.

        Args:
            names: its links' names here.
        """
        bridges = self.bridges()
        (pairs_of_ports,) = self.ask(select("Interface", [["type", "==", "patch"]], _PATCH_COLUMNS))
        homes = {port: bridge.name for bridge in bridges for port in bridge.ports}
        ends = [(row["name"], pairs(row["options"]).get("peer", "")) for row in pairs_of_ports]
        joined = {(homes[a], homes[b]) for a, b in ends if a in homes and b in homes}
        ports = [port for name in names for port in self._ports(bridges, [["name", "==", name]])]
        return OvsPatchView(tuple(bridges), tuple(ports), frozenset(joined))

    def _ports(self, bridges: Sequence[OvsBridge], where: list[Any]) -> list[OvsPort]:
        ports, interfaces, queues = self.ask(
            select("Port", where, ["name", "tag", "trunks", "vlan_mode", "external_ids", "qos"]),
            select("Interface", where, ["name", "type", "ifindex", "error", "external_ids"]),
            select("QoS", [], ["_uuid", "other_config", "external_ids"]),
        )
        homes = {port: bridge.name for bridge in bridges for port in bridge.ports}
        rates = {
            row["_uuid"][1]: int(pairs(row["other_config"]).get("max-rate", "0")) or None
            for row in queues
            if MARK in pairs(row["external_ids"])
        }
        behind = {row["name"]: row for row in interfaces}
        return [
            _port(row, behind[row["name"]], homes, rates) for row in ports if row["name"] in behind
        ]

    # Changing

    def do(self, step: PeerStep) -> None:
        """Carry out one step.

        Raises:
            NotFound: the bridge is not there any more.
            Conflict: there is a port of that name.
            PeerError: the database refused, or the daemon could not or did not do it.
        """
        match step:
            case AddOvsPort():
                self._add(step)
            case SetOvsPort(port):
                self._set(step, port)
            case DropOvsPort():
                self._drop(step, wait=self.has_daemon())
            case _:
                raise TypeError(f"not for Open vSwitch: {step}")

    def has_daemon(self) -> bool:
        """Say whether the daemon runs: it holds a lock of the database's (RFC 7047, 4.1.8)."""
        free = self.call("lock", [_DAEMONS_LOCK])["locked"]
        self.call("unlock", [_DAEMONS_LOCK])
        return not free

    def _add(self, step: AddOvsPort) -> None:
        if not self.has_daemon():
            raise PeerError(
                f"cannot {describe(step)}: its daemon does not run",
                code="ovs-no-daemon",
                remedy="`systemctl start openvswitch-switch` starts ovs-vswitchd",
            )
        self._insert(step)
        try:
            self._see_taken(step, step.port)
        except PeerError:
            # A port without a link behind it would answer nobody, and tell nobody.
            if step.leaves is None:
                self._drop(drop_step(step.port), wait=False)
            else:
                self._insert(AddOvsPort(step.leaves, step.port))
            raise

    def _insert(self, step: AddOvsPort) -> None:
        port = step.port
        there = [["name", "==", port.bridge]]
        row = {"name": port.name, "interfaces": ["named-uuid", "interface"], **_port_row(port)}
        interface = {
            "name": port.name,
            "type": port.kind,
            "external_ids": as_map(port.external_ids),
        }
        self._change(
            step,
            only_if("Bridge", there, "name", [{"name": port.bridge}]),
            *self._leave(step),
            *_queue(port),
            {"op": "insert", "table": "Interface", "uuid-name": "interface", "row": interface},
            {"op": "insert", "table": "Port", "uuid-name": "port", "row": row},
            {
                "op": "mutate",
                "table": "Bridge",
                "where": there,
                "mutations": [["ports", "insert", ["set", [["named-uuid", "port"]]]]],
            },
        )

    def _leave(self, step: AddOvsPort) -> list[dict[str, Any]]:
        """Return what takes away the port that is moved, or sees that there is none."""
        where = [["name", "==", step.port.name]]
        (rows,) = self.ask(select("Port", where, ["_uuid"])) if step.leaves is not None else ([],)
        same = only_if("Port", where, "_uuid", rows)
        if step.leaves is None or not rows:
            return [same]
        return [same, *_removal(drop_step(step.leaves), rows[0]["_uuid"])]

    def _see_taken(self, step: OvsStep, port: OvsPort) -> None:
        """Raise unless the daemon has opened the link."""
        deadline = time.monotonic() + self.limit
        where = [["name", "==", port.name]]
        while True:
            (rows,) = self.ask(select("Interface", where, ["ofport", "error"]))
            if rows and items(rows[0]["ofport"]):
                break
            if time.monotonic() > deadline:
                raise PeerError(
                    f"cannot {describe(step)}: Open vSwitch's daemon did not take it within "
                    f"{self.limit:g} s",
                    code="ovs-silent",
                    remedy="is ovs-vswitchd running? `ovs-vsctl show`, and its log",
                )
            time.sleep(_POLL_SECONDS)
        error = items(rows[0]["error"])
        if error or rows[0]["ofport"] == -1:
            why = error[0] if error else "it says no more"
            raise PeerError(
                f"cannot {describe(step)}: Open vSwitch says: {shorten(str(why), 200)}",
                code="ovs-refused",
                remedy=f"`ovs-vsctl list interface {port.name}`, and the log of ovs-vswitchd",
            )

    def _set(self, step: SetOvsPort, port: OvsPort) -> None:
        where = [["name", "==", port.name]]
        ids = {"external_ids": as_map(port.external_ids)}
        self._change(
            step,
            *_no_queue(port.name, limited=step.limited),
            *_queue(port),
            {"op": "update", "table": "Port", "where": where, "row": _port_row(port)},
            {"op": "update", "table": "Interface", "where": where, "row": ids},
        )

    def _drop(self, step: DropOvsPort, *, wait: bool) -> None:
        where = [["name", "==", step.name]]
        (rows,) = self.ask(select("Port", where, ["_uuid"]))
        if not rows:
            return
        serial = self._change(step, *_removal(step, rows[0]["_uuid"]))
        if wait:
            self._see_done(serial)

    def _see_done(self, serial: int) -> None:
        """Wait until the daemon has read the database so far; not for one that does not run."""
        deadline = time.monotonic() + self.limit
        while time.monotonic() < deadline:
            (rows,) = self.ask(select("Open_vSwitch", [], ["cur_cfg"]))
            if rows and rows[0]["cur_cfg"] >= serial:
                return
            time.sleep(_POLL_SECONDS)

    def _change(self, step: OvsStep, *operations: dict[str, Any]) -> int:
        """Do all of it or nothing; return the number that the daemon writes when it has read it."""
        count = {
            "op": "mutate",
            "table": "Open_vSwitch",
            "where": [],
            "mutations": [["next_cfg", "+=", 1]],
        }
        note = {"op": "comment", "comment": f"vmnet: {describe(step)}"}
        serial = select("Open_vSwitch", [], ["next_cfg"])
        answers = self.call("transact", [DATABASE, *operations, count, serial, note])
        for place, answer in enumerate(answers):
            if isinstance(answer, dict) and "error" in answer:
                operation = operations[place] if place < len(operations) else {}
                raise _refused(step, operation, answer)
        return int(answers[len(operations) + 1]["rows"][0]["next_cfg"])


def _port_row(port: OvsPort) -> dict[str, Any]:
    vlans = port.vlans
    return {
        "tag": EMPTY if vlans.tag is None else vlans.tag,
        "trunks": ["set", list(vlans.trunks)],
        "vlan_mode": vlans.mode or EMPTY,
        "qos": EMPTY if port.rate is None else ["named-uuid", "queue"],
        "external_ids": as_map({MARK: port.mark} if port.mark else {}),
        # Open vSwitch's own start-up script takes it away at boot.
        "other_config": as_map({"transient": "true"}),
    }


def _queue(port: OvsPort) -> list[dict[str, Any]]:
    """Return what makes the queue that limits a port; its name stands in its ids."""
    if port.rate is None:
        return []
    row = {
        "type": "linux-htb",
        "other_config": as_map({"max-rate": str(port.rate)}),
        "external_ids": as_map({MARK: port.name}),
    }
    return [{"op": "insert", "table": "QoS", "uuid-name": "queue", "row": row}]


def _no_queue(name: str, *, limited: bool) -> list[dict[str, Any]]:
    """Return what takes a port's queue away: the database keeps one that nobody uses."""
    where = [["external_ids", "includes", as_map({MARK: name})]]
    return [{"op": "delete", "table": "QoS", "where": where}] if limited else []


def _removal(step: DropOvsPort, row: Any) -> list[dict[str, Any]]:
    where = [["name", "==", step.name]]
    bare = {"op": "update", "table": "Port", "where": where, "row": {"qos": EMPTY}}
    return [
        *([bare] if step.limited else []),
        *_no_queue(step.name, limited=step.limited),
        {
            "op": "mutate",
            "table": "Bridge",
            "where": [["name", "==", step.bridge]] if step.bridge else [],
            "mutations": [["ports", "delete", ["set", [row]]]],
        },
    ]


def _port(
    port: dict[str, Any],
    interface: dict[str, Any],
    homes: Mapping[str, str],
    rates: Mapping[str, int | None],
) -> OvsPort:
    queue = items(port["qos"])
    return OvsPort(
        name=port["name"],
        bridge=homes.get(port["name"], ""),
        kind=interface["type"],
        vlans=OvsVlans(
            one(port["tag"], None),
            tuple(sorted(items(port["trunks"]))),
            one(port["vlan_mode"], ""),
        ),
        index=one(interface["ifindex"], 0),
        error=one(interface["error"], ""),
        external_ids=pairs(interface["external_ids"]),
        mark=pairs(port["external_ids"]).get(MARK, ""),
        rate=rates.get(queue[0][1]) if queue else None,
    )


def _refused(step: OvsStep, operation: Mapping[str, Any], answer: Mapping[str, Any]) -> VmnetError:
    doing = describe(step)
    if operation.get("op") == "wait" and operation.get("table") == "Bridge":
        return NotFound(
            f"cannot {doing}: that bridge is gone",
            code="bridge-missing",
            remedy="`ovs-vsctl list-br` lists those there are",
        )
    if operation.get("op") == "wait":
        return Conflict(
            f"cannot {doing}: there is a port of that name",
            code="ovs-port-foreign",
            remedy="`ovs-vsctl port-to-br NAME` shows where",
        )
    said = answer.get("details") or answer["error"]
    return PeerError(
        f"cannot {doing}: Open vSwitch's database refused: {shorten(str(said), 200)}",
        code="ovs-refused",
        remedy="`ovs-vsctl show` shows what it has; its log may say more",
    )
