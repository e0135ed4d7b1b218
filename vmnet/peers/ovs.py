"""Open vSwitch, by its database: the one file that imports `ovs`.

Job: look at bridges and ports, and carry out the steps that are its own, each in one transaction;
see that the daemon did what the database says, which it does not by itself tell.
Leaves to others: what to ask for (`vmnet.plan.ovs`).
Privilege: what the socket's owner and mode ask: root, as a rule.

The library speaks the protocol (RFC 7047); what is said in it are a few operations, for which its
replica of the whole database would be read in vain.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from vmnet.errors import Conflict, NotFound, PeerError, Unsupported, of_errno
from vmnet.model.names import shorten
from vmnet.model.ovs import (
    MARK,
    AddOvsPort,
    DropOvsPort,
    OvsBridge,
    OvsPort,
    OvsStep,
    OvsView,
    OvsVlans,
    SetOvsPort,
)
from vmnet.model.words import describe
from vmnet.peers.extras import how_to_bring

_DATABASE = "Open_vSwitch"
_FOLDER, _SOCKET = "/run/openvswitch", "db.sock"
#: How long the database and the daemon may take for one thing, in seconds.
LIMIT = 10.0
_POLL_SECONDS = 0.005
_EMPTY: list[Any] = ["set", []]


def socket_path() -> str:
    """Return where the database listens: `OVS_RUNDIR` as Open vSwitch's own tools take it."""
    return f"{os.environ.get('OVS_RUNDIR') or _FOLDER}/{_SOCKET}"


def is_here() -> bool:
    """Say whether there is a database to ask."""
    return os.path.exists(socket_path())


