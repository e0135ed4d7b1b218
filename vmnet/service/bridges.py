"""Bridges of vmnet's own.

Job: `vmnet bridge create` and `delete`.
Leaves to others: what may be done to which bridge (`vmnet.plan.bridge`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from vmnet.kernel import host
from vmnet.kernel.links import Netlink
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.kernel.observe import bridge_view
from vmnet.model.names import check_link_name
from vmnet.model.nic import check_mtu
from vmnet.model.step import Plan, Step
from vmnet.plan.bridge import bridge_after, plan_bridge_create, plan_bridge_delete
from vmnet.service.base import carry_out, changing, complain


def create_bridge(
    name: str,
    *,
    mtu: int | None = None,
    vlan_filtering: bool | None = None,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
) -> Plan:
    """Make a bridge with an address of its own, STP off, silent in IPv6, up.

    Args:
        name: at most 15 bytes.
        mtu: in bytes; None for the kernel's default.
        vlan_filtering: keep VLANs apart; None for no, or as it is.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.

    Raises:
        Conflict: a link of that name is there and is not vmnet's bridge.
    """
    check_link_name(name, "bridge")
    check_mtu(mtu)
    with changing(f"bridge:{name}", wait=wait, dry_run=dry_run) as netlink:
        view = bridge_view(netlink, name)
        make = partial(plan_bridge_create, name, mtu=mtu, vlan_filtering=vlan_filtering)
        plan = make(view, generation=host.new_generation())
        if not dry_run:
            carry_out(netlink, plan, lambda: _verify(netlink, name, make))
    return plan


def _verify(netlink: Netlink, name: str, make: Callable[..., Plan]) -> None:
    """Look again: nothing may be left to do."""
    left = make(bridge_view(netlink, name), generation="")
    complain(left, f"bridge {name!r}")


def delete_bridge(
    name: str,
    *,
    force: bool = False,
    dry_run: bool = False,
    wait: float = WAIT_SECONDS,
    supposed: Sequence[Step] = (),
) -> Plan:
    """Take away a bridge that vmnet made.

    Args:
        name: at most 15 bytes.
        force: also with ports, addresses, routes or links on it.
        dry_run: plan only.
        wait: how long to wait for the lock, in seconds.
        supposed: for a dry run, steps that will be done by then.

    Raises:
        NotFound: there is none.
        Conflict: vmnet did not make it, or it is in use and `force` is not given.
    """
    check_link_name(name, "bridge")
    with changing(f"bridge:{name}", wait=wait, dry_run=dry_run) as netlink:
        view = bridge_view(netlink, name)
        if dry_run:
            view = bridge_after(view, supposed)
        plan = plan_bridge_delete(name, view, force=force)
        if not dry_run:
            carry_out(netlink, plan)
    return plan
