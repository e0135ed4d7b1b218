"""`vmnet host`: files for the host's own programs, written into trees that are to become hosts."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from tests.support.lab import VENV_BIN, Done, Lab, checked, run

FILES = {
    "etc/systemd/network/05-vmnet.link",
    "etc/systemd/network/05-vmnet.network",
    "etc/NetworkManager/conf.d/95-vmnet.conf",
    "etc/modules-load.d/vmnet.conf",
    "etc/udev/rules.d/60-vmnet.rules",
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


@pytest.mark.parametrize("call", ["openat", "rename", "fsync", "mkdir", "unlink"])
def test_a_kill_leaves_each_file_whole_or_absent(lab: Lab, tree: Path, call: str) -> None:
    """And the next install goes on where that one stopped."""
    killed = 0
    for k in range(1, 8):
        inject = f"inject={call}:signal=KILL:when={k}"
        words = ["strace", "-f", "-o", os.devnull, *_only_new(tree, call), "-e", f"trace={call}"]
        argv = [str(VENV_BIN / "vmnet"), "host", "install", "--root", str(tree)]
        done = run([*words, "-e", inject, *argv])
        assert done.status in (0, -signal.SIGKILL, 128 + signal.SIGKILL)
        killed += done.status != 0
        assert states(lab, tree) <= {"absent", "installed"}
    assert killed > 1
    lab.vmnet("host", "install", "--root", str(tree))
    assert (files(tree), states(lab, tree)) == (FILES, {"installed"})
    lab.vmnet("host", "uninstall", "--root", str(tree))
    assert files(tree) == set()


def _only_new(tree: Path, call: str) -> list[str]:
    """Return strace's options for the files that are written alone; a start opens hundreds."""
    if call != "openat":
        return []
    new = [(tree / name).with_name(f".{Path(name).name}.new") for name in sorted(FILES)]
    return [word for path in new for word in ("-P", str(path))]


def test_systemd_reads_the_link_and_network_files_as_they_are_meant(lab: Lab, tree: Path) -> None:
    """Udevd's own parser chooses vmnet's file for a port, and its default for another link."""
    lab.vmnet("host", "install", "--root", str(tree))
    folder = Path("/run/systemd/network")
    lab.sh("mount -t sysfs none /sys; mount -t tmpfs none /run")
    lab.sh("mkdir -p /run/udev /run/systemd/network")
    text = (tree / "etc/systemd/network/05-vmnet.link").read_text()
    (folder / "05-vmnet.link").write_text(text)
    lab.sh("ip link add vmnabcdefghi-0 type ifb; ip link add other0 type ifb")
    assert "05-vmnet.link" in _link_file("vmnabcdefghi-0")
    assert "05-vmnet.link" not in _link_file("other0")
    (folder / "05-vmnet.link").write_text(text.replace("MACAddressPolicy", "MACAddresPolicy"))
    assert "MACAddresPolicy" in _builtin("vmnabcdefghi-0").err


def _builtin(link: str) -> Done:
    argv = ["udevadm", "test-builtin", "net_setup_link", f"/sys/class/net/{link}"]
    return run(argv, env={"SYSTEMD_LOG_LEVEL": "debug", "PATH": os.environ["PATH"] + ":/sbin"})


def _link_file(link: str) -> str:
    lines = _builtin(link).out.splitlines()
    return next((line for line in lines if line.startswith("ID_NET_LINK_FILE=")), "")


def test_networkmanager_reads_its_file(lab: Lab, tree: Path) -> None:
    lab.vmnet("host", "install", "--root", str(tree))
    folder = tree / "etc/NetworkManager/conf.d"
    words = ["/usr/sbin/NetworkManager", "--print-config", "--config-dir", str(folder)]
    empty = tree / "empty"
    empty.touch()
    words += ["--config", str(empty), "--system-config-dir", str(tree / "none")]
    shown = run(words)
    assert "interface-name:vmn?????????-*" in shown.out, shown
    (folder / "96-broken.conf").write_text("[keyfile\n")
    assert run(words).status != 0
