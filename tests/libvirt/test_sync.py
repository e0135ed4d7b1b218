"""`vmnet sync`: what is off is put right, and nothing is said where nothing is."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.libvirt.wished import (
    BOTH,
    By,
    domain,
    interface,
    paused,
    ready,
    tags,
    tap,
    wish,
    wished,
)
from tests.support.domains import address, bridge_nic, mac
from tests.support.libvirtd import Host
from tests.support.place import wait_for


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _vnet(host: Host) -> str:
    (name,) = [name for name in host.links() if name.startswith("vnet")]
    return name


def _silent(host: Host) -> None:
    done = host.vmnet("sync")
    assert (done.out, done.err) == ("", "")


def _state(host: Host) -> str:
    keys = ("master", "mtu", "ifalias", "altnames", "address")
    seen = {name: {k: link.get(k) for k in keys} for name, link in host.links().items()}
    return json.dumps(seen, sort_keys=True)


@contextmanager
def _meanwhile(host: Host, lock: str) -> Iterator[None]:
    """Let `vmnet sync` run and wait for a lock while something happens; it has to end well."""
    hold = f"from vmnet.kernel.locks import locked\nwith locked({lock!r}): print(1); input()"
    with host.running(sys.executable, "-uc", hold) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "1\n"
        with host.running(sys.executable, "-m", "vmnet", "sync") as syncing:
            time.sleep(2)  # it has read what there is, and waits
            assert syncing.poll() is None
            yield
            holder.stdin.write("\n")
            holder.stdin.flush()
            out, err = syncing.communicate(timeout=30)
            assert (syncing.returncode, "vmnet: " in err) == (0, False), out + err


def test_what_changes_while_sync_waits_is_not_changed_back(host: Host) -> None:
    paused(host, wished(host, kinds=(By.VMNET,)))
    with _meanwhile(host, "domain:vm1"):
        moved = f"<nics><nic {wish(1).replace('lan', 'dmz')}/></nics>"
        host.virsh("metadata", "vm1", "urn:vmnet:nics:1", "vmnet", moved, "--live")
    assert host.links()[tap(1)]["master"] == "br1"
    _silent(host)


def test_an_interface_that_goes_while_sync_waits_is_no_failure(host: Host) -> None:
    host.boot(wished(host, kinds=(By.LIBVIRT,)))
    with _meanwhile(host, "vm:vm1"):
        host.virsh("detach-interface", "vm1", "bridge", "--mac", mac(1), "--live")
        wait_for(lambda: mac(1) not in host.live_xml("vm1").rpartition("<devices>")[2])
    _silent(host)


def test_a_bridge_that_was_made_anew_gets_its_ports_back_and_the_guest_answers(host: Host) -> None:
    host.boot(wished(host))
    assert host.ping(address(1))
    _silent(host)
    host.sh("ip link delete br0")
    host.bridge("br0", "10.99.0.1/24")
    assert not host.ping(address(1), 1)
    before = _state(host)
    assert "would put link" in host.vmnet("sync", "--dry-run").out
    assert _state(host) == before
    done = host.vmnet("sync", "vm1")
    put, kept, port = done.out.splitlines()
    assert put == f"vm1 nic 0: put link '{tap(1)}' into bridge 'br0'"
    assert "keep 52:54:00:99:00:0b at port" in kept
    assert "set guard on" in port
    assert host.ping(address(1), 20)
    _silent(host)


def test_an_interface_that_virsh_plugged_in_gets_what_is_wished_for_it(host: Host) -> None:
    """Its wish is there before it is: nobody calls a hook."""
    host.define(domain(host, 1, [interface(By.VMNET, 1)], [wish(1), wish(1, 1)]))
    host.virsh("start", "--paused", "vm1")
    assert list(tags(host)) == [tap(1)]
    _silent(host)
    nic = str(host.file("nic.xml", bridge_nic(mac(1, 1), "br1")))
    host.virsh("attach-device", "vm1", nic, "--live")
    assert host.operations() == ["prepare", "start", "started"]
    assert list(tags(host)) == [tap(1)]
    done = host.vmnet("sync")
    assert "vm1 nic 1: write the tag" in done.out
    assert "own=managed" in tags(host)[_vnet(host)]
    assert "vmnet-vm1-1" in host.links()[_vnet(host)]["altnames"]
    _silent(host)


def test_a_port_that_update_device_moved_comes_home_in_libvirts_record_too(host: Host) -> None:
    paused(host, wished(host))
    port = _vnet(host)
    nic = str(host.file("nic.xml", bridge_nic(mac(1, 1), "br0")))
    host.virsh("update-device", "vm1", nic, "--live")
    assert host.links()[port]["master"] == "br0"
    assert "change interface" in host.vmnet("sync").out
    assert host.links()[port]["master"] == "br1"
    assert "<source bridge='br1'/>" in host.live_xml("vm1")
    _silent(host)
    # Nor does libvirtd take it back when it starts again.
    host.restart_libvirtd()
    host.virsh("list")
    assert host.links()[port]["master"] == "br1"
    _silent(host)


@pytest.mark.parametrize(
    "damage",
    [
        "ip link set {tap} nomaster",
        "ip link set {tap} down",
        "ip link set {tap} address fe:00:00:00:00:01",
        "ip link property del dev {tap} altname vmnet-vm1-0",
        "ip link set {vnet} nomaster",
        "ip link set {vnet} down",
        "ip link set {vnet} alias ''",
        "ip link property del dev {vnet} altname vmnet-vm1-1",
    ],
)
def test_what_somebodys_hand_put_off_is_put_right(host: Host, damage: str) -> None:
    paused(host, wished(host))
    before = _state(host)
    host.sh(damage.format(tap=tap(1), vnet=_vnet(host)))
    assert host.vmnet("sync").out.startswith("vm1 nic ")
    after = json.loads(_state(host))
    for link in after.values():
        if link["altnames"]:
            link["altnames"].sort()
    expected = json.loads(before)
    for name, link in expected.items():
        if link["altnames"]:
            link["altnames"].sort()
        if "alias ''" in damage and name.startswith("vnet"):
            # A new tag has a generation of its own.
            link["ifalias"] = after[name]["ifalias"]
    assert after == expected
    _silent(host)


def test_a_tap_that_was_deleted_under_its_qemu_is_an_error_that_says_what_to_do(host: Host) -> None:
    paused(host, wished(host))
    host.sh(f"ip link delete {tap(1)}; ip link set {_vnet(host)} down")
    done = host.vmnet("sync", status=4)
    assert f"tap '{tap(1)}' of NIC 0 is gone" in done.err
    assert "vmnet detach vm1 --live --nic 0" in done.err
    # The other NIC was seen to all the same.
    assert "vm1 nic 1: bring link" in done.out
    assert tap(1) not in host.links()


def test_each_running_domain_and_no_other_is_looked_at(host: Host) -> None:
    paused(host, wished(host, 1, BOTH))
    paused(host, wished(host, 2, (By.VMNET,)))
    host.define(wished(host, 3))
    paused(host, domain(host, 4, [bridge_nic(mac(4), "br0")]))
    host.sh(f"ip link set {tap(1)} nomaster; ip link set {tap(2)} nomaster")
    before = host.links()
    lines = host.vmnet("sync", "--json").json["domains"]
    assert [(d["vm"], [n["nic"] for n in d["nics"]]) for d in lines if d["nics"]] == [
        ("vm1", [0]),
        ("vm2", [0]),
    ]
    untagged = [n for n in before if n.startswith("vnet") and "ifalias" not in before[n]]
    assert len(untagged) == 1
    assert host.links()[untagged[0]] == before[untagged[0]]
    _silent(host)
    assert "no domain 'vm9'" in host.vmnet("sync", "vm9", status=4).err
