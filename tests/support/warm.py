"""The warm process: what the commands import and build is there before the first fork."""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import cache
from importlib import import_module

import typer.main

from vmnet.errors import InvalidInput

for _name in (
    "vmnet.entry.ifscript",
    "vmnet.entry.say",
    "vmnet.entry.settings",
    "vmnet.entry.verbs",
    "vmnet.formats.nicspec",
    "vmnet.kernel.processes",
    "vmnet.look",
    "vmnet.service",
):
    import_module(_name)
# The tree of commands is the same in each child; building it takes longer than most of them.
typer.main.get_command = cache(typer.main.get_command)
# Typer loads half of itself when it first parses a command line; this one goes no further.
with suppress(InvalidInput):
    import_module("vmnet.entry.cli").app(["gc", "--idle", "never"])
# So does pyroute2, when it first packs and unpacks a message.
with import_module("vmnet.kernel.links").Netlink() as _netlink:
    _netlink.link("lo")
# A forked child that collects garbage copies every page of its parent's.
gc.freeze()
