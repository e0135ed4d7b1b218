"""The whole host: all that the configuration wishes, brought about or taken away.

Job: `vmnet up` and `vmnet down`: bridges, TUNs and patches, then NICs; each all or nothing; on
past failures.
Leaves to others: each of them (`vmnet.service.bridges`, `vmnet.service.nics`).
Privilege: CAP_NET_ADMIN in the network namespace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vmnet.errors import NotFound, VmnetError
from vmnet.formats.config import Config
from vmnet.formats.hostconfig import BridgeRule, NicRule
from vmnet.formats.wireconfig import TunRule
from vmnet.kernel import host
from vmnet.kernel.locks import WAIT_SECONDS
from vmnet.model.host import Link
from vmnet.model.patch import PatchWish
from vmnet.model.step import CreateBridge, Plan, Step
from vmnet.service.bridges import create_bridge, delete_bridge
from vmnet.service.nics import attach
from vmnet.service.patches import patch, unpatch
from vmnet.service.removal import detach_each
from vmnet.service.tuns import create_tun, delete_tun
from vmnet.service.uplinks import add_uplink, remove_uplink

#: linux/if_ether.h ETH_DATA_LEN: what a bridge has that nobody gave an MTU.
_USUAL_MTU = 1500
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Part:
    """What came of one thing that the configuration wishes.

    Attributes:
        what: e.g. `bridge br0`, `vm web nic 0`.
        plan: what was done, or would be; empty if all was well.
        error: why nothing of it was done; None if all went well.
    """

    what: str
    plan: Plan = Plan()  # noqa: RUF009 - frozen
    error: VmnetError | None = None


def up(config: Config, *, dry_run: bool = False, wait: float = WAIT_SECONDS) -> list[Part]:
    """Bring about what the configuration wishes; what is there already stays as it is.

    Args:
        config: the configuration.
        dry_run: plan only.
        wait: how long to wait for each lock, in seconds.
    """
    parts = []
    supposed: dict[str, Link] = {}
    for rule in config.own_bridges:
        part = _bridge_up(rule, dry_run=dry_run, wait=wait)
        if dry_run and any(isinstance(move.do, CreateBridge) for move in part.plan.moves):
            supposed[rule.name] = _supposed(rule, part.plan)
        parts.append(part)
        bridge = supposed.get(rule.name)
        parts += [
            _uplink_up(rule.name, nic, bridge, dry_run=dry_run, wait=wait) for nic in rule.uplinks
        ]
    parts += [_tun_up(each, dry_run=dry_run, wait=wait) for each in config.tuns]
    parts += [_patch_up(each, supposed, dry_run=dry_run, wait=wait) for each in config.patches]
    parts += [_nic_up(each, config, supposed, dry_run=dry_run, wait=wait) for each in config.nics]
    return parts


def _bridge_up(rule: BridgeRule, *, dry_run: bool, wait: float) -> Part:
    def work() -> Plan:
        return create_bridge(
            rule.name,
            mtu=rule.mtu,
            vlan_filtering=rule.vlan_filtering,
            dry_run=dry_run,
            wait=wait,
        )

    return _part(f"bridge {rule.name}", work)


def _uplink_up(bridge: str, nic: str, supposed: Link | None, *, dry_run: bool, wait: float) -> Part:
    """Add an uplink; what is written down needs no confirming."""
    what = f"uplink {nic} of bridge {bridge}"
    deadline = time.monotonic() + wait
    while True:
        try:
            plan = add_uplink(
                bridge, nic, confirm_within=None, dry_run=dry_run, wait=wait, supposed=supposed
            )
        except VmnetError as error:
            # At boot its addresses are a second old: nobody knows yet whether another has them.
            if error.code != "uplink-unproven" or time.monotonic() > deadline:
                return Part(what, error=error)
            time.sleep(_LOOK_SECONDS)
        else:
            return Part(what, plan)


def _supposed(rule: BridgeRule, plan: Plan) -> Link:
    """Return a bridge as it will be, for a plan of what comes after it."""
    made = (move.do.mac for move in plan.moves if isinstance(move.do, CreateBridge))
    return Link(
        index=0,
        name=rule.name,
        kind="bridge",
        mac=next(made),
        mtu=rule.mtu or _USUAL_MTU,
        master=0,
        up=True,
        carrier=False,
        carrier_ups=0,
        alias="",
        altnames=(),
        tun=None,
        vlan_filtering=rule.vlan_filtering,
        default_pvid=1,
    )


def _nic_up(
    rule: NicRule, config: Config, supposed: dict[str, Link], *, dry_run: bool, wait: float
) -> Part:
    what = _name(rule)
    # Said here, it holds again each time, also for a NIC that is attached already.
    wish = replace(rule.wish, network=rule.wish.network or config.default)
    try:
        done = attach(
            wish,
            owner=None if rule.owner is None else host.user_id(rule.owner),
            config=config,
            dry_run=dry_run,
            wait=wait,
            supposed=supposed,
        )
    except VmnetError as error:
        return Part(what, error=error)
    return Part(what, done.plan)


def _tun_up(rule: TunRule, *, dry_run: bool, wait: float) -> Part:
    def work() -> Plan:
        owner = None if rule.owner is None else host.user_id(rule.owner)
        return create_tun(replace(rule.wish, owner=owner), dry_run=dry_run, wait=wait)

    return _part(f"tun {rule.wish.name}", work)


def _tun_down(rule: TunRule, *, dry_run: bool, wait: float) -> Part:
    name = rule.wish.name
    return _part(f"tun {name}", lambda: delete_tun(name, dry_run=dry_run, wait=wait), gone=True)


def _patch_up(wish: PatchWish, supposed: dict[str, Link], *, dry_run: bool, wait: float) -> Part:
    return _part(
        f"patch {wish.a} {wish.b}",
        lambda: patch(wish, dry_run=dry_run, wait=wait, supposed=supposed),
    )


def _patch_down(wish: PatchWish, *, dry_run: bool, wait: float) -> Part:
    what = f"patch {wish.a} {wish.b}"
    return _part(what, lambda: unpatch(wish, dry_run=dry_run, wait=wait), gone=True)


def _part(what: str, work: Callable[[], Plan], *, gone: bool = False) -> Part:
    """Do something; that it is not there is no error where it is to be `gone`."""
    try:
        return Part(what, work())
    except NotFound as error:
        return Part(what) if gone else Part(what, error=error)
    except VmnetError as error:
        return Part(what, error=error)


def _name(rule: NicRule) -> str:
    return f"vm {rule.wish.vm} nic {rule.wish.nic}"


def down(config: Config, *, dry_run: bool = False, wait: float = WAIT_SECONDS) -> list[Part]:
    """Take away what the configuration wishes, but nothing that is in use.

    Args:
        config: the configuration.
        dry_run: plan only.
        wait: how long to wait for each lock, in seconds.
    """
    parts = _nics_down(config.nics[::-1], dry_run=dry_run, wait=wait)
    parts += [_patch_down(each, dry_run=dry_run, wait=wait) for each in config.patches[::-1]]
    parts += [_tun_down(each, dry_run=dry_run, wait=wait) for each in config.tuns[::-1]]
    for rule in reversed(config.own_bridges):
        parts += [_uplink_down(rule.name, nic, dry_run=dry_run, wait=wait) for nic in rule.uplinks]
        supposed = [move.do for part in parts for move in part.plan.moves] if dry_run else []
        parts.append(_bridge_down(rule, supposed, dry_run=dry_run, wait=wait))
    return parts


def _nics_down(rules: Sequence[NicRule], *, dry_run: bool, wait: float) -> list[Part]:
    wanted = [(rule.wish.vm, rule.wish.nic) for rule in rules]
    parts = []
    for rule, gone in zip(rules, detach_each(wanted, dry_run=dry_run, wait=wait), strict=True):
        what = _name(rule)
        parts.append(Part(what, error=gone) if isinstance(gone, VmnetError) else Part(what, gone))
    return parts


def _uplink_down(bridge: str, nic: str, *, dry_run: bool, wait: float) -> Part:
    what = f"uplink {nic} of bridge {bridge}"
    work = partial(remove_uplink, bridge, nic, dry_run=dry_run, wait=wait)
    return _part(what, work, gone=True)


def _bridge_down(rule: BridgeRule, supposed: list[Step], *, dry_run: bool, wait: float) -> Part:
    work = partial(delete_bridge, rule.name, dry_run=dry_run, wait=wait, supposed=supposed)
    return _part(f"bridge {rule.name}", work, gone=True)