class Ovsdb:
    """A talk with the database; used with `with`."""

    def __init__(self, limit: float = LIMIT) -> None:
        """Connect.

        Args:
            limit: how long each thing may take, in seconds.

        Raises:
            Unsupported: the library is not installed.
            PeerError: nobody answers there.
        """
        try:
            from ovs import jsonrpc, poller, stream  # noqa: PLC0415 - not every vmnet has it
        except ImportError as error:
            raise Unsupported(
                "Open vSwitch is asked through its library `ovs`, which is not installed",
                code="no-ovs-library",
                remedy=how_to_bring("ovs", "python3-openvswitch"),
            ) from error
        self._poller = poller
        self._message = jsonrpc.Message
        self._limit = limit
        path = socket_path()
        opened = stream.Stream.open(f"unix:{path}")
        number, found = stream.Stream.open_block(opened, int(limit * 1000))
        if number:
            raise _nobody(path, number)
        self._talk = jsonrpc.Connection(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._talk.close()

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
            port=self._port(port, bridges),
            bridges=tuple(each.name for each in bridges),
        )

    def bridges(self) -> list[OvsBridge]:
        """Return all bridges."""
        rows, ports = self._ask(
            _select("Bridge", [], ["name", "datapath_type", "ports"]),
            _select("Port", [], ["_uuid", "name"]),
        )
        names = {row["_uuid"][1]: row["name"] for row in ports}
        return [
            OvsBridge(
                row["name"],
                row["datapath_type"] or "system",
                tuple(names[uuid[1]] for uuid in _items(row["ports"]) if uuid[1] in names),
            )
            for row in rows
        ]

    def marked(self) -> list[OvsPort]:
        """Return the ports that have vmnet's mark."""
        bridges = self.bridges()
        names = [name for bridge in bridges for name in bridge.ports]
        found = (self._port(name, bridges) for name in names)
        return [port for port in found if port is not None and port.mark]

    def _port(self, name: str, bridges: Sequence[OvsBridge]) -> OvsPort | None:
        where = [["name", "==", name]]
        ports, interfaces = self._ask(
            _select("Port", where, ["tag", "trunks", "vlan_mode", "external_ids"]),
            _select("Interface", where, ["type", "ifindex", "error", "ofport", "external_ids"]),
        )
        if not ports or not interfaces:
            return None
        port, interface = ports[0], interfaces[0]
        tag, mode = _items(port["tag"]), _items(port["vlan_mode"])
        index, error = _items(interface["ifindex"]), _items(interface["error"])
        return OvsPort(
            name=name,
            bridge=next((each.name for each in bridges if name in each.ports), ""),
            kind=interface["type"],
            vlans=OvsVlans(
                tag[0] if tag else None,
                tuple(sorted(_items(port["trunks"]))),
                mode[0] if mode else "",
            ),
            index=index[0] if index else 0,
            error=error[0] if error else "",
            external_ids=dict(interface["external_ids"][1]),
            mark=dict(port["external_ids"][1]).get(MARK, ""),
        )

    # Changing

    def do(self, step: OvsStep) -> None:
        """Carry out one step.

        Raises:
            NotFound: the bridge is not there any more.
            Conflict: there is a port of that name.
            PeerError: the database refused, or the daemon could not or did not do it.
        """
        match step:
            case AddOvsPort(port):
                self._add(step, port)
            case SetOvsPort(port):
                self._set(step, port)
            case DropOvsPort(name, bridge):
                self._drop(step, name, bridge)

    def _add(self, step: AddOvsPort, port: OvsPort) -> None:
        there = [["name", "==", port.bridge]]
        row = {"name": port.name, "interfaces": ["named-uuid", "interface"], **_port_row(port)}
        interface = {"name": port.name, "type": port.kind, "external_ids": _map(port.external_ids)}
        self._change(
            step,
            _wait("Bridge", there, "name", [{"name": port.bridge}]),
            _wait("Port", [["name", "==", port.name]], "name", []),
            {"op": "insert", "table": "Interface", "uuid-name": "interface", "row": interface},
            {"op": "insert", "table": "Port", "uuid-name": "port", "row": row},
            {
                "op": "mutate",
                "table": "Bridge",
                "where": there,
                "mutations": [["ports", "insert", ["set", [["named-uuid", "port"]]]]],
            },
        )
        try:
            self._see_taken(step, port)
        except PeerError:
            # A port without a link behind it would answer nobody, and tell nobody.
            self._drop(DropOvsPort(port.name, port.bridge), port.name, port.bridge, wait=False)
            raise

    def _see_taken(self, step: OvsStep, port: OvsPort) -> None:
        """Raise unless the daemon has opened the link."""
        deadline = time.monotonic() + self._limit
        where = [["name", "==", port.name]]
        while True:
            (rows,) = self._ask(_select("Interface", where, ["ofport", "error"]))
            if rows and _items(rows[0]["ofport"]):
                break
            if time.monotonic() > deadline:
                raise PeerError(
                    f"cannot {describe(step)}: Open vSwitch's daemon did not take it within "
                    f"{self._limit:g} s",
                    code="ovs-silent",
                    remedy="is ovs-vswitchd running? `ovs-vsctl show`, and its log",
                )
            time.sleep(_POLL_SECONDS)
        error = _items(rows[0]["error"])
        if error or rows[0]["ofport"] == -1:
            why = error[0] if error else "it says no more"
            raise PeerError(
                f"cannot {describe(step)}: Open vSwitch says: {shorten(str(why), 200)}",
                code="ovs-refused",
                remedy=f"`ovs-vsctl list interface {port.name}`, and the log of ovs-vswitchd",
            )

    def _set(self, step: SetOvsPort, port: OvsPort) -> None:
        where = [["name", "==", port.name]]
        ids = {"external_ids": _map(port.external_ids)}
        self._change(
            step,
            {"op": "update", "table": "Port", "where": where, "row": _port_row(port)},
            {"op": "update", "table": "Interface", "where": where, "row": ids},
        )

    def _drop(self, step: OvsStep, name: str, bridge: str, *, wait: bool = True) -> None:
        (rows,) = self._ask(_select("Port", [["name", "==", name]], ["_uuid"]))
        if not rows:
            return
        serial = self._change(
            step,
            {
                "op": "mutate",
                "table": "Bridge",
                "where": [["name", "==", bridge]] if bridge else [],
                "mutations": [["ports", "delete", ["set", [rows[0]["_uuid"]]]]],
            },
        )
        if wait:
            self._see_done(serial)

    def _see_done(self, serial: int) -> None:
        """Wait until the daemon has read the database so far; not for one that does not run."""
        deadline = time.monotonic() + self._limit
        while time.monotonic() < deadline:
            (rows,) = self._ask(_select("Open_vSwitch", [], ["cur_cfg"]))
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
        serial = _select("Open_vSwitch", [], ["next_cfg"])
        answers = self._call("transact", [_DATABASE, *operations, count, serial, note])
        for place, answer in enumerate(answers):
            if isinstance(answer, dict) and "error" in answer:
                operation = operations[place] if place < len(operations) else {}
                raise _refused(step, operation, answer)
        return int(answers[len(operations) + 1]["rows"][0]["next_cfg"])

    def _ask(self, *operations: dict[str, Any]) -> list[list[dict[str, Any]]]:
        answers = self._call("transact", [_DATABASE, *operations])
        try:
            return [answer["rows"] for answer in answers]
        except (KeyError, TypeError) as error:
            raise PeerError(
                f"Open vSwitch's database gives no sensible answer: {shorten(str(answers), 200)}",
                code="ovs-schema",
                remedy="its schema may be too old: vmnet wants Open vSwitch 2.5 or later",
            ) from error

    def _call(self, method: str, parameters: list[Any]) -> Any:
        request = self._message.create_request(method, parameters)
        deadline = time.monotonic() + self._limit
        number = self._talk.send(request)
        while not number:
            self._talk.run()
            number, answer = self._talk.recv()
            if number == errno.EAGAIN:
                number = self._wait_for_more(deadline)
            elif answer is not None and answer.id == request.id:
                if answer.error is not None:
                    raise PeerError(
                        f"Open vSwitch's database refused: {shorten(str(answer.error), 200)}",
                        code="ovs-refused",
                        remedy="see its log",
                    )
                return answer.result
        raise _nobody(socket_path(), number)

    def _wait_for_more(self, deadline: float) -> int:
        left = deadline - time.monotonic()
        if left <= 0:
            return errno.ETIMEDOUT
        poller = self._poller.Poller()
        self._talk.recv_wait(poller)
        self._talk.wait(poller)
        poller.timer_wait(int(left * 1000) + 1)
        poller.block()
        return 0


