"""What a plan will not do, in words.

Job: the errors that more than one plan raises about a TAP, with who or what stands in the way.
Leaves to others: when (`vmnet.plan.attach`, `vmnet.plan.detach`).
Privilege: none.
"""

from __future__ import annotations

from vmnet.errors import Busy, Conflict, VmnetError
from vmnet.model.host import Holders, Link


def is_held(tap: Link, holders: Holders) -> bool:
    """Say whether a process has the TAP open, as far as can be seen."""
    return tap.in_use or bool(holders.known)


def held(tap: Link, holders: Holders, what: str) -> Busy:
    """Return the refusal to touch a TAP that a process has open, with who it is."""
    return Busy(
        f"{kind_of(tap)} {tap.name!r} is held by {describe(holders)}: will not {what}",
        code="tap-held",
        remedy="stop that process first; `vmnet who " + tap.name + "` shows it",
    )


def kind_of(link: Link) -> str:
    """Return what a NIC's link is called."""
    return "macvtap" if link.macvtap is not None else "tap"


def describe(holders: Holders) -> str:
    """Name the holders for a message."""
    if not holders.known:
        return (
            f"a process that cannot be seen from here ({holders.blind or 'it may just be ending'})"
        )
    return ", ".join(f"pid {holder.pid} ({holder.command})" for holder in holders.known)


def stolen(tap: Link, current: Link, wished: str) -> VmnetError:
    """Return the refusal to take a port away from another bridge."""
    return Conflict(
        f"tap {tap.name!r} is a port of {current.name!r}, where vmnet did not put it: "
        f"will not move it to {wished!r}",
        code="other-bridge",
        remedy=f"if nobody needs it there: `ip link set {tap.name} nomaster`, then try again",
    )


def not_a_tap(link: Link) -> VmnetError:
    """Return the refusal of a link that has the TAP's name and is something else."""
    kind = "tun" if link.tun is not None else (link.kind or "hardware")
    return Conflict(
        f"link {link.name!r} is no TAP but of kind {kind}",
        code="not-a-tap",
        remedy=f"rename or remove it: vmnet needs the name {link.name!r}",
    )
