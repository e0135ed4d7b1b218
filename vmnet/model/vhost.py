"""The vhost decision as a value: what was asked, what was found, what was chosen and why.

Job: policies, reason codes and the rule that joins them; pure.
Leaves to others: opening `/dev/vhost-net` (`vmnet.kernel.devices`).
Privilege: none.

The reason codes are a contract: scripts and the docs (`docs/reference.md`) name them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from vmnet.errors import InvalidInput, VhostUnavailable
from vmnet.model.wire import SocketWire, User


class Policy(StrEnum):
    """What was asked for."""

    AUTO = "auto"  # use it if it can be had; say why if not
    PREFER = "prefer"  # the same, but falling back is a warning (--vhost)
    REQUIRE = "require"  # falling back is an error (--require-vhost)
    OFF = "off"  # never (--no-vhost)


class DataPath(StrEnum):
    """Who moves the guest's packets."""

    VHOST = "vhost"  # the kernel's vhost-net
    USERSPACE = "userspace"  # QEMU itself, paravirtual rings
    EMULATED = "emulated"  # QEMU itself, register by register
    VHOST_USER = "vhost-user"  # another program, paravirtual rings


class Reason(StrEnum):
    """Why the data path is what it is."""

    OK = "vhost-ok"
    ASKED_NOT = "asked-not"
    MODEL = "model-not-virtio"
    NOT_LOADED = "not-loaded"
    NOT_IN_KERNEL = "not-in-kernel"
    NODE_MISSING = "node-missing"
    PERMISSION = "permission"
    DENIED = "denied"
    FD_LIMIT = "fd-limit"
    NO_MEMORY = "no-memory"
    NOT_VHOST = "not-vhost-net"
    FEATURES = "features"
    OTHER = "open-failed"
    NOT_KVM = "domain-not-kvm"
    DRIVER_QEMU = "driver-qemu"
    PLUGGED = "plugged-without"
    WIRE_USER = "wire-user"
    WIRE_VHOST_USER = "wire-vhost-user"


@dataclass(frozen=True)
class Finding:
    """What an attempt to open `/dev/vhost-net` N times gave.

    Attributes:
        reason: `Reason.OK`, or what stood in the way.
        detail: one line with the values that were read.
        remedy: one line; empty when all is well.
    """

    reason: Reason
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Verdict:
    """The decision, made before QEMU starts.

    Attributes:
        path: who will move the packets.
        reason: why; one of the documented codes.
        detail: the same for people.
        remedy: what would have to be done to get vhost; empty if it is on or was not wanted.
        warning: True if the user asked for vhost and does not get it.
    """

    path: DataPath
    reason: Reason
    detail: str
    remedy: str
    warning: bool

    @property
    def vhost(self) -> bool:
        """Whether QEMU is to use vhost-net."""
        return self.path is DataPath.VHOST


def is_virtio(model: str) -> bool:
    """Say whether this QEMU device model is paravirtual, so that vhost can serve it."""
    return model.startswith("virtio-net")


def needs_look(policy: Policy, model: str) -> bool:
    """Say whether `/dev/vhost-net` has to be tried at all."""
    return policy is not Policy.OFF and is_virtio(model)


def decide(policy: Policy, model: str, finding: Finding | None) -> Verdict:
    """Choose the data path.

    Args:
        policy: what was asked.
        model: QEMU's device model.
        finding: what opening the node gave; None only if `needs_look` said no.

    Raises:
        VhostUnavailable: vhost was required and cannot be had.
    """
    if finding is None or not needs_look(policy, model):
        finding = _not_looked(policy, model)
    if finding.reason is Reason.OK:
        return Verdict(DataPath.VHOST, Reason.OK, finding.detail, "", warning=False)
    if policy is Policy.REQUIRE:
        raise VhostUnavailable(
            f"vhost-net is required and cannot be had: {finding.detail}",
            code=finding.reason.value,
            remedy=finding.remedy,
        )
    path = DataPath.USERSPACE if is_virtio(model) else DataPath.EMULATED
    return Verdict(
        path, finding.reason, finding.detail, finding.remedy, warning=policy is Policy.PREFER
    )


def decide_wire(policy: Policy, model: str, wire: SocketWire) -> Verdict:
    """Say who moves the packets of a NIC that vhost-net can never serve.

    Raises:
        VhostUnavailable: vhost was required.
        InvalidInput: the device model cannot be served by this wire.
    """
    remedy = "put the NIC on a bridge, a routed TAP or a macvtap"
    if isinstance(wire, User):
        detail = "passt hands on what the guest sends by sockets of its own"
        return decide(policy, model, Finding(Reason.WIRE_USER, detail, remedy))
    if not is_virtio(model):
        raise InvalidInput(
            f"device model {model} has no rings that another program could serve",
            code="bad-model",
            remedy="use virtio-net-pci with vhost-user",
        )
    detail = f"the program at {wire.socket} serves the guest's rings"
    if policy is Policy.OFF:  # which is about vhost-net
        policy = Policy.AUTO
    served = decide(policy, model, Finding(Reason.WIRE_VHOST_USER, detail, remedy))
    return replace(served, path=DataPath.VHOST_USER)


def _not_looked(policy: Policy, model: str) -> Finding:
    if not is_virtio(model):
        return Finding(
            Reason.MODEL,
            f"device model {model} is not paravirtual, so QEMU emulates it in full",
            "use model virtio-net-pci",
        )
    if policy is not Policy.OFF:
        raise InvalidInput(
            "the vhost decision needs a look at /dev/vhost-net",
            code="no-finding",
            remedy="call vmnet.kernel.devices.try_vhost first",
        )
    return Finding(Reason.ASKED_NOT, "vhost-net was asked not to be used")
