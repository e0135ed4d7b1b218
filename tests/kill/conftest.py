"""The warm process: what mends a host is imported, and all is compiled, before the first fork."""

from __future__ import annotations

import compileall
import gc
from importlib import import_module

from tests.support.lab import REPO

for _name in ("vmnet.entry.cli", "vmnet.entry.ifscript", "vmnet.entry.say", "vmnet.service"):
    import_module(_name)
# A start that has to compile a module makes calls that the next one does not.
compileall.compile_dir(REPO / "vmnet", quiet=1)
# A forked child that collects garbage copies every page of its parent's.
gc.freeze()
