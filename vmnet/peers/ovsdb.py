"""OVSDB, the protocol of Open vSwitch's database (RFC 7047): the one file that imports `ovs`.

Job: connect, send operations, wait for answers; values as the protocol writes them.
Leaves to others: what is said (`vmnet.peers.ovs`).
Privilege: what the socket's owner and mode ask: root, as a rule.

The library's replica of the database is not used: for a few operations the whole of it would be
read in vain.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping
from typing import Any, Self

from vmnet.errors import PeerError, Unsupported, VmnetError, of_errno
from vmnet.model.names import shorten
from vmnet.peers.extras import how_to_bring

DATABASE = "Open_vSwitch"
#: How long the database and the daemon may take for one thing, in seconds.
LIMIT = 10.0
#: And whether it answers at all, where it can be done without, in seconds.
SOON = 2.0
#: A column without a value.
EMPTY: list[Any] = ["set", []]


class Talk:
    """A talk with the database; used with `with`."""

    def __init__(self, path: str, limit: float = LIMIT) -> None:
        """Connect.

        Args:
            path: the database's socket.
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
        self.limit = limit
        self._path = path
        opened = stream.Stream.open(f"unix:{path}")
        number, found = stream.Stream.open_block(opened, int(limit * 1000))
        if number:
            raise _nobody(path, number)
        self._talk = jsonrpc.Connection(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the talk."""
        self._talk.close()

    def answers(self) -> bool:
        """Say whether the database answers at once (RFC 7047, 4.1.11): it may be stuck."""
        usual, self.limit = self.limit, SOON
        try:
            self.call("echo", [])
        except PeerError:
            return False
        finally:
            self.limit = usual
        return True

    def ask(self, *operations: dict[str, Any]) -> list[list[dict[str, Any]]]:
        """Return the rows that each of some `select` finds.

        Raises:
            PeerError: the database gives no sensible answer.
        """
        answers = self.call("transact", [DATABASE, *operations])
        try:
            return [answer["rows"] for answer in answers]
        except (KeyError, TypeError) as error:
            raise PeerError(
                f"Open vSwitch's database gives no sensible answer: {shorten(str(answers), 200)}",
                code="ovs-schema",
                remedy="its schema may be too old: vmnet wants Open vSwitch 2.5 or later",
            ) from error

    def call(self, method: str, parameters: list[Any]) -> Any:
        """Return the result of a call.

        Raises:
            PeerError: it was refused, or nobody answered in time.
        """
        request = self._message.create_request(method, parameters)
        deadline = time.monotonic() + self.limit
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
        raise _nobody(self._path, number)

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


def items(value: Any) -> list[Any]:
    """Return the items of a column that has none, one or several.

    A single one stands by itself; a reference is a list of its own, `["uuid", ...]`.
    """
    if isinstance(value, list) and value and value[0] == "set":
        return list(value[1])
    return [value]


def one(value: Any, default: Any) -> Any:
    """Return the only item of a column that has at most one."""
    return next(iter(items(value)), default)


def pairs(value: Any) -> dict[str, str]:
    """Return a column that is a map."""
    return dict(value[1])


def as_map(values: Mapping[str, str]) -> list[Any]:
    """Return a column's value for a map."""
    return ["map", [[key, value] for key, value in values.items()]]


def select(table: str, where: list[Any], columns: list[str]) -> dict[str, Any]:
    """Return the operation that finds rows."""
    return {"op": "select", "table": table, "where": where, "columns": columns}


def only_if(table: str, where: list[Any], column: str, rows: list[Any]) -> dict[str, Any]:
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


def _nobody(path: str, number: int) -> VmnetError:
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
