"""vmnet's hook through the life of a domain: its NICs work, and nothing is left of them."""

from __future__ import annotations

import json

import pytest

from tests.libvirt.wished import (
    BOTH,
    CONFIG,
    ENDED,
    STARTED,
    By,
    domain,
    interface,
    paused,
    ready,
    refused,
    tags,
    tap,
    wait_clean,
    wish,
    wished,
)
from tests.support.domains import address, mac, network_nic, network_xml
from tests.support.libvirtd import Host, timed
from tests.support.place import wait_for


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _answers(host: Host, vm: int = 1) -> bool:
    return all(host.ping(address(vm, nic), 20) for nic in range(2))


def _as_wished(host: Host) -> None:
    """Expect the two TAPs of a running vm1 in their bridges, tagged; seen by `ip`."""
    own, libvirts = (host.links()[name] for name in (tap(1), _libvirts(host)))
    assert (own["master"], libvirts["master"]) == ("br0", "br1")
    assert "UP" in own["flags"]
    assert "UP" in libvirts["flags"]
    assert own["linkinfo"]["info_data"]["persist"]
    assert not libvirts["linkinfo"]["info_data"]["persist"]
    assert "life=domain" in own["ifalias"]
    assert "own=managed" in libvirts["ifalias"]
    for number, link in enumerate((own, libvirts)):
        assert f"vm=vm1 nic={number} " in link["ifalias"]
        assert f"vmnet-vm1-{number}" in link["altnames"]


def _heard(host: Host, bridge: str) -> dict[str, str]:
    """Return whom a bridge knows behind which port, heard or entered, as `bridge` has it."""
    rows = json.loads(host.run("bridge", "-j", "fdb", "show", "br", bridge).out)
    return {row["mac"]: row["ifname"] for row in rows if row.get("state", "") in ("", "static")}


def _libvirts(host: Host) -> str:
    (name,) = [name for name in host.links() if name.startswith("vnet")]
    return name


# ---- its life


def test_a_guest_of_both_kinds_from_start_to_destroy(host: Host) -> None:
    with timed("start and boot"):
        host.boot(wished(host))
    assert host.operations() == STARTED
    assert _answers(host)
    _as_wished(host)
    # Each NIC is on its own network and on no other.
    assert _heard(host, "br0") == {mac(1, 0): tap(1)}
    assert _heard(host, "br1") == {mac(1, 1): _libvirts(host)}
    _restarts(host)
    _saves(host)
    _manages(host)
    host.forget_calls()
    host.virsh("destroy", "vm1")
    assert host.operations() == ENDED
    assert host.leftovers() == []


def _restarts(host: Host) -> None:
    pid = host.qemu("vm1")
    for stop in (host.stop_libvirtd, host.kill_libvirtd):
        host.forget_calls()
        stop()
        assert _answers(host)
        host.start_libvirtd()
        wait_for(lambda: host.operations() == ["reconnect"])
        assert (host.state("vm1"), host.qemu("vm1")) == ("running", pid)
        assert _answers(host)
    _as_wished(host)


def _saves(host: Host) -> None:
    host.forget_calls()
    saved = str(host.folder / "saved")
    host.virsh("save", "vm1", saved)
    assert host.operations() == ENDED
    assert host.leftovers() == []
    host.virsh("restore", saved)
    assert host.operations() == [*ENDED, "restore", *STARTED]
    assert _answers(host)
    _as_wished(host)


def _manages(host: Host) -> None:
    host.forget_calls()
    host.virsh("managedsave", "vm1")
    assert host.leftovers() == []
    host.virsh("start", "vm1")
    assert host.operations() == [*ENDED, "restore", *STARTED]
    assert _answers(host)


def test_a_guest_that_powers_off_leaves_nothing(host: Host) -> None:
    host.define(wished(host, args="vmpoweroff=0"))
    host.virsh("start", "vm1")
    _as_wished(host)
    wait_for(lambda: host.operations() == STARTED + ENDED, 60)
    assert host.state("vm1") == "shut off"
    wait_clean(host)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_qemu_that_is_killed_leaves_nothing(host: Host, signal: str) -> None:
    paused(host, wished(host))
    _as_wished(host)
    host.sh(f"kill -{signal} {host.qemu('vm1')}")
    wait_for(lambda: host.operations() == STARTED + ENDED)
    wait_clean(host)


