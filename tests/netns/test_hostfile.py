"""`vmnet host`: files for the host's own programs, here and in trees that are to become hosts.

What those programs make of them: test_hostfile_judges.py. Killed on the way: tests/kill.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.judges import fresh_etc, put_vhost_device
from tests.netns.places import NOBODY, be_nobody, put_dev, put_tmpfs, vmnet_after
from tests.support.lab import Lab, checked, run

FILES = {
    "etc/systemd/network/05-vmnet.link",
    "etc/systemd/network/05-vmnet.network",
    "etc/NetworkManager/conf.d/95-vmnet.conf",
    "etc/modules-load.d/vmnet.conf",
    "etc/udev/rules.d/60-vmnet.rules",
    "etc/systemd/system/vmnet.service",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree that is root's, with an /etc."""
    top = tmp_path / "host"
    (top / "etc").mkdir(parents=True)
    return top


def files(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}


def states(lab: Lab, tree: Path) -> set[str]:
    done = lab.vmnet("host", "status", "--root", str(tree), "--json", status=None)
    return {each["state"] for each in done.json["files"]}


def test_install_twice_is_once_and_uninstall_leaves_nothing(lab: Lab, tree: Path) -> None:
    assert states(lab, tree) == {"absent"}
    lab.vmnet("host", "install", "--root", str(tree))
    assert files(tree) == FILES
    assert all(stat.S_IMODE((tree / name).stat().st_mode) == 0o644 for name in FILES)
    assert states(lab, tree) == {"installed"}
    again = lab.vmnet("host", "install", "--root", str(tree), "--json").json
    assert again["steps"] == []
    lab.vmnet("host", "uninstall", "--root", str(tree))
    assert files(tree) == set()
    assert [path.name for path in tree.iterdir()] == ["etc"]
    assert lab.vmnet("host", "uninstall", "--root", str(tree), "--json").json["steps"] == []


def test_it_is_shown_before_and_the_lines_lead_to_the_same(lab: Lab, tree: Path) -> None:
    lines = lab.vmnet("host", "install", "--root", str(tree), "--dry-run").out
    assert files(tree) == set()
    checked(["sh", "-e"], input=lines)
    assert states(lab, tree) == {"installed"}


def test_a_group_is_kept_until_another_is_named(lab: Lab, tree: Path) -> None:
    rules = tree / "etc/udev/rules.d/60-vmnet.rules"
    lab.vmnet("host", "install", "--root", str(tree), "--group", "qemu")
    assert 'GROUP="qemu"' in rules.read_text()
    assert lab.vmnet("host", "install", "--root", str(tree), "--json").json["steps"] == []
    lab.vmnet("host", "install", "--root", str(tree), "--group", "kvm")
    assert 'GROUP="kvm"' in rules.read_text()


@pytest.mark.parametrize("group", ["a b", '"', "$x", "", "x" * 40, "a\nb"])
def test_what_is_no_group_is_refused(lab: Lab, tree: Path, group: str) -> None:
    lab.vmnet("host", "install", "--root", str(tree), "--group", group, status=2)
    assert files(tree) == set()


def test_what_is_somebody_elses_stays_and_nothing_is_written(lab: Lab, tree: Path) -> None:
    foreign = tree / "etc/modules-load.d/vmnet.conf"
    foreign.parent.mkdir()
    foreign.write_text("tun\n")
    lab.vmnet("host", "install", "--root", str(tree), status=5)
    assert (files(tree), foreign.read_text()) == ({"etc/modules-load.d/vmnet.conf"}, "tun\n")
    lab.vmnet("host", "install", "--root", str(tree), "--force", status=5)
    lab.vmnet("host", "uninstall", "--root", str(tree))
    assert foreign.read_text() == "tun\n"


def test_what_was_changed_is_replaced_only_by_force(lab: Lab, tree: Path) -> None:
    lab.vmnet("host", "install", "--root", str(tree))
    path = tree / "etc/systemd/network/05-vmnet.network"
    path.write_text(path.read_text() + "# mine\n")
    for verb in ("install", "uninstall"):
        lab.vmnet("host", verb, "--root", str(tree), status=5)
    assert path.read_text().endswith("# mine\n")
    lab.vmnet("host", "install", "--root", str(tree), "--force")
    assert states(lab, tree) == {"installed"}


def test_a_way_that_leads_elsewhere_is_refused(lab: Lab, tree: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tree / "etc/systemd").symlink_to(elsewhere)
    done = lab.vmnet("host", "install", "--root", str(tree), status=None)
    assert done.status != 0
    assert list(elsewhere.iterdir()) == []


