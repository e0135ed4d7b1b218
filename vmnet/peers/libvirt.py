"""libvirt: domains looked at and changed; the one file that imports its binding.

Job: connect, read domains' XML, carry out the steps that are libvirt's; every call with a limit of
time, since a libvirtd that hangs answers nobody.
Leaves to others: what the XML says (`vmnet.formats.domain`), what is to change (`vmnet.plan`).
Privilege: that of the libvirt connection; `qemu:///system` asks for root or the group `libvirt`.

Never loaded by libvirt's own hook: libvirtd waits for the hook, and would not answer it.
"""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar, assert_never

from vmnet.errors import Busy, Conflict, NotFound, NotPermitted, PeerError, Unsupported, VmnetError
from vmnet.model.domain import NICS_KEY, NICS_URI, DomainState
from vmnet.model.names import shorten
from vmnet.model.step import (
    DomainStep,
    PeerStep,
    PlugDevice,
    SetMetadata,
    UnplugDevice,
    UpdateDevice,
    Where,
)
from vmnet.model.words import describe
from vmnet.peers.extras import how_to_bring

T = TypeVar("T")

SYSTEM_URI = "qemu:///system"
#: Where a libvirt that can have domains of QEMU listens (libvirtd, or the modular virtqemud).
SOCKETS = (Path("/run/libvirt/libvirt-sock"), Path("/run/libvirt/virtqemud-sock"))
#: Where it keeps what it knows of each domain, by name, also while it does not run itself.
_STATES = ("/etc/libvirt/qemu", "/run/libvirt/qemu")
#: How long one call may take, in seconds; a hot-plug is done in some tens of milliseconds.
CALL_SECONDS = 30.0
#: How long a guest may take to let go of a device, in seconds.
UNPLUG_SECONDS = 20.0
_POLL_SECONDS = 0.05
#: QEMU's words (softmmu/qdev-monitor.c qmp_device_del).
_BEING_UNPLUGGED = "in the process of unplug"
_WORDS_MAX = 300


def default_uri() -> str:
    """Return the URI of this host's libvirt: virsh(1)'s LIBVIRT_DEFAULT_URI, or the system's."""
    return os.environ.get("LIBVIRT_DEFAULT_URI") or SYSTEM_URI


def is_here() -> bool:
    """Say whether a libvirt for QEMU seems to be on this host: its socket is there."""
    return any(socket.exists() for socket in SOCKETS)


def knows(name: str) -> bool:
    """Say whether this host's libvirt has a domain of that name, even if it does not run now.

    Root sees that; to others it says no.
    """
    return any(os.path.exists(f"{folder}/{name}.xml") for folder in _STATES)  # noqa: PTH110 - Path's fails where one may not look


def _binding() -> Any:
    try:
        import libvirt  # noqa: PLC0415 - 65 ms, and an extra that may not be installed
    except ImportError as error:
        raise Unsupported(
            "this vmnet has no libvirt binding",
            code="no-libvirt-binding",
            remedy=f"{how_to_bring('libvirt-python', 'python3-libvirt')} (pip builds it: "
            "libvirt-dev, pkg-config, gcc)",
        ) from error
    # It would print every error by itself.
    libvirt.registerErrorHandler(lambda *_: None, None)
    return libvirt


