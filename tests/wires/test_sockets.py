"""NICs without a link: passt that comes and goes with its QEMU; sockets that are looked at."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.netns.commands import until
from tests.support.guest import QEMU, paused_argv, shared_memory, started, vmnet_run
from tests.support.lab import VENV_BIN, Lab

#: By which a test tells its own passts from others.
_MTU = str(2000 + os.getpid() % 50000)
_USER = f"user=on,mtu={_MTU}"
#: Nobody in particular: no capability, no file of root's.
_NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]


@pytest.fixture
def way_out(lab: Lab) -> None:
    """Give this namespace a default route, which passt takes after."""
    lab.sh(
        "ip link set lo up; ip link add eth0 type veth peer name far; ip link set eth0 up;"
        "ip link set far up; ip address add 10.99.0.2/24 dev eth0;"
        "ip route add default via 10.99.0.1"
    )


def _passts() -> list[psutil.Process]:
    """Return the passts that tell their guests this test's MTU: no more of one is to be seen."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if "--mtu" in words and words[words.index("--mtu") + 1] == _MTU:
                found.append(process)
    return found


def _failure(lab: Lab, *words: str, status: int) -> str:
    done = lab.vmnet("attach", "vm1", *words, "--json", status=status)
    code = json.loads(done.err)["error"]["code"]
    assert isinstance(code, str)
    return code


@pytest.mark.usefixtures("way_out")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_passt_ends_with_the_qemu_it_is_for(lab: Lab, tmp_path: Path, number: int) -> None:
    words = vmnet_run("vm1", f"{_USER},forward=2222:22") + paused_argv()
    with started(words, tmp_path / "none") as qemu:
        until(lambda: len(_passts()) == 1)
        assert "127.0.0.1:2222" in lab.sh("ss -Hltn").out
        qemu.wait_for(lambda: psutil.Process(qemu.pid).name().startswith("qemu"))
        assert _passts()[0].username() == "nobody"
        qemu.kill(number)
        until(lambda: _passts() == [])
    assert set(lab.links()) == {"eth0", "far"}


@pytest.mark.usefixtures("way_out")
def test_it_ends_with_a_vmnet_that_does_not_become_qemu(lab: Lab) -> None:
    words = ("run", "vm1", "--nic", _USER, "--nic", "bridge=br0", "--", "true")
    lab.vmnet(*words, status=4)  # there is no such bridge: found out after passt was started
    until(lambda: _passts() == [])
    lab.vmnet("run", "vm1", "--nic", _USER, "--", "/dev/null", status=126)
    until(lambda: _passts() == [])


@pytest.mark.usefixtures("way_out")
def test_a_user_without_privileges_gets_it_and_is_told(lab: Lab) -> None:
    words = [*_NOBODY, str(VENV_BIN / "vmnet"), "run", "vm1", "--nic"]
    argv = [*words, f"mtu={_MTU}", "--", "sh", "-c", 'echo "$@"', "x"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "stream,id=vmnet0" in done.stdout
    assert "CAP_NET_ADMIN" in done.stderr
    until(lambda: _passts() == [])
    for asked in ("bridge=br0", "vhost=require", "vlan=5"):
        refused = subprocess.run([*words, asked, "--", "true"], capture_output=True,
                                 text=True, check=False)  # fmt: skip
        assert refused.returncode != 0
        assert "passt" not in refused.stderr
    assert _passts() == []


def test_whoever_may_make_links_is_not_given_it_unasked(lab: Lab) -> None:
    done = lab.vmnet("run", "vm1", "--dry-run", "--", "true", status=4)
    assert "br0" in done.err


def test_why_passt_did_not_start_is_said(lab: Lab) -> None:
    lab.sh("ip link set lo up")  # and no route anywhere
    done = lab.vmnet("run", "vm1", "--nic", _USER, "--", "true", status=13)
    assert "External interface not usable" in done.err
    assert "syslog" not in done.err


@pytest.mark.usefixtures("way_out")
def test_a_port_that_is_taken_is_no_passt(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 2222)):
        lab.vmnet("run", "vm1", "--nic", f"{_USER},forward=2222:22", "--", "true", status=13)
    assert _passts() == []


def test_a_host_without_passt_says_what_to_install(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "true").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = lab.vmnet("run", "vm1", "--nic", _USER, "--", "true", status=8)
    assert "apt-get install passt" in done.err


def test_what_user_mode_is_not(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("attach", "vm1")
    done = lab.vmnet("run", "vm1", "--nic", _USER, "--", "true", status=5)
    assert "other-wire" in done.err or "cannot become another kind" in done.err
    for keys in ("rate-in=1mbit", "queues=2", "vhost=require"):
        lab.vmnet("run", "vm2", "--nic", f"{_USER},{keys}", "--", "true", status=None)
    assert len(lab.links()) == 2


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener


def test_the_arguments_for_a_program_that_listens(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    assert _failure(lab, "--vhost-user", str(path), status=4) == "socket-missing"
    with _listening(path) as listener:
        done = lab.vmnet("attach", "vm1", "--vhost-user", str(path), "--json").json
        assert done["qemu"]["chardev"] == f"socket,id=vmnet0-char,path={path}"
        assert done["data_path"]["path"] == "vhost-user"
        assert (done["tap"], done["steps"]) == (None, [])
        assert not any("nobody listens" in note for note in done["notes"])
        assert _failure(lab, "--vhost-user", str(path), "--server", status=6) == "socket-in-use"
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody connected to find that out
            listener.accept()
    silent = lab.vmnet("attach", "vm1", "--vhost-user", str(path), "--json").json
    assert any("nobody listens" in note for note in silent["notes"])
    assert lab.links() == {}


def test_paths_that_are_no_sockets(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="ascii")
    assert _failure(lab, "--vhost-user", str(file), status=5) == "not-a-socket"
    assert _failure(lab, "--vhost-user", str(file), "--server", status=5) == "not-a-socket"
    assert file.read_text(encoding="ascii") == "mine"
    beyond = str(tmp_path / "no" / "x.sock")
    assert _failure(lab, "--vhost-user", beyond, "--server", status=4) == "socket-missing"
    assert _failure(lab, "--vhost-user", "x.sock", status=2) == "bad-wire"


def test_a_qemu_without_shared_memory_is_not_started(lab: Lab, tmp_path: Path) -> None:
    nic = f"vhost-user={tmp_path}/x.sock,server=on"
    done = lab.vmnet("run", "vm1", "--nic", nic, "--", QEMU, "-m", "16", status=2)
    assert "share=on" in done.err


def test_qemu_makes_the_socket_and_waits_there(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    words = vmnet_run("vm1", f"vhost-user={path},server=on")
    with started([*words, *paused_argv(), *shared_memory(16)], tmp_path / "none") as qemu:
        qemu.wait_for(path.exists)
        assert _failure(lab, "--vhost-user", str(path), "--server", status=6) == "socket-in-use"
        with socket.socket(socket.AF_UNIX) as program:
            program.settimeout(10)
            program.connect(str(path))
            # VHOST_USER_GET_FEATURES, the first thing that is asked of whoever serves the rings.
            assert program.recv(4) == b"\x01\x00\x00\x00"
        qemu.kill()


def test_neither_is_for_a_configuration_or_a_qemu_that_runs(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    config.write_text("[[vm.vm1]]\nuser = true\n", encoding="ascii")
    done = lab.vmnet("--config", str(config), "config", "check", status=None)
    assert done.status != 0
    assert "vmnet run" in done.err + done.out
    assert _failure(lab, "--vhost-user", "/run/x", "--qmp", "/run/q", status=8) == "wire-of-run"
