"""What the programs of Debian 12 make of the files of `vmnet host`, and of broken ones.

Not shown here: a real vhost-net and its module (tests/testhost/test_hostfile.py).
"""

from __future__ import annotations

import grp
import re
import stat
from pathlib import Path

import pytest

from tests.netns.judges import (
    device_event,
    fresh_etc,
    link_setup,
    load_modules,
    networkd_manages,
    networkmanager,
    nm_config,
    nm_state,
    put_modules,
    put_vhost_device,
    see_sysfs,
    unit_verified,
)
from tests.netns.places import put_dev
from tests.support.lab import Lab
from vmnet.model.hostfile import UNIT_COMMANDS
from vmnet.model.names import ifb_name, link_name

TAP, IFB = link_name("vm1", 0), ifb_name("vm1", 99)
#: Not vmnet's: another tool's TAP, and two that VMware makes.
OTHERS = ("tap7", "vmnet1", "vmnet8-x")
LINK = Path("/etc/systemd/network/05-vmnet.link")
NETWORK = Path("/etc/systemd/network/05-vmnet.network")
MANAGER = Path("/etc/NetworkManager/conf.d/95-vmnet.conf")
MODULES = Path("/etc/modules-load.d/vmnet.conf")
RULES = Path("/etc/udev/rules.d/60-vmnet.rules")
UNIT = "/etc/systemd/system/vmnet.service"
#: For networkd: what would be done with all links.
_ALL = """\
[Match]
Name=*
[Network]
Address=192.0.2.7/24
LinkLocalAddressing=no
ConfigureWithoutCarrier=yes
"""


@pytest.fixture(autouse=True)
def _installed(lab: Lab) -> None:
    fresh_etc()
    lab.vmnet("host", "install")


def break_it(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def make(lab: Lab, *links: str) -> None:
    for link in links:
        lab.sh(f"ip tuntap add dev {link} mode tap")


# ---- udev, links


def complaints(path: Path, said: str) -> list[str]:
    """Return what was said of a file: each line of udev's names the line of the file."""
    return re.findall(rf"^{re.escape(str(path))}:\d+[: ].*", said, re.MULTILINE)


def _address_kept(lab: Lab, link: str) -> bool:
    before = lab.link(link)["address"]
    done = link_setup(link)
    assert done.status == 0, done
    return bool(lab.link(link)["address"] == before)


def test_udev_leaves_the_ports_their_addresses(lab: Lab) -> None:
    see_sysfs(writable=True)
    make(lab, TAP, *OTHERS)
    lab.sh(f"ip link add {IFB} type ifb")
    for link in (TAP, IFB):
        said = link_setup(link)
        assert f"ID_NET_LINK_FILE={LINK}\n" in said.out
        assert complaints(LINK, said.err) == []
        assert _address_kept(lab, link)
    # Which shows what the file is for.
    for link in OTHERS:
        assert not _address_kept(lab, link)
    assert set(lab.links()) == {TAP, IFB, *OTHERS}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("MACAddressPolicy", "MACAddresPolicy", "Unknown key"),
        ("=none", "=nothing", "Failed to parse"),
        ("[Link]", "[Lnik]", "Unknown section"),
        ("OriginalName=vmn", "OriginalName=vnm", ""),
        ("[Match]", "[Mtach]", "Unknown section"),
    ],
)
def test_udev_shows_a_broken_link_file(lab: Lab, old: str, new: str, said: str) -> None:
    see_sysfs(writable=True)
    make(lab, TAP)
    break_it(LINK, old, new)
    done = link_setup(TAP)
    told = complaints(LINK, done.err)
    assert (told != []) == (said != ""), done
    assert said in "".join(told)
    assert told or f"ID_NET_LINK_FILE={LINK}\n" not in done.out


# ---- udev, /dev/vhost-net


@pytest.fixture
def node(lab: Lab) -> Path:
    """A node as the kernel makes it, and its device."""
    put_dev()
    return put_vhost_device()


def _access(node: Path) -> tuple[str, int]:
    status = node.stat()
    return grp.getgrgid(status.st_gid).gr_name, stat.S_IMODE(status.st_mode)


def test_udev_gives_the_node_to_the_group(lab: Lab, node: Path) -> None:
    lab.vmnet("host", "install", "--group", "disk")
    assert _access(node) == ("root", 0o600)
    done = device_event()
    assert (done.status, complaints(RULES, done.err)) == (0, [])
    assert _access(node) == ("disk", 0o660)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('GROUP="disk"', 'GRUOP="disk"', "Invalid key"),
        ('"disk"', '"nosuch"', "Unknown group"),
        ('"disk"', '"disk', "Invalid"),
        ("KERNEL==", "KERNEL=", "Invalid operator"),
        ("vhost-net", "vhost_net", ""),
    ],
)
def test_udev_shows_a_broken_rule(lab: Lab, node: Path, old: str, new: str, said: str) -> None:
    lab.vmnet("host", "install", "--group", "disk")
    break_it(RULES, old, new)
    done = device_event()
    told = complaints(RULES, done.err)
    assert (told != []) == (said != ""), done
    assert said in "".join(told)
    assert _access(node)[0] != "disk"


# ---- systemd-networkd


def test_networkd_leaves_the_ports_alone(lab: Lab) -> None:
    Path("/etc/systemd/network/10-all.network").write_text(_ALL)
    make(lab, TAP, *OTHERS)
    lab.sh(f"ip link add {IFB} type ifb")
    managed, told = networkd_manages(lab, TAP, IFB, *OTHERS)
    assert (managed, told) == (set(OTHERS), [])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Unmanaged", "Unmanagd", "Unknown key"),
        ("=yes", "=perhaps", "Failed to parse"),
        ("[Link]", "[Lnik]", "Unknown section"),
        ("Name=vmn", "Name=vnm", ""),
    ],
)
def test_networkd_shows_a_broken_file(lab: Lab, old: str, new: str, said: str) -> None:
    Path("/etc/systemd/network/10-all.network").write_text(_ALL)
    make(lab, TAP)
    break_it(NETWORK, old, new)
    managed, told = networkd_manages(lab, TAP)
    assert managed == {TAP}
    assert (told != []) == (said != "")
    assert said in "".join(told)


