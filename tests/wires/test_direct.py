"""macvtaps: a guest's NIC straight on a NIC of the host."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.netns.commands import until
from tests.netns.places import put_tmpfs
from tests.netns.seen import seen
from tests.support.lab import VENV_BIN, Lab

_DIRECT = ("--direct", "eth1")


@pytest.fixture(autouse=True)
def _nic(lab: Lab) -> None:
    lab.sh("ip link set lo up; ip link add eth1 type veth peer name far; ip link set eth1 up;"
           "ip link set far up")  # fmt: skip


def _attach(lab: Lab, *words: str, vm: str = "vm1") -> Any:
    return lab.vmnet("attach", vm, *words, "--json").json


def _code(lab: Lab, *words: str, status: int) -> str:
    done = lab.vmnet("attach", "vm1", *words, "--json", status=status)
    code = json.loads(done.err)["error"]["code"]
    assert isinstance(code, str)
    return code


def _node(lab: Lab, name: str) -> Path:
    return Path(f"/dev/tap{lab.link(name)['ifindex']}")


@contextmanager
def _open(node: Path) -> Iterator[None]:
    """Have another process hold a node open."""
    with node.open("r+b", buffering=0) as opened:
        process = subprocess.Popen(["sleep", "60"], stdin=opened)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _running(*specs: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run something that stands for QEMU under vmnet."""
    nics = [word for spec in specs for word in ("--nic", spec)]
    words = [str(VENV_BIN / "vmnet"), "run", "vm1", *nics, "--", "sh", "-c", "echo; exec sleep 60"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        try:
            yield process
        finally:
            process.kill()


def test_it_is_made_and_again_is_an_empty_plan(lab: Lab) -> None:
    done = _attach(lab, *_DIRECT, "--mtu", "1400", "--owner", "nobody")
    link = lab.link(done["tap"])
    assert link["linkinfo"]["info_kind"] == "macvtap"
    assert link["linkinfo"]["info_data"]["mode"] == "bridge"
    assert (link["link"], link["mtu"], link["address"]) == ("eth1", 1400, done["mac"])
    assert {"ALLMULTI", "UP"} <= set(link["flags"])
    assert "vmnet-vm1-0" in link["altnames"]
    assert done["wire"] == {"direct": "eth1", "mode": "bridge"}
    assert _node(lab, done["tap"]).stat().st_uid == 65534
    for words in ((), _DIRECT, ("--owner", "nobody")):
        assert _attach(lab, *words)["steps"] == []
    lab.vmnet("attach", "vm1", "--owner", "root")
    assert _node(lab, done["tap"]).stat().st_uid == 0
    (row,) = lab.vmnet("list", "--json").json["nics"]
    assert (row["wire"], row["held"]) == ({"direct": "eth1", "mode": "bridge"}, False)
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"eth1", "far"}


def test_that_host_and_guest_do_not_meet_is_told(lab: Lab) -> None:
    assert "this host and its guest" in lab.vmnet("attach", "vm1", *_DIRECT).err


def test_who_has_it_open_is_seen_and_it_is_not_deleted(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT)["tap"]
    with _open(_node(lab, tap)):
        (holder,) = lab.vmnet("who", tap, "--json").json["holders"]
        assert holder["command"] == "sleep 60"
        assert "tap-held" in lab.vmnet("detach", "vm1", "--json", status=6).err
        assert _code(lab, "--mac", "52:00:00:00:00:77", status=6) == "tap-held"
        done = lab.vmnet("run", "vm1", "--", "true", status=6)
        assert "sleep 60" in done.err
        assert lab.vmnet("gc", "--idle", "0", "--json").json["links"][0]["action"] == "leave"
        assert tap in lab.links()
        lab.vmnet("detach", "vm1", "--force")
    assert tap not in lab.links()


def test_one_that_run_made_goes_with_its_process_however_that_ends(lab: Lab) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with _running("direct=eth1,queues=2") as process:
            (row,) = lab.vmnet("list", "--json").json["nics"]
            assert (row["life"], row["held"]) == ("process", True)
            assert [h["queues"] for h in row["holders"]] == [2]
            assert lab.vmnet("gc", "--json").json["links"][0]["action"] == "leave"
            process.send_signal(number)
            process.wait()
        until(lambda: set(lab.links()) == {"eth1", "far"})


def test_one_that_nobody_waited_for_is_gcs(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT)["tap"]
    alias = lab.link(tap)["ifalias"].replace("life=kept", "life=process")
    lab.sh(f"ip link set dev {tap} alias '{alias}'")
    assert [f["action"] for f in lab.vmnet("gc", "--json").json["links"]] == ["remove"]
    assert set(lab.links()) == {"eth1", "far"}


def test_one_whose_making_was_cut_short_is_made_anew_or_gcs(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT, "--dry-run")["tap"]
    bare = f"ip link add link eth1 name {tap} type macvtap mode vepa"
    lab.sh(bare)
    _attach(lab, *_DIRECT)
    assert lab.link(tap)["linkinfo"]["info_data"]["mode"] == "bridge"
    lab.vmnet("detach", "vm1")
    lab.sh(f"{bare}; ip link add link eth1 name mine0 type macvtap mode bridge")
    lab.vmnet("gc")
    assert set(lab.links()) == {"eth1", "far", "mine0"}


