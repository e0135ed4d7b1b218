"""An attacker at the monitor's socket: whatever it says ends soon, in a typed error, in words."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import vmnet
from tests.support.lab import Done, Lab
from tests.support.monitor import GREETING, Evil, agreeable, answers, hostile, sends
from vmnet.errors import VmnetError

HELLO = json.dumps(GREETING).encode() + b"\r\n"
NO_VERSION: dict[str, Any] = {"QMP": {"version": {}, "capabilities": []}}
READY = HELLO + b'{"return": {}}\r\n'
EVENT = b'{"event": "RESET", "data": {"x": "' + b"y" * 4000 + b'"}}\r\n'
NASTY = "\x1b[2J\x07\r\nrm -rf /\u202e" + "z" * 100000
MEMORY_MAX = 64 << 20


def refuses(desc: Any) -> Evil:
    def how(command: dict[str, Any]) -> bytes:
        if command["execute"] in ("qmp_capabilities", "qom-list", "query-rx-filter"):
            return agreeable(command)
        error = {"class": "GenericError", "desc": desc}
        return json.dumps({"error": error, "id": command["id"]}).encode() + b"\n"

    return answers(how)


def from_then_on(what: str, evil: bytes | None) -> Evil:
    return answers(lambda command: evil if command["execute"] == what else agreeable(command))


def wrong_ids(command: dict[str, Any]) -> bytes:
    if command["execute"] == "qmp_capabilities":
        return agreeable(command)
    return agreeable({**command, "id": "__qmp#99999"})


def twice(command: dict[str, Any]) -> bytes:
    return agreeable(command) * (1 if command["execute"] == "qmp_capabilities" else 3)


def endless_list(command: dict[str, Any]) -> bytes:
    if command["execute"] != "qom-list":
        return agreeable(command)
    children = [{"name": f"d{n}", "type": "child<x>"} for n in range(5000)]
    return json.dumps({"return": children, "id": command["id"]}).encode() + b"\n"


EVIL: dict[str, tuple[str, Evil]] = {
    "silence": ("qmp-busy", sends()),
    "silence after the greeting": ("qmp-busy", sends(HELLO)),
    "silence after the talk began": ("qmp-silent", sends(READY)),
    "hangs up at once": ("qemu-gone", sends(hold=False)),
    "hangs up after the greeting": ("qemu-gone", sends(HELLO, hold=False)),
    "hangs up in a word": ("qemu-gone", sends(READY, b'{"ret', hold=False)),
    "garbage": ("qmp-nonsense", sends(b"SSH-2.0-x\r\n" * 3)),
    "bytes": ("qmp-nonsense", sends(bytes(range(256)) + b"\n")),
    "another protocol": ("qmp-nonsense", sends(b"[]\r\n")),
    "a greeting of other types": (
        "qmp-nonsense",
        sends(b'{"QMP": {"version": 7, "capabilities": 8}}\r\n'),
    ),
    "a greeting without a version": ("qmp-nonsense", answers(agreeable, NO_VERSION)),
    "endless line": ("qmp-nonsense", sends(b'{"QMP": "', forever=b"x" * 65536)),
    "endless line later": ("qmp-nonsense", sends(READY, b'{"event": "', forever=b"x" * 65536)),
    "flood of events": ("qmp-silent", sends(READY, forever=EVENT * 10)),
    "flood of answers": (
        "qmp-silent",
        sends(READY, forever=b'{"return": {}, "id": "__qmp#00001"}\r\n' * 100),
    ),
    "depth": ("qmp-nonsense", sends(READY, b"[" * 200000 + b"\r\n")),
    "depth at once": ("qmp-nonsense", sends(b"[" * 200000 + b"\r\n")),
    "an event without a name": ("qmp-silent", sends(READY, b'{"event": {}, "data": []}\r\n' * 3)),
    "an id of another type": ("qmp-nonsense", sends(READY, b'{"return": {}, "id": []}\r\n')),
    "a number without end": (
        "qmp-nonsense",
        sends(READY, b'{"return": ' + b"9" * 10000 + b"}\r\n"),
    ),
    "wrong ids": ("qmp-silent", answers(wrong_ids)),
    "every answer three times": ("not-as-wished", answers(twice)),
    "too many devices": ("qmp-nonsense", answers(endless_list)),
    "devices of other types": (
        "qmp-nonsense",
        from_then_on("qom-list", b'{"return": [7], "id": "__qmp#00000"}\n'),
    ),
    "hangs up when it gets the TAP": ("qemu-gone", from_then_on("getfd", None)),
    "garbage when it gets the TAP": ("qmp-nonsense", from_then_on("getfd", b"\n")),
    "silence when it gets the TAP": ("qmp-silent", from_then_on("getfd", EVENT)),
    "hangs up later": ("qemu-gone", from_then_on("netdev_add", None)),
    "refuses in nasty words": ("qemu-refused", refuses(NASTY)),
    "refuses in no words": ("qmp-nonsense", refuses({"x": 1})),
    "agrees to all and does nothing": ("not-as-wished", answers(agreeable)),
}


@pytest.mark.parametrize(("code", "evil"), EVIL.values(), ids=EVIL)
def test_an_attacker_gets_a_typed_error_and_nothing_stays(
    lab: Lab, tmp_path: Path, code: str, evil: Evil
) -> None:
    lab.vmnet("bridge", "create", "br0")
    path = tmp_path / "q"
    with hostile(path, evil):
        began = time.monotonic()
        words = ["attach", "vm1", "--qmp", str(path), "--wait", "1"]
        done = lab.vmnet(*words, status=None)
        assert time.monotonic() - began < 8
        assert json.loads(lab.vmnet(*words, "--json", status=None).err)["error"]["code"] == code
    _is_a_clean_error(done)
    assert list(lab.links()) == ["br0"]
    assert not list(Path("/run").rglob("*.lock"))


def _is_a_clean_error(done: Done) -> None:
    assert done.status in {4, 6, 8, 11, 13}, done
    assert done.out == ""
    assert "Traceback" not in done.err
    assert done.err.startswith(("vmnet: ", "vm1 nic 0"))
    assert all(line.isprintable() for line in done.err.splitlines())
    assert len(done.err) < 1500


def test_a_flood_does_not_fill_the_memory(lab: Lab, tmp_path: Path) -> None:
    lab.vmnet("bridge", "create", "br0")
    path = tmp_path / "q"
    me = psutil.Process()
    with hostile(path, EVIL["flood of events"][1]):
        before = me.memory_info().rss
        with pytest.raises(VmnetError):
            vmnet.hotplug(vmnet.Wish("vm1"), str(path), limit=5)
        assert me.memory_info().rss - before < MEMORY_MAX


def test_a_detach_is_not_fooled_either(lab: Lab, tmp_path: Path) -> None:
    """An attacker that says all is gone while another process holds the TAP."""
    lab.vmnet("bridge", "create", "br0")
    path = tmp_path / "q"

    def how(command: dict[str, Any]) -> bytes:
        if command["execute"] == "qom-list" and command["arguments"]["path"].endswith("peripheral"):
            children = [{"name": "vmnet0-nic", "type": "child<virtio-net-pci>"}]
            return json.dumps({"return": children, "id": command["id"]}).encode() + b"\n"
        if command["execute"] == "qom-get":
            return json.dumps({"return": "vmnet0", "id": command["id"]}).encode() + b"\n"
        return agreeable(command)

    lab.vmnet("attach", "vm1")
    with hostile(path, answers(how)):
        for verb in ("attach", "detach"):
            done = lab.vmnet(verb, "vm1", "--qmp", str(path), "--wait", "1", status=5)
            assert "that is not on the TAP of VM 'vm1'" in done.err
