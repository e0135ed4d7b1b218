"""What libvirt does, whatever vmnet does: each fact is one that vmnet relies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.domains import address, bridge_nic, mac, metadata, tap_nic
from tests.support.libvirtd import Host, targets
from tests.support.place import wait_for

pytestmark = pytest.mark.long

_STARTED = ["prepare", "start", "started"]
_ENDED = ["stopped", "release"]
_TAP = "ip tuntap add dev tap7 mode tap vnet_hdr; ip link set tap7 master br0 up"


def _guest(host: Host, *nics: str, metadata: str = "", args: str = "") -> str:
    return host.domain("vm1", *nics, addresses=(address(1),), metadata=metadata, args=args)


def _paused(host: Host, *nics: str) -> None:
    """Start a domain that runs nothing: no guest need boot for what libvirt itself does."""
    host.define(_guest(host, *nics))
    host.virsh("start", "--paused", "vm1")


# ---- which operations run


def test_start_and_destroy(host: Host) -> None:
    _paused(host, bridge_nic(mac(1)))
    assert [(c.op, c.sub, c.extra) for c in host.hook_calls()] == [
        *(("prepare", "begin", "-"), ("start", "begin", "-"), ("started", "begin", "-"))
    ]
    host.forget_calls()
    host.virsh("destroy", "vm1")
    assert [(c.op, c.sub, c.extra) for c in host.hook_calls()] == [
        *(("stopped", "end", "-"), ("release", "end", "-"))
    ]


@pytest.mark.parametrize("end", ["kill -9 {pid}", "kill -TERM {pid}"])
def test_a_qemu_that_ends_by_itself_is_followed_by_the_same_two(host: Host, end: str) -> None:
    _paused(host, bridge_nic(mac(1)))
    host.forget_calls()
    host.sh(end.format(pid=host.qemu("vm1")))
    wait_for(lambda: host.operations() == _ENDED)
    assert host.leftovers() == []


def test_a_guest_that_powers_off_is_followed_by_the_same_two(host: Host) -> None:
    xml = _guest(host, bridge_nic(mac(1)), args="vmpoweroff=0")
    host.define(xml)
    host.virsh("start", "vm1")
    wait_for(lambda: host.operations() == _STARTED + _ENDED, 60)
    assert host.leftovers() == []


def test_save_and_restore_and_managedsave(host: Host) -> None:
    _paused(host, bridge_nic(mac(1)))
    host.forget_calls()
    saved = str(host.folder / "saved")
    host.virsh("save", "vm1", saved)
    assert host.operations() == _ENDED
    host.forget_calls()
    host.virsh("restore", "--paused", saved)
    assert host.operations() == ["restore", *_STARTED]
    host.virsh("managedsave", "vm1")
    host.forget_calls()
    host.virsh("start", "--paused", "vm1")
    assert host.operations() == ["restore", *_STARTED]


def test_a_restarted_libvirtd_reconnects_and_the_guest_runs_on(host: Host) -> None:
    _paused(host, bridge_nic(mac(1)))
    pid = host.qemu("vm1")
    for stop in (host.stop_libvirtd, host.kill_libvirtd):
        host.forget_calls()
        stop()
        host.start_libvirtd()
        wait_for(lambda: host.operations() == ["reconnect"])
        assert host.state("vm1") == "paused"
        assert host.qemu("vm1") == pid


def test_plugging_runs_no_hook(host: Host) -> None:
    _paused(host, bridge_nic(mac(1)))
    host.forget_calls()
    more = host.file("nic.xml", bridge_nic(mac(1, 1)))
    host.virsh("attach-device", "vm1", str(more), "--live")
    assert targets(host.live_xml("vm1")) == ["vnet0", "vnet1"]
    host.bridge("br1")
    moved = host.file("moved.xml", bridge_nic(mac(1), "br1"))
    host.virsh("update-device", "vm1", str(moved), "--live")
    assert host.ports("br1") == ["vnet0"]
    assert host.operations() == []


# ---- what a failure brings


@pytest.mark.parametrize("op", _STARTED)
def test_a_hook_that_fails_ends_the_start_and_the_cleaning_operations_follow(
    host: Host, op: str
) -> None:
    host.put_hook("50-fails", f'[ "$2" != {op} ] || {{ echo "no at $2" >&2; exit 3; }}')
    host.define(_guest(host, bridge_nic(mac(1))))
    refused = host.virsh("start", "vm1", status=1)
    assert f"unexpected exit status 3: no at {op}" in refused.err
    ran = _STARTED[: _STARTED.index(op) + 1]
    assert host.operations() == ran + _ENDED
    assert host.leftovers() == []


@pytest.mark.parametrize("op", _ENDED)
def test_a_hook_that_fails_at_the_end_is_ignored(host: Host, op: str) -> None:
    host.put_hook("50-fails", f'[ "$2" != {op} ] || exit 3')
    _paused(host, bridge_nic(mac(1)))
    host.virsh("destroy", "vm1")
    assert host.operations() == _STARTED + _ENDED


def test_a_tap_that_is_missing_fails_after_prepare(host: Host) -> None:
    host.define(_guest(host, tap_nic(mac(1), "tap7")))
    refused = host.virsh("start", "vm1", status=1)
    assert "target managed='no' but specified dev doesn't exist" in refused.err
    assert host.operations() == ["prepare", *_ENDED]


def test_a_hook_that_fails_at_reconnect_kills_the_guest(host: Host) -> None:
    host.put_hook("50-fails", '[ "$2" != reconnect ] || exit 1')
    _paused(host, bridge_nic(mac(1)))
    host.restart_libvirtd()
    host.wait_state("vm1", "shut off")
    assert host.operations() == [*_STARTED, "reconnect", *_ENDED]


@pytest.mark.parametrize("bad", ["unreadable XML", "<domain/>"])
def test_what_a_hook_prints_at_restore_takes_the_place_of_the_xml(host: Host, bad: str) -> None:
    _paused(host, bridge_nic(mac(1)))
    saved = str(host.folder / "saved")
    host.virsh("save", "vm1", saved)
    host.put_hook("50-prints", f"[ \"$2\" != restore ] || echo '{bad}'")
    host.forget_calls()
    host.virsh("restore", saved, status=1)
    assert host.operations() == ["restore"]


# ---- what the hook is told


def test_the_xml_of_each_operation_names_the_taps_it_can(host: Host) -> None:
    host.sh(_TAP)
    nics = (bridge_nic(mac(1)), tap_nic(mac(1, 1), "tap7"))
    host.define(_guest(host, *nics, metadata=metadata(f'mac="{mac(1)}"')))
    host.virsh("start", "--paused", "vm1")
    host.virsh("destroy", "vm1")
    assert {call.op: call.targets for call in host.hook_calls()} == {
        "prepare": [None, "tap7"],
        "start": ["vnet0", "tap7"],
        "started": ["vnet0", "tap7"],
        "stopped": [None, "tap7"],
        "release": [None, "tap7"],
    }
    assert all('xmlns:vmnet="urn:vmnet:nics:1"' in call.xml for call in host.hook_calls())
    assert all(f'<vmnet:nic mac="{mac(1)}"/>' in call.xml for call in host.hook_calls())


def test_a_hook_that_comes_later_needs_a_restart_only_if_there_was_none(host: Host) -> None:
    called = host.folder / "called"
    host.put_hook("50-late", f"echo $2 >>{called}")
    _paused(host, bridge_nic(mac(1)))
    assert called.read_text().split() == _STARTED
    host.virsh("destroy", "vm1")
    called.unlink()
    host.remove_hook("50-late")
    host.remove_hook("10-log")
    host.restart_libvirtd()
    host.put_hook("50-late", f"echo $2 >>{called}")
    host.virsh("start", "--paused", "vm1")
    assert not called.exists()
    host.virsh("destroy", "vm1")
    host.restart_libvirtd()
    host.virsh("start", "--paused", "vm1")
    assert called.read_text().split() == _STARTED


# ---- what happens to TAPs


def test_a_tap_made_in_prepare_is_early_enough_and_libvirt_leaves_it_alone(host: Host) -> None:
    make = f'[ "$2" != prepare ] || {{ {_TAP}; }}'
    host.put_hook("50-tap", make.replace("ip ", "/sbin/ip "))
    host.boot(_guest(host, tap_nic(mac(1), "tap7")))
    assert host.ping(address(1))
    before = host.links()["tap7"]
    assert before["linkinfo"]["info_data"]["persist"]
    host.virsh("destroy", "vm1")
    after = host.links()["tap7"]
    assert (after["address"], after["master"]) == (before["address"], "br0")
    assert host.operations() == _STARTED + _ENDED


def test_a_tap_that_libvirt_makes_has_the_guests_mac_with_fe_and_does_not_persist(
    host: Host,
) -> None:
    _paused(host, bridge_nic(mac(1)))
    tap = host.links()["vnet0"]
    assert tap["address"] == mac(1).replace("52:", "fe:", 1)
    assert not tap["linkinfo"]["info_data"]["persist"]
    assert (tap["master"], "UP" in tap["flags"]) == ("br0", True)
    # It is there, complete, before QEMU has run: `start` is the time for what vmnet adds.
    at_start = {call.op: call.taps for call in host.hook_calls()}
    assert at_start == {"prepare": [], "start": ["vnet0"], "started": ["vnet0"]}


def test_the_root_qdisc_is_reset_between_prepare_and_start(host: Host) -> None:
    seen = host.folder / "qdisc"
    set_it = "tc qdisc add dev tap7 root pfifo limit 7"
    host.put_hook("50-tc", f'tc qdisc show dev tap7 >{seen}-$2; [ "$2" != prepare ] || {set_it}')
    host.sh(_TAP)
    _paused(host, tap_nic(mac(1), "tap7"))
    assert "noqueue" in Path(f"{seen}-start").read_text()
    assert "pfifo" not in Path(f"{seen}-start").read_text()


def test_a_tap_that_exists_and_is_not_called_unmanaged_is_deleted(host: Host) -> None:
    host.sh(_TAP)
    host.define(_guest(host, tap_nic(mac(1), "tap7", managed="yes")))
    refused = host.virsh("start", "vm1", status=1)
    assert "The tap7 interface already exists" in refused.err
    assert "tap7" not in host.links()


def test_a_tap_that_is_down_stays_down(host: Host) -> None:
    host.sh(_TAP + "; ip link set tap7 down")
    _paused(host, tap_nic(mac(1), "tap7"))
    assert "UP" not in host.links()["tap7"]["flags"]


def test_queues_have_to_fit_the_tap(host: Host) -> None:
    host.sh(_TAP)
    two = "<driver name='qemu' queues='2'/>"
    host.define(_guest(host, tap_nic(mac(1), "tap7", two)))
    refused = host.virsh("start", "vm1", status=1)
    assert "Unable to create tap device tap7: Invalid argument" in refused.err
    host.sh("ip link del tap7; " + _TAP.replace("vnet_hdr", "vnet_hdr multi_queue"))
    host.virsh("start", "--paused", "vm1")
    assert '"fds":"' in host.qemu_argv("vm1")


def test_vhost_is_never_opened_for_an_emulated_domain(host: Host) -> None:
    _paused(host, bridge_nic(mac(1), inner="<driver name='vhost'/>"))
    assert "vhost" not in host.qemu_argv("vm1").replace("hostnet", "")
