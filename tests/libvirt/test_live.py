"""`vmnet attach` and `detach` of domains: live, in the definition, both; all or nothing."""

from __future__ import annotations

import random
import sys
import time

import pytest

from tests.libvirt.wished import By, domain, interface, ready, tags, tap, wish
from tests.support.domains import address
from tests.support.lab import VENV_BIN
from tests.support.libvirtd import Host
from tests.support.place import wait_for


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _xml(host: Host, *which: str) -> str:
    return host.virsh("dumpxml", "vm1", *which).out


def _left(host: Host) -> list[str]:
    """Return what is left over, but for the domain that runs."""
    return [thing for thing in host.leftovers() if not thing.startswith("process ")]


def _both(host: Host) -> tuple[str, str]:
    return _xml(host), _xml(host, "--inactive")


def _bare(host: Host) -> None:
    host.define(domain(host, 1, []))


def _started(host: Host) -> None:
    """A running domain that has no NIC yet; its guest sits still."""
    _bare(host)
    host.virsh("start", "--paused", "vm1")


@pytest.mark.parametrize("by", By)
def test_a_nic_of_a_running_guest_comes_pings_and_goes(host: Host, by: By) -> None:
    host.boot(domain(host, 1, []))
    for _ in range(2):
        done = host.vmnet("attach", "vm1", "--by", by)
        assert "vm1: domain of qemu:///system, live and config\n" in done.err
        assert host.ping(address(1), 30)
        before = _both(host)
        assert "nothing to do" in host.vmnet("attach", "vm1").err
        assert _both(host) == before
        assert len(tags(host)) == 1
        host.vmnet("detach", "vm1")
        assert _left(host) == []
        assert "<interface" not in "".join(_both(host))
        assert "vmnet:nic " not in "".join(_both(host))
        wait_for(lambda: not host.ping(address(1), 1))
    assert host.operations() == ["prepare", "start", "started"]


@pytest.mark.parametrize(
    ("options", "live", "config"),
    [
        ((), True, True),
        (("--live",), True, False),
        (("--config",), False, True),
        (("--live", "--config"), True, True),
    ],
)
def test_each_definition_is_changed_where_that_was_asked(
    host: Host, options: tuple[str, ...], *, live: bool, config: bool
) -> None:
    _started(host)
    host.vmnet("attach", "vm1", *options)
    assert [("<interface" in xml) for xml in _both(host)] == [live, config]
    assert [("vmnet:nic " in xml) for xml in _both(host)] == [live, config]
    assert (tap(1) in host.links()) is live


def test_a_domain_that_does_not_run_has_only_one_and_a_transient_one_only_the_other(
    host: Host,
) -> None:
    _bare(host)
    assert "does not run" in host.vmnet("attach", "vm1", "--live", status=5).err
    assert host.vmnet("attach", "vm1").err.startswith("vm1: domain of qemu:///system, config\n")
    host.virsh("undefine", "vm1")
    host.virsh("create", "--paused", str(host.file("vm1.xml", domain(host, 1, []))))
    assert "is not persistent" in host.vmnet("attach", "vm1", "--config", status=5).err
    assert "system, live\n" in host.vmnet("attach", "vm1").err
    host.virsh("destroy", "vm1")
    assert host.leftovers() == []


def test_changed_settings_move_the_nic_and_what_cannot_change_live_is_refused(host: Host) -> None:
    host.define(
        domain(
            host, 1, [interface(By.VMNET, 1), interface(By.LIBVIRT, 1, 1)], [wish(1), wish(1, 1)]
        )
    )
    host.virsh("start", "--paused", "vm1")
    (vnet,) = [name for name in host.links() if name.startswith("vnet")]
    host.vmnet("attach", "vm1", "--network", "dmz")
    host.vmnet("attach", "vm1", "--nic", "1", "--network", "lan")
    assert [host.links()[name]["master"] for name in (tap(1), vnet)] == ["br1", "br0"]
    before = _both(host)
    for change in (["--queues", "2"], ["--mtu", "1400"]):
        done = host.vmnet("attach", "vm1", *change, status=5)
        assert "--config" in done.err
    assert _both(host) == before
    host.vmnet("attach", "vm1", "--queues", "2", "--mtu", "1400", "--config")
    config = _xml(host, "--inactive")
    assert "<driver queues='2'/>" in config
    assert "<mtu size='1400'/>" in config
    assert _xml(host) == before[0]
    host.virsh("destroy", "vm1")
    host.virsh("start", "--paused", "vm1")
    assert host.links()[tap(1)]["mtu"] == 1400
    assert host.links()[tap(1)]["linkinfo"]["info_data"]["multi_queue"]


