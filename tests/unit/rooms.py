"""The house's rules as functions of a module's name and text; each returns what breaks them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.unit.source import calls, imports, modules, tree

#: Who may know whom; a room may always know itself.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "model": {"errors"},
    "plan": {"model", "errors"},
    "formats": {"model", "errors"},
    "kernel": {"model", "errors"},
    "peers": {"model", "errors"},
    "service": {"plan", "formats", "kernel", "peers", "model", "errors"},
    "look": {"service.base", "service.views", "kernel", "model", "errors"},
    "probe": {"service.base", "kernel", "model", "errors"},
    "entry": {"service", "look", "probe", "formats", "model", "errors", "vmnet"},
    "__main__": {"entry"},
    # What the package exports, loaded when it is first asked for.
    "vmnet": {"service", "look", "probe", "formats", "model", "errors"},
}
#: Single arrows beside those: a door sets up its own process, reads its own settings, resolves
#: its own options, and names the type of what it prints.
DOORS_OWN: set[tuple[str, str]] = {
    ("vmnet.entry.verbs", "vmnet.kernel.host"),
    ("vmnet.entry.process", "vmnet.kernel.identity"),
    ("vmnet.entry.settings", "vmnet.kernel.files"),
    ("vmnet.entry.say", "vmnet.plan.gc"),
    ("vmnet.entry.say_hostfile", "vmnet.plan.hostfile"),
}
#: The one module that may import each of these.
OWNERS = {
    "pyroute2": "vmnet.kernel.codecs",
    "psutil": "vmnet.kernel.processes",
    "libvirt": "vmnet.peers.libvirt",
    "qemu": "vmnet.peers.qmp",
    "ovs": "vmnet.peers.ovsdb",
    "prometheus_client": "vmnet.peers.prometheus",
    "rich": "vmnet.entry.screen",
}
#: The doors of the command line; typer is theirs alone.
TYPER_DOORS = {
    "vmnet.entry.cli",
    "vmnet.entry.domaincli",
    "vmnet.entry.graphcli",
    "vmnet.entry.hookcli",
    "vmnet.entry.hostcli",
    "vmnet.entry.hostfilecli",
    "vmnet.entry.lookcli",
    "vmnet.entry.options",
    "vmnet.entry.patchcli",
    "vmnet.entry.portoptions",
    "vmnet.entry.statuscli",
    "vmnet.entry.topcli",
    "vmnet.entry.tuncli",
    "vmnet.entry.uplinkcli",
}
#: Rooms of values: nothing there looks at or touches the host.
PURE = ("model", "plan", "formats")
TOUCHING = {
    *("os", "sys", "socket", "subprocess", "fcntl", "ctypes", "pathlib", "time", "random"),
    *("secrets", "signal", "select", "tempfile", "shutil", "io", "pwd", "mmap", "threading"),
}
#: A forked child has to report whatever happened to it.
CATCHES_ALL = "vmnet.kernel.child"


def room(module: str) -> str:
    """Return the room a module of vmnet is in."""
    return module.split(".")[1] if "." in module else module


def wrong_arrows(name: str, text: str) -> list[str]:
    """Return the imports that point where they may not."""
    return [
        f"{name}:{found.line} imports {found.module}"
        for found in imports(text)
        if found.module.split(".")[0] == "vmnet" and not _may(name, found.module)
    ]


def _may(name: str, target: str) -> bool:
    here, there = room(name), room(target)
    if here == there or (name, target) in DOORS_OWN:
        return True
    allowed = ARROWS.get(here, set())
    return there in allowed or target.removeprefix("vmnet.") in allowed


def wrong_libraries(name: str, text: str) -> list[str]:
    """Return imports of a library in a module that is not its home, and of unknown ones."""
    wrong = []
    for found in imports(text):
        library = found.module.split(".")[0]
        if library == "vmnet" or OWNERS.get(library) == name:
            continue
        if library == "typer" and name in TYPER_DOORS:
            continue
        pure = room(name) in PURE and library in TOUCHING
        if pure or library not in sys.stdlib_module_names:
            wrong.append(f"{name}:{found.line} imports {library}")
    return wrong


def wrong_calls(name: str, text: str) -> list[str]:
    """Return calls of what one place alone may call: printing, ending, ioctl."""
    wrong = []
    for called, node in calls(text):
        home = _home_of(called)
        if home and name != home and room(name) != home:
            wrong.append(f"{name}:{node.lineno} calls {called}")
    return wrong


def _home_of(called: str) -> str:
    if called in {"print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.writelines"}:
        return "vmnet.entry.report"
    if called in {"typer.echo", "typer.secho", "sys.stdout.buffer.write"}:
        return "vmnet.entry.report"
    if called in {"sys.exit", "exit", "quit", "SystemExit", "typer.Exit", "typer.Abort"}:
        return "entry"
    return "vmnet.kernel.ioctl" if called in {"fcntl.ioctl", "ioctl"} else ""


def wide_catches(name: str, text: str) -> list[str]:
    """Return handlers that take any exception and do not raise it again."""
    return [
        f"{name}:{node.lineno} catches all"
        for node in ast.walk(tree(text))
        if isinstance(node, ast.ExceptHandler) and _takes_all(node) and not _raises_again(node)
    ]


def _takes_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return bool({ast.unparse(each) for each in names} & {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def loaded_by(name: str) -> set[str]:
    """Return all that is imported when a module of vmnet is, libraries by their first name."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if module in modules():
            waiting += _loads(module)
    return seen


def _loads(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts)))
    for found in imports(modules()[module]):
        if found.at_load:
            ours = found.module.split(".")[0] == "vmnet"
            yield found.module if ours else found.module.split(".")[0]
