"""A private libvirtd with real KVM and vhost-net."""

from __future__ import annotations

from tests.support.domains import address, bridge_nic, mac
from tests.support.libvirtd import Host, timed

_VHOST = "<driver name='vhost' queues='2'/>"


def test_libvirt_gives_a_kvm_guest_vhost_on_every_queue() -> None:
    with Host(kvm=True) as host:
        with timed("libvirtd ready"):
            host.virsh("list")
        host.bridge("br0", "10.99.0.1/24")
        nic = bridge_nic(mac(1), inner=_VHOST)
        with timed("start and boot"):
            seen = host.boot(host.domain("vm1", nic, addresses=(address(1),), cpus=2))
        assert (seen["eth0"]["driver"], seen["eth0"]["rxqueues"]) == ("virtio_net", "2")
        assert host.ping(address(1))
        assert '"vhostfds":"' in host.qemu_argv("vm1")
        with timed("destroy"):
            host.virsh("destroy", "vm1")
        assert host.operations() == ["prepare", "start", "started", "stopped", "release"]
        assert host.leftovers() == []