def test_a_tree_that_is_not_there_is_said(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("host", "status", "--root", str(tmp_path / "none"), status=4)


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_of_a_tree_that_others_can_change_is_refused(
    lab: Lab, tree: Path, mode: int
) -> None:
    (tree / "etc").chmod(mode)
    for verb in ("install", "status", "uninstall"):
        done = lab.vmnet("host", verb, "--root", str(tree), status=5)
        assert f"{tree}/etc may be written by others (mode {mode:04o})" in done.err
    assert files(tree) == set()


def test_an_ordinary_user_makes_a_tree_of_his_own(lab: Lab, tree: Path) -> None:
    """Who builds a package has no lock and no root; what he writes root will own."""
    for path in (tree, tree / "etc"):
        os.chown(path, NOBODY, NOBODY)
    for folder in tree.parents:
        if folder.stat().st_mode & 0o700 == 0o700 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    vmnet_after(be_nobody, "host", "install", "--root", str(tree))
    assert {(tree / name).stat().st_uid for name in FILES} == {NOBODY}
    again = vmnet_after(be_nobody, "host", "install", "--root", str(tree), "--json").json
    assert again["steps"] == []
    vmnet_after(be_nobody, "host", "uninstall", "--root", str(tree))
    assert files(tree) == set()


def test_a_strict_umask_hides_nothing_from_the_programs(lab: Lab, tree: Path) -> None:
    def tight() -> None:
        os.umask(0o077)

    vmnet_after(tight, "host", "install", "--root", str(tree))
    for path in (tree / "etc").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_the_groups_of_a_tree_are_its_own(lab: Lab, tree: Path) -> None:
    (tree / "etc/group").write_text("root:x:0:\nqemu:x:107:\npeople:x:1000:\n")
    words = ("host", "install", "--root", str(tree), "--group")
    assert "there is no group 'kvm'" in lab.vmnet(*words, "kvm", status=4).err
    assert files(tree) == {"etc/group"}
    lab.vmnet(*words, "qemu")
    assert "group people is no system group (1000)" in lab.vmnet(*words, "people").err


def test_a_group_that_somebody_wrote_into_the_file_is_not_taken_for_one(
    lab: Lab, tree: Path
) -> None:
    lab.vmnet("host", "install", "--root", str(tree))
    rules = tree / "etc/udev/rules.d/60-vmnet.rules"
    rules.write_text(rules.read_text().replace('"kvm"', '"$env{X}"'))
    lab.vmnet("host", "install", "--root", str(tree), "--force")
    assert 'GROUP="kvm"' in rules.read_text()


PUT: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.touch(),
    "link": lambda path: path.symlink_to("/dev/null"),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "folder": lambda path: path.mkdir(),
    "fifo": os.mkfifo,
    "socket": lambda path: os.mknod(path, 0o644 | stat.S_IFSOCK),
    "huge": lambda path: path.write_text("# vmnet-host 1 0: \n" + "#" * 70_000),
    "not text": lambda path: path.write_bytes(b"\xff\xfe# vmnet-host 1"),
}


@pytest.mark.parametrize("put", PUT.values(), ids=PUT)
def test_what_is_foreign_in_any_way_stays(lab: Lab, tree: Path, put: Callable[[Path], Any]) -> None:
    path = tree / "etc/NetworkManager/conf.d/95-vmnet.conf"
    path.parent.mkdir(parents=True)
    put(path)
    before = path.lstat()
    said = lab.vmnet("host", "install", "--root", str(tree), "--force", status=5).err
    assert f"{path} is there and not vmnet's" in said
    assert "stays" in lab.vmnet("host", "uninstall", "--root", str(tree)).err
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert states(lab, tree) == {"absent", "foreign"}


def test_what_is_vmnets_and_improper_is_mended(lab: Lab, tree: Path) -> None:
    lab.vmnet("host", "install", "--root", str(tree))
    path = tree / "etc/systemd/network/05-vmnet.link"
    for mode, owner in ((0o666, 0), (0o644, NOBODY)):
        path.chmod(mode)
        os.chown(path, owner, owner)
        assert states(lab, tree) == {"installed", "other"}
        lab.vmnet("host", "install", "--root", str(tree))
        assert states(lab, tree) == {"installed"}
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (0, 0o644)


def test_the_unit_is_not_enabled_and_who_enabled_it_is_told(lab: Lab, tree: Path) -> None:
    systemctl = ["systemctl", f"--root={tree}"]
    said = lab.vmnet("host", "install", "--root", str(tree)).err
    assert f"try: systemctl --root={tree} enable vmnet" in said
    assert run([*systemctl, "is-enabled", "vmnet"]).out == "disabled\n"
    checked([*systemctl, "enable", "vmnet"])
    assert "not-enabled" not in lab.vmnet("host", "status", "--root", str(tree)).out
    said = lab.vmnet("host", "uninstall", "--root", str(tree)).err
    (remedy,) = re.findall(r"try: (systemctl .* disable vmnet)", said)
    run(["sh", "-c", remedy])
    assert files(tree) == set()
    assert not list(tree.rglob("vmnet.service"))
    assert "disable" not in lab.vmnet("host", "uninstall", "--root", str(tree)).err