def test_a_qemu_that_is_killed_while_libvirtd_is_away_leaves_nothing(host: Host) -> None:
    paused(host, wished(host))
    pid = host.qemu("vm1")
    host.kill_libvirtd()
    host.sh(f"kill -KILL {pid}")
    host.start_libvirtd()
    host.virsh("list")
    wait_for(lambda: host.operations() == STARTED + ENDED)
    wait_clean(host)


def test_two_domains_that_start_and_end_at_once(host: Host) -> None:
    for vm in (1, 2):
        host.define(wished(host, vm))
    _both(host, "start")
    for vm in (1, 2):
        host.wait_guest(f"vm{vm}")
        assert _answers(host, vm)
    assert len(tags(host)) == 4
    _both(host, "destroy")
    for vm in (1, 2):
        assert host.operations(f"vm{vm}") == STARTED + ENDED
    assert host.leftovers() == []


def _both(host: Host, verb: str) -> None:
    with (
        host.running("virsh", "-q", verb, "vm1") as one,
        host.running("virsh", "-q", verb, "vm2") as two,
    ):
        for process in (one, two):
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err


# ---- starts that fail


def test_vmnet_refuses_at_prepare(host: Host) -> None:
    xml = wished(host).replace('network="dmz"', 'network="nowhere"')
    said = refused(host, xml)
    assert "'nowhere'" in said
    assert "(on host); try: " in said
    assert "Traceback" not in said
    assert host.operations() == ["prepare", *ENDED]
    assert host.leftovers() == []


def test_vmnet_refuses_at_start(host: Host) -> None:
    # Only now does libvirt say which bridge its network is on.
    host.virsh("net-create", str(host.file("net.xml", network_xml("other", "br0"))))
    nics = [interface(By.VMNET, 1), network_nic(mac(1, 1), "other")]
    said = refused(host, domain(host, 1, nics, [wish(1), wish(1, 1)]))
    assert "libvirt's network 'other' is on bridge 'br0', but network 'dmz'" in said
    assert host.operations() == ["prepare", "start", *ENDED]
    assert host.leftovers() == []


@pytest.mark.parametrize("which", BOTH)
def test_vmnet_refuses_at_started(host: Host, which: By) -> None:
    name = tap(1) if which is By.VMNET else "vnet0"
    host.put_hook("60-damage", f'[ "$2" != start ] || /sbin/ip link set {name} nomaster')
    said = refused(host, wished(host))
    assert f"left to do: put link '{name}' into bridge" in said
    assert host.operations() == [*STARTED, *ENDED]
    assert host.leftovers() == []


@pytest.mark.parametrize("number", range(3))
def test_another_hook_that_fails_after_vmnets(host: Host, number: int) -> None:
    op = STARTED[number]
    host.put_hook("90-fails", f'[ "$2" != {op} ] || {{ echo "no at $2" >&2; exit 3; }}')
    assert f"no at {op}" in refused(host, wished(host))
    assert host.operations() == [*STARTED[: number + 1], *ENDED]
    assert host.leftovers() == []


def test_a_qemu_that_does_not_come_up(host: Host) -> None:
    said = refused(host, wished(host).replace("initrd.gz", "nowhere.gz"))
    assert "nowhere.gz" in said
    assert host.operations() == ["prepare", "start", *ENDED]
    assert host.leftovers() == []
    # What went wrong once is no reason later on.
    paused(host, wished(host))
    _as_wished(host)


def test_what_a_host_that_lost_its_power_left_is_made_anew(host: Host) -> None:
    paused(host, wished(host))
    pid = host.qemu("vm1")
    host.remove_hook("50-vmnet")
    host.sh(f"kill -KILL {pid}")
    wait_for(lambda: host.state("vm1") == "shut off")
    old = host.links()[tap(1)]
    ready_again(host)
    host.virsh("start", "--paused", "vm1")
    assert host.links()[tap(1)]["ifindex"] != old["ifindex"]
    _as_wished(host)
    host.virsh("destroy", "vm1")
    assert host.leftovers() == []


def ready_again(host: Host) -> None:
    host.config(CONFIG)
    host.install_hook()
