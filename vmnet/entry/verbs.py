"""From options to the service: what `attach`, `plan`, `run` and `gc` do with theirs.

Job: wishes, policies, users and ages from the words of a command line; becoming QEMU.
Leaves to others: the options (`vmnet.entry.cli`), what is said (`vmnet.entry.say`).
Privilege: that of what is called.

Loaded by the commands that need it: it loads rtnetlink.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmnet import service
from vmnet.entry import hotplug, process, report, say, say_domain
from vmnet.entry.options import MAKERS
from vmnet.errors import InvalidInput, Unsupported
from vmnet.formats import qemu
from vmnet.formats.config import Config
from vmnet.formats.nicspec import parse_nic
from vmnet.formats.qemumemory import check_shares_memory
from vmnet.kernel import host
from vmnet.model.names import link_name
from vmnet.model.nic import Wish
from vmnet.model.step import Where
from vmnet.model.tun import TunWish, parse_own_addresses, parse_own_routes
from vmnet.model.vhost import Policy
from vmnet.model.wire import VhostUser, wire_texts
from vmnet.service import Launch

if TYPE_CHECKING:
    from vmnet.service.live import Plugged

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class How:
    """What commands that change something have in common.

    Attributes:
        config: the configuration.
        dry_run: plan only.
        wait: how long to wait for a lock, in seconds.
        as_json: answer in JSON.
    """

    config: Config
    dry_run: bool
    wait: float
    as_json: bool


def policy(*, vhost: bool, no_vhost: bool, require_vhost: bool) -> Policy | None:
    """Return what the three options ask for; None if none is given.

    Raises:
        InvalidInput: more than one is.
    """
    if vhost + no_vhost + require_vhost > 1:
        raise InvalidInput(
            "--vhost, --no-vhost and --require-vhost exclude each other",
            code="vhost-options",
            remedy="give one of them",
        )
    if require_vhost:
        return Policy.REQUIRE
    if vhost:
        return Policy.PREFER
    return Policy.OFF if no_vhost else None


def seconds(text: str) -> int:
    """Return an age like `90s` or `2h` in seconds.

    Raises:
        InvalidInput: it is none.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise InvalidInput(
            f"{text[:40]!r} is not an age", code="bad-age", remedy="write 90s, 30m, 2h or 1d"
        )
    return int(number) * _UNITS[unit]


@dataclass(frozen=True)
class Target:
    """What the VM's name is to mean.

    Attributes:
        libvirt: a libvirt's URI, empty for this host's own; None if not given.
        plain: not a libvirt domain.
        live: of a domain, the running one.
        config: of a domain, what it starts with next.
        by: who makes a domain's TAP: `vmnet` or `libvirt`.
        qmp: the QMP socket of a QEMU that runs already; None if not given.
    """

    libvirt: str | None
    plain: bool
    live: bool
    config: bool
    by: str = "vmnet"
    qmp: str | None = None

    def is_domain(self, vm: str) -> bool:
        """Say whether it means a domain of libvirt's; asks libvirt where it has to.

        Raises:
            InvalidInput: the options contradict each other.
            VmnetError: the name has no meaning, or two.
        """
        check_by(self.by)
        for_domain = self.live or self.config or self.by != "vmnet" or self.libvirt is not None
        if (self.plain or self.qmp is not None) and for_domain:
            raise InvalidInput(
                "--plain and --qmp exclude --libvirt, --live, --config and --by",
                code="two-meanings",
                remedy="give --plain or --qmp alone, or leave them out",
            )
        if self.plain or self.qmp is not None or for_domain:
            return for_domain
        from vmnet.service.meaning import is_domain  # noqa: PLC0415 - loads what asks libvirt

        return is_domain(vm)


def check_by(by: str) -> None:
    """Raise `InvalidInput` if nobody of that name makes TAPs."""
    if by not in MAKERS:
        raise InvalidInput(
            f"--by {by[:40]!r} is neither vmnet nor libvirt",
            code="bad-by",
            remedy="leave --by out: then vmnet makes the TAP",
        )


def attach(wish: Wish, owner: str | None, target: Target, how: How) -> None:
    """Attach and answer; what nobody could be told of is taken away again."""
    if target.is_domain(wish.vm):
        _attach_domain(wish, owner, target, how)
        return
    if target.qmp is not None:
        hotplug.attach(wish, owner, target.qmp, how)
        return
    service.attach(
        wish,
        owner=None if owner is None else host.user_id(owner),
        config=how.config,
        dry_run=how.dry_run,
        wait=how.wait,
        tell=lambda done: say.attached(done, dry_run=how.dry_run, as_json=how.as_json),
    )


