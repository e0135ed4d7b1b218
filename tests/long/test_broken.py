"""vmnet broken on purpose: what runs stays up, what would start with a wish is told no."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.libvirt.wished import (
    CONFIG,
    By,
    domain,
    interface,
    ready,
    wait_clean,
    wished,
)
from tests.support.domains import address
from tests.support.libvirtd import Host
from tests.support.place import wait_for

_HOOK = "/etc/libvirt/hooks/qemu.d/50-vmnet"
_TOML = "/etc/vmnet/vmnet.toml"


@dataclass(frozen=True)
class Broken:
    """One way to break it."""

    do: Callable[[Host], None]
    #: What a start is told.
    said: str


def _interpreter(host: Host, text: str, mode: int = 0o755) -> None:
    """Let the hook's interpreter be this shell script."""
    program = host.path("/run/python")
    program.write_text(text)
    program.chmod(mode)
    hook = host.path(_HOOK)
    hook.write_text(hook.read_text().replace(f"python={sys.executable}", "python=/run/python"))


def _limit(host: Host, seconds: int) -> None:
    hook = host.path(_HOOK)
    hook.write_text(hook.read_text().replace("limit=20 ", f"limit={seconds} "))


def _gone(host: Host) -> None:
    _interpreter(host, "")
    host.path("/run/python").unlink()


def _hangs(host: Host) -> None:
    _interpreter(host, "#!/bin/sh\nsleep 1000")
    _limit(host, 1)


def _stopped(host: Host) -> None:
    _interpreter(host, "#!/bin/sh\nkill -STOP $$")
    _limit(host, 1)


def _full(host: Host) -> None:
    host.sh("mkdir -p /run/vmnet; mount -t tmpfs -o size=4k,nr_inodes=1,mode=755 full /run/vmnet")


WAYS = {
    "environment deleted": Broken(_gone, "/run/python cannot be run"),
    "not executable": Broken(lambda host: _interpreter(host, "", 0o644), "cannot be run"),
    "no vmnet in it": Broken(
        lambda host: _interpreter(host, f'#!/bin/sh\nexec {sys.executable} -c "import nowhere"'),
        "/run/python failed (status 1)",
    ),
    "an exception": Broken(
        lambda host: _interpreter(host, f'#!/bin/sh\nexec {sys.executable} -c "1 / 0"'),
        "/run/python failed (status 1)",
    ),
    "killed": Broken(
        lambda host: _interpreter(host, "#!/bin/sh\nkill -KILL $$"), "/run/python was killed"
    ),
    "hangs": Broken(_hangs, "not done within 1 s"),
    "stopped": Broken(_stopped, "not done within 1 s"),
    "disk full": Broken(_full, "/run/vmnet"),
    "unreadable configuration": Broken(
        lambda host: host.config("[network.lan\n"), "/etc/vmnet/vmnet.toml"
    ),
    "configuration that others may write": Broken(
        lambda host: host.path(_TOML).chmod(0o666), "/etc/vmnet/vmnet.toml"
    ),
    "no configuration": Broken(lambda host: host.path(_TOML).unlink(), "no network 'lan'"),
}


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _runs_on(host: Host) -> None:
    """Expect the guest where it was, also after libvirtd was killed and started."""
    pid = host.qemu("vm1")
    host.kill_libvirtd()
    host.forget_calls()
    host.start_libvirtd()
    host.virsh("list")
    wait_for(lambda: host.operations("vm1") == ["reconnect"])
    assert (host.state("vm1"), host.qemu("vm1")) == ("running", pid)
    assert host.ping(address(1), 5)
    assert host.ping(address(1, 1), 5)


def _refused(host: Host, why: str) -> None:
    said = host.virsh("start", "vm2", status=1).err
    assert why in said
    assert said.count(" vmnet: ") == 1
    assert "(on host); try: " in said
    assert "Traceback" not in said
    # virsh's own two lines, and none of ours but the one.
    assert len(said.strip().splitlines()) == 2


def _others_start(host: Host) -> None:
    host.virsh("start", "--paused", "vm3")
    host.virsh("destroy", "vm3")


def test_what_runs_stays_what_starts_is_refused_and_others_do_not_mind(host: Host) -> None:
    host.define(wished(host, 2))
    host.define(domain(host, 3, [interface(By.LIBVIRT, 3)]))
    host.boot(wished(host, 1))
    hook, config = host.path(_HOOK).read_text(), host.path(_TOML).read_text()
    for name, way in WAYS.items():
        way.do(host)
        before = host.links()
        _refused(host, way.said)
        _others_start(host)
        assert set(host.links()) == set(before), name
        assert host.ping(address(1), 5), name
        if name in ("environment deleted", "hangs", "disk full", "unreadable configuration"):
            _runs_on(host)
        host.sh("umount /run/vmnet 2>/dev/null || :; rm -f /run/python")
        host.path(_HOOK).write_text(hook)
        host.config(config)
    # Mended, it starts; and nothing of all that is in its way.
    host.virsh("start", "--paused", "vm2")
    for vm in ("vm1", "vm2"):
        host.virsh("destroy", vm)
    assert host.leftovers() == []


@pytest.mark.parametrize("name", ["environment deleted", "hangs", "disk full"])
def test_what_ends_meanwhile_is_cleared_up_once_vmnet_works(host: Host, name: str) -> None:
    """Nobody may hold up an end; so the TAP stays until the next start, or gc."""
    host.define(wished(host))
    host.virsh("start", "--paused", "vm1")
    hook = host.path(_HOOK).read_text()
    WAYS[name].do(host)
    host.virsh("destroy", "vm1")
    assert host.state("vm1") == "shut off"
    host.sh("umount /run/vmnet 2>/dev/null || :; rm -f /run/python")
    host.path(_HOOK).write_text(hook)
    host.config(CONFIG)
    host.virsh("start", "--paused", "vm1")
    host.virsh("destroy", "vm1")
    wait_clean(host)
