"""Carries packets between two TUNs, the second of another network namespace.

    joiner.py TUN TUN NAMESPACE

By vmnet's own API. Says a word once both are open; ends with its input.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys

import vmnet

_NET = 0x40000000  # linux/sched.h CLONE_NEWNET
_LIBC = ctypes.CDLL(None, use_errno=True)


def _join(near: vmnet.Tun, far: vmnet.Tun) -> None:
    ways = {near.fileno(): (near, far), far.fileno(): (far, near)}
    while True:
        ready = select.select([*ways, 0], [], [])[0]
        if 0 in ready:
            return
        for fd in ready:
            source, sink = ways[fd]
            packet = source.read(0)
            if packet:
                sink.write(packet)


def _main(near: str, far: str, namespace: str) -> None:
    with vmnet.open_tun(near) as one:
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        if _LIBC.setns(fd, _NET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        with vmnet.open_tun(far) as other:
            sys.stdout.write("joined\n")
            sys.stdout.flush()
            _join(one, other)


if __name__ == "__main__":
    _main(*sys.argv[1:])
