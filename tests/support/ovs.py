"""Open vSwitch for a test: a database and a switch in the test's own namespaces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.lab import PATIENCE, REPO, checked, run

_HOME = REPO / ".cache" / "ovs"
#: Where Open vSwitch and whoever asks it look, if nobody says otherwise.
RUN_DIR = Path("/run/openvswitch")
_SECONDS = 20.0 * PATIENCE


def environment(folder: Path = RUN_DIR) -> dict[str, str]:
    """Return what Open vSwitch's programs want of the environment."""
    places = {f"OVS_{name}": str(folder) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
    return {**os.environ, **places, "LD_LIBRARY_PATH": str(_HOME / "lib")}


@dataclass
class Switch:
    """An Open vSwitch that runs."""

    folder: Path
    database: subprocess.Popen[bytes] | None = None
    daemon: subprocess.Popen[bytes] | None = None

    def start_database(self, *, anew: bool = False, without: tuple[str, str] | None = None) -> None:
        """Start the database, with what was in it, or empty; without a column of a table."""
        book, socket = self.folder / "conf.db", self.folder / "db.sock"
        socket.unlink(missing_ok=True)
        if anew:
            book.unlink(missing_ok=True)
        if not book.exists():
            self._tool("ovsdb-tool", "create", str(book), str(self._schema(without)))
        words = ["ovsdb-server", str(book), f"--remote=punix:{self.folder}/db.sock", "--no-chdir"]
        self.database = self._run(*words, "--log-file", "-vconsole:off")
        _until(socket.exists)
        self.vsctl("--no-wait", "init")

    def _schema(self, without: tuple[str, str] | None) -> Path:
        usual = _HOME / "vswitch.ovsschema"
        if without is None:
            return usual
        schema, (table, column) = json.loads(usual.read_text()), without
        del schema["tables"][table]["columns"][column]
        older = self.folder / "older.ovsschema"
        older.write_text(json.dumps(schema))
        return older

    def start_daemon(self) -> None:
        """Start the switch, and wait until it has done what the database says."""
        words = ["ovs-vswitchd", f"unix:{self.folder}/db.sock", "--no-chdir", "--log-file"]
        self.daemon = self._run(*words, "-vconsole:off")
        self.settle()

    def settle(self) -> None:
        """Wait until the daemon has done what the database says."""
        self.vsctl("--timeout=20", "set", "Open_vSwitch", ".", "external_ids:settled=yes")

    def kill_daemon(self) -> None:
        """End the switch as a crash does; its internal links stay."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.daemon = None

    def kill_database(self) -> None:
        """End the database as a crash does."""
        assert self.database is not None
        self.database.send_signal(signal.SIGKILL)
        self.database.wait()
        self.database = None
        (self.folder / "db.sock").unlink()  # or who asks would learn that nobody answers there

    def stop(self) -> None:
        """End both."""
        for process in (self.daemon, self.database):
            if process is not None:
                process.kill()
                process.wait()

    def vsctl(self, *words: str) -> str:
        """Run ovs-vsctl, and return what it prints."""
        socket = f"--db=unix:{self.folder}/db.sock"
        return self._tool("ovs-vsctl", socket, "--timeout=30", *words)

    def sh(self, lines: str) -> None:
        """Run lines for sh in which `ovs-vsctl` is this switch's."""
        path = f"{_HOME}/bin:{os.environ['PATH']}"
        checked(["sh", "-ec", lines], env={**environment(self.folder), "PATH": path})

    def bridge(self, name: str, datapath: str = "netdev") -> None:
        """Make a bridge of Open vSwitch's, and bring it up."""
        self.vsctl("add-br", name, "--", "set", "bridge", name, f"datapath_type={datapath}")
        run(["ip", "link", "set", name, "up"])

    def ports(self, bridge: str) -> list[str]:
        """Return the names of a bridge's ports, but for its own."""
        return self.vsctl("list-ports", bridge).split()

    def row(self, table: str, name: str) -> dict[str, Any]:
        """Return a row by its name, its values as ovs-vsctl's JSON has them."""
        text = self.vsctl("--format=json", "find", table, f"name={name}")
        found = json.loads(text)
        assert len(found["data"]) == 1, found
        return dict(zip(found["headings"], found["data"][0], strict=True))

    def _tool(self, name: str, *words: str) -> str:
        path = str(_HOME / "bin" / name)
        return checked([path, *words], env=environment(self.folder)).out

    def _run(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        path = str(_HOME / "bin" / name)
        return subprocess.Popen(
            [path, *words],
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def switch(folder: Path = RUN_DIR) -> Iterator[Switch]:
    """Run an Open vSwitch without a bridge; its folder is the caller's to make."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Switch(folder)
    try:
        running.start_database(anew=True)
        running.start_daemon()
        yield running
    finally:
        running.stop()


def _until(true: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
