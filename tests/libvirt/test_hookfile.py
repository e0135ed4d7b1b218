"""`vmnet hook install` beside a running libvirtd."""

from __future__ import annotations

import os
import sys

from tests.support.domains import address, bridge_nic, mac, metadata
from tests.support.libvirtd import Host

_OURS = metadata(f'mac="{mac(1)}"')
_HOOK = "/etc/libvirt/hooks/qemu.d/50-vmnet"


def _define(host: Host, inner: str) -> None:
    nic = bridge_nic(mac(1))
    host.define(host.domain("vm1", nic, addresses=(address(1),), metadata=inner))


def test_the_daemon_is_restarted_as_told_and_then_calls_the_hook(host: Host) -> None:
    host.remove_hook("10-log")
    host.restart_libvirtd()
    told = host.install_hook("--python", sys.executable).err
    assert "libvirtd" in told
    assert "started when it had no hook" in told
    host.restart_libvirtd()
    status = host.vmnet("hook", "status")
    assert "50-vmnet: installed" in status.out
    assert "libvirt runs as libvirtd, pid " in status.out
    assert "nothing to do" in host.install_hook("--python", sys.executable).err
    _spoil(host)
    _define(host, _OURS)
    done = host.virsh("start", "--paused", "vm1", status=1)
    assert "vmnet: prepare of vm1: /nowhere/python3 cannot be run" in done.err
    assert os.uname().nodename in done.err


def _spoil(host: Host) -> None:
    """Let the interpreter be gone, as when its environment was deleted."""
    path = host.path(_HOOK)
    text = path.read_text().replace(f"python={sys.executable}", "python=/nowhere/python3")
    assert "/nowhere" in text
    path.write_text(text)


def test_the_installed_hook_lets_vmnet_do_its_work(host: Host) -> None:
    host.install_hook("--python", sys.executable)
    host.config('default = "lan"\n[network.lan]\nbridge = "br0"\nmtu = 1400\n')
    _define(host, _OURS)
    host.virsh("start", "--paused", "vm1")
    (tap,) = (link for name, link in host.links().items() if name.startswith("vnet"))
    assert tap["ifalias"].startswith("vmnet/1 ")
    assert tap["mtu"] == 1400
    host.virsh("destroy", "vm1")
    assert host.leftovers() == []
    host.config('[network.other]\nbridge = "br0"\n')
    done = host.virsh("start", "--paused", "vm1", status=1)
    assert done.err.count("vmnet: ") == 1
    assert "Traceback" not in done.err
    assert host.leftovers() == []


def test_without_an_interpreter_what_runs_goes_on_and_others_start(host: Host) -> None:
    host.install_hook("--python", sys.executable)
    _define(host, "")
    _spoil(host)
    host.virsh("start", "--paused", "vm1")
    host.restart_libvirtd()
    assert host.state("vm1") == "paused"
    host.virsh("destroy", "vm1")
    assert host.leftovers() == []


def test_a_domain_of_vmnets_lives_through_a_restart_without_an_interpreter(host: Host) -> None:
    _define(host, _OURS)
    host.virsh("start", "--paused", "vm1")
    host.install_hook("--python", sys.executable)
    _spoil(host)
    host.restart_libvirtd()
    assert host.state("vm1") == "paused"
    host.virsh("destroy", "vm1")
    assert host.state("vm1") == "shut off"
    assert host.leftovers() == []


def test_libvirt_does_not_mind_that_long_xml_stays_unread(host: Host) -> None:
    host.install_hook("--python", sys.executable)
    _define(host, f"<x:x xmlns:x='urn:x'>{'x' * 200_000}</x:x>")
    host.virsh("start", "--paused", "vm1")
    host.restart_libvirtd()
    host.virsh("destroy", "vm1")
    assert host.operations("vm1") == [
        *("prepare", "start", "started", "reconnect", "stopped", "release")
    ]
    assert "hook" not in host.log().lower()


def test_an_attach_says_that_libvirt_will_not_call_the_hook(host: Host) -> None:
    host.config('[network.lan]\nbridge = "br0"\n')
    host.define(host.domain("vm1"))
    words = ("attach", "vm1", "--network", "lan")
    told = host.vmnet(*words).err
    assert "50-vmnet is not there\n  try: vmnet hook install\n" in told
    assert [each["code"] for each in host.vmnet(*words, "--json").json["hook"]] == ["absent"]
    host.install_hook("--python", sys.executable)
    assert "will not call" not in host.vmnet(*words).err
    assert host.vmnet(*words, "--json").json["hook"] == []


def test_who_makes_a_tap_stays_and_it_says_so(host: Host) -> None:
    host.config('[network.lan]\nbridge = "br0"\n')
    host.define(host.domain("vm1"))
    assert "as before" not in host.vmnet("attach", "vm1", "--network", "lan").err
    assert "as before" in host.vmnet("attach", "vm1", "--network", "lan", "--by", "libvirt").err
    row = host.vmnet("list").out.splitlines()[1].split()
    assert (row[1], row[3]) == ("0", "-")