def test_a_masked_unit_stays_masked(lab: Lab, tree: Path) -> None:
    checked(["systemctl", f"--root={tree}", "mask", "vmnet"])
    lab.vmnet("host", "install", "--root", str(tree), "--force", status=5)
    unit = tree / "etc/systemd/system/vmnet.service"
    assert str(unit.readlink()) == "/dev/null"
    assert files(tree) == set()


# ---- on this host


@pytest.fixture
def etc(lab: Lab) -> Path:
    """An /etc of the test's own."""
    fresh_etc()
    return Path("/etc")


def codes(lab: Lab) -> set[str]:
    """Return the codes of what `status` finds; its exit status has to fit them."""
    done = lab.vmnet("host", "status", "--json", status=None)
    assert done.json["well"] == (done.status == 0)
    assert done.json["well"] == (not any(each["certain"] for each in done.json["findings"]))
    return {each["code"] for each in done.json["findings"]}


def test_on_this_host_install_status_uninstall(lab: Lab, etc: Path) -> None:
    assert "absent" in codes(lab)
    said = lab.vmnet("host", "install").err
    assert all(f"write file '/{name}'" in said for name in FILES)
    assert "absent" not in codes(lab)
    assert lab.vmnet("host", "status", status=None).out.count(": installed (") == len(FILES)
    assert "host: nothing to do" in lab.vmnet("host", "install").err
    said = lab.vmnet("host", "uninstall").err
    assert "problem" not in said
    assert "host: nothing to do" in lab.vmnet("host", "uninstall").err
    # udev is here and wants its folder; so does systemd.
    assert Path("/etc/udev/rules.d").is_dir()
    assert not any(Path("/", name).exists() for name in FILES)
    assert list(Path("/run/vmnet").iterdir()) == []


def test_the_group_has_to_be_here(lab: Lab, etc: Path) -> None:
    said = lab.vmnet("host", "install", "--group", "nosuch", status=4).err
    assert "`groupadd --system nosuch`" in said
    lab.vmnet("host", "install")
    (etc / "group").write_text("root:x:0:\n")
    assert "no-group" in codes(lab)


def test_an_ordinary_user_may_look_and_not_write(lab: Lab, etc: Path) -> None:
    assert vmnet_after(be_nobody, "host", "install", status=7).err
    assert "absent" in vmnet_after(be_nobody, "host", "status", status=1).out
    assert vmnet_after(be_nobody, "host", "install", "--dry-run").out.startswith("install -m 0644")


def test_a_folder_that_others_can_change_is_refused(lab: Lab, etc: Path) -> None:
    (etc / "udev").chmod(0o777)
    for verb in ("install", "status", "uninstall"):
        assert "/etc/udev may be written by others" in lab.vmnet("host", verb, status=5).err
    assert list((etc / "systemd/network").iterdir()) == []


def test_a_file_system_that_cannot_be_written_is_said(lab: Lab, etc: Path) -> None:
    lab.sh("mount -o remount,ro /etc")
    said = lab.vmnet("host", "install", status=8).err
    assert "Read-only file system" in said
    assert "--dry-run" in said


def test_a_full_disk_leaves_nothing(lab: Lab, etc: Path) -> None:
    put_tmpfs("/etc/modules-load.d", "mode=755,size=4k")
    Path("/etc/modules-load.d/filler").write_bytes(bytes(4096))
    before = set(etc.rglob("*"))
    assert "No space left" in lab.vmnet("host", "install", status=10).err
    assert set(etc.rglob("*")) == before


def test_two_at_once_agree(lab: Lab, etc: Path) -> None:
    pids = [lab.start("host", "install", "--group", name) for name in ("kvm", "disk", "root")]
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    assert lab.vmnet("host", "status", status=None).out.count(": installed (") == len(FILES)
    assert not [path for path in etc.rglob("*") if path.name.endswith(".new")]


def test_a_node_of_another_group_is_found_until_its_group_may(lab: Lab, etc: Path) -> None:
    put_dev()
    node = put_vhost_device()
    lab.vmnet("host", "install", "--group", "disk")
    assert "node-group" in codes(lab)
    (remedy,) = re.findall(r"`(chgrp .*?)`", lab.vmnet("host", "status", status=1).out)
    lab.sh(remedy)
    assert (node.stat().st_gid, stat.S_IMODE(node.stat().st_mode)) == (6, 0o660)
    assert "node-group" not in codes(lab)
