"""libvirt's qemu hook: `python -m vmnet.entry.hook DOMAIN OPERATION SUB EXTRA`, XML on stdin.

Job: one operation of the hook, for a domain whose metadata has something of vmnet's.
Leaves to others: the work (`vmnet.service.domains`); leaving early, the time limit, and which
operations may fail at all (`hooks/libvirt-qemu`, the script that libvirt calls).
Privilege: root, as libvirtd gives it.

Standard output stays empty, but for the XML of a domain that arrives from elsewhere where the
configuration renames its bridges. A refusal is one line on standard error, which libvirt shows to
whoever asked for the start, perhaps on another host; so it names this one. All else goes to syslog.
"""

from __future__ import annotations

import gc
import os
import sys
import syslog
from typing import TYPE_CHECKING, NoReturn

from vmnet.entry import door, report, settings
from vmnet.errors import InvalidInput, VmnetError
from vmnet.model.names import check_vm_name

if TYPE_CHECKING:
    from vmnet.service.domains import Handled

_SIZE_MAX = 4 << 20


def handle(name: str, operation: str, xml: bytes) -> bytes | None:
    """Carry out one operation; return the XML to go on with, if it is to be another.

    Raises:
        VmnetError: the operation is refused.
    """
    from vmnet.service import domains  # noqa: PLC0415 - `--check` needs no rtnetlink

    mapped = None
    # Only what needs the configuration may fail for it: TAPs go even if it has been broken since.
    match operation:
        case "prepare":
            done = domains.prepare(xml, settings.load())
        case "start":
            done = domains.start(xml, settings.load())
        case "started":
            done = domains.started(xml, settings.load())
        case "release":
            done = domains.release(check_vm_name(name))
        case "migrate" | "restore":
            running = operation == "migrate"
            done, mapped = domains.arrive(xml, settings.load(), running=running)
        case _:
            return None
    _log(operation, done)
    return mapped


def _log(operation: str, done: Handled) -> None:
    syslog.openlog("vmnet-hook", syslog.LOG_PID, syslog.LOG_DAEMON)
    where = f"{report.safe(done.domain)} {operation}"
    for note in done.notes:
        syslog.syslog(syslog.LOG_INFO, f"{where}: {report.safe(note)}")
    for warning in done.warnings:
        syslog.syslog(syslog.LOG_WARNING, f"{where}: {report.safe(warning)}")


def _end(status: int) -> NoReturn:
    """End at once: all is said and closed, and Python's own end takes a tenth of a call."""
    os._exit(status)


def main() -> NoReturn:
    """Run as libvirt's hook does."""
    door.begin()
    # A call ends before there is garbage worth a search: some seven hundredths of its time.
    gc.disable()
    if sys.argv[1:] == ["--check"]:
        from vmnet import __version__  # noqa: PLC0415

        report.answer(f"vmnet {__version__}")
        _end(0)
    try:
        if len(sys.argv) != 5:
            raise InvalidInput(
                "this is called by libvirt's hook with four arguments",
                code="bad-call",
                remedy="`vmnet hook test DOMAIN.xml` shows what it would do",
            )
        # libvirt's names are UTF-8, whatever the locale says.
        name = os.fsencode(sys.argv[1]).decode("utf-8", "surrogateescape")
        operation = sys.argv[2]
        xml = sys.stdin.buffer.read(_SIZE_MAX + 1) if sys.stdin is not None else b""
        mapped = handle(name, operation, xml)
        if mapped is not None:
            report.answer_raw(mapped)
    except VmnetError as error:
        host = os.uname().nodename
        report.note(
            f"vmnet: {report.safe(error.message)} (on {host}); try: {report.safe(error.remedy)}"
        )
        _end(error.exit_code)
    _end(0)


if __name__ == "__main__":
    main()
