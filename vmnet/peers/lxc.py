"""LXC, through lxc-info(1).

Job: the first process of a container that runs.
Leaves to others: its namespaces (`vmnet.kernel.places`).
Privilege: that of whoever may ask for the container.

Not by the library's Python binding: that is on no package index.
"""

from __future__ import annotations

import shutil
import subprocess

from vmnet.errors import NotFound, PeerError, Unsupported

#: How long lxc-info may take, in seconds.
_LIMIT = 10.0


def first_process(name: str) -> int:
    """Return the pid of a container's first process, as this PID namespace numbers it.

    Raises:
        NotFound: no container of that name runs.
        Unsupported: there is no lxc-info to ask.
        VmnetError: it gives no answer.
    """
    program = shutil.which("lxc-info")
    if program is None:
        raise Unsupported(
            f"cannot look for lxc:{name}: there is no lxc-info here",
            code="no-lxc",
            remedy="install lxc, or name the container's first process: pid:NUMBER",
        )
    words = [program, "-n", name, "-pH"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(
            f"cannot ask lxc-info for {name}: {error}", code="lxc", remedy=f"`lxc-info -n {name}`"
        ) from error
    text = done.stdout.strip()
    if done.returncode != 0 or not (text.isascii() and text.isdigit()):
        raise NotFound(
            f"lxc:{name} does not run here",
            code="place-missing",
            remedy="`lxc-ls --fancy` lists containers; `lxc-start` starts one",
        )
    return int(text)
