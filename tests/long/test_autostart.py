"""A host's worth of libvirt domains that start with it."""

from __future__ import annotations

import pytest

from tests.libvirt.wished import ENDED, STARTED, ready, tags, wait_clean, wished
from tests.support.domains import address
from tests.support.libvirtd import Host, timed
from tests.support.place import wait_for

COUNT = 10


@pytest.mark.timeout(400)
def test_ten_domains_that_start_with_their_host() -> None:
    names = [f"vm{vm}" for vm in range(1, COUNT + 1)]
    with Host() as host:
        host.bridge("br0", "10.99.0.1/24")
        ready(host)
        for vm, name in enumerate(names, 1):
            host.define(wished(host, vm))
            host.virsh("autostart", name)
        host.stop_libvirtd()
        # What tells it that this host has not just booted.
        host.sh("rm -f /run/libvirt/qemu/autostarted")
        with timed(f"{COUNT} domains started"):
            host.start_libvirtd()
            wait_for(lambda: all(host.operations(n) == STARTED for n in names), 120)
        for vm, name in enumerate(names, 1):
            host.wait_guest(name, 200)
            assert host.ping(address(vm)), name
            assert host.ping(address(vm, 1)), name
        assert len(tags(host)) == 2 * COUNT
        with timed(f"{COUNT} domains destroyed"):
            for name in names:
                host.virsh("destroy", name)
                assert host.operations(name) == STARTED + ENDED
        wait_clean(host)
