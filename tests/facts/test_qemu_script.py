"""What QEMU's `script=` and `downscript=` get to see."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.facts import links, qemu, tun
from tests.facts.qemu import running

pytestmark = qemu.needed

Script = Callable[[int], Path]

_TEXT = """#!/bin/sh
ls -l /proc/self/fd > {folder}/fds
ip -j -d link show dev "$1" > {folder}/link
echo "$#" "$1" "$PWD" "$MARK" >> {folder}/calls
exit {status}
"""


@pytest.fixture(name="script")
def recording_script(tmp_path: Path) -> Script:
    """Write a script that notes how it was called and what it finds, and exits with a status."""

    def write(status: int) -> Path:
        path = tmp_path / "script"
        path.write_text(_TEXT.format(folder=tmp_path, status=status))
        path.chmod(0o755)
        return path

    return write


def seen(folder: Path) -> dict[str, Any]:
    """Return the TAP as the script found it."""
    found: list[dict[str, Any]] = json.loads((folder / "link").read_text())
    return found[0]


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []


def up(script: Path) -> str:
    return f"tap,id=n0,ifname=q0,script={script},downscript="


def down(script: Path) -> str:
    return f"tap,id=n0,ifname=q0,script=,downscript={script}"


def test_script_gets_the_name_alone_with_qemu_s_environment(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ifscript` learns of VM and bridge from the environment, as QEMU was started with it."""
    monkeypatch.setenv("MARK", "here")
    with running(up(script(0))):
        assert calls(tmp_path) == [f"1 q0 {Path.cwd()} here"]


def test_script_finds_the_tap_made_down_alone_and_not_persistent(
    script: Script, tmp_path: Path
) -> None:
    """`plan_manage`."""
    with running(up(script(0))):
        found = seen(tmp_path)
    assert "UP" not in found["flags"]
    assert "master" not in found
    assert found["linkinfo"]["info_data"]["persist"] is False


def test_script_inherits_the_tap_s_descriptor(script: Script, tmp_path: Path) -> None:
    """`ifscript` leaves no process behind: it would keep the TAP after QEMU."""
    with running(up(script(0))):
        assert "/dev/net/tun" in (tmp_path / "fds").read_text()


def test_failing_script_ends_qemu(script: Script) -> None:
    """`ifscript up` that fails: a VM without network does not start."""
    status, said = qemu.run(up(script(1)))
    assert status == 1
    assert "failed" in said
    assert links.names() == set()


def test_script_runs_once_for_many_queues_when_the_first_is_open(
    script: Script, tmp_path: Path
) -> None:
    """`plan_manage` cannot learn the number of queues from the TAP."""
    with running(f"{up(script(0))},queues=4"):
        assert len(calls(tmp_path)) == 1
        assert seen(tmp_path)["linkinfo"]["info_data"]["numqueues"] == 1


def test_script_of_a_kept_tap_finds_it_as_it_was_left(script: Script, tmp_path: Path) -> None:
    """`_adjust_managed`: `attach` and `script=` for one TAP do not quarrel."""
    tun.keep("q0")
    links.do(links.set_link("q0", up=True))
    with running(up(script(0))):
        found = seen(tmp_path)
    assert "UP" in found["flags"]
    assert found["linkinfo"]["info_data"]["persist"] is True


def test_downscript_finds_the_tap_still_there(script: Script, tmp_path: Path) -> None:
    """`ifscript down` can unplug it."""
    with running(down(script(0))):
        assert calls(tmp_path) == []
    assert len(calls(tmp_path)) == 1
    assert seen(tmp_path)["ifname"] == "q0"
    assert links.names() == set()


def test_failing_downscript_does_not_change_qemu_s_status(script: Script) -> None:
    """`ifscript down` reports; nobody but the log hears it."""
    status, said = qemu.run(down(script(1)))
    assert status == 0
    assert "failed" in said


def test_downscript_does_not_run_for_a_killed_qemu(script: Script, tmp_path: Path) -> None:
    """Nothing of vmnet's may depend on `ifscript down`: gc does that job."""
    with running(down(script(0))) as process:
        process.kill()
        process.wait()
    assert calls(tmp_path) == []
    assert links.names() == set()


def test_downscript_runs_when_qemu_is_asked_to_end_by_sigterm(
    script: Script, tmp_path: Path
) -> None:
    """How most QEMUs end."""
    with running(down(script(0))) as process:
        process.terminate()
        process.wait()
    assert len(calls(tmp_path)) == 1
