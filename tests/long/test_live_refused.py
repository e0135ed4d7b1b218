"""`vmnet attach` and `detach` of domains that cannot be: refused, and all is as it was."""

from __future__ import annotations

import pytest

from tests.libvirt.wished import By, domain, paused, ready, tags, tap, wished
from tests.support.domains import NICS, mac
from tests.support.lab import VENV_BIN
from tests.support.libvirtd import Host
from tests.support.place import wait_for

ATTACH = ("attach", "vm1", "--network", "lan", "--mac", mac(1))


@pytest.fixture(autouse=True)
def _ready(host: Host) -> None:
    ready(host)


def _bare(host: Host) -> str:
    """Return the XML of a guest without a NIC and without a word of vmnet."""
    return domain(host, 1, [])


def _config_xml(host: Host) -> str:
    return host.virsh("dumpxml", "--inactive", "vm1").out


def _taps(host: Host) -> list[str]:
    return sorted(name for name in host.links() if name.startswith(("vmn", "vnet")))


def _picture(host: Host) -> tuple[str, str, dict[str, str]]:
    """Return all that an attach may change."""
    return host.live_xml("vm1"), _config_xml(host), tags(host)


def test_a_dry_run_changes_nothing_and_says_all(host: Host) -> None:
    paused(host, _bare(host))
    before = _picture(host)
    steps = host.vmnet(*ATTACH, "--dry-run", "--json").json["steps"]
    assert len(steps) > 5
    assert _picture(host) == before
    done = host.vmnet(*ATTACH, "--json").json["steps"]
    assert [str(step)[:40] for step in done[: len(steps)]] == [str(step)[:40] for step in steps]
    before = _picture(host)
    host.vmnet("detach", "vm1", "--dry-run")
    assert _picture(host) == before


def test_a_plain_tap_of_that_name_keeps_a_domain_from_starting(host: Host) -> None:
    host.define(wished(host, kinds=(By.VMNET,)))
    host.vmnet("attach", "vm1", "--plain", "--network", "lan")
    before = tags(host)
    refused = host.virsh("start", "--paused", "vm1", status=1)
    assert f"tap '{tap(1)}' was attached without libvirt" in refused.err
    assert "`vmnet detach vm1 --plain --nic 0`" in refused.err
    assert (tags(host), host.ports("br0")) == (before, [tap(1)])
    host.vmnet("detach", "vm1", "--plain")
    host.virsh("start", "--paused", "vm1")
    # Nor does a running domain's become one that stays.
    before = tags(host)
    for verb in ("attach", "detach"):
        refused = host.vmnet(verb, "vm1", "--plain", status=None)
        assert refused.status in (5, 6)
        assert tags(host) == before


@pytest.mark.parametrize("by", By)
def test_a_plug_that_libvirt_refuses_leaves_all_as_it_was(host: Host, by: By) -> None:
    # On this machine a device is plugged into a port, and there is none left.
    paused(host, _bare(host).replace("machine='pc'", "machine='q35'"))
    before = _picture(host)
    refused = host.vmnet(*ATTACH, "--by", by, status=13)
    assert "No more available PCI slots" in refused.err
    assert _picture(host) == before
    assert _taps(host) == []


def test_what_nobody_could_be_told_of_is_taken_back(host: Host) -> None:
    host.boot(_bare(host))
    before = _picture(host)
    words = " ".join(ATTACH)
    done = host.run("sh", "-c", f"exec {VENV_BIN}/vmnet {words} --json >/dev/full", status=None)
    assert done.status not in (0, None)
    assert "Traceback" not in done.err
    assert _picture(host) == before
    assert _taps(host) == []


def test_a_libvirtd_that_hangs_is_not_waited_for_for_ever(host: Host) -> None:
    host.define(_bare(host))
    pid = host.path("/run/libvirtd.pid").read_text().strip()
    host.sh(f"kill -STOP {pid}")
    refused = host.cold(*ATTACH, status=6)
    assert "libvirt did not answer within 30 s" in refused.err
    host.sh(f"kill -CONT {pid}")
    assert _taps(host) == []
    assert NICS not in _config_xml(host)


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_without_libvirtd_a_domains_name_does_not_become_another_things(
    host: Host, signal: str
) -> None:
    host.define(_bare(host))
    host.stop_libvirtd(signal)
    for verb in (ATTACH, ("detach", "vm1")):
        refused = host.vmnet(*verb, status=8)
        assert "systemctl start libvirtd" in refused.err
        assert "cannot tell what 'vm1' means" in refused.err
    assert _taps(host) == []
    assert host.vmnet("sync", status=8).out == ""
    host.vmnet("attach", "vm1", "--plain", "--network", "lan")
    host.vmnet("detach", "vm1", "--plain")
    assert host.leftovers() == []


def test_a_guest_that_was_asked_too_early_lets_go_after_a_reset(host: Host) -> None:
    paused(host, wished(host, kinds=(By.VMNET,)))
    # The guest is not there yet, and QEMU asks once.
    host.virsh("detach-interface", "vm1", "ethernet", "--mac", mac(1), "--live", status=None)
    host.virsh("resume", "vm1")
    host.wait_guest("vm1")
    host.virsh("reset", "vm1")
    wait_for(lambda: host.console("vm1").count("vmnet-guest: ready") == 2, 60)
    host.vmnet("detach", "vm1")
    assert _taps(host) == []
    assert mac(1) not in host.live_xml("vm1") + _config_xml(host)
