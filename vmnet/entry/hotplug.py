"""`attach` and `detach` with a QEMU that runs already (`--qmp`).

Job: refuse options that have no meaning there, call, answer.
Leaves to others: the options (`vmnet.entry.cli`), the texts that every attach has
(`vmnet.entry.say`).
Privilege: that of what is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmnet.entry import report, say
from vmnet.errors import InvalidInput
from vmnet.model.nic import Wish
from vmnet.model.step import AddDevice

if TYPE_CHECKING:
    from vmnet.entry.verbs import How
    from vmnet.service import Detached
    from vmnet.service.hotplug import Hotplugged

#: Who will not wait for a lock still waits for QEMU, in seconds: nobody answers in no time.
_LEAST_SECONDS = 1.0


def attach(wish: Wish, owner: str | None, monitor: str, how: How) -> None:
    """Plug a NIC in and answer."""
    from vmnet.service.hotplug import hotplug  # noqa: PLC0415 - not every attach is for a QEMU

    if owner is not None:
        raise InvalidInput(
            "--owner has no meaning with --qmp: QEMU is passed the open TAP, whoever it runs as",
            code="qmp-options",
            remedy="leave --owner out",
        )
    done = hotplug(
        wish,
        monitor,
        config=how.config,
        dry_run=how.dry_run,
        wait=how.wait,
        limit=max(how.wait, _LEAST_SECONDS),
    )
    _plugged(done, how)


def _plugged(done: Hotplugged, how: How) -> None:
    if how.as_json:
        where = {"pid": done.pid or None, "device": done.device, "bus": done.bus or None}
        report.answer_json({"dry_run": how.dry_run, **say.attached_data(done), "plugged": where})
        return
    say.attached(done, dry_run=how.dry_run, as_json=False)
    if not how.dry_run:
        new = any(isinstance(move.do, AddDevice) for move in done.plan.moves)
        verb = "plugged into" if new else "stays plugged into"
        bus = f" at {report.safe(done.bus)}" if done.bus else ""
        report.note(f"{verb} QEMU (pid {done.pid or '?'}) as {done.device}{bus}")


def detach(vm: str, nic: int | None, monitor: str, how: How, *, force: bool) -> None:
    """Take NICs out and answer."""
    from vmnet.service.hotplug import hotunplug  # noqa: PLC0415 - not every detach is for a QEMU

    if force:
        raise InvalidInput(
            "--force has no meaning with --qmp: a guest cannot be made to let go",
            code="qmp-options",
            remedy="leave out --force; or leave out --qmp, and the VM loses the TAP at once",
        )
    done = hotunplug(
        vm,
        monitor,
        nic,
        dry_run=how.dry_run,
        wait=how.wait,
        limit=max(how.wait, _LEAST_SECONDS),
    )
    _unplugged(vm, done, how)


def _unplugged(vm: str, done: list[Detached], how: How) -> None:
    if how.as_json or how.dry_run or not done:
        say.detached(vm, done, dry_run=how.dry_run, as_json=how.as_json)
        return
    for each in done:
        report.note(f"{report.safe(vm)} nic {each.nic}: QEMU let go of {report.safe(each.link)}")
