"""The house: who may import whom, and what only one place may do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.unit import rooms
from tests.unit.source import REPO, calls, imports, modules

HEAVY = {"pyroute2", "psutil"}


def everywhere(rule: Callable[[str, str], list[str]]) -> list[str]:
    return [wrong for name, text in sorted(modules().items()) for wrong in rule(name, text)]


def importers(library: str) -> set[str]:
    return {
        name
        for name, text in modules().items()
        if any(found.module.split(".")[0] == library for found in imports(text))
    }


def test_all_imports_follow_the_arrows() -> None:
    assert everywhere(rooms.wrong_arrows) == []


def test_every_module_is_in_a_room() -> None:
    assert {rooms.room(name) for name in modules()} == set(rooms.ARROWS)


def test_no_arrow_of_a_door_is_out_of_use() -> None:
    used = {(name, found.module) for name, text in modules().items() for found in imports(text)}
    assert used >= rooms.DOORS_OWN


def test_the_arrows_make_no_circle() -> None:
    seen: set[str] = set()
    while True:
        free = {r for r, known in rooms.ARROWS.items() if _rooms(known) - {r} <= seen} - seen
        if not free:
            break
        seen |= free
    assert seen == set(rooms.ARROWS)
    # `vmnet` loads nothing by itself, so that entry may ask it for the version.
    assert rooms.loaded_by("vmnet") <= {"vmnet", "__future__", "importlib", "typing"}


def _rooms(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def test_each_library_has_one_home() -> None:
    assert everywhere(rooms.wrong_libraries) == []
    assert {library: importers(library) for library in rooms.OWNERS} == {
        library: {home} for library, home in rooms.OWNERS.items()
    }
    assert importers("typer") == rooms.TYPER_DOORS


def test_printing_ending_and_ioctl_each_have_one_home() -> None:
    assert everywhere(rooms.wrong_calls) == []
    callers = {n for n, text in modules().items() for called, _ in calls(text) if "ioctl" in called}
    assert "vmnet.kernel.ioctl" in callers


def test_only_a_forked_child_takes_any_exception() -> None:
    wide = everywhere(rooms.wide_catches)
    assert [line.split(":")[0] for line in wide] == [rooms.CATCHES_ALL]


@pytest.mark.parametrize("home", ["vmnet.entry.ifscript", "vmnet.entry.cli", "vmnet.__main__"])
def test_a_door_opens_without_what_only_its_commands_need(home: str) -> None:
    loaded = rooms.loaded_by(home)
    assert not loaded & HEAVY
    assert "vmnet.errors" in loaded


def test_the_script_door_never_loads_typer() -> None:
    assert "typer" not in rooms.loaded_by("vmnet.entry.ifscript")
    assert "typer" in rooms.loaded_by("vmnet.entry.cli")


def test_the_verbs_load_rtnetlink_but_not_psutil() -> None:
    assert not rooms.loaded_by("vmnet.service") & HEAVY
    for room in ("nics", "bridges", "leftovers", "domains"):
        assert rooms.loaded_by(f"vmnet.service.{room}") & HEAVY == {"pyroute2"}
    assert rooms.loaded_by("vmnet.look") & HEAVY == {"pyroute2"}


def loaded_after(line: str) -> set[str]:
    """Return the libraries that a fresh interpreter has loaded after a line of Python."""
    code = f"{line}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPO
    )
    return set(done.stderr.split())


def test_help_is_shown_without_rtnetlink_or_psutil() -> None:
    help_ = "import vmnet.entry.cli as c\ntry: c.app(['attach', '--help'])\nexcept SystemExit: pass"
    loaded = loaded_after(help_)
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_importing_vmnet_or_the_script_door_loads_no_library() -> None:
    assert not loaded_after("import vmnet, vmnet.entry.ifscript") & {*HEAVY, "typer"}


# The rules themselves: each turns red when it is broken.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vmnet.plan.attach", "from vmnet.kernel.links import Netlink"),
        ("vmnet.plan.attach", "from vmnet.kernel import links"),
        ("vmnet.plan.attach", "import vmnet.kernel.links"),
        ("vmnet.plan.attach", "from vmnet.formats import qemu"),
        ("vmnet.plan.attach", "def f():\n    from vmnet.service import attach"),
        ("vmnet.formats.qemu", "from vmnet.plan.attach import plan_attach"),
        ("vmnet.formats.qemu", "from vmnet.kernel.host import machine_id"),
        ("vmnet.kernel.links", "from vmnet.plan.attach import plan_attach"),
        ("vmnet.kernel.links", "from vmnet.formats.config import Config"),
        ("vmnet.kernel.links", "from vmnet import service"),
        ("vmnet.kernel.links", "if TYPE_CHECKING:\n    from vmnet.service import Launch"),
        ("vmnet.model.tag", "from vmnet.kernel.host import boottime"),
        ("vmnet.model.tag", "from vmnet import __version__"),
        ("vmnet.errors", "from vmnet.model.names import shorten"),
        ("vmnet.service.nics", "from vmnet.entry import report"),
        ("vmnet.service.nics", "from vmnet.look import who"),
        ("vmnet.look", "from vmnet.service.nics import attach"),
        ("vmnet.look", "from vmnet.service import attach"),
        ("vmnet.look", "from vmnet.plan.gc import judge"),
        ("vmnet.probe", "from vmnet.look import who"),
        ("vmnet.entry.cli", "from vmnet.plan.attach import plan_attach"),
        ("vmnet.entry.cli", "from vmnet.kernel.links import Netlink"),
        ("vmnet.entry.report", "from vmnet.kernel.devices import open_tun"),
        ("vmnet.__main__", "from vmnet.service import attach"),
    ],
)
def test_a_wrong_arrow_is_found(name: str, text: str) -> None:
    assert len(rooms.wrong_arrows(name, text)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vmnet.plan.attach", "from vmnet.plan.detach import plan_detach"),
        ("vmnet.look", "from vmnet.service.base import opened"),
        ("vmnet.entry.cli", "from vmnet import __version__, service"),
        ("vmnet.kernel.links", "import vmnetic"),
    ],
)
def test_a_right_arrow_is_not_complained_of(name: str, text: str) -> None:
    assert rooms.wrong_arrows(name, text) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vmnet.kernel.observe", "import psutil"),
        ("vmnet.kernel.observe", "def f():\n    import psutil"),
        ("vmnet.kernel.observe", "from pyroute2.netlink import nlmsg"),
        ("vmnet.entry.say", "import typer"),
        ("vmnet.entry.say", "import requests"),
        ("vmnet.plan.gc", "import time"),
        ("vmnet.model.mac", "import os"),
        ("vmnet.formats.config", "from pathlib import Path"),
    ],
)
def test_a_library_out_of_its_home_is_found(name: str, text: str) -> None:
    assert len(rooms.wrong_libraries(name, text)) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vmnet.entry.say", "print('x')"),
        ("vmnet.kernel.links", "sys.stdout.write('x')"),
        ("vmnet.entry.cli", "typer.echo('x')"),
        ("vmnet.service.nics", "sys.exit(1)"),
        ("vmnet.kernel.links", "raise SystemExit(1)"),
        ("vmnet.service.nics", "raise typer.Exit(1)"),
        ("vmnet.kernel.devices", "fcntl.ioctl(1, 2)"),
        ("vmnet.kernel.devices", "from fcntl import ioctl\nioctl(1, 2)"),
    ],
)
def test_a_call_out_of_its_home_is_found(name: str, text: str) -> None:
    assert len(rooms.wrong_calls(name, text)) == 1


@pytest.mark.parametrize("what", ["", " Exception", " BaseException as e", " (OSError, Exception)"])
def test_a_handler_of_everything_is_found(what: str) -> None:
    text = f"try: f()\nexcept{what}:\n    g()"
    assert len(rooms.wide_catches("vmnet.look", text)) == 1
    assert rooms.wide_catches("vmnet.look", text + "\n    raise") == []
    assert rooms.wide_catches("vmnet.look", "try: f()\nexcept OSError: pass") == []
