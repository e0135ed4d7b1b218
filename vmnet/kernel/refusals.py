"""What the kernel's refusal of a step means.

Job: an errno and the step it answers as a typed error that says what to do next.
Leaves to others: carrying steps out (`vmnet.kernel.apply`).
Privilege: none.
"""

from __future__ import annotations

import errno

from vmnet.errors import Busy, Conflict, Unsupported, VmnetError, of_errno
from vmnet.kernel import ioctl
from vmnet.kernel.rtnetlink import Refused
from vmnet.model.portstep import CreateIfb, RateStep, Redirect
from vmnet.model.step import (
    AddAltname,
    CreateBridge,
    CreateVeth,
    NetlinkStep,
    SetMaster,
    SetUp,
    SetVlanFiltering,
    Step,
)
from vmnet.model.wirestep import CreateMacvtap
from vmnet.model.words import describe


def taken(step: Step, name: str) -> Busy:
    """Return the refusal of a TAP that a process has open."""
    return Busy(
        f"cannot {describe(step)}: a process has it open (EBUSY)",
        code="tap-held",
        remedy=f"`vmnet who {name}` shows which; stop it first",
    )


def tun_refusal(step: Step, name: str, number: int, *, exclusive: bool) -> VmnetError:
    """Return what an errno of TUNSETIFF means; `exclusive`: a TAP was to be made."""
    doing = describe(step)
    if number == errno.EBUSY and exclusive:
        return Conflict(
            f"cannot {doing}: a link of that name appeared meanwhile (EBUSY)",
            code="tap-foreign",
            remedy=f"`vmnet who {name}` shows whose it is; try again",
        )
    if number == errno.EBUSY:
        return taken(step, name)
    if number == errno.ENOTTY:
        return Unsupported(
            f"cannot {doing}: {ioctl.TUN_NODE} is some other device (ENOTTY)",
            code="no-tun",
            remedy=f"`ls -l {ioctl.TUN_NODE}` is to show char 10:200: make it anew with mknod",
        )
    if number == errno.EINVAL:
        return Conflict(
            f"cannot {doing}: the link of that name is no TAP, or was made for another number of "
            "queues (EINVAL)",
            code="queues-fixed",
            remedy=f"`ip -d link show {name}` shows what it is",
        )
    return of_errno(doing, number)


def refusal(step: NetlinkStep | CreateVeth, error: Refused) -> VmnetError:
    """Return what the refusal of an rtnetlink message means."""
    number = error.errno or 0
    if isinstance(step, SetMaster) and number == errno.EINVAL:
        # do_set_master() in net/core/rtnetlink.c: so it answers an index that is not there.
        number = errno.ENODEV
    if isinstance(step, AddAltname) and number == errno.EEXIST:
        return Conflict(
            f"cannot {describe(step)}: another link has it (EEXIST)",
            code="mac-used" if step.altname.startswith("vmnet-mac-") else "altname-used",
            remedy=f"`ip link show {step.altname}` shows which link",
        )
    if isinstance(step, CreateMacvtap | SetUp):
        return _macvtap_refusal(step, number, error.said)
    if isinstance(step, CreateIfb | Redirect) and number in (errno.EOPNOTSUPP, errno.ENOENT):
        return Unsupported(
            f"cannot {describe(step)}: this kernel has no ifb, or no mirred action ({error.said})",
            code="no-ifb",
            remedy="`modprobe ifb act_mirred`",
        )
    if number == errno.EOPNOTSUPP and _filters(step):
        return Unsupported(
            f"cannot {describe(step)}: this kernel was built without VLAN filtering of bridges",
            code="no-kernel-support",
            remedy="boot one that has it (CONFIG_BRIDGE_VLAN_FILTERING), as distributions' have",
        )
    if number == errno.EOPNOTSUPP or (isinstance(step, RateStep) and number == errno.ENOENT):
        said = error.said or "EOPNOTSUPP"
        return Unsupported(
            f"cannot {describe(step)}: this kernel lacks what it wants ({said})",
            code="no-kernel-support",
            remedy="load the module it is in, or leave that setting out: docs/reference.md",
        )
    if isinstance(step, CreateBridge) and number == errno.EEXIST:
        return Conflict(
            f"cannot {describe(step)}: a link has that for its name or other name (EEXIST)",
            code="bridge-foreign",
            remedy=f"`ip link show {step.name}` shows which link; choose another name",
        )
    if isinstance(step, CreateVeth) and number == errno.EEXIST:
        return Conflict(
            f"cannot {describe(step)}: a link has one of these names (EEXIST)",
            code="patch-foreign",
            remedy="`ip link` shows it; call the one in a namespace otherwise with --as",
        )
    return of_errno(describe(step), number, error.said)


def _macvtap_refusal(step: CreateMacvtap | SetUp, number: int, said: str) -> VmnetError:
    """Return what the refusal of a macvtap, or of bringing it up, means."""
    doing = describe(step)
    if number == errno.EADDRINUSE:
        return Conflict(
            f"cannot {doing}: the NIC it is on, or another link on that, has its address "
            "(EADDRINUSE)",
            code="mac-used",
            remedy="give another with --mac, or leave it out",
        )
    if isinstance(step, SetUp):
        return of_errno(doing, number, said)
    if number == errno.EEXIST:
        return Conflict(
            f"cannot {doing}: a link has that for its name or other name (EEXIST)",
            code="tap-foreign",
            remedy=f"`ip link show {step.name}` shows which link",
        )
    if number in (errno.EBUSY, errno.EINVAL):
        lower = step.lower.name
        return Conflict(
            f"cannot {doing}: another link has all that {lower!r} receives "
            f"({said or errno.errorcode[number]})",
            code="lower-busy",
            remedy=f"`ip -d link` shows what is on {lower}: a bridge, a bond, or a macvtap of mode "
            "passthru, which wants it alone",
        )
    if number == errno.EOPNOTSUPP:
        return Unsupported(
            f"cannot {doing}: this kernel has no macvtap ({said or 'EOPNOTSUPP'})",
            code="no-kernel-support",
            remedy="`modprobe macvtap`",
        )
    return of_errno(doing, number, said)


def _filters(step: Step) -> bool:
    """Say whether a step switches a bridge's VLAN filtering on."""
    if isinstance(step, CreateBridge):
        return step.vlan_filtering
    return isinstance(step, SetVlanFiltering) and step.on
