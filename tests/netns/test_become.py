"""What `vmnet run` is when it becomes a program: user, capabilities, signals; and if it cannot."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.netns.commands import until
from tests.netns.places import NOBODY, vmnet_after
from tests.netns.seen import seen
from tests.support.lab import VENV_BIN, Lab, checked

#: Takes no notice of the words that are appended.
STATUS = ("sh", "-c", "exec cat /proc/self/status")


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _status(lab: Lab, *options: str, groups: tuple[int, ...] = ()) -> dict[str, str]:
    done = vmnet_after(lambda: os.setgroups(groups), "run", "vm1", *options, "--", *STATUS)
    fields = (line.partition(":")[::2] for line in done.out.splitlines())
    return {key: " ".join(value.split()) for key, value in fields}


CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.mark.parametrize(("user", "uid"), [("nobody", NOBODY), ("4242", 4242), ("root", 0)])
def test_with_a_user_no_privilege_is_left_nor_can_be_had(lab: Lab, user: str, uid: int) -> None:
    status = _status(lab, "--user", user, groups=(0, 4, 27))
    assert {key: int(status[key], 16) for key in CAPABILITIES} == dict.fromkeys(CAPABILITIES, 0)
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"] == f"{uid} {uid} {uid} {uid}"
    assert status["Gid"] == f"{uid} {uid} {uid} {uid}"
    assert status["Groups"] in ("", str(uid))


def test_capabilities_that_would_be_inherited_are_dropped_too(lab: Lab) -> None:
    caps = ("--inh-caps=+net_admin,+sys_admin", "--ambient-caps=+net_admin,+sys_admin")
    words = ("run", "vm1", "--user", "nobody", "--", *STATUS)
    done = checked(["setpriv", *caps, str(VENV_BIN / "vmnet"), *words])
    assert re.findall(r"Cap\w+:\t(\w+)", done.out) == ["0" * 16] * len(CAPABILITIES)


def test_without_a_user_it_stays_who_it_was(lab: Lab) -> None:
    status, mine = _status(lab), Path("/proc/self/status").read_text(encoding="utf-8")
    assert status["Uid"] == "0 0 0 0"
    assert f"CapEff:\t{status['CapEff']}\n" in mine
    assert status["NoNewPrivs"] == "0"


def test_an_ordinary_user_can_use_the_tap_it_was_given(lab: Lab) -> None:
    program = "fd=${1#*fds=}; fd=${fd%%,*}; head -c 74 /dev/zero >&$fd && echo sent; id -u"
    words = ("bash", "-c", program, "qemu", "{netdev}", "{device}")
    done = lab.vmnet("run", "vm1", "--user", "nobody", "--", *words, status=None)
    assert done.out.splitlines() == ["sent", str(NOBODY)]


@pytest.mark.parametrize("user", ["no-such-user", "", "-1", "4294967295", "99999999999", "a\udce9"])
def test_a_user_that_is_not_there_is_refused(lab: Lab, user: str) -> None:
    done = lab.vmnet("run", "vm1", f"--user={user}", "--", "true", status=4)
    assert "no user" in done.err
    assert "no user" in lab.vmnet("attach", "vm1", f"--owner={user}", status=4).err
    assert set(lab.links()) == {"br0"}


@pytest.fixture
def _usual_signals() -> Iterator[None]:
    """No signal is ignored: what was started in the background of a script ignores two."""
    numbers = (signal.SIGINT, signal.SIGQUIT)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_usual_signals")
def test_signals_are_as_a_shell_gives_them(lab: Lab) -> None:
    status = _status(lab)
    assert int(status["SigIgn"], 16) == 0
    assert int(status["SigBlk"], 16) == 0


@pytest.mark.usefixtures("_usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_stays_so(lab: Lab, number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        status = _status(lab)
    finally:
        signal.signal(number, before)
    assert int(status["SigIgn"], 16) == 1 << (number - 1)


def test_a_program_that_is_not_there_is_127_and_nothing_is_made(lab: Lab) -> None:
    for program in ("no-such-program", "/no/such/program", "", "x" * 5000, "/" + "x" * 5000):
        done = lab.vmnet("run", "vm1", "--", program, status=127)
        assert "there is no such program" in done.err
    assert not Path("/run/vmnet").exists() or list(Path("/run/vmnet").iterdir()) == []
    assert set(lab.links()) == {"br0"}


def test_a_file_that_may_not_be_run_is_126_and_nothing_is_made(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("#!/bin/sh\n")
    for path in (file, tmp_path):
        assert "may be run" in lab.vmnet("run", "vm1", "--", str(path), status=126).err
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize(
    ("text", "status"), [("#!/no/such/interpreter\n", 127), ("\x7fELF is no more\n", 126)]
)
def test_a_program_that_fails_to_start_leaves_nothing(
    lab: Lab, tmp_path: Path, text: str, status: int
) -> None:
    file = tmp_path / "qemu"
    file.write_text(text)
    file.chmod(0o755)
    done = lab.vmnet("run", "vm1", "--nic", "queues=2", "--", str(file), status=status)
    assert f"cannot run '{file}'" in done.err
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == ["br0"]


def test_a_program_that_the_user_may_not_run_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "qemu"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o700)
    lab.vmnet("run", "vm1", "--user", "nobody", "--", str(file), status=126)
    assert set(lab.links()) == {"br0"}


@pytest.mark.parametrize("user", [(), ("--user", "nobody")], ids=["same", "nobody"])
@pytest.mark.parametrize("spec", ["mtu=1400", "mtu=1400,mac=52:54:00:00:00:01,bridge=br1"])
def test_a_tap_that_attach_made_gets_its_settings_back_from_a_program_that_fails_to_start(
    lab: Lab, tmp_path: Path, user: tuple[str, ...], spec: str
) -> None:
    file = tmp_path / "qemu"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    lab.vmnet("bridge", "create", "br1")
    lab.vmnet("attach", "vm1", "--bridge", "br0")
    before = seen(lab)
    words = ("run", "vm1", *user, "--nic", spec, "--nic", "bridge=br0", "--", str(file))
    for _ in range(2):
        done = lab.vmnet(*words, status=127 if not user else None)
        assert done.status in (126, 127)
        assert "not undone" not in done.err
        until(lambda: _names_in(seen(lab)) == _names_in(before), 2)  # and what was outside the TAPs


def _names_in(links: dict[str, Any]) -> dict[str, Any]:
    """Return links with their other names in order: one that was taken away comes back as last."""
    return {k: v | {"altnames": sorted(v.get("altnames", []))} for k, v in links.items()}


def test_a_program_that_starts_has_nobody_beside_it(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    here = Path("/proc/self/ns/net").stat().st_ino
    done = lab.vmnet("run", "vm1", "--nic", "mtu=1400", "--", "sh", "-c", "echo me $PPID")
    assert "me" in done.out
    assert lab.link(lab.vmnet("list", "--json").json["nics"][0]["tap"])["mtu"] == 1400

    def others() -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if folder.name != str(os.getpid()) and (folder / "ns/net").stat().st_ino == here:
                    found.append((folder / "cmdline").read_text())
        return found

    until(lambda: others() == [])


def test_a_user_gets_an_environment_and_a_keyring_of_its_own(lab: Lab) -> None:
    program = "import ctypes, os; print(*map(os.environ.get, ('HOME', 'USER', 'LOGNAME'))); "
    program += "print(ctypes.CDLL(None).syscall(250, 0, -3, 0), os.umask(0))"
    words = ("--", sys.executable, "-c", program)
    before = os.umask(0o027)
    try:
        ours = lab.vmnet("run", "vm1", *words).out.split()
        theirs = lab.vmnet("run", "vm1", "--user", "nobody", *words).out.split()
        nameless = lab.vmnet("run", "vm1", "--user", "4242", *words).out.split()
    finally:
        os.umask(before)
    assert theirs[:3] == ["/nonexistent", "nobody", "nobody"]
    assert nameless[:3] == ["/", "4242", "4242"]
    assert ours[0] == os.environ["HOME"]
    assert ours[4] == theirs[4] == str(0o027)
    assert len({ours[3], theirs[3], nameless[3]}) == 3


def test_a_tap_that_attach_made_survives_a_program_that_fails_to_start(
    lab: Lab, tmp_path: Path
) -> None:
    file = tmp_path / "qemu"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    lab.vmnet("attach", "vm1")
    before = lab.state()
    lab.vmnet("run", "vm1", "--", str(file), status=127)
    assert lab.state() == before
