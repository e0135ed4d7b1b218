"""The hook's door: what it takes, what it loads, and what it says when it refuses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.unit import rooms
from tests.unit.source import REPO
from vmnet.entry.hook import handle
from vmnet.entry.options import spelled
from vmnet.errors import InvalidInput
from vmnet.peers.libvirt import shows

#: What the hook has no time for, or must not ask while libvirtd waits for it.
NEVER = {"typer", "libvirt", "qemu", "psutil", "xml.etree", "asyncio", "tomli"}
XML = b"<domain><name>vm1</name></domain>"


def door(*args: str, xml: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", "-m", "vmnet.entry.hook", *args],
        input=xml,
        capture_output=True,
        check=False,
        cwd=REPO,
        env={**os.environ, **environment},
    )


def test_the_door_and_the_work_behind_it_never_load_what_asks_libvirt() -> None:
    for module in ("vmnet.entry.hook", "vmnet.service.domains"):
        loaded = rooms.loaded_by(module)
        assert not {name.split(".")[0] for name in loaded} & NEVER
        assert not any(name.startswith(("vmnet.peers", "xml.etree")) for name in loaded)


@pytest.mark.parametrize("operation", ["prepare", "start", "started", "migrate", "restore"])
def test_an_operation_leaves_nothing_of_it_loaded(operation: str) -> None:
    code = (
        "import sys\nfrom vmnet.entry import hook\nfrom vmnet.errors import VmnetError\n"
        f"try: hook.handle('vm1', {operation!r}, b'<domain><name>a/b</name></domain>')\n"
        "except VmnetError as error: print(error.code)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPO
    )
    loaded = set(done.stderr.split())
    assert done.stdout.strip() == "bad-vm-name"
    assert "vmnet.formats.domain" in loaded
    assert not loaded & NEVER
    assert not any(name.startswith("vmnet.peers") for name in loaded)


@pytest.mark.parametrize(
    "args", [(), ("vm1",), ("vm1", "prepare", "begin"), ("vm1", "prepare", "begin", "-", "x")]
)
def test_another_number_of_arguments_is_a_typed_refusal(args: tuple[str, ...]) -> None:
    done = door(*args, xml=XML)
    assert (done.returncode, done.stdout) == (InvalidInput.exit_code, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("vmnet: this is called by libvirt's hook")
    assert f"(on {os.uname().nodename}); try: " in line


@pytest.mark.parametrize("operation", ["reconnect", "stopped", "attach", "", "PREPARE", "x\n"])
@pytest.mark.parametrize("xml", [b"", b"nonsense", XML])
def test_an_operation_that_is_not_vmnets_is_none_of_its_business(
    operation: str, xml: bytes
) -> None:
    assert handle("vm1", operation, xml) is None


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        (b"", "is no XML"),
        (b"\xff\xfe", "is no XML"),
        (b"<!DOCTYPE x><domain/>", "document type"),
        (b"<domain><name>a\xe2\x80\xae\x1b[1m</name></domain>", "is no XML"),
        (b" " * ((4 << 20) + 1), "larger than 4 MiB"),
        (b"<domain><name>a&#10;\xe2\x80\xae</name></domain>", "\\u202e"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_harmless_line(xml: bytes, said: str) -> None:
    done = door("vm1", "prepare", "begin", "-", xml=xml)
    assert (done.returncode, done.stdout) == (InvalidInput.exit_code, b"")
    (line,) = done.stderr.decode().splitlines()
    assert said in line
    assert line.isprintable()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_a_name_that_is_not_utf8_is_refused_where_only_the_name_counts(locale: str) -> None:
    name = os.fsdecode(b"vm\xff")
    done = door(name, "release", "end", "-", LC_ALL=locale)
    assert done.returncode == InvalidInput.exit_code
    assert b"not valid UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


def test_check_says_which_vmnet_it_is() -> None:
    done = door("--check")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"vmnet ")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], []),
        (["attach", "vm1", "--libvirt"], ["attach", "vm1", "--libvirt="]),
        (["attach", "--libvirt", "vm1"], ["attach", "--libvirt=", "vm1"]),
        (["--libvirt=qemu:///session", "vm1"], ["--libvirt=qemu:///session", "vm1"]),
        (["run", "--", "qemu", "--libvirt"], ["run", "--", "qemu", "--libvirt"]),
        (["--libvirt", "--", "--libvirt", "--"], ["--libvirt=", "--", "--libvirt", "--"]),
        (["--libvirtx", "x--libvirt"], ["--libvirtx", "x--libvirt"]),
    ],
)
def test_libvirt_may_stand_without_a_uri(words: list[str], meant: list[str]) -> None:
    before = list(words)
    assert spelled(words) == meant
    assert words == before


def test_an_interface_in_the_metadata_is_none_that_the_domain_has() -> None:
    mac = "52:54:00:00:00:01"
    nic = f"<interface type='bridge'><mac address='{mac.upper()}'/></interface>"
    text = (
        "<domain><metadata><x><![CDATA[<devices>{}]]></x></metadata><devices>{}</devices></domain>"
    )
    assert shows(text.format("", nic), mac)
    assert not shows(text.format(nic, ""), mac)
    assert not shows(text.format("", nic), "52:54:00:00:00:02")
