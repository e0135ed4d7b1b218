"""passt: the one file that runs it.

Job: start one on an end of a pair of sockets, and say why it would not.
Leaves to others: its options (`vmnet.model.passt`), who gets the other end.
Privilege: none. passt makes a user namespace to lock itself in; run by root it becomes nobody.

It puts itself into the background when it is ready, and ends when the other end of its socket is
closed: by QEMU's end, or by that of a vmnet that did not come so far.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from typing import Self

from vmnet.errors import PeerError, Unsupported, of_errno
from vmnet.model.passt import passt_words
from vmnet.model.step import PeerStep
from vmnet.model.wirestep import EndPasst, StartPasst

#: How long it may take to be ready, in seconds; it takes some milliseconds.
_LIMIT_SECONDS = 10.0
#: What it says besides, where there is no system log.
_NOISE = ("Failed to send ", "Don't run as root", "No external routable interface for IPv6")


class Passt:
    """Starts passts, and holds the ends of their sockets that are not theirs; with `with`."""

    def __init__(self) -> None:
        self._ends: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends.values():
            end.close()

    def do(self, step: PeerStep) -> None:
        """Start one, or end it.

        Raises:
            Unsupported: there is no passt.
            PeerError: it did not start; its words are in the message.
        """
        if isinstance(step, StartPasst):
            self._ends[step.nic] = started(step)
        elif isinstance(step, EndPasst):
            self._ends.pop(step.nic).close()
        else:
            raise TypeError(step)

    def take(self, nic: int) -> int:
        """Hand over the descriptor of a NIC; the caller closes it from now on."""
        return self._ends.pop(nic).detach()


def started(step: StartPasst) -> socket.socket:
    """Return the end of the socket that is QEMU's.

    Raises:
        Unsupported, PeerError: as `Passt.do`.
    """
    try:
        ours, its = socket.socketpair()
    except OSError as error:
        raise of_errno("make a pair of sockets", error.errno or 0) from error
    with its, contextlib.ExitStack() as on_failure:
        on_failure.callback(ours.close)
        _run([*passt_words(step), "--fd", str(its.fileno())], its.fileno())
        on_failure.pop_all()
    return ours


def _run(words: list[str], fd: int) -> None:
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(fd,),
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unsupported(
            "there is no passt here, which a NIC of user mode goes through",
            code="no-passt",
            remedy="install it (Debian: `apt-get install passt`), or use a bridge",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise _refused(f"it was not ready within {_LIMIT_SECONDS:g} s") from error
    except OSError as error:
        raise of_errno(f"run {words[0]}", error.errno or 0) from error
    if done.returncode != 0:
        raise _refused(_words(done.stderr))


def _words(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line and not line.startswith(_NOISE)]
    return "; ".join(told)[:300] or "it did not say why"


def _refused(why: str) -> PeerError:
    return PeerError(
        f"passt did not start: {why}",
        code="passt-failed",
        remedy="it needs a default route, and user namespaces (sysctl user.max_user_namespaces)",
    )
