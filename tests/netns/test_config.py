"""The configuration file: what is trusted, what is refused, what is said."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.netns.places import NOBODY, be_nobody, put_dev, put_tmpfs, vmnet_after
from tests.support.lab import Done, Lab

GOOD = """\
default = "lan"

[network.lan]
bridge = "br0"

[network.storage]
bridge = "br1"
mtu = 9000
queues = 4
vhost = "require"

[tap.tap7]
network = "storage"
vm = "db1"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a configuration that is well."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    path = folder / "vmnet.toml"
    path.write_text(GOOD)
    path.chmod(0o644)
    return path


def _check(lab: Lab, file: Path, status: int = 0) -> Done:
    return lab.vmnet("--config", str(file), "config", "check", status=status)


def test_check_says_what_is_in_it(lab: Lab, file: Path) -> None:
    out = _check(lab, file).out
    assert "network lan (default): bridge br0, mtu the bridge's, queues 1, vhost auto" in out
    assert "network storage: bridge br1, mtu 9000, queues 4, vhost require" in out
    assert "tap tap7: network storage" in out


def test_check_in_json(lab: Lab, file: Path) -> None:
    found = lab.vmnet("--config", str(file), "config", "check", "--json").json
    assert found["source"] == str(file)
    assert found["default"] == "lan"
    assert found["networks"]["storage"] == {
        "bridge": "br1",
        "mtu": 9000,
        "queues": 4,
        "vhost": "require",
        "port": {"guard": "on"},
        "strict": False,
        "uplinks": [],
    }
    assert found["taps"] == {"tap7": {"network": "storage", "vm": "db1"}}


def test_the_usual_file_need_not_be_there_but_a_named_one(lab: Lab, file: Path) -> None:
    put_tmpfs("/etc", "mode=755")
    assert "no networks" in lab.vmnet("config", "check").out
    file.unlink()
    assert f"{file}: no such file" in _check(lab, file, 3).err


def test_the_usual_file_is_read_where_none_is_named(lab: Lab) -> None:
    machine_id = Path("/etc/machine-id").read_text()
    put_tmpfs("/etc", "mode=755")
    Path("/etc/machine-id").write_text(machine_id)
    Path("/etc/vmnet").mkdir()
    Path("/etc/vmnet/vmnet.toml").write_text('default = "n"\n[network.n]\nbridge = "br5"\n')
    lab.vmnet("bridge", "create", "br5")
    assert "network n (default): bridge br5" in lab.vmnet("config", "check").out
    assert lab.vmnet("attach", "vm1", "--json").json["bridge"] == "br5"


UNTRUSTED: dict[str, Callable[[Path], Any]] = {
    "world-writable": lambda file: file.chmod(0o646),
    "group-writable": lambda file: file.chmod(0o664),
    "another's": lambda file: os.chown(file, NOBODY, NOBODY),
    "folder world-writable": lambda file: file.parent.chmod(0o757),
    "folder group-writable": lambda file: file.parent.chmod(0o775),
    "folder another's": lambda file: os.chown(file.parent, NOBODY, 0),
}


