"""A running QEMU, by its monitor (QMP): the one file that imports `qemu.qmp`.

Job: look at a QEMU, and carry out the steps that are its own. A tenant who broke out of the guest
speaks here: every answer has a time limit and a size limit, no event is kept, and what does not
fit ends the talk with a typed error.
Leaves to others: what to ask for (`vmnet.plan.hotplug`), harmless printing (`vmnet.entry.report`).
Privilege: what the socket's owner and mode ask.

After an answer that did not come or made no sense nothing more is said: whatever QEMU then still
has is taken from it by the next attach or detach of that NIC.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from vmnet.errors import (
    Unsupported,
    VmnetError,
)
from vmnet.model.hoststep import StartGuardian
from vmnet.model.monitor import Qemu, command
from vmnet.model.names import shorten
from vmnet.model.ovs import OvsStep
from vmnet.model.step import CloseFd, DomainStep, PassFd, PeerStep, RemoveDevice, RemoveNetdev
from vmnet.model.wirestep import PasstStep
from vmnet.model.words import describe
from vmnet.peers import refusals
from vmnet.peers.extras import how_to_bring

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

#: The longest message that is read, in bytes; what is asked here has answers of some kilobytes.
_MESSAGE_MAX = 1 << 20
#: More devices than any machine has, each of which costs a question.
_DEVICES_MAX = 512
_POLL_SECONDS = 0.1
#: QEMU's types of ports on which a PCI Express device can be plugged while the guest runs.
_PORT_KINDS = {f"child<{kind}>" for kind in ("pcie-root-port", "ioh3420", "xio3130-downstream")}
#: Where QEMU lists the devices that were given an id, and the others.
_NAMED = "/machine/peripheral"
_FOLDERS = (_NAMED, "/machine/peripheral-anon")

_T = TypeVar("_T")


class Refused(Exception):
    """QEMU answered with an error.

    Attributes:
        kind: QEMU's class of it.
        words: its description, cut.
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = shorten(words, refusals.WORDS_MAX)