class Libvirt:
    """A connection, used with `with`."""

    def __init__(
        self, uri: str | None = None, *, waiting: Callable[[], None] = lambda: None
    ) -> None:
        """Connect to this URI, or to this host's own libvirt.

        `waiting` is called again and again while a guest is waited for; what it raises ends that.
        """
        self.uri = uri or default_uri()
        self._waiting = waiting
        self._libvirt = _binding()
        self._connection = self._call(
            lambda: self._libvirt.open(self.uri), f"connect to libvirt at {shorten(self.uri)}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(VmnetError):
            self._call(self._connection.close, "close the connection to libvirt")

    def domain(self, name: str) -> DomainState | None:
        """Return the domain of that name, or None.

        Raises:
            VmnetError: libvirt did not answer, or refused.
        """
        found = self._find(name)
        return None if found is None else self._call(lambda: self._state(found), _reading(name))

    def existing(self, name: str) -> DomainState:
        """Return the domain of that name.

        Raises:
            NotFound: there is none.
            VmnetError: libvirt did not answer, or refused.
        """
        state = self.domain(name)
        # Neither: a transient one that just ended.
        if state is None or not (state.active or state.persistent):
            raise NotFound(
                f"libvirt at {self.uri} has no domain {shorten(name)!r}",
                code="no-domain",
                remedy="`virsh list --all` lists those there are",
            )
        return state

    def domains(self) -> list[DomainState]:
        """Return all domains, by name.

        Raises:
            VmnetError: libvirt did not answer, or refused.
        """
        states = self._call(
            lambda: [self._state(each) for each in self._connection.listAllDomains()],
            "read the domains of libvirt",
        )
        return sorted((s for s in states if s is not None), key=lambda state: state.name)

    def do(self, step: PeerStep) -> None:
        """Carry out one step.

        Raises:
            VmnetError: it was not carried out.
        """
        if not isinstance(step, DomainStep):
            raise TypeError(f"not for libvirt: {step}")
        doing = describe(step)
        found = self._find(step.domain)
        if found is None:
            raise NotFound(
                f"cannot {doing}: libvirt has no such domain any more",
                code="no-domain",
                remedy="`virsh list --all` lists those there are",
            )
        if not (isinstance(step, UnplugDevice) and step.where is Where.LIVE):
            self._call(lambda: self._step(found, step), doing)
            return
        try:
            self._call(lambda: self._step(found, step), doing)
        except PeerError as error:
            if not self._goes(found, step, error):
                raise
        self._wait_gone(found, step)

    def _goes(self, found: Any, step: UnplugDevice, error: PeerError) -> bool:
        """Say whether the guest was asked before, which QEMU does once: on its way, or gone."""
        return _BEING_UNPLUGGED in error.message or not self._has(found, step)

    def _has(self, found: Any, step: UnplugDevice) -> bool:
        state = self._call(lambda: self._state(found), _reading(step.domain))
        if state is None or not state.active:
            raise Conflict(
                f"cannot {describe(step)}: it has stopped meanwhile",
                code="domain-state",
                remedy="a NIC of what it starts with next goes with --config",
            )
        return shows(state.live.decode(), step.mac)

    def _step(self, found: Any, step: DomainStep) -> None:
        flags = self._flags(step.where)
        match step:
            case SetMetadata(_, _, xml):
                kind = self._libvirt.VIR_DOMAIN_METADATA_ELEMENT
                key = NICS_KEY if xml else None
                found.setMetadata(kind, xml or None, key, NICS_URI, flags)
            case PlugDevice(_, _, _, xml):
                found.attachDeviceFlags(xml, flags)
            case UnplugDevice(_, _, _, xml):
                found.detachDeviceFlags(xml, flags)
            case UpdateDevice(_, _, _, xml):
                found.updateDeviceFlags(xml, flags)
            case _:
                assert_never(step)

    def _flags(self, where: Where) -> int:
        # The values of VIR_DOMAIN_MODIFICATION_IMPACT are those of VIR_DOMAIN_AFFECT.
        name = "VIR_DOMAIN_AFFECT_LIVE" if where is Where.LIVE else "VIR_DOMAIN_AFFECT_CONFIG"
        return int(getattr(self._libvirt, name))

    def _wait_gone(self, found: Any, step: UnplugDevice) -> None:
        """Wait until the guest has let go: libvirt answers when it has only been asked."""
        deadline = time.monotonic() + UNPLUG_SECONDS
        while True:
            if not self._has(found, step):
                return
            if time.monotonic() >= deadline:
                raise Busy(
                    f"cannot {describe(step)}: the guest did not let go of it within "
                    f"{UNPLUG_SECONDS:g} s",
                    code="guest-holds",
                    remedy="boot the guest anew (it needs ACPI hot-plug, and QEMU asks it once), "
                    "or stop it and use --config",
                )
            self._waiting()
            time.sleep(_POLL_SECONDS)

    def _find(self, name: str) -> Any:
        def look() -> Any:
            try:
                return self._connection.lookupByName(name)
            except self._libvirt.libvirtError as error:
                if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise

        return self._call(look, _reading(name))

    def _state(self, found: Any) -> DomainState | None:
        try:
            active, persistent = bool(found.isActive()), bool(found.isPersistent())
            inactive = self._libvirt.VIR_DOMAIN_XML_INACTIVE
            return DomainState(
                name=found.name(),
                active=active,
                persistent=persistent,
                live=found.XMLDesc(0).encode() if active else b"",
                config=found.XMLDesc(inactive).encode() if persistent else b"",
            )
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_DOMAIN:
                return None  # it went while it was looked at
            raise

    def _call(self, work: Callable[[], T], doing: str) -> T:
        """Return what a call of the binding returns, with a limit of time."""
        answers: list[T] = []
        failures: list[Exception] = []

        def run() -> None:
            try:
                answers.append(work())
            except self._libvirt.libvirtError as error:
                failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(CALL_SECONDS)
        if thread.is_alive():
            raise Busy(
                f"cannot {doing}: libvirt did not answer within {CALL_SECONDS:g} s",
                code="libvirt-hangs",
                remedy="`virsh list` shows whether it answers others; what was asked may still "
                "happen: look with `vmnet list`",
            )
        if failures:
            raise self._refusal(failures[0], doing)
        return answers[0]

    def _refusal(self, error: Any, doing: str) -> VmnetError:
        code, said = error.get_error_code(), shorten(str(error.get_error_message()), _WORDS_MAX)
        message = f"cannot {doing}: {said}"
        binding = self._libvirt
        if code in (binding.VIR_ERR_AUTH_FAILED, binding.VIR_ERR_ACCESS_DENIED):
            return NotPermitted(
                message, code="libvirt-denied", remedy="run as root, or join the group libvirt"
            )
        if doing.startswith("connect "):
            return Unsupported(
                message,
                code="no-libvirt",
                remedy="`systemctl start libvirtd` (or virtqemud)"
                if self.uri == SYSTEM_URI
                else f"look at the URI, and whether `virsh -c {shlex.quote(self.uri)} list` is "
                f"answered; this host's own libvirt is {SYSTEM_URI}",
            )
        return PeerError(
            message,
            code="libvirt-refused",
            remedy="libvirtd's log has more (journalctl -u libvirtd)",
        )


def shows(xml: str, mac: str) -> bool:
    """Say whether a domain's XML, as libvirt writes it, has an interface with that address.

    Metadata, which may hold any text, stands before the devices; after them libvirt escapes all.
    """
    return f"<mac address='{mac}'/>" in xml.rpartition("<devices>")[2].lower()


def _reading(name: str) -> str:
    return f"read domain {shorten(name)!r} from libvirt"