def _attach_domain(wish: Wish, owner: str | None, target: Target, how: How) -> None:
    from vmnet.service import live  # noqa: PLC0415 - not every attach is for libvirt

    if wish.wire is not None:
        kind = next(iter(wire_texts(wish.wire)))
        raise Unsupported(
            f"a domain's wish cannot ask for {kind}",
            code="wire-of-domain",
            remedy="libvirt makes macvtaps and sockets itself: `<interface type='direct'>`, "
            "'vhostuser', 'user'; of a QEMU that you start yourself, give --plain",
        )
    if owner is not None:
        raise InvalidInput(
            "--owner is for a QEMU that you start yourself: libvirt opens its TAPs as root",
            code="owner-of-domain",
            remedy="leave --owner out",
        )
    on = live.On(
        target.libvirt or None, target.live, target.config, by_libvirt=target.by == "libvirt"
    )
    live.attach_domain(
        wish,
        on,
        config=how.config,
        dry_run=how.dry_run,
        wait=how.wait,
        tell=lambda done: _tell_plugged(done, how, by_libvirt=on.by_libvirt),
    )


def _tell_plugged(done: Plugged, how: How, *, by_libvirt: bool) -> None:
    """Answer, also with what keeps the domain from its NIC at the next start."""
    from vmnet.service.hookfile import uncalled  # noqa: PLC0415 - not every attach is for libvirt

    hook = uncalled(done.uri) if Where.CONFIG in done.where else []
    say_domain.plugged(done, hook, dry_run=how.dry_run, as_json=how.as_json)
    if by_libvirt and done.tap == link_name(done.nic.vm, done.nic.nic):
        report.note("note: vmnet makes the TAP as before; --by is for a new NIC: detach it first")


def detach(vm: str, nic: int | None, target: Target, how: How, *, force: bool) -> None:
    """Detach and answer."""
    domain = target.is_domain(vm)
    if target.qmp is not None:
        hotplug.detach(vm, nic, target.qmp, how, force=force)
        return
    if not domain:
        done = service.detach(vm, nic, force=force, dry_run=how.dry_run, wait=how.wait)
        say.detached(vm, done, dry_run=how.dry_run, as_json=how.as_json)
        return
    from vmnet.service import live  # noqa: PLC0415 - not every detach is for libvirt

    on = live.On(target.libvirt or None, target.live, target.config)
    gone = live.detach_domain(vm, nic, on, dry_run=how.dry_run, wait=how.wait)
    say_domain.unplugged(vm, gone, dry_run=how.dry_run, as_json=how.as_json)


def wishes(vm: str, texts: list[str], chosen: Policy | None) -> list[Wish]:
    """Return the wishes of `--nic`, numbered as they come; a policy is for those that say none."""
    parsed = [parse_nic(text, vm, number) for number, text in enumerate(texts)]
    return [wish if wish.vhost is not None else replace(wish, vhost=chosen) for wish in parsed]


def run(wanted: list[Wish], command: list[str], user: str | None, how: How, *, quiet: bool) -> None:
    """Become QEMU with its NICs; a dry run only says what it would do."""
    if how.as_json and not how.dry_run:
        raise InvalidInput(
            "--json is for --dry-run: what runs is QEMU, and the answer is its own",
            code="json-run",
            remedy="add --dry-run, or leave --json out and ask `vmnet list --json`",
        )
    uid = None if user is None else host.user_id(user)
    process.check_program(command[0])
    # A place that names no NIC is an error before anything is made.
    qemu.fill(command, {wish.nic: qemu.Args("", "") for wish in wanted})
    if any(isinstance(wish.wire, VhostUser) for wish in wanted):
        check_shares_memory(command)
    launch = service.prepare_run(wanted, config=how.config, dry_run=how.dry_run, wait=how.wait)
    if how.dry_run:
        say.launch(wanted[0].vm, launch, command, as_json=how.as_json)
    else:
        _become(launch, command, uid, quiet=quiet)


def _become(launch: Launch, command: list[str], uid: int | None, *, quiet: bool) -> None:
    if not quiet:
        for each in launch.nics:
            say.reasons(each)
    args = {each.nic.nic: each.args for each in launch.nics if each.args is not None}
    process.become_program(launch, qemu.fill(command, args), uid)


def collect(idle: str | None, *, dry_run: bool, as_json: bool) -> None:
    """Clear up, say what became of each link, and only then fail."""
    age = None if idle is None else seconds(idle)
    fates, errors = service.collect(idle=age, dry_run=dry_run)
    say.fates(fates, errors, dry_run=dry_run, as_json=as_json)
    service.raise_all(errors)


def tun_wish(
    name: str,
    owner: str | None,
    addresses: list[str] | None,
    routes: list[str] | None,
    mtu: int | None,
    *,
    multi_queue: bool,
) -> TunWish:
    """Return the wish that options of `tun create` stand for.

    Raises:
        InvalidInput: an address or a route is none.
        NotFound: no such user.
    """
    return TunWish(
        name,
        None if owner is None else host.user_id(owner),
        None if addresses is None else parse_own_addresses(addresses),
        None if routes is None else parse_own_routes(routes),
        mtu,
        multi_queue,
    )
