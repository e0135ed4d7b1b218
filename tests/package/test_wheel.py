"""The wheel, built, installed into a fresh environment outside the checkout, and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.lab import REPO, Lab, checked, run
from vmnet.model.hostfile import HOST_FILES

pytestmark = pytest.mark.timeout(400)
_HOLD = """
import fcntl, os, struct, sys, time
fd = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", sys.argv[1].encode(), 0x1002 | 0x4000))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    checked([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(out), str(REPO)])
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has nothing but the wheel."""
    place = tmp_path_factory.mktemp("elsewhere") / "venv"
    checked([sys.executable, "-m", "venv", str(place)])
    # The lock's versions without its hashes: pip would ask one of the wheel, too.
    pinned = re.findall(r"^[\w.-]+==[\w.]+", (REPO / "requirements.lock").read_text(), re.MULTILINE)
    versions = place.parent / "versions"
    versions.write_text("\n".join(pinned))
    command = [str(place / "bin" / "pip"), "install", "-q", "-c", str(versions), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return place / "bin"


def test_the_wheel_has_the_hooks_the_templates_and_the_man_pages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        modes = {i.filename: i.external_attr >> 16 for i in packed.infolist()}
    assert {"vmnet/py.typed", "vmnet/templates/vmnet.toml", "vmnet/hooks/libvirt-qemu"} <= names
    assert {f"vmnet/templates/{file.template}" for file in HOST_FILES} <= names
    for hook in ("vmnet/hooks/qemu-ifup", "vmnet/hooks/qemu-ifdown"):
        assert modes[hook] & 0o111, hook
    pages = {name for name in names if name.endswith(".1")}
    assert any(name.endswith("share/man/man1/vmnet.1") for name in pages)
    assert not any(name.startswith(("tests", "docs")) for name in names)


def test_the_installed_command_attaches_plugs_in_and_detaches(
    installed: Path, lab: Lab, tmp_path: Path
) -> None:
    os.chdir(tmp_path)
    try:
        _use(installed, lab)
    finally:
        os.chdir(REPO)
    assert lab.leftovers() == []


def _use(installed: Path, lab: Lab) -> None:
    vmnet = str(installed / "vmnet")
    assert checked([vmnet, "--version"]).out.startswith("vmnet ")
    checked([vmnet, "bridge", "create", "br0"])
    assert "-netdev tap," in checked([vmnet, "attach", "vm1"]).out
    hooks = Path(checked([vmnet, "--hooks-dir"]).out.strip())
    assert REPO not in hooks.parents
    with _held("tapx"):
        done = run([str(hooks / "qemu-ifup"), "tapx"])
        assert (done.status, done.out, done.err) == (0, "", "")
        assert lab.link("tapx")["master"] == "br0"
        assert run([str(hooks / "qemu-ifdown"), "tapx"]).status == 0
        assert "master" not in lab.link("tapx")
    checked([vmnet, "host", "install", "--root", "."])
    assert all(Path(f".{file.path}").exists() for file in HOST_FILES)
    checked([vmnet, "detach", "vm1"])
    checked([vmnet, "bridge", "delete", "br0"])
    checked([vmnet, "gc"])


@contextmanager
def _held(tap: str) -> Iterator[None]:
    """A TAP held by a process, as a QEMU holds one."""
    process = subprocess.Popen([sys.executable, "-c", _HOLD, tap], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_the_example_configuration_is_valid(lab: Lab) -> None:
    done = lab.vmnet("--config", str(REPO / "templates" / "vmnet.toml"), "config", "check")
    (line,) = done.out.splitlines()
    assert line.startswith("network lan (default): bridge br0, mtu the bridge's, queues 1")
    assert line.endswith("vhost auto; guard on")
