"""A host that lacks something: a clear error, and nothing left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.netns import locks, taps
from tests.netns.places import (
    limit_descriptors,
    lose_net_admin,
    put_dev,
    put_over,
    put_tmpfs,
    vmnet_after,
)
from tests.support.lab import VENV_BIN, Done, Lab, run

CHANGES = [
    ("attach", "vm1"),
    ("attach", "vm1", "--queues", "4"),
    ("run", "vm1", "--", "true"),
    ("run", "vm1", "--nic", "queues=3", "--nic", "queues=2", "--", "true"),
]


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.sh("rm -rf /run/vmnet")


def _nothing_left(lab: Lab) -> bool:
    locks = Path("/run/vmnet")
    return set(lab.links()) == {"br0"} and (not locks.exists() or not list(locks.iterdir()))


@pytest.mark.parametrize("args", CHANGES)
def test_without_dev_net_tun_it_says_how_to_get_it(lab: Lab, args: tuple[str, ...]) -> None:
    put_dev(tun=False)
    done = lab.vmnet(*args, status=8)
    assert "cannot open /dev/net/tun: No such file or directory" in done.err
    assert "modprobe tun" in done.err
    assert _nothing_left(lab)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        ("mkdir /run/elsewhere; ln -s elsewhere /run/vmnet", "it is no folder"),
        ("ln -s /run/nowhere /run/vmnet", "it is no folder"),
        ("touch /run/vmnet", "it is no folder"),
        ("mkdir -m 0700 /run/vmnet; chown 4242 /run/vmnet", "it belongs to uid 4242"),
        ("mkdir /run/vmnet; chmod 1777 /run/vmnet", "others may write it (mode 1777)"),
    ],
)
def test_a_folder_of_locks_that_others_may_fill_is_refused(lab: Lab, make: str, why: str) -> None:
    lab.sh(make)
    for args in (*CHANGES, ("detach", "vm1"), ("bridge", "delete", "br0")):
        done = lab.vmnet(*args, status=7)
        assert why in done.err
        assert "rm -r /run/vmnet" in done.err
    lab.sh("[ ! -d /run/vmnet ] || touch /run/vmnet/1.x.lock")
    lab.vmnet("gc", status=None)
    lab.sh("[ ! -d /run/vmnet ] || rm /run/vmnet/1.x.lock")
    assert set(lab.links()) == {"br0"}


def test_without_proc_it_says_so(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    before = lab.state()
    put_tmpfs("/proc")
    for args in (*CHANGES, ("detach", "vm1"), ("bridge", "delete", "br0")):
        done = lab.vmnet(*args, status=8)
        assert "cannot read /proc/thread-self/" in done.err
        assert "mount -t proc" in done.err
    (row,) = lab.vmnet("list", "--json").json["nics"]
    assert row["blind"] == "/proc cannot be read"
    lab.vmnet("who", row["tap"])
    assert lab.state() == before


def test_a_lock_is_waited_for_though_its_holder_has_no_name(lab: Lab, tmp_path: Path) -> None:
    with locks.locked("vm=3Avm1"):
        put_over("/proc/locks", "", tmp_path)
        assert "locked by" in lab.vmnet("attach", "vm1", "--wait", "0", status=6).err


def test_a_node_without_a_driver_is_said(lab: Lab) -> None:
    put_dev(tun=False)
    lab.sh("mknod /dev/net/tun c 10 254")
    done = lab.vmnet("attach", "vm1", status=8)
    assert "cannot open /dev/net/tun: No such device" in done.err
    assert _nothing_left(lab)


def test_a_node_that_is_something_else_is_said(lab: Lab) -> None:
    put_dev(tun=False)
    lab.sh("mknod /dev/net/tun c 1 3")
    assert "/dev/net/tun" in lab.vmnet("attach", "vm1", status=None).err
    assert _nothing_left(lab)


def test_detach_without_dev_net_tun_says_so_and_leaves_it_whole(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    before = lab.state()
    put_dev(tun=False)
    assert "modprobe tun" in lab.vmnet("detach", "vm1", status=8).err
    assert lab.state() == before
    lab.vmnet("list")


@pytest.mark.parametrize("args", [*CHANGES, ("bridge", "create", "br1")])
def test_without_net_admin_it_says_so(lab: Lab, args: tuple[str, ...]) -> None:
    done = vmnet_after(lose_net_admin, *args, status=7)
    assert "CAP_NET_ADMIN" in done.err
    assert _nothing_left(lab)


def test_without_net_admin_nothing_that_is_there_is_changed(lab: Lab) -> None:
    lab.vmnet("attach", "vm1", "--owner", "nobody")
    before = lab.state()
    mtu, delete = ("attach", "vm1", "--mtu", "1400"), ("bridge", "delete", "br0", "--force")
    for args in (mtu, delete, ("detach", "vm1"), ("gc", "--idle", "0")):
        done = vmnet_after(lose_net_admin, *args, status=7)
        assert "CAP_NET_ADMIN" in done.err
        assert lab.state() == before


@pytest.mark.parametrize("args", CHANGES)
def test_with_too_few_descriptors_all_or_nothing_is_done(lab: Lab, args: tuple[str, ...]) -> None:
    # So many are the test's own: a pipe, and two files for what the command says.
    first = _lowest_free_descriptor() + 4
    for most in range(first, first + 40):
        done = vmnet_after(limit_descriptors(most), *args, status=None)
        if done.status == 0:
            break
        assert done.err.startswith("vmnet: ")
        assert "try: " in done.err
        assert _nothing_left(lab), most
    assert done.status == 0
    assert most > first + 3


def _lowest_free_descriptor() -> int:
    fd = os.dup(0)
    os.close(fd)
    return fd


def _installed(line: str) -> Done:
    """Run a line of sh in which $vmnet is the installed command."""
    done = run(["sh", "-c", line], env={"vmnet": str(VENV_BIN / "vmnet"), "PATH": "/usr/bin:/sbin"})
    assert "Traceback" not in done.err
    return done


def test_with_everything_closed_it_still_works(lab: Lab) -> None:
    assert _installed('exec "$vmnet" attach vm1 <&- >&- 2>&-').status == 0
    (name,) = set(lab.links()) - {"br0"}
    assert lab.link(name)["linkinfo"]["info_data"]["persist"] is True
    assert _installed('exec "$vmnet" detach vm1 <&-').status == 0
    assert _nothing_left(lab)


def test_closed_descriptors_do_not_become_the_programs_taps(lab: Lab, tmp_path: Path) -> None:
    show = f"ls -l /proc/self/fd >{tmp_path}/fds; true"
    assert _installed(f'exec "$vmnet" run vm1 -- sh -c "{show}" <&- >&- 2>&-').status == 0
    lines = (tmp_path / "fds").read_text(encoding="utf-8").splitlines()
    where = {line.split()[-3]: line.split()[-1] for line in lines if "->" in line}
    assert (where["0"], where["2"]) == ("/dev/null", "/dev/null")
    assert "/dev/net/tun" in where.values()


@pytest.mark.parametrize("options", ["", "--json", "--queues 2"])
def test_an_answer_that_cannot_be_written_takes_the_tap_back(lab: Lab, options: str) -> None:
    done = _installed(f'exec "$vmnet" attach vm1 {options} >/dev/full')
    assert done.status == 1
    assert "cannot write the answer: No space left on device" in done.err
    assert _nothing_left(lab)


def test_an_answer_that_cannot_be_written_leaves_what_was_there(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    before = lab.state()
    assert _installed('exec "$vmnet" attach vm1 >/dev/full').status == 1
    assert _installed('exec "$vmnet" list >/dev/full').status == 1
    assert lab.state() == before


def test_a_reader_that_went_away_is_no_traceback(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    done = _installed('"$vmnet" list --json | true; "$vmnet" --help | true; exit 0')
    assert "Error" not in done.err
    assert "Exception" not in done.err


def test_where_the_reader_went_away_it_ends_quietly_by_sigpipe(lab: Lab) -> None:
    lab.vmnet("attach", "vm2")
    for words in ("attach vm1 --json", "list", "list --json", "gc"):
        line = f"{VENV_BIN}/vmnet {words} | true; echo ${{PIPESTATUS[0]}}"
        done = run(["bash", "-c", line])
        assert (done.out, done.err) == (f"{128 + signal.SIGPIPE}\n", "")
    lab.vmnet("detach", "vm2")
    assert _nothing_left(lab)


def test_where_nothing_can_be_said_the_status_says_it(lab: Lab) -> None:
    assert _installed('exec "$vmnet" attach vm1 --bridge none 2>/dev/full').status == 4
    assert _installed('exec "$vmnet" attach vm1 --bridge none 2>&-').status == 4
    assert _nothing_left(lab)


@pytest.mark.parametrize("args", CHANGES)
def test_with_no_room_for_a_lock_it_says_so(lab: Lab, args: tuple[str, ...]) -> None:
    put_tmpfs("/run", "nr_inodes=1")
    done = lab.vmnet(*args, status=8)
    assert "No space left on device" in done.err
    assert "df -h /run" in done.err
    assert set(lab.links()) == {"br0"}


def test_a_full_run_is_no_hindrance_as_locks_are_empty(lab: Lab) -> None:
    put_tmpfs("/run", "size=4k")
    lab.sh("head -c 4096 /dev/zero >/run/fill || true")
    assert lab.sh("head -c 1 /dev/zero >/run/more 2>&1 || echo full").out.endswith("full\n")
    lab.vmnet("attach", "vm1")
    lab.vmnet("detach", "vm1")
    assert set(lab.links()) == {"br0"}


def test_where_run_is_read_only_nothing_is_changed_and_all_can_be_seen(lab: Lab) -> None:
    lab.vmnet("attach", "vm1")
    before = lab.state()
    lab.sh("mount -o remount,ro /run")
    for args in (("attach", "vm2"), ("detach", "vm1"), ("bridge", "create", "br1"), ("gc",)):
        done = lab.vmnet(*args, status=8)
        assert "Read-only file system" in done.err
        assert "make it writable" in done.err
    assert lab.state() == before
    assert [row["vm"] for row in lab.vmnet("list", "--json").json["nics"]] == ["vm1"]
    assert "ip tuntap add" in lab.vmnet("plan", "vm2").out


@pytest.mark.parametrize(
    "spoil",
    ["touch /run/vmnet", "ln -s /no/such/place /run/vmnet", "mount --bind /proc/self/ns /run"],
)
def test_a_run_that_is_not_as_it_should_be_is_said(lab: Lab, spoil: str) -> None:
    lab.sh(spoil)
    for args in (("attach", "vm1"), ("detach", "vm1")):
        done = lab.vmnet(*args, status=None)
        assert done.status not in (0, 70)
        assert "/run/vmnet" in done.err
    assert set(lab.links()) == {"br0"}


def test_a_lock_that_is_a_link_is_not_followed(lab: Lab, tmp_path: Path) -> None:
    with taps.opened("probe0"):
        pass
    lab.vmnet("attach", "vm1")
    lab.vmnet("detach", "vm1")
    target = tmp_path / "target"
    namespace = Path("/proc/self/ns/net").stat().st_ino
    Path(f"/run/vmnet/{namespace}.vm=3Avm1.lock").symlink_to(target)
    lab.vmnet("attach", "vm1", status=None)
    assert not target.exists()


def test_it_runs_from_any_folder_and_without_an_environment(lab: Lab, tmp_path: Path) -> None:
    gone = f"mkdir {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone"
    assert _installed(f'{gone} && exec env -i "$vmnet" attach vm1').status == 0
    lab.vmnet("detach", "vm1")
    assert _nothing_left(lab)