def test_run_takes_one_that_is_there_and_leaves_it(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT)["tap"]
    with _running("") as process:
        (row,) = lab.vmnet("list", "--json").json["nics"]
        assert (row["tap"], row["life"], row["held"]) == (tap, "kept", True)
        process.kill()
    until(lambda: not lab.vmnet("list", "--json").json["nics"][0]["held"])
    assert tap in lab.links()


def test_a_program_that_cannot_be_run_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    script = tmp_path / "bad"
    script.write_text("#!/nowhere\n")
    script.chmod(0o755)
    lab.vmnet("run", "vm1", "--nic", "direct=eth1", "--", str(script), status=127)
    until(lambda: set(lab.links()) == {"eth1", "far"})


def test_without_udev_a_node_is_made_that_nobody_sees(lab: Lab) -> None:
    """As in a container whose /dev is its own."""
    tap = _attach(lab, *_DIRECT)["tap"]
    put_tmpfs("/dev")
    lab.sh("mknod /dev/null c 1 3; mknod /dev/urandom c 1 9; mkdir /dev/net")
    with _running("") as process:
        fds = [os.stat(fd).st_rdev for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert any(os.major(number) == _major() for number in fds)
    assert {each.name for each in Path("/dev").iterdir()} == {"null", "urandom", "net"}
    until(lambda: not lab.vmnet("list", "--json").json["nics"][0]["held"])
    assert tap in lab.links()


def test_another_links_node_of_that_name_is_not_taken_for_it(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT)["tap"]
    index = lab.link(tap)["ifindex"]
    put_tmpfs("/dev")
    other = os.makedev(_major(), 0xFFFFF)
    os.mknod(f"/dev/tap{index}", 0o600 | stat.S_IFCHR, other)
    lab.sh("mknod /dev/null c 1 3; mknod /dev/urandom c 1 9")
    with _running("") as process:
        fds = [os.stat(fd).st_rdev for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert other not in fds
        assert any(os.major(number) == _major() for number in fds)


def _major() -> int:
    lines = Path("/proc/devices").read_text().splitlines()
    return next(int(line.split()[0]) for line in lines if line.endswith(" macvtap"))


def test_the_lines_of_a_dry_run_give_the_same(lab: Lab) -> None:
    lab.sh(lab.vmnet("attach", "vm1", *_DIRECT, "--mtu", "1400", "--dry-run").out)
    before = seen(lab)
    assert _attach(lab, *_DIRECT, "--mtu", "1400")["steps"] == []
    assert seen(lab) == before
    lab.sh(lab.vmnet("detach", "vm1", "--dry-run").out)
    assert set(lab.links()) == {"eth1", "far"}


@pytest.mark.parametrize(
    ("words", "code", "status"),
    [
        (("--direct", "nix"), "link-missing", 4),
        (("--direct", "lo"), "lower-unfit", 5),
        (("--direct", "port0"), "lower-is-port", 5),
        (("--direct", "mv0"), "lower-unfit", 5),
        ((*_DIRECT, "--mode", "passthru"), "lower-busy", 5),
        ((*_DIRECT, "--mode", "fast"), "bad-wire", 2),
        ((*_DIRECT, "--mtu", "9000"), "mtu-over-lower", 2),
        ((*_DIRECT, "--vlan", "5"), "direct-cannot", 8),
        ((*_DIRECT, "--rate-out", "1mbit"), "direct-cannot", 8),
        ((*_DIRECT, "--address", "10.0.0.5"), "direct-cannot", 8),
        ((*_DIRECT, "--guard"), "direct-cannot", 8),
        ((*_DIRECT, "--network", "lan"), "wire-and-bridge", 2),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    lab: Lab, words: tuple[str, ...], code: str, status: int
) -> None:
    lab.sh(
        "ip link add br0 type bridge; ip link add port0 type veth peer name p1;"
        "ip link set port0 master br0; ip link add link eth1 name mv0 type macvlan mode bridge"
    )
    before = seen(lab)
    assert _code(lab, *words, status=status) == code
    assert seen(lab) == before


def test_its_lower_link_or_mode_is_not_changed_under_it(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT)["tap"]
    assert _code(lab, *_DIRECT, "--mode", "vepa", status=5) == "direct-fixed"
    assert _code(lab, "--direct", "far", status=5) == "direct-fixed"
    assert _code(lab, "--routed", "--address", "10.0.0.5", status=5) == "other-wire"
    assert tap in lab.links()


def test_a_link_of_its_name_that_is_anothers_stays(lab: Lab) -> None:
    tap = _attach(lab, *_DIRECT, "--dry-run")["tap"]
    lab.sh(f"ip link add {tap} type veth peer name other")
    assert _code(lab, *_DIRECT, status=5) == "tap-foreign"


def test_the_mac_of_the_nic_itself_is_refused(lab: Lab) -> None:
    lab.sh("ip link set eth1 address 52:00:00:00:00:e1")
    assert _code(lab, *_DIRECT, "--mac", "52:00:00:00:00:e1", status=5) == "mac-used"
    assert set(lab.links()) == {"eth1", "far"}
