"""The warm process that prepares and mends hosts is that of the netns tier; all is compiled."""

from __future__ import annotations

import compileall
from importlib import import_module

from tests.support.lab import REPO

import_module("tests.netns.conftest")
# A start that has to compile a module makes calls that the next one does not.
compileall.compile_dir(REPO / "vmnet", quiet=1)
