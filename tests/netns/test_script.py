"""QEMU's `script=` and `downscript=`, with a process in QEMU's place that made and holds a TAP."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns import locks, taps
from tests.netns.places import be_nobody, in_child, put_over
from tests.netns.seen import seen
from tests.support.lab import REPO, Lab, run

CONFIG = """\
default = "lan"
[network.lan]
bridge = "br0"
[network.storage]
bridge = "br1"
mtu = 4000
[tap.ruled0]
network = "storage"
vm = "db1"
"""


@pytest.fixture(autouse=True)
def _bridges(lab: Lab) -> None:
    for name in ("br0", "br1"):
        lab.vmnet("bridge", "create", name, "--mtu", "9000")


@pytest.fixture
def tap(lab: Lab) -> Iterator[str]:
    """Yield the name of a TAP that a process has made and holds."""
    with taps.held("tap0"):
        yield "tap0"


@pytest.fixture
def config(tmp_path: Path) -> dict[str, str]:
    """Return the environment that names a configuration."""
    path = tmp_path / "vmnet.toml"
    path.write_text(CONFIG)
    return {"VMNET_CONFIG": str(path)}


def test_up_plugs_the_tap_in(lab: Lab, tap: str) -> None:
    before = lab.link(tap)
    done = lab.script("up", tap)
    assert (done.out, done.err) == ("", "")
    after = lab.link(tap)
    assert after["ifindex"] == before["ifindex"]
    assert after["master"] == "br0"
    assert after["mtu"] == 9000
    assert after["address"] == "fe" + before["address"][2:]
    assert "UP" in after["flags"]
    assert after["inet6_addr_gen_mode"] == "none"
    assert after["altnames"] == ["vmnet-tap0-0"]
    assert "vm=tap0 nic=0" in after["ifalias"]
    assert "own=managed life=process" in after["ifalias"]
    assert after["linkinfo"]["info_data"]["persist"] is False


def test_up_again_changes_nothing(lab: Lab, tap: str) -> None:
    lab.script("up", tap)
    before = lab.state()
    lab.script("up", tap)
    assert lab.state() == before


def test_up_plugs_in_again_what_was_taken_out(lab: Lab, tap: str) -> None:
    lab.script("up", tap)
    before = lab.state()
    lab.sh(f"ip link set dev {tap} nomaster down")
    lab.script("up", tap)
    assert lab.state() == before


def test_down_lets_go_and_down_again_is_quiet(lab: Lab, tap: str) -> None:
    lab.script("up", tap)
    done = lab.script("down", tap)
    assert (done.out, done.err) == ("", "")
    after = lab.link(tap)
    assert "master" not in after
    assert "ifalias" not in after
    assert "altnames" not in after
    lab.script("down", tap)
    assert list(locks.FOLDER.iterdir()) == []


@pytest.mark.parametrize("vm", ["v" * 250, "a,vhost=on;$(touch x)", "ü" * 100])
def test_down_lets_go_of_a_vm_with_any_name(lab: Lab, tap: str, vm: str) -> None:
    lab.script("up", tap, env={"VMNET_VM": vm})
    assert len(lab.link(tap)["altnames"]) == 1
    lab.script("down", tap)
    assert "altnames" not in lab.link(tap)


def test_the_tap_goes_with_its_qemu_and_leaves_nothing(lab: Lab) -> None:
    with taps.held("tap0"):
        lab.script("up", "tap0")
    lab.script("down", "tap0")
    assert set(lab.links()) == {"br0", "br1"}


def test_list_shows_it_as_managed_and_gc_leaves_it(lab: Lab, tap: str) -> None:
    lab.script("up", tap, env={"VMNET_VM": "db1", "VMNET_NIC": "3"})
    (row,) = lab.vmnet("list", "--json").json["nics"]
    assert (row["vm"], row["nic"], row["tap"], row["own"]) == ("db1", 3, tap, "managed")
    lab.vmnet("gc", "--idle", "0")
    assert lab.link(tap)["master"] == "br0"
    lab.vmnet("detach", "db1", status=6)
    lab.vmnet("detach", "db1", "--force")
    assert "master" not in lab.link(tap)


def test_up_of_a_tap_that_is_not_there_fails_and_down_is_quiet(lab: Lab) -> None:
    done = lab.script("up", "tap9", status=4)
    assert "no link 'tap9'" in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    done = lab.script("down", "tap9")
    assert (done.out, done.err) == ("", "")


@pytest.mark.parametrize("verb", ["up", "down"])
@pytest.mark.parametrize("name", ["", "x" * 16, "a/b", "%s", "caf\udce9"])
def test_a_name_that_no_link_can_have_is_refused(lab: Lab, verb: str, name: str) -> None:
    done = lab.script(verb, name, status=2)
    assert "tap name" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("env", [{}, {"VMNET_BRIDGE": "br0"}, {"VMNET_MTU": "1400"}])
def test_a_tap_that_attach_made_stays_as_it_is(lab: Lab, env: dict[str, str]) -> None:
    name = lab.vmnet("attach", "vm1", "--bridge", "br1", "--json").json["tap"]
    with taps.held(name):
        before = lab.state()
        for verb in ("up", "up", "down", "down"):
            done = lab.script(verb, name, env=env)
            assert (done.out, done.err) == ("", "")
            assert lab.state() == before


def test_the_environment_says_bridge_mtu_vm_and_nic(lab: Lab, tap: str) -> None:
    env = {"VMNET_BRIDGE": "br1", "VMNET_MTU": "1400", "VMNET_VM": "db1", "VMNET_NIC": "2"}
    lab.script("up", tap, env=env)
    after = lab.link(tap)
    assert (after["master"], after["mtu"]) == ("br1", 1400)
    assert after["altnames"] == ["vmnet-db1-2"]


def test_a_variable_that_is_empty_says_nothing(lab: Lab, tap: str) -> None:
    empty = dict.fromkeys(("BRIDGE", "NETWORK", "MTU", "VM", "NIC", "CONFIG"), "")
    lab.script("up", tap, env={f"VMNET_{name}": text for name, text in empty.items()})
    assert lab.link(tap)["master"] == "br0"


@pytest.mark.parametrize("mtu", [1200, 1500])
def test_a_tap_that_is_too_narrow_for_ipv6_is_plugged_in(lab: Lab, tap: str, mtu: int) -> None:
    lab.sh(f"ip link set dev {tap} mtu 1200")
    assert "inet6_addr_gen_mode" not in lab.link(tap)
    lab.script("up", tap, env={"VMNET_MTU": str(mtu)})
    after = lab.link(tap)
    assert (after["master"], after["mtu"]) == ("br0", mtu)
    assert after.get("inet6_addr_gen_mode", "none") == "none"


def test_the_configured_default_comes_before_br0(
    lab: Lab, tap: str, config: dict[str, str]
) -> None:
    lab.script("up", tap, env=config)
    assert lab.link(tap)["master"] == "br0"
    path = Path(config["VMNET_CONFIG"])
    path.write_text(path.read_text().replace('default = "lan"', 'default = "storage"'))
    with taps.held("tap1"):
        lab.script("up", "tap1", env=config)
        after = lab.link("tap1")
        assert (after["master"], after["mtu"]) == ("br1", 4000)


def test_the_rule_for_a_taps_name_comes_before_the_default(
    lab: Lab, config: dict[str, str]
) -> None:
    with taps.held("ruled0"):
        lab.script("up", "ruled0", env=config)
        after = lab.link("ruled0")
        assert (after["master"], after["mtu"]) == ("br1", 4000)
        assert after["altnames"] == ["vmnet-db1-0"]


def test_the_environment_comes_before_the_rule(lab: Lab, config: dict[str, str]) -> None:
    with taps.held("ruled0"):
        lab.script("up", "ruled0", env=config | {"VMNET_NETWORK": "lan", "VMNET_VM": "other"})
        after = lab.link("ruled0")
        assert (after["master"], after["mtu"]) == ("br0", 9000)
        assert after["altnames"] == ["vmnet-other-0"]


@pytest.mark.parametrize(
    ("env", "status"),
    [
        ({"VMNET_MTU": "x"}, 2),
        ({"VMNET_MTU": "-1"}, 2),
        ({"VMNET_MTU": "9" * 5000}, 2),
        ({"VMNET_MTU": "9001"}, 2),
        ({"VMNET_NIC": "100"}, 2),
        ({"VMNET_NIC": "\u0663"}, 2),
        ({"VMNET_VM": "a/b"}, 2),
        ({"VMNET_BRIDGE": "none"}, 4),
        ({"VMNET_BRIDGE": "tap0"}, 5),
        ({"VMNET_NETWORK": "none"}, 4),
        ({"VMNET_NETWORK": "lan", "VMNET_BRIDGE": "br0"}, 2),
        ({"VMNET_CONFIG": "/no/such/file"}, 3),
    ],
)
def test_a_wrong_environment_is_one_line_and_changes_nothing(
    lab: Lab, tap: str, env: dict[str, str], status: int
) -> None:
    before = lab.state()
    done = lab.script("up", tap, env=env, status=status)
    assert done.err.startswith("vmnet: ")
    assert "; try: " in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert lab.state() == before


def test_a_tap_in_another_bridge_is_not_taken_from_it(lab: Lab, tap: str) -> None:
    lab.sh(f"ip link set dev {tap} master br1")
    before = lab.state()
    assert "is a port of 'br1'" in lab.script("up", tap, status=5).err
    assert lab.state() == before
    lab.script("down", tap)
    assert lab.state() == before


@pytest.mark.parametrize("verb", ["up", "down"])
@pytest.mark.parametrize(
    ("make", "why"),
    [
        ("ip tuntap add dev tap5 mode tap user 4242", "is persistent"),
        ("ip tuntap add dev tap5 mode tap; ip link set tap5 alias 'of the lab'", "of the lab"),
    ],
)
def test_a_tap_of_an_administrators_own_is_left_alone(
    lab: Lab, verb: str, make: str, why: str
) -> None:
    lab.sh(make)
    with taps.held("tap5"):
        before = lab.link("tap5")
        done = lab.script(verb, "tap5", status=5 if verb == "up" else 0)
        assert lab.link("tap5") == before
        if verb == "up":
            assert why in done.err
            assert "script=no" in done.err


def test_a_failure_in_the_middle_leaves_the_tap_as_qemu_made_it(lab: Lab, tap: str) -> None:
    lab.sh("ip link add other type veth peer name o2;"
           "ip link property add dev other altname vmnet-tap0-0")  # fmt: skip
    before = seen(lab)
    assert "vmnet-tap0-0" in lab.script("up", tap, status=5).err
    after = seen(lab)
    for each in (before, after):
        each[tap].pop("inet6_addr_gen_mode")
    assert after == before


def test_a_link_that_is_no_tap_is_refused(lab: Lab) -> None:
    lab.sh("ip link add tap0 type veth peer name p0")
    before = lab.state()
    assert "is no TAP but of kind veth" in lab.script("up", "tap0", status=5).err
    lab.script("down", "tap0")
    assert lab.state() == before


def test_an_ordinary_user_is_refused_in_one_line(lab: Lab, tap: str) -> None:
    def as_nobody() -> dict[str, object]:
        be_nobody()
        done = lab.script("up", tap, status=7)
        return {"out": done.out, "lines": done.err.count("\n")}

    assert in_child(as_nobody) == {"out": "", "lines": 1}
    assert "master" not in lab.link(tap)


def test_a_machine_id_is_not_needed(lab: Lab, tap: str, tmp_path: Path) -> None:
    put_over("/etc/machine-id", "", tmp_path)
    lab.script("up", tap)
    assert lab.link(tap)["master"] == "br0"


@pytest.mark.parametrize("argv", [[], ["up"], ["sideways", "tap0"], ["up", "tap0", "more"]])
def test_a_wrong_call_says_how(lab: Lab, argv: list[str]) -> None:
    door = [sys.executable, "-I", "-m", "vmnet.entry.ifscript", *argv]
    done = run(door)
    assert done.status == 2
    assert "script=" in done.err


def test_the_hooks_are_what_qemu_calls(lab: Lab, tap: str) -> None:
    up, down = (str(REPO / "hooks" / name) for name in ("qemu-ifup", "qemu-ifdown"))
    done = run([up, tap])
    assert (done.status, done.out, done.err) == (0, "", "")
    assert lab.link(tap)["master"] == "br0"
    # As a launcher with a bare environment and odd descriptors would.
    done = run(["env", "-i", "sh", "-c", f'exec "{down}" {tap} <&- >&-'])
    assert (done.status, done.out, done.err) == (0, "", "")
    assert "master" not in lab.link(tap)


def test_a_hook_that_is_linked_to_finds_its_python(lab: Lab, tap: str, tmp_path: Path) -> None:
    link = tmp_path / "my-ifup"
    link.symlink_to(REPO / "hooks/qemu-ifup")
    assert run([str(link), tap]).status == 0
    assert lab.link(tap)["master"] == "br0"


def test_a_hook_without_python_says_what_to_do(lab: Lab, tmp_path: Path) -> None:
    copy = tmp_path / "far" / "away" / "hooks" / "qemu-ifup"
    copy.parent.mkdir(parents=True)
    copy.write_bytes((REPO / "hooks/qemu-ifup").read_bytes())
    copy.chmod(0o755)
    done = run([str(copy), "tap0"], env={"PATH": os.environ["PATH"]})
    assert done.status == 1
    assert "VMNET_PYTHON" in done.err