@pytest.mark.parametrize("spoil", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_file_that_others_can_write_is_refused(
    lab: Lab, file: Path, spoil: Callable[[Path], Any]
) -> None:
    spoil(file)
    lab.vmnet("bridge", "create", "br0")
    for command in (("config", "check"), ("attach", "vm1"), ("run", "vm1", "--", "true")):
        done = lab.vmnet("--config", str(file), *command, status=3)
        assert "may be written by others than root" in done.err
        assert "chmod go-w" in done.err
    assert set(lab.links()) == {"br0"}


def test_a_link_to_a_good_file_is_followed(lab: Lab, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert "network lan" in _check(lab, link).out


@pytest.mark.parametrize("spoil", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_link_to_a_file_that_others_can_write_is_refused(
    lab: Lab, file: Path, tmp_path: Path, spoil: Callable[[Path], Any]
) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    spoil(file)
    assert "may be written by others" in _check(lab, link, 3).err


def test_a_link_in_a_folder_that_others_can_write_is_refused(
    lab: Lab, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    link = folder / "link.toml"
    link.symlink_to(file)
    folder.chmod(0o757)
    assert "may be written by others" in _check(lab, link, 3).err


def _fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


NO_FILE: dict[str, Callable[[Path], Any]] = {
    "fifo": _fifo,
    "folder": _folder,
    "2 MiB": lambda file: file.write_text("#" * (2 << 20)),
}


@pytest.mark.parametrize("path", ["/proc/self/mem", "/sys/kernel/notes/x", "x" * 5000])
def test_a_file_that_cannot_be_read_is_said(lab: Lab, path: str) -> None:
    assert "cannot be read" in _check(lab, Path(path), 3).err


@pytest.mark.parametrize("spoil", NO_FILE.values(), ids=NO_FILE)
def test_what_is_no_small_file_is_refused(
    lab: Lab, file: Path, spoil: Callable[[Path], Any]
) -> None:
    spoil(file)
    assert "is no regular file of at most 1 MiB" in _check(lab, file, 3).err


def test_a_device_is_refused(lab: Lab) -> None:
    assert "is no regular file" in _check(lab, Path("/dev/zero"), 3).err


def test_an_unreadable_file_is_said(lab: Lab, file: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    file.chmod(0o600)
    try:
        done = vmnet_after(be_nobody, "--config", str(file), "config", "check", status=3)
    finally:
        for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            folder.chmod(0o700)
    assert f"{file} cannot be read: Permission denied" in done.err


def test_a_path_through_a_file_is_said(lab: Lab, file: Path) -> None:
    assert "cannot be read: Not a directory" in _check(lab, file / "more", 3).err


def test_text_that_is_not_utf_8_is_refused(lab: Lab, file: Path) -> None:
    file.write_bytes(b'default = "caf\xe9"\n')
    assert f"{file} is not UTF-8" in _check(lab, file, 3).err


BROKEN = {
    "[network": "is not TOML",
    "default = 1": "default is int '1', expected the name of a network",
    'default = "wan"': "default names no network: 'wan'",
    "colour = 1": "colour is not known; expected one of default, network, tap",
    "network = 1": "network is int '1', expected tables",
    "network.lan = 1": "network.lan is int '1', expected a table",
    "[network.lan]": "network.lan.bridge is missing",
    '[network.lan]\nbridge = "br0"\nmtuu = 1': "network.lan.mtuu is not known",
    "[network.lan]\nbridge = 1": "network.lan.bridge is int '1', expected a bridge's name",
    '[network.lan]\nbridge = "0123456789abcdef"': "network.lan cannot be: bridge name",
    '[network.lan]\nbridge = "br0"\nmtu = "1500"': "network.lan.mtu is str '1500', expected a",
    '[network.lan]\nbridge = "br0"\nmtu = true': "network.lan.mtu is bool 'True', expected a",
    '[network.lan]\nbridge = "br0"\nmtu = 67': "network.lan cannot be: MTU 67",
    '[network.lan]\nbridge = "br0"\nqueues = 257': "network.lan cannot be: 257 queues",
    '[network.lan]\nbridge = "br0"\nqueues = 0': "network.lan cannot be: 0 queues",
    '[network.lan]\nbridge = "br0"\nqueues = 1.5': "network.lan.queues is float '1.5', expected",
    '[network.lan]\nbridge = "br0"\nvhost = true': "network.lan.vhost is bool",
    '[network.lan]\nbridge = "br0"\nvhost = "yes"': "network.lan.vhost is 'yes', expected one of",
    '[tap.tap0]\nnetwork = "lan"': "tap.tap0.network names no network: 'lan'",
    "[tap.tap0]": "tap.tap0.network is missing",
    '[network.lan]\nbridge = "br0"\n[tap.tap0]\nnetwork = "lan"\nvm = 1': "tap.tap0.vm is int '1'",
    '[network."a\\u001b[31m"]\nbridge = 1': "expected a bridge's name",
}


@pytest.mark.parametrize(("text", "said"), BROKEN.items())
def test_what_is_wrong_is_named_with_file_and_key(
    lab: Lab, file: Path, text: str, said: str
) -> None:
    file.write_text(text)
    done = _check(lab, file, 3)
    assert f"{file}" in done.err
    assert said in done.err
    assert "\x1b" not in done.err


def test_a_broken_file_stops_an_attach_before_anything_is_made(lab: Lab, file: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh("rm -rf /run/vmnet")
    file.write_text("colour = 1")
    lab.vmnet("--config", str(file), "attach", "vm1", "--bridge", "br0", status=3)
    assert set(lab.links()) == {"br0"}
    assert lab.leftovers() == ["br0"]


def test_detach_and_list_do_not_need_the_file(lab: Lab, file: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("attach", "vm1")
    file.write_text("colour = 1")
    lab.vmnet("--config", str(file), "list")
    lab.vmnet("--config", str(file), "detach", "vm1")
    assert set(lab.links()) == {"br0"}


def test_the_policy_of_a_network_counts_unless_another_is_given(lab: Lab, file: Path) -> None:
    lab.vmnet("bridge", "create", "br1", "--mtu", "9000")
    attach = ("--config", str(file), "attach", "vm1", "--network", "storage")
    put_dev()
    assert "vhost-net is required" in lab.vmnet(*attach, status=9).err
    done = lab.vmnet(*attach, "--no-vhost", "--dry-run", "--json").json
    assert done["data_path"]["reason"] == "asked-not"


def test_the_default_networks_vhost_policy_holds_the_second_time_too(
    lab: Lab, tmp_path: Path
) -> None:
    path = tmp_path / "vmnet.toml"
    path.write_text('default = "lan"\n[network.lan]\nbridge = "br0"\nvhost = "off"\n')
    words = ("--config", str(path), "attach", "vm1", "--json")
    lab.vmnet("bridge", "create", "br0")
    for _ in range(2):
        assert lab.vmnet(*words).json["data_path"]["reason"] == "asked-not"
    shown = lab.vmnet("--config", str(path), "explain", "vm1", "--json").json
    vhost = shown["nics"][0]["settings"]["vhost"]
    assert vhost == {"value": "off", "source": "network 'lan'"}


def test_every_address_given_counts(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    words = ("attach", "vm1", "--address", "10.0.0.5", "--address", "10.0.0.6,10.0.0.7", "--json")
    assert lab.vmnet(*words).json["port"]["address"] == "10.0.0.5,10.0.0.6,10.0.0.7"
