"""`vmnet hook`: what on this host keeps libvirt from calling the hook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.netns.hooks import HOOK, HOOKS, codes, fresh_libvirt
from tests.netns.places import NOBODY, put_tmpfs
from tests.support.lab import Lab
from vmnet.formats.apparmor import may_run
from vmnet.kernel import security
from vmnet.model.hookfile import Security


@pytest.fixture(autouse=True)
def _libvirt(lab: Lab) -> None:
    fresh_libvirt()


@pytest.fixture
def wrapper(tmp_path: Path) -> Path:
    """Return an interpreter that has vmnet, at a place of its own."""
    path = tmp_path / "wrapper"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


# ---- daemons


@contextmanager
def daemon(name: str, tmp_path: Path, uid: int = 0) -> Iterator[int]:
    """Let a process have the name of a daemon of libvirt's."""
    program = tmp_path / name
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "60"], user=uid or None)
    try:
        while Path(f"/proc/{process.pid}/comm").read_text().strip() != name:
            time.sleep(0.001)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def restarts(lab: Lab) -> list[str]:
    findings = lab.vmnet("hook", "status", "--json", status=None).json["findings"]
    return [each["remedy"] for each in findings if each["code"] == "restart"]


@pytest.mark.parametrize("name", ["libvirtd", "virtqemud"])
def test_a_daemon_that_had_no_hook_when_it_started_has_to_be_restarted(
    lab: Lab, tmp_path: Path, name: str
) -> None:
    with daemon(name, tmp_path) as pid:
        time.sleep(0.05)
        assert f"{name} (pid {pid}) started when it had no hook" in (
            lab.vmnet("hook", "install", "--dry-run").err
        )
        done = lab.vmnet("hook", "install")
        assert f"{name} (pid {pid}) started when it had no hook" in done.err
        assert "running VMs stay as they are" in done.err
        assert restarts(lab) == [f"`kill {pid}`, then start {name} again as it was"]
        Path("/run/systemd/system").mkdir(parents=True)
        assert restarts(lab) == [f"systemctl restart {name}"]
        lab.vmnet("hook", "install", "--timeout", "30")
        assert len(restarts(lab)) == 1
    assert restarts(lab) == []
    time.sleep(0.05)
    with daemon(name, tmp_path):
        assert restarts(lab) == []
        lab.vmnet("hook", "install", "--timeout", "40")
        assert restarts(lab) == []


def test_a_daemon_that_had_another_hook_need_not_be_restarted(lab: Lab, tmp_path: Path) -> None:
    (HOOKS / "qemu").write_text("#!/bin/sh\n")
    (HOOKS / "qemu").chmod(0o755)
    time.sleep(0.05)
    with daemon("libvirtd", tmp_path):
        time.sleep(0.05)
        lab.vmnet("hook", "install")
        assert restarts(lab) == []
        (HOOKS / "qemu").chmod(0o644)
        assert len(restarts(lab)) == 1


def test_daemons_of_others_do_not_count(lab: Lab, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for folder in (tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    with daemon("libvirtd", tmp_path, uid=NOBODY), daemon("libvirtd-not", tmp_path):
        time.sleep(0.05)
        lab.vmnet("hook", "install")
        assert lab.vmnet("hook", "status", "--json").json["daemons"] == []
    with daemon("virtqemud", tmp_path):
        time.sleep(0.05)
        put_tmpfs("/etc/libvirt")  # its own is another from now on
        lab.vmnet("hook", "install")
        assert len(lab.vmnet("hook", "status", "--json", status=None).json["daemons"]) == 1


# ---- security modules, by the files in which they would show themselves


def _apparmor(mode: str) -> None:
    put_tmpfs("/sys")
    for file, text in {
        "module/apparmor/parameters/enabled": "Y\n",
        "kernel/security/apparmor/profiles": f"libvirtd ({mode})\nelse (enforce)\n",
    }.items():
        path = Path("/sys") / file
        path.parent.mkdir(parents=True)
        path.write_text(text)


def test_debians_own_profile_lets_the_hook_and_its_interpreter_run() -> None:
    text = Path("/etc/apparmor.d/usr.sbin.libvirtd").read_text()
    for path in (str(HOOK), "/usr/bin/python3.11", "/usr/bin/timeout", "/bin/cat"):
        assert may_run(text, path), path
    for path in ("/opt/vmnet/bin/python3.11", "/srv/venv/bin/python3", "/usr/local/bin/x"):
        assert not may_run(text, path), path
    # Of a child's profile, not of libvirtd's.
    assert not may_run(text, "/usr/sbin/apparmor_parser")


def test_an_interpreter_that_apparmor_denies_is_said_with_what_to_add(
    lab: Lab, wrapper: Path
) -> None:
    _apparmor("enforce")
    done = lab.vmnet("hook", "install", "--python", str(wrapper))
    assert f"AppArmor's profile libvirtd does not let libvirt run {wrapper}" in done.err
    assert f"`{wrapper} PUx,` to /etc/apparmor.d/local/usr.sbin.libvirtd" in done.err
    assert codes(lab) == {"apparmor"}
    put_tmpfs("/etc/apparmor.d/local")
    Path("/etc/apparmor.d/local/usr.sbin.libvirtd").write_text(f"{wrapper} PUx,\n")
    assert codes(lab) == set()
    put_tmpfs("/etc/apparmor.d")
    (finding,) = lab.vmnet("hook", "status", "--json").json["findings"]
    assert (finding["code"], finding["certain"]) == ("apparmor", False)


def test_a_profile_that_only_complains_denies_nothing(lab: Lab, wrapper: Path) -> None:
    _apparmor("complain")
    lab.vmnet("hook", "install", "--python", str(wrapper))
    assert codes(lab) == set()


def test_without_a_security_module_there_is_nothing_to_say(lab: Lab) -> None:
    put_tmpfs("/sys")
    assert security.look([], [str(HOOK)]) == Security()


def test_selinux_labels_are_read_where_it_enforces(lab: Lab) -> None:
    put_tmpfs("/sys")
    path = Path("/sys/fs/selinux")
    path.mkdir(parents=True)
    (path / "enforce").write_text("1")
    lab.vmnet("hook", "install")
    os.setxattr(HOOK, "security.selinux", b"system_u:object_r:tmp_t:s0\0")
    (finding,) = lab.vmnet("hook", "status", "--json").json["findings"]
    assert (finding["code"], finding["certain"]) == ("selinux", False)
    assert finding["remedy"] == f"restorecon -v {HOOK}"
    os.setxattr(HOOK, "security.selinux", b"system_u:object_r:virt_etc_t:s0\0")
    assert codes(lab) == set()