class Monitor:
    """The monitor of one QEMU: a `Peer` and a `Receiver`. Used with `with`."""

    def __init__(
        self,
        path: str,
        *,
        limit: float,
        pause: Callable[[], None] | None = None,
    ) -> None:
        """Talk to the QEMU behind this UNIX socket.

        Args:
            path: the socket.
            limit: how long each answer may take, in seconds; a guest that is to let go of a
                device: twice that.
            pause: called now and then while the guest is waited for; may raise.
        """
        self.path = path
        self.limit = limit
        self._pause = pause
        self._leaving = ""
        self._left = asyncio.Event()
        self._lost: VmnetError | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        self._client: QMPClient = _client()
        self._socket = _connected(self.path, self.limit)
        self._pid = _listener(self._socket)
        self._runner = asyncio.Runner()
        try:
            # What a task fails with that nobody waits for is printed by nobody: a peer chose it.
            self._runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            # The library keeps all events that this lets through.
            self._client.events.event_filter = self._hear
            late = refusals.taken(self.path, self.limit)
            self._wait(self._client.connect(self._socket), "get its greeting", late=late)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        self._hang_up()
        self._runner.close()
        self._socket.close()

    def _hang_up(self) -> BaseException | None:
        """End the talk, and return what ended it before, if anything did."""

        async def leave() -> asyncio.Task[None]:
            task = asyncio.ensure_future(self._client.disconnect())
            await asyncio.wait({task}, timeout=1)
            return task

        task = self._runner.run(leave())
        return task.exception() if task.done() and not task.cancelled() else None

    def _hear(self, event: Mapping[str, Any]) -> bool:
        """Note that the device which is waited for is gone; keep no event."""
        data = event.get("data")
        device = data.get("device") if isinstance(data, dict) else None
        if self._leaving and (event.get("event"), device) == ("DEVICE_DELETED", self._leaving):
            self._left.set()
        return False

    # ---- looking

    def look(self, netdev: str) -> Qemu:
        """Return what this QEMU has, and whether it has a back end of that id.

        Raises:
            VmnetError: it did not answer, or not as a QEMU does.
        """
        return self._wait(self._look(netdev), "look at its devices")

    async def _look(self, netdev: str) -> Qemu:
        devices: dict[str, str] = {}
        ports = []
        for folder in _FOLDERS:
            for name, kind in await self._children(folder):
                if kind in _PORT_KINDS:
                    ports += await self._free_port(folder, name)
                elif kind.startswith("child<"):
                    devices[name] = await self._netdev_of(f"{folder}/{name}")
        return Qemu(
            pid=self._pid,
            version=self._version(),
            netdev=await self._has_netdev(netdev),
            devices=devices,
            ports=tuple(sorted(ports)),
        )

    def _version(self) -> tuple[int, int]:
        greeting: Any = self._client.greeting
        numbers = greeting.QMP.version.get("qemu") if greeting is not None else None
        if isinstance(numbers, dict):
            major, minor = numbers.get("major"), numbers.get("minor")
            if isinstance(major, int) and isinstance(minor, int):
                return major, minor
        raise refusals.nonsense(self.path, "its greeting has no version")

    async def _children(self, path: str) -> list[tuple[str, str]]:
        """Return the properties of an object, each with its type."""
        answer = await self._client.execute("qom-list", {"path": path})
        if not isinstance(answer, list) or len(answer) > _DEVICES_MAX:
            raise refusals.nonsense(self.path, f"no list of {path}, or one without end")
        found = []
        for each in answer:
            name, kind = (each.get("name"), each.get("type")) if isinstance(each, dict) else (0, 0)
            if not isinstance(name, str) or not isinstance(kind, str):
                raise refusals.nonsense(self.path, f"a list of {path} with something else in it")
            found.append((name, kind))
        return found

    async def _property(self, path: str, name: str) -> object:
        """Return a property of an object; None if it has no such property."""
        from qemu.qmp import ExecuteError  # noqa: PLC0415 - an extra

        try:
            return await self._client.execute("qom-get", {"path": path, "property": name})
        except ExecuteError:
            return None

    async def _netdev_of(self, path: str) -> str:
        netdev = await self._property(path, "netdev")
        return netdev if isinstance(netdev, str) else ""

    async def _free_port(self, folder: str, name: str) -> list[str]:
        """Return a port's name, which its bus has too; nothing if it takes no device.

        The bus of a port without an id is called pcie.0, as the one that takes none.
        """
        path = f"{folder}/{name}"
        if folder != _NAMED or await self._property(path, "hotplug") is False:
            return []
        if (name, "child<PCIE>") not in await self._children(path):
            return []
        behind = await self._children(f"{path}/{name}")
        return [] if any(child.startswith("child[") for child, _ in behind) else [name]

    async def _has_netdev(self, netdev: str) -> bool:
        """Say whether a back end of that id is there: this question about it tells the two apart.

        The words are those of net/net.c, qmp_query_rx_filter(), since 1.6.
        """
        from qemu.qmp import ExecuteError  # noqa: PLC0415 - an extra

        try:
            await self._client.execute("query-rx-filter", {"name": netdev})
        except ExecuteError as error:
            return not str(error).startswith("invalid net client name")
        return True

    # ---- doing

    def receive(self, step: PassFd, fd: int) -> None:
        """Pass QEMU a copy of a descriptor, under the step's name; an older one of it goes.

        Raises:
            VmnetError: QEMU did not take it.
        """

        async def pass_it() -> object:
            self._client.send_fd_scm(fd)
            execute, arguments = command(step)
            return await self._client.execute(execute, arguments)

        self._carry(step, pass_it())

    def do(self, step: PeerStep) -> None:
        """Carry out a step.

        Raises:
            VmnetError: QEMU refused, or did not answer.
        """
        if isinstance(step, DomainStep | PassFd | StartGuardian | OvsStep | PasstStep):
            raise TypeError(f"not for a monitor alone: {step}")
        if self._lost is not None and isinstance(step, CloseFd | RemoveNetdev | RemoveDevice):
            return  # the error that lost it says what becomes of what QEMU has
        if isinstance(step, RemoveDevice):
            self._remove(step)
        else:
            self._carry(step, self._client.execute(*command(step)))

    def _carry(self, step: PeerStep, asking: Coroutine[Any, Any, object]) -> None:
        try:
            self._wait(asking, describe(step))
        except Refused as error:
            # Taking back what is not there is done; nothing else is wrong with a closefd.
            if not isinstance(step, CloseFd) and error.kind != "DeviceNotFound":
                raise refusals.refusal(step, error.words) from error

    def _remove(self, step: RemoveDevice) -> None:
        """Ask the guest to let go of a device, and wait until QEMU says that it is gone."""
        self._left.clear()
        self._leaving = step.device
        try:
            self._wait(self._client.execute(*command(step)), describe(step))
        except Refused as error:
            if error.kind == "DeviceNotFound":
                return
            # Asked before, by a call that was cut short: the guest has it in hand.
            if "in the process of unplug" not in error.words:
                raise refusals.refusal(step, error.words) from error
        try:
            self._wait(
                self._left.wait(),
                describe(step),
                late=refusals.kept(step, 2 * self.limit),
                limit=2 * self.limit,
                lose=False,
            )
        finally:
            self._leaving = ""

    # ---- talking

    def _wait(
        self,
        asking: Coroutine[Any, Any, _T],
        doing: str,
        *,
        late: VmnetError | None = None,
        limit: float | None = None,
        lose: bool = True,
    ) -> _T:
        """Wait for an answer.

        Args:
            asking: what brings it.
            doing: what for, for errors.
            late: the error when the time is over, if it is another than usual.
            limit: the time, in seconds, if it is another than usual.
            lose: give up the monitor when the time is over.

        Raises:
            Refused: QEMU refused.
            VmnetError: no answer, or none that makes sense.
        """
        if self._lost is not None:
            asking.close()
            raise self._lost
        limit = self.limit if limit is None else limit
        task: asyncio.Task[_T] | None = self._runner.run(self._done(asking, limit))
        error: BaseException | None
        if task is None:
            error = late or refusals.silence(self.path, doing, limit)
            if not lose:
                raise error
        else:
            error = task.exception()
            if error is None:
                return task.result()
            if refused := _refused(error):
                raise refused from error
            if not isinstance(error, VmnetError):
                error = refusals.broken(self.path, doing, self._hang_up() or error)
        self._lost = error
        raise error

    async def _done(self, asking: Coroutine[Any, Any, _T], limit: float) -> asyncio.Task[_T] | None:
        """Return the task that brings an answer once it is over; None if its time is."""
        task = asyncio.ensure_future(asking)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        try:
            while not task.done():
                left = deadline - loop.time()
                if left <= 0:
                    return None
                if self._leaving:
                    self._check_wait()
                await asyncio.wait({task}, timeout=min(left, _POLL_SECONDS))
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=1)
        return task

    def _check_wait(self) -> None:
        """Raise if there is no point in waiting for the guest any longer."""
        from qemu.qmp import Runstate  # noqa: PLC0415 - an extra

        if self._client.runstate is not Runstate.RUNNING:
            raise refusals.gone(self.path)
        if self._pause is not None:
            self._pause()


def _client() -> QMPClient:
    try:
        from qemu.qmp import QMPClient  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise Unsupported(
            "the Python library qemu.qmp, which talks to a running QEMU, is not installed",
            code="no-qmp-library",
            remedy=how_to_bring("qemu.qmp"),
        ) from error
    return QMPClient(readbuflen=_MESSAGE_MAX)


def _connected(path: str, limit: float) -> socket.socket:
    """Return a socket connected to that path."""
    talk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        talk.settimeout(limit)
        talk.connect(path)
        talk.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except (OSError, ValueError) as error:
        talk.close()
        raise refusals.unreachable(path, error) from error
    return talk


def _listener(talk: socket.socket) -> int:
    """Return the pid of the process that listens at the other end; 0 if it cannot be seen."""
    raw = talk.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid: int = struct.unpack("3i", raw)[0]
    return pid


def _refused(error: BaseException) -> Refused | None:
    """Return QEMU's refusal, if the library's error is one."""
    from qemu.qmp import ExecuteError  # noqa: PLC0415 - an extra

    return Refused(error.error_class, str(error)) if isinstance(error, ExecuteError) else None
