"""A QEMU without machine or guest: just its network backends, in a tenth of a second."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

PROGRAM = "qemu-system-x86_64"
SECONDS = 30
_BARE_DEV = (
    "ulimit -c 0; mount -t tmpfs none /dev && mkdir /dev/net && mknod /dev/net/tun c 10 200 && "
    'exec "$@"'
)
#: Runs what follows with a /dev that has the TUN node and nothing else, whatever this host has.
WITHOUT_VHOST = ("unshare", "--mount", "sh", "-c", _BARE_DEV, "sh")

needed = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason=f"needs {PROGRAM}: apt-get install qemu-system-x86"
)


def version() -> tuple[int, int]:
    """Return the release, e.g. (7, 2)."""
    said = subprocess.run((PROGRAM, "--version"), check=True, capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def start(
    netdev: str, fds: Sequence[int] = (), prefix: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start QEMU with one `-netdev`, its monitor on stdio."""
    argv = [*prefix, PROGRAM, "-machine", "none", "-nodefaults", "-display", "none"]
    argv += ["-qmp", "stdio", "-netdev", netdev]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=fds)


def run(netdev: str, fds: Sequence[int] = (), prefix: Sequence[str] = ()) -> tuple[int, str]:
    """Start QEMU and have it quit at once; return its status and what it said on stderr."""
    with start(netdev, fds, prefix) as process:
        _, said = process.communicate(_command("qmp_capabilities") + _command("quit"), SECONDS)
    return process.returncode, said.decode()


@contextmanager
def running(netdev: str, fds: Sequence[int] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """Have a QEMU that has set up its network; it quits in the end unless it has ended before."""
    with start(netdev, fds) as process:
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(_command("qmp_capabilities"))
            process.stdin.flush()
            # The greeting comes early; commands are answered when all of the start is done.
            while b'"return"' not in (line := process.stdout.readline()):
                assert line, process.communicate(timeout=SECONDS)[1]
            yield process
        finally:
            if process.poll() is None:
                process.communicate(_command("quit"), SECONDS)


def _command(name: str) -> bytes:
    return json.dumps({"execute": name}).encode() + b"\n"
