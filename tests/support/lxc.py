"""An LXC container for a test, in its own namespaces: busybox, and a network without a link."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.netns.ends import Place
from tests.netns.places import put_tmpfs
from tests.support.lab import REPO, checked, run

_HOME = REPO / ".cache" / "lxc"
#: Where LXC looks for containers, if nobody says otherwise.
_CONTAINERS = Path("/var/lib/lxc")
_FOLDERS = ("bin", "dev", "proc", "sbin", "sys")
_INIT = "#!/bin/busybox sh\nexec /bin/busybox sleep 600\n"
_CONFIG = """lxc.uts.name = {name}
lxc.rootfs.path = dir:{home}/rootfs
lxc.rootfs.mount = {home}/mount
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.autodev = 0
"""


def environment() -> dict[str, str]:
    """Return what finds LXC's programs and their library."""
    path = f"{_HOME}/bin:{os.environ['PATH']}"
    return {"PATH": path, "LD_LIBRARY_PATH": str(_HOME / "lib")}


@dataclass(frozen=True)
class Container:
    """One that was made; it runs from `start` on."""

    name: str

    def start(self) -> Place:
        """Start it, and return its network namespace."""
        self._tool("lxc-start", "-o", str(_CONTAINERS / "log"))
        return Place(int(self._tool("lxc-info", "-p", "-H")))

    def stop(self) -> None:
        """Kill all of it."""
        self._tool("lxc-stop", "-k")

    def _tool(self, program: str, *words: str) -> str:
        argv = [str(_HOME / "bin" / program), "-n", self.name, *words]
        return checked(argv, env={**os.environ, **environment()}).out


@contextmanager
def container(name: str) -> Iterator[Container]:
    """Make a container in the test's mount namespace, whose /run has to be its own."""
    put_tmpfs("/var/lib")
    put_tmpfs("/sys/fs/cgroup")
    home = _CONTAINERS / name
    for folder in (*(f"rootfs/{each}" for each in _FOLDERS), "mount"):
        (home / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", home / "rootfs/bin/busybox")
    init = home / "rootfs/sbin/init"
    init.write_text(_INIT)
    init.chmod(0o755)
    (home / "config").write_text(_CONFIG.format(name=name, home=home))
    made = Container(name)
    try:
        yield made
    finally:
        run([str(_HOME / "bin/lxc-stop"), "-k", "-n", name], env={**os.environ, **environment()})
