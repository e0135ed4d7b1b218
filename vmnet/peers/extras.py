"""Libraries that not every vmnet has: how to bring one.

Job: the line to type, for the environment that this vmnet is in.
Leaves to others: which library, and what for.
Privilege: none.
"""

from __future__ import annotations

import shlex
import sys


def how_to_bring(package: str, debian: str = "") -> str:
    """Return the remedy for a library that is not installed.

    Args:
        package: its name for pip; by itself, since vmnet may have come from a checkout.
        debian: Debian's package of it, which only an interpreter of the system's sees.
    """
    if sys.prefix == sys.base_prefix and debian:
        return f"`apt-get install {debian}`"
    return f"`{shlex.quote(sys.executable)} -m pip install {package}`"
