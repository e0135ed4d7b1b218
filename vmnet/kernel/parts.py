"""Parts of a library without the whole of it.

Job: import modules of a package whose own `__init__` loads far more than they need. pyroute2's
loads some 140 modules; that was half of the processor time of a whole `vmnet attach`.
Leaves to others: which parts (`vmnet.kernel.links`).
Privilege: none.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def parts_of(package: str) -> Iterator[None]:
    """Let imports inside find a package's modules without its `__init__` being run.

    They are forgotten afterwards: a program that imports the package for itself gets all of it,
    in the order it is made for, and these parts stay a copy of vmnet's own. Where the package is
    loaded already, that one is used.
    """
    spec = None if package in sys.modules else importlib.util.find_spec(package)
    if spec is None:
        yield
        return
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
            del sys.modules[name]
