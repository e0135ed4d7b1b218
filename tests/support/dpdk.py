"""DPDK's testpmd for a test: it serves a guest's rings and hands what comes to a TAP, and back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.lab import REPO

_HOME = REPO / ".cache" / "dpdk"
_PLUGINS = ("net_vhost", "net_tap", "mempool_ring")


@contextmanager
def serving(socket: Path, link: str, *, client: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the rings of whoever meets it at a socket; it goes on until it is left.

    Args:
        socket: the path of the socket.
        link: the TAP that it makes, whose MAC is none of the guest's.
        client: connect there, and again whenever that fails, instead of listening.
    """
    # DPDK takes no plugins from below a folder that anybody may write to, as /tmp is.
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        plugins = []
        for name in _PLUGINS:
            (library,) = (_HOME / "plugins").glob(f"librte_{name}.so.*")
            plugins += ["-d", shutil.copy(library, folder)]
        vhost = f"net_vhost0,iface={socket}{',client=1' if client else ''}"
        words = [
            *(str(_HOME / "bin" / "dpdk-testpmd"), "--no-huge", "-m", "64", "--no-pci"),
            *("--no-telemetry", "--file-prefix", Path(folder).name, *plugins),
            *("--vdev", vhost, "--vdev", f"net_tap0,iface={link}", "--"),
            *("--total-num-mbufs=2048", "--forward-mode=io", "-i", "--auto-start"),
        ]
        env = {**os.environ, "LD_LIBRARY_PATH": str(_HOME / "lib"), "XDG_RUNTIME_DIR": folder}
        # It ends when there is no more to read.
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env
        ) as process:
            try:
                yield process
            finally:
                process.kill()
