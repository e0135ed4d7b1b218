"""Attach and detach of a running domain, killed without a word at some time of their run."""

from __future__ import annotations

from collections.abc import Iterable
from time import sleep

from tests.libvirt.wished import By, domain, tags, tap
from tests.support.domains import NICS, mac
from tests.support.lab import VENV_BIN
from tests.support.libvirtd import Host

_ATTACH = ("attach", "vm1", "--network", "lan", "--mac", mac(1))
_DETACH = ("detach", "vm1")


def sweep(host: Host, by: By, hundredths: Iterable[int]) -> None:
    """Kill attach and detach after each of these times; look at what the next call makes of it."""
    host.boot(domain(host, 1, []))  # a guest, which lets go of what is unplugged
    attach = (*_ATTACH, "--by", by)
    seen = set()
    for each in hundredths:
        # Whatever became of it, either call goes on from there.
        seen.add(_killed(host, attach, each))
        _goes(host)
        _killed(host, attach, each)
        _comes(host, attach)
        seen.add(_killed(host, _DETACH, each))
        sleep(0.5)  # the guest may be about to let go of what it was asked for
        _comes(host, attach)
        _killed(host, _DETACH, each)
        _goes(host)
    assert seen == {0, -9}, f"not some in time and some too late: {seen}"
    # A lock that was held goes with its next holder, or so.
    host.vmnet("gc")
    assert list(host.path("/run/vmnet").rglob("*")) == []


def _killed(host: Host, words: tuple[str, ...], hundredths: int) -> int:
    limit = ("timeout", "-s", "KILL", f"{hundredths / 100}")
    return host.run(*limit, str(VENV_BIN / "vmnet"), *words, status=None).status


def _comes(host: Host, attach: tuple[str, ...]) -> None:
    host.vmnet(*attach)
    name = tap(1) if "vmnet" in attach else host.ports("br0")[0]
    assert list(tags(host)) == host.ports("br0") == [name]
    config = host.virsh("dumpxml", "--inactive", "vm1").out
    for xml in (host.live_xml("vm1"), config):
        assert (xml.count("<interface "), xml.count(f'nic mac="{mac(1)}"')) == (1, 1)


def _goes(host: Host) -> None:
    host.vmnet(*_DETACH)
    assert tags(host) == {}
    assert [name for name in host.links() if name.startswith(("vmn", "vnet"))] == []
    assert NICS not in host.live_xml("vm1")
    assert NICS not in host.virsh("dumpxml", "--inactive", "vm1").out
    assert "<interface " not in host.live_xml("vm1")