# ---- NetworkManager


def test_networkmanager_adds_the_ports_to_what_it_leaves_alone(lab: Lab) -> None:
    (MANAGER.parent / "50-admin.conf").write_text(
        "[keyfile]\nunmanaged-devices=interface-name:mine*\n"
    )
    done = nm_config()
    (line,) = re.findall(r"^unmanaged-devices=(.*)$", done.out, re.MULTILINE)
    assert re.split("[,;]", line) == [
        "interface-name:mine*",
        "interface-name:vmn?????????-*",
        "interface-name:vmi?????????-*",
    ]


@pytest.mark.parametrize(
    ("old", "new"), [("unmanaged-devices+", "unmanaged-device+"), ("[keyfile]", "[keyfiel]")]
)
def test_networkmanager_shows_what_it_does_not_read(lab: Lab, old: str, new: str) -> None:
    break_it(MANAGER, old, new)
    assert not re.search(r"^unmanaged-devices=", nm_config().out, re.MULTILINE)


def test_networkmanager_refuses_what_is_no_configuration(lab: Lab) -> None:
    break_it(MANAGER, "[keyfile]", "[keyfile")
    assert nm_config().status != 0


def _in_a_bridge(lab: Lab, *links: str) -> None:
    lab.sh("ip link add br0 type bridge; ip link set br0 up; ip addr add 192.0.2.1/24 dev br0")
    make(lab, *links)
    for link in links:
        lab.sh(f"ip link set {link} master br0 up")


def test_a_running_networkmanager_leaves_the_ports_alone(lab: Lab) -> None:
    _in_a_bridge(lab, TAP, *OTHERS)
    with networkmanager():
        assert {link: nm_state(link) for link in (TAP, *OTHERS)} == {TAP: 10} | dict.fromkeys(
            OTHERS, 100
        )


def test_a_running_networkmanager_takes_a_port_that_a_broken_file_does_not_name(lab: Lab) -> None:
    _in_a_bridge(lab, TAP)
    break_it(MANAGER, "interface-name:vmn", "interface-nam:vmn")
    with networkmanager():
        assert nm_state(TAP) == 100


def test_status_says_who_has_to_be_told(lab: Lab) -> None:
    """NetworkManager started before the file was as it is."""
    lab.vmnet("host", "uninstall")
    with networkmanager():
        lab.vmnet("host", "install")
        status = lab.vmnet("host", "status", "--json", status=None).json
        (found,) = [each for each in status["findings"] if each["code"] == "reload"]
        assert (found["remedy"], found["certain"]) == ("nmcli general reload conf", False)
        assert [each["name"] for each in status["daemons"]] == ["NetworkManager"]
        assert "nmcli general reload conf" in lab.vmnet("host", "uninstall").err


# ---- systemd-modules-load


def test_the_module_is_found_to_be_loaded(lab: Lab) -> None:
    put_modules()
    said = load_modules().err
    assert f"apply: {MODULES}" in said
    # It may not load it; a host may have it already.
    assert re.search("(Failed to insert module|already loaded:?) 'vhost_net'|'vhost_net' is", said)
    assert "Failed to find" not in said


def test_a_module_that_is_misspelt_is_not_found(lab: Lab) -> None:
    put_modules()
    break_it(MODULES, "\nvhost_net\n", "\nvhost_nett\n")
    assert "Failed to find module 'vhost_nett'" in load_modules().err


# ---- systemd


@pytest.fixture
def tree(lab: Lab, tmp_path: Path) -> Path:
    """A tree with the files, and something that the unit can run."""
    command = tmp_path / "usr/bin/vmnet"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    lab.vmnet("host", "install", "--root", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("command", UNIT_COMMANDS)
def test_systemd_and_status_find_the_command(lab: Lab, tree: Path, command: str) -> None:
    place = Path(f"{tree}{command}")
    place.parent.mkdir(parents=True, exist_ok=True)
    (tree / "usr/bin/vmnet").rename(place)
    assert unit_verified(tree, UNIT).status == 0
    data = lab.vmnet("host", "status", "--root", str(tree), "--json", status=None).json
    assert "no-command" not in {each["code"] for each in data["findings"]}


def test_systemd_takes_the_unit(tree: Path) -> None:
    done = unit_verified(tree, UNIT)
    assert (done.status, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("ExecStart", "ExceStart", "Unknown key"),
        ("[Service]", "[Servcie]", "Unknown section"),
        ("=oneshot", "=oneshoot", "Failed to parse service type"),
        ("AfterExit=yes", "AfterExit=perhaps", "Failed to parse boolean"),
        ("ExecStart=vmnet", "ExecStart=bin/vmnet", "nor an absolute path"),
    ],
)
def test_systemd_shows_a_broken_unit(tree: Path, old: str, new: str, said: str) -> None:
    break_it(Path(f"{tree}{UNIT}"), old, new)
    assert said in unit_verified(tree, UNIT).err


def test_systemd_and_status_miss_what_the_unit_runs(lab: Lab, tree: Path) -> None:
    (tree / "usr/bin/vmnet").unlink()
    assert "not executable" in unit_verified(tree, UNIT).err
    data = lab.vmnet("host", "status", "--root", str(tree), "--json", status=None).json
    assert "no-command" in {each["code"] for each in data["findings"]}