def _select(table: str, where: list[Any], columns: list[str]) -> dict[str, Any]:
    return {"op": "select", "table": table, "where": where, "columns": columns}


def _wait(table: str, where: list[Any], column: str, rows: list[Any]) -> dict[str, Any]:
    """Return the condition on which the rest of a transaction is carried out."""
    return {
        "op": "wait",
        "timeout": 0,
        "table": table,
        "where": where,
        "columns": [column],
        "until": "==",
        "rows": rows,
    }


def _port_row(port: OvsPort) -> dict[str, Any]:
    vlans = port.vlans
    return {
        "tag": _EMPTY if vlans.tag is None else vlans.tag,
        "trunks": ["set", list(vlans.trunks)],
        "vlan_mode": vlans.mode or _EMPTY,
        "external_ids": _map({MARK: port.mark} if port.mark else {}),
        # Open vSwitch's own start-up script takes it away at boot.
        "other_config": _map({"transient": "true"}),
    }


def _map(values: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in values.items()]]


def _items(value: Any) -> list[Any]:
    """Return the items of a column that has none, one or several."""
    if isinstance(value, list) and value and value[0] == "set":
        return list(value[1])
    return [value]


def _nobody(path: str, number: int) -> Exception:
    if number in (errno.ENOENT, errno.ECONNREFUSED):
        return PeerError(
            f"Open vSwitch does not run here: nobody answers at {path}",
            code="ovs-not-running",
            remedy="`systemctl start openvswitch-switch`; OVS_RUNDIR, if it is elsewhere",
        )
    if number in (errno.EACCES, errno.EPERM):
        return of_errno(f"ask Open vSwitch's database at {path}", number)
    why = os.strerror(number) if number > 0 else "it ended the talk"
    return PeerError(
        f"Open vSwitch's database at {path} gives no answer: {why}",
        code="ovs-silent",
        remedy="is ovsdb-server running? see its log",
    )


def _refused(step: OvsStep, operation: Mapping[str, Any], answer: Mapping[str, Any]) -> Exception:
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
        remedy="its schema may be too old; see its log",
    )
