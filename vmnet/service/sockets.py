"""NICs without a link: user mode by passt, and rings that another program serves.

Job: `attach` and `run` for them.
Leaves to others: NICs that have a link (`vmnet.service.nics`, `vmnet.service.launch`).
Privilege: none.

No lock is taken and nothing of the host is changed: two that ask at once do not meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from vmnet.errors import NotPermitted, PeerError, Unsupported
from vmnet.formats import qemu
from vmnet.formats.config import Config
from vmnet.kernel.apply import Apply
from vmnet.kernel.host import may_make_links
from vmnet.kernel.links import Netlink
from vmnet.kernel.unixsockets import meeting_at
from vmnet.model.names import link_name
from vmnet.model.nic import Nic, Wish
from vmnet.model.port import PortAsk
from vmnet.model.step import Plan
from vmnet.model.vhost import Policy, decide_wire
from vmnet.model.wire import User, VhostUser
from vmnet.plan.sockets import on_socket, plan_user, plan_vhost_user
from vmnet.service.base import opened
from vmnet.service.nics import Attached
from vmnet.service.resolve import resolve
from vmnet.service.views import check_same_wire


def attach_socket(wish: Wish, owner: int | None, config: Config) -> Attached:
    """Return the arguments of a NIC that leaves nothing on this host to attach.

    Raises:
        Unsupported: user mode goes with the QEMU that it is for.
        VmnetError: the socket is not as it has to be.
    """
    if isinstance(wish.wire, User):
        raise Unsupported(
            "user mode leaves nothing on this host that could be attached: its passt goes with "
            "the QEMU it is for",
            code="wire-of-run",
            remedy="`vmnet run VM --nic user=on -- qemu-system-x86_64 ...` starts both",
        )
    with opened() as netlink:
        nic = _settled(netlink, wish, config, owner)
        return _served(nic)


def prepare_socket(wish: Wish, config: Config, *, dry_run: bool) -> tuple[Attached, list[int]]:
    """Return a NIC of the QEMU that this process is about to become, and its descriptors.

    Raises:
        VmnetError: nothing was left behind.
    """
    unasked = wish.wire is None
    with opened() as netlink:
        nic = _settled(netlink, replace(wish, wire=wish.wire or User()), config, None)
        if not isinstance(nic.wire, User):
            return _served(nic), []
        verdict = decide_wire(nic.vhost, nic.model, nic.wire)
        plan = plan_user(nic, unasked=unasked)
        mtu = nic.mtu or 0
        if dry_run:
            return Attached(nic, "", mtu, plan, verdict, None), []
        with _unasked(wish) if unasked else nullcontext():
            fd = _started(netlink, plan, nic.nic)
    return Attached(nic, "", mtu, plan, verdict, qemu.by_stream(nic, mtu, fd)), [fd]


def _started(netlink: Netlink, plan: Plan, nic: int) -> int:
    from vmnet.peers.passt import Passt  # noqa: PLC0415 - not for links

    with Passt() as passt, Apply(netlink, passt) as work:
        work.run(plan)
        return passt.take(nic)


@contextmanager
def _unasked(wish: Wish) -> Iterator[None]:
    """Say of user mode that nobody asked for why it was tried."""
    try:
        yield
    except PeerError as error:
        name = link_name(wish.vm, wish.nic)
        raise NotPermitted(
            f"cannot create tap {name!r}: this process may not make links (no CAP_NET_ADMIN), and "
            f"user mode, all it can have, failed: {error}",
            code="no-net-admin",
            remedy=f"run as root, or give it CAP_NET_ADMIN; for user mode {error.remedy}",
        ) from error


def is_last_rung(wish: Wish) -> bool:
    """Say whether user mode is all that can be had for a wish that leaves open where it goes."""
    asked = (wish.bridge, wish.network, wish.wire) != (None, None, None) or wish.port != PortAsk()
    beyond = wish.vhost is Policy.REQUIRE or (wish.queues or 1) > 1
    if asked or beyond or may_make_links():
        return False
    with opened() as netlink:
        return netlink.link(link_name(wish.vm, wish.nic)) is None


def _settled(netlink: Netlink, wish: Wish, config: Config, owner: int | None) -> Nic:
    there = netlink.link(link_name(wish.vm, wish.nic))
    nic = resolve(wish, config, netlink, None, owner)
    check_same_wire(nic, there)
    return on_socket(nic, guard_asked=bool(wish.port.guard))


def _served(nic: Nic) -> Attached:
    wire = nic.wire
    if not isinstance(wire, VhostUser):
        raise TypeError(wire)
    plan = plan_vhost_user(wire, meeting_at(wire.socket))
    verdict = decide_wire(nic.vhost, nic.model, wire)
    mtu = nic.mtu or 0
    return Attached(nic, "", mtu, plan, verdict, qemu.by_vhost_user(nic, mtu, wire))
