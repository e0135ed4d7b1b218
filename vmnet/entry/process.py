"""This process: becoming QEMU.

Job: exec, with the signals that QEMU expects.
Leaves to others: the descriptors of TAPs (`vmnet.service`).
Privilege: none; becoming another user needs CAP_SETUID.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from vmnet.errors import VmnetError
from vmnet.kernel.identity import become, environment_of

if TYPE_CHECKING:
    from vmnet.service import Launch

#: What a shell answers: no such program; there, but cannot be run.
_NOT_FOUND, _NOT_RUNNABLE = 127, 126


class CannotBecome(VmnetError):
    """The program could not be run in place of this process."""

    def __init__(self, message: str, status: int) -> None:
        remedy = "check the program and its interpreter (Debian: `apt-get install qemu-system-x86`)"
        super().__init__(message, code="exec", remedy=remedy)
        self.exit_code = status  # type: ignore[misc]  # two statuses, as a shell has them


def check_program(name: str) -> None:
    """Refuse a program that is not there or cannot be run, before anything is made for it.

    Raises:
        CannotBecome: it could not be run.
    """
    import shutil  # noqa: PLC0415 - only `run` needs it

    if shutil.which(name) is not None:
        return
    folder = "/" in name and os.path.isdir(name)  # noqa: PTH112 - Path's fails for a long name
    there = folder or shutil.which(name, os.F_OK) is not None
    why = "it is not a program that may be run" if there else "there is no such program"
    raise CannotBecome(f"cannot run {name!r}: {why}", _NOT_RUNNABLE if there else _NOT_FOUND)


def become_program(launch: Launch, command: list[str], uid: int | None) -> None:
    """Become QEMU: descriptors handed on, privileges lowered, exec. Returns only by raising.

    What is not vmnet's to decide is handed on as it is: umask, limits, working directory, and
    descriptors that a launcher left inheritable on purpose. With a user, HOME, USER and LOGNAME are
    that user's.

    Raises:
        CannotBecome: exec failed; the TAPs made for it are gone, others as they were.
        NotPermitted: the user could not be changed.
    """
    take_back: Callable[[], list[VmnetError]] = launch.take_back
    try:
        take_back = launch.stand_by()
        _exec(launch, command, uid)
    except VmnetError as error:
        launch.close()
        try:
            error.undo_errors += take_back()
        except VmnetError as later:
            error.undo_errors.append(later)
        raise
    finally:
        launch.close()


def _exec(launch: Launch, command: list[str], uid: int | None) -> None:
    try:
        for fd in launch.fds:
            os.set_inheritable(fd, True)  # noqa: FBT003 - the standard library's signature
        if uid is not None:
            become(uid)
            os.environ.update(environment_of(uid))
        # Python ignores these; QEMU expects the defaults (python bugs 1652).
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        status = _NOT_FOUND if error.errno == errno.ENOENT else _NOT_RUNNABLE
        message = f"cannot run {command[0]!r}: {error.strerror}"
        raise CannotBecome(message, status) from error
