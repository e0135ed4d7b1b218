"""`vmnet hook install`, `uninstall` and `status`, on an /etc/libvirt of the test's own."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.hooks import FOLDER, HOOK, HOOKS, codes, fresh_libvirt
from tests.netns.places import NOBODY, be_nobody, put_tmpfs, vmnet_after
from tests.support.domains import bridge_nic, mac, metadata
from tests.support.lab import Lab
from vmnet import __version__


@pytest.fixture(autouse=True)
def _libvirt(lab: Lab) -> None:
    fresh_libvirt()


def inodes() -> dict[str, tuple[int, int, int]]:
    """Return all that is there, with what tells a file from one in its place."""
    found = {}
    for path in (HOOKS, *HOOKS.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_ino, status.st_mtime_ns, stat.S_IMODE(status.st_mode))
    return found


# ---- install


def test_install_puts_the_hook_there(lab: Lab) -> None:
    done = lab.vmnet("hook", "install")
    assert f"hook: installed {HOOK}" in done.err
    assert f"runs {sys.executable} (vmnet {__version__}), at most 20 s a call" in done.err
    for path in (FOLDER, HOOK):
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0)
        assert stat.S_IMODE(status.st_mode) == 0o755
    assert [path.name for path in HOOKS.iterdir()] == ["qemu.d"]
    assert [path.name for path in FOLDER.iterdir()] == ["50-vmnet"]
    domain = b"<domain><vmnet:nics xmlns:vmnet='urn:vmnet:nics:1'/></domain>"
    words = [str(HOOK), "vm1", "reconnect", "begin", "-"]
    assert subprocess.run(words, input=domain, check=True, capture_output=True).stdout == b""
    assert lab.vmnet("hook", "status").out.startswith(f"{HOOK}: installed\n")
    assert list(Path("/run/vmnet").iterdir()) == []


def test_a_second_install_does_nothing(lab: Lab) -> None:
    lab.vmnet("hook", "install")
    before = inodes()
    assert "hook: nothing to do" in lab.vmnet("hook", "install").err
    assert inodes() == before


def test_both_folders_are_made_if_need_be_whatever_the_umask(lab: Lab) -> None:
    HOOKS.rmdir()

    def tight() -> None:
        os.umask(0o077)

    vmnet_after(tight, "hook", "install")
    for path in (HOOKS, FOLDER, HOOK):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_other_settings_replace_the_hook_in_one_step(lab: Lab) -> None:
    lab.vmnet("hook", "install")
    before = HOOK.stat().st_ino
    with HOOK.open() as old:
        lab.vmnet("hook", "install", "--timeout", "60")
        assert "limit=20 " in old.read()
    assert HOOK.stat().st_ino != before
    assert "\nlimit=60 " in HOOK.read_text()
    assert lab.vmnet("hook", "status", "--json").json["timeout_seconds"] == 60


def test_a_dry_run_changes_nothing_and_says_what_it_would(lab: Lab) -> None:
    before = inodes()
    done = lab.vmnet("hook", "install", "--dry-run")
    assert done.out.splitlines()[0] == f"mkdir -m 0755 {FOLDER}"
    assert str(HOOK) in done.out.splitlines()[1]
    assert lab.vmnet("hook", "install", "--dry-run", "--json").json["changed"] is True
    assert inodes() == before
    lab.vmnet("hook", "install")
    before = inodes()
    assert lab.vmnet("hook", "uninstall", "--dry-run").out == f"rm {HOOK}\n"
    assert inodes() == before


def test_install_in_json(lab: Lab) -> None:
    data = lab.vmnet("hook", "install", "--json").json
    assert (data["changed"], data["folders"]) == (True, [str(FOLDER)])
    hook = data["hook"]
    assert (hook["state"], hook["path"], hook["well"]) == ("installed", str(HOOK), True)
    assert (hook["python"], hook["timeout_seconds"]) == (sys.executable, 20)
    assert lab.vmnet("hook", "install", "--json").json["changed"] is False


def test_a_host_without_libvirt_is_told_so(lab: Lab) -> None:
    lab.sh("umount /etc/libvirt")
    put_tmpfs("/etc")
    for verb in ("install", "uninstall", "status"):
        assert "libvirt is not installed" in lab.vmnet("hook", verb, status=4).err
    assert list(Path("/etc").iterdir()) == []


def test_an_ordinary_user_may_not(lab: Lab) -> None:
    done = vmnet_after(be_nobody, "hook", "install", status=None)
    assert done.status in (1, 4, 7)  # nobody need not be able to run this very interpreter
    assert inodes().keys() == {str(HOOKS)}


# ---- what stands in the way


def _foreign(text: str) -> Callable[[], Any]:
    return lambda: HOOK.write_text(text)


FOREIGN: dict[str, Callable[[], Any]] = {
    "another's": _foreign("#!/bin/sh\nexit 0\n"),
    "empty": _foreign(""),
    "binary": lambda: HOOK.write_bytes(b"\x7fELF\xff\xfe\n# vmnet"),
    "huge": _foreign("#!/bin/sh\n# vmnet-hook 1\n" + "#" * 70_000),
    "link": lambda: HOOK.symlink_to("/bin/true"),
    "dangling": lambda: HOOK.symlink_to("/nowhere"),
    "folder": HOOK.mkdir,
    "fifo": lambda: os.mkfifo(HOOK),
}


@pytest.mark.parametrize("put", FOREIGN.values(), ids=FOREIGN)
def test_what_is_foreign_stays(lab: Lab, put: Callable[[], Any]) -> None:
    FOLDER.mkdir()
    put()
    before = inodes()
    for words in (["install"], ["uninstall"], ["install", "--dry-run"]):
        assert "is there and not vmnet's" in lab.vmnet("hook", *words, status=5).err
    assert codes(lab) >= {"foreign-hook"}
    assert "foreign" in lab.vmnet("hook", "status", status=1).out
    assert inodes() == before


def _instead(target: str) -> None:
    FOLDER.rmdir()
    FOLDER.symlink_to(target)


OPEN: dict[str, Callable[[], Any]] = {
    "hooks world-writable": lambda: HOOKS.chmod(0o757),
    "hooks group-writable": lambda: HOOKS.chmod(0o775),
    "hooks sticky": lambda: HOOKS.chmod(0o1777),
    "hooks another's": lambda: os.chown(HOOKS, NOBODY, 0),
    "qemu.d world-writable": lambda: FOLDER.chmod(0o757),
    "qemu.d another's": lambda: os.chown(FOLDER, NOBODY, NOBODY),
    "libvirt another's": lambda: os.chown("/etc/libvirt", NOBODY, 0),
    "libvirt world-writable": lambda: Path("/etc/libvirt").chmod(0o777),
    "qemu.d no folder": lambda: _instead("/etc/passwd"),
    "qemu.d into the void": lambda: _instead("/nowhere"),
    "qemu.d in a circle": lambda: _instead(str(FOLDER)),
    "qemu.d into a shared folder": lambda: _instead("/var/tmp"),
}


@pytest.mark.parametrize("spoil", OPEN.values(), ids=OPEN)
def test_a_place_that_others_can_change_is_refused(lab: Lab, spoil: Callable[[], Any]) -> None:
    FOLDER.mkdir()
    spoil()
    before = inodes()
    for verb in ("install", "uninstall", "status"):
        done = lab.vmnet("hook", verb, status=None)
        assert done.status in (5, 10), done
        assert str(HOOKS.parent) in done.err
    assert inodes() == before
    assert not Path("/var/tmp/50-vmnet").exists()


def test_a_link_that_only_root_could_have_made_is_followed(lab: Lab) -> None:
    put_tmpfs("/opt")
    Path("/opt/hooks").mkdir()
    FOLDER.symlink_to("/opt/hooks")
    lab.vmnet("hook", "install")
    assert Path("/opt/hooks/50-vmnet").exists()
    assert FOLDER.is_symlink()
    lab.vmnet("hook", "uninstall")
    assert list(Path("/opt/hooks").iterdir()) == []


def test_a_full_disk_leaves_nothing(lab: Lab) -> None:
    lab.sh("umount /etc/libvirt")
    put_tmpfs("/etc/libvirt", "mode=755,size=8k,nr_inodes=20")
    HOOKS.mkdir()
    Path("/etc/libvirt/filler").write_bytes(bytes(8192))
    before = inodes()
    assert "No space left" in lab.vmnet("hook", "install", status=10).err
    assert inodes().keys() == before.keys()


def test_what_a_killed_install_left_is_in_nobodys_way(lab: Lab) -> None:
    (HOOKS / ".50-vmnet.new").write_text("half")
    lab.vmnet("hook", "install")
    assert [path.name for path in HOOKS.iterdir()] == ["qemu.d"]


# ---- the interpreter


@pytest.mark.parametrize(
    ("python", "status", "said"),
    [
        ("/nowhere/python3", 1, "No such file"),
        ("/etc/passwd", 1, "Permission denied"),
        ("/bin/true", 4, "has no vmnet that works"),
        ("python3", 2, "not a full path"),
        ("/usr/bin/python3", 4, "has no vmnet that works"),
    ],
)
def test_an_interpreter_without_vmnet_is_refused(
    lab: Lab, python: str, status: int, said: str
) -> None:
    assert said in lab.vmnet("hook", "install", "--python", python, status=status).err
    assert inodes().keys() == {str(HOOKS)}


def test_an_interpreter_that_is_gone_is_found(lab: Lab, tmp_path: Path) -> None:
    python = tmp_path / "python with space"
    python.symlink_to(sys.executable)
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    lab.vmnet("hook", "install", "--python", str(wrapper))
    assert codes(lab) == set()
    wrapper.chmod(0o644)
    assert codes(lab) == {"hook-program"}
    wrapper.unlink()
    done = lab.vmnet("hook", "status", status=1)
    assert f"problem: cannot run {wrapper}: No such file" in done.out


def test_an_interpreter_that_others_can_change_is_said(lab: Lab, tmp_path: Path) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o777)
    done = lab.vmnet("hook", "install", "--python", str(wrapper))
    assert f"problem: {wrapper} may be written by others" in done.err
    wrapper.chmod(0o755)
    os.chown(wrapper, NOBODY, 0)
    assert codes(lab) == {"hook-python-open"}


@pytest.mark.parametrize("limit", ["0", "-1", "601"])
def test_a_limit_that_cannot_be_is_refused(lab: Lab, limit: str) -> None:
    assert "time limit" in lab.vmnet("hook", "install", "--timeout", limit, status=2).err


# ---- status and uninstall


def test_status_of_nothing(lab: Lab) -> None:
    assert codes(lab) == {"absent"}
    assert f"{HOOK}: absent" in lab.vmnet("hook", "status", status=1).out


SPOILT: dict[str, tuple[Callable[[], Any], str]] = {
    "changed": (lambda: HOOK.write_text(HOOK.read_text() + "# mine\n"), "hook-version"),
    "not executable": (lambda: HOOK.chmod(0o644), "hook-mode"),
    "world-writable": (lambda: HOOK.chmod(0o777), "hook-mode"),
    "another's": (lambda: os.chown(HOOK, NOBODY, 0), "hook-mode"),
    "older": (
        lambda: HOOK.write_text(HOOK.read_text().replace("vmnet-hook 1", "vmnet-hook 0")),
        "hook-version",
    ),
}


@pytest.mark.parametrize(("spoil", "code"), SPOILT.values(), ids=SPOILT)
def test_a_hook_of_vmnets_that_is_not_as_it_should_be_is_mended(
    lab: Lab, spoil: Callable[[], Any], code: str
) -> None:
    lab.vmnet("hook", "install")
    good = HOOK.read_text()
    spoil()
    assert codes(lab) == {code}
    lab.vmnet("hook", "install")
    assert codes(lab) == set()
    assert HOOK.read_text() == good


def test_uninstall_takes_the_hook_alone(lab: Lab) -> None:
    lab.vmnet("hook", "install")
    (FOLDER / "60-another").write_text("#!/bin/sh\n")
    done = lab.vmnet("hook", "uninstall")
    assert f"hook: removed {HOOK}" in done.err
    assert "what stays" in done.err
    assert [path.name for path in FOLDER.iterdir()] == ["60-another"]
    assert "nothing to do" in lab.vmnet("hook", "uninstall").err


def test_two_at_once_agree(lab: Lab) -> None:
    pids = [lab.start("hook", "install", "--timeout", str(limit)) for limit in (20, 21, 22)]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert codes(lab) == set()
    assert [path.name for path in HOOKS.iterdir()] == ["qemu.d"]


# ---- test

_WISH = metadata(f'mac="{mac(1)}" network="lan"')
DOMAIN = (
    f"<domain type='qemu'><name>vm1</name><metadata>{_WISH}</metadata>"
    f"<devices>{bridge_nic(mac(1))}</devices></domain>"
)


def test_a_test_says_what_each_operation_would_do(lab: Lab, tmp_path: Path) -> None:
    file, config = tmp_path / "vm1.xml", tmp_path / "vmnet.toml"
    file.write_text(DOMAIN)
    config.write_text('[network.lan]\nbridge = "br0"\n')
    lab.vmnet("bridge", "create", "br0")
    before = lab.state()
    words = ("--config", str(config), "hook", "test")
    out = lab.vmnet(*words, str(file)).out
    for operation in ("prepare", "start", "started", "reconnect", "stopped", "release"):
        assert f"\n{operation}\n" in f"\n{out}"
    assert "refused" not in out
    assert lab.vmnet(*words, str(file), "--json").json["operations"]
    assert lab.state() == before
    lab.vmnet("bridge", "delete", "br0")
    assert "refused: " in lab.vmnet(*words, str(file), status=4).out
    assert lab.links() == {}
    assert "cannot read" in lab.vmnet(*words, "/nowhere", status=4).err
    file.write_text(DOMAIN.replace(_WISH, ""))
    assert "leaves it alone" in lab.vmnet(*words, str(file)).out
    assert "is no XML" in lab.vmnet(*words, str(config), status=2).err