def test_what_libvirt_refuses_halfway_leaves_nothing(host: Host) -> None:
    _started(host)
    before = _xml(host)
    # The disk is full, so libvirt could plug the NIC in but not write the definition.
    host.sh(
        "mkdir /run/full; cp -a /etc/libvirt/qemu/. /run/full; mount --bind /run/full "
        "/etc/libvirt/qemu; mount -o remount,bind,ro /etc/libvirt/qemu"
    )
    done = host.vmnet("attach", "vm1", status=13)
    assert "(config)" in done.err
    host.sh("umount /etc/libvirt/qemu; rm -r /run/full")
    # The definition is written to first: a guest that sits still would not let go of a NIC again.
    assert "not undone" not in done.err
    assert _xml(host) == before
    assert list(tags(host)) == []
    host.virsh("destroy", "vm1")
    assert host.leftovers() == []
    # Of metadata that it cannot write, libvirt 9.0 says so and keeps it in memory all the same.
    assert "<interface" not in _xml(host, "--inactive")


def test_a_domain_that_is_destroyed_while_its_guest_is_waited_for_is_said_to_have_stopped(
    host: Host,
) -> None:
    _started(host)
    host.vmnet("attach", "vm1")
    argv = [sys.executable, "-m", "vmnet", "detach", "vm1", "--live"]
    with host.running(*argv) as detaching:
        time.sleep(8)  # libvirt itself waits for 5 s
        host.virsh("destroy", "vm1")
        _, err = detaching.communicate(timeout=5)
    assert (detaching.returncode, "stopped meanwhile" in err) == (5, True), err
    assert host.leftovers() == []


@pytest.mark.long
def test_a_guest_that_does_not_let_go_keeps_its_nic(host: Host) -> None:
    host.define(domain(host, 1, [interface(By.VMNET, 1)], [wish(1)]))
    host.virsh("start", "--paused", "vm1")
    before = _both(host)
    done = host.vmnet("detach", "vm1", status=6)
    assert "the guest did not let go" in done.err
    assert _both(host) == before
    assert list(tags(host)) == [tap(1)]


def test_a_typo_makes_nothing_and_two_meanings_are_told_apart(host: Host) -> None:
    _bare(host)
    done = host.vmnet("attach", "vm7", "--bridge", "br0", status=4)
    assert "has no domain 'vm7'" in done.err
    assert "--plain" in done.err
    assert tags(host) == {}
    host.vmnet("attach", "vm7", "--bridge", "br0", "--plain")
    host.vmnet("attach", "vm7")  # it has one meaning now
    host.vmnet("attach", "vm1", "--bridge", "br0", "--plain")
    assert "nothing to do" in host.vmnet("plan", "vm1", "--plain").err
    assert "--libvirt, or --plain" in host.vmnet("attach", "vm1", status=5).err
    assert "--libvirt, or --plain" in host.vmnet("detach", "vm1", status=5).err
    host.vmnet("detach", "vm1", "--plain")
    host.vmnet("detach", "vm7")
    assert _left(host) == []


def test_a_libvirtd_that_is_not_there_is_not_taken_for_no_libvirt(host: Host) -> None:
    host.kill_libvirtd()
    done = host.vmnet("attach", "vm1", "--bridge", "br0", status=8)
    assert "cannot tell what 'vm1' means" in done.err
    assert tags(host) == {}
    host.vmnet("attach", "vm1", "--bridge", "br0", "--plain")
    assert "not shown" in host.vmnet("list").err
    host.vmnet("detach", "vm1", "--plain")


@pytest.mark.long
def test_killed_at_any_moment_the_next_call_brings_all_in_order(host: Host) -> None:
    host.boot(domain(host, 1, []))
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    for _ in range(10):
        for verb in ("attach", "detach"):
            moment = chance.uniform(0.1, 0.5)
            host.sh(f"timeout -s KILL {moment:.3f} {VENV_BIN}/vmnet {verb} vm1 || :")
        host.vmnet("gc")
    host.vmnet("attach", "vm1")
    assert host.ping(address(1), 30)
    host.vmnet("detach", "vm1")
    assert _left(host) == []
    assert "vmnet:nic " not in "".join(_both(host))
