"""A domain that requires vhost-net, where there is one: from `vmnet attach` to nothing left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.domains import address
from tests.support.libvirtd import Host, timed
from tests.support.place import wait_for
from vmnet.model.names import link_name

_CONFIG = 'default = "lan"\n[network.lan]\nbridge = "br0"\n'
_NODE = Path("/dev/vhost-net")


@pytest.fixture
def kvm() -> Iterator[Host]:
    """A host with KVM, a bridge, the configuration and the hook, which gets time here."""
    with Host(kvm=True) as host:
        host.bridge("br0", "10.99.0.1/24")
        host.config(_CONFIG)
        host.install_hook("--timeout", "300")
        yield host


def _holder(host: Host, nic: int) -> dict[str, object]:
    done = host.vmnet("who", link_name("vm1", nic), "--json").json
    (holder,) = done["holders"]
    assert isinstance(holder, dict)
    return holder


def test_required_vhost_is_proved_at_the_start_and_at_hot_plug(kvm: Host) -> None:
    kvm.define(kvm.domain("vm1", addresses=(address(1), address(1, 1)), cpus=2))
    done = kvm.vmnet("attach", "vm1", "--require-vhost", "--queues", "2", "--json").json
    assert done["data_path"]["reason"] == "vhost-ok"
    with timed("start and boot"):
        kvm.virsh("start", "vm1")
        seen = kvm.wait_guest("vm1")["eth0"]
    assert (seen["driver"], seen["rxqueues"]) == ("virtio_net", "2")
    assert kvm.ping(address(1), 30)
    assert kvm.operations() == ["prepare", "start", "started"]
    assert '"vhostfds":"' in kvm.qemu_argv("vm1")
    holder = _holder(kvm, 0)
    assert (holder["queues"], holder["vhost_fds"]) == (2, 2)
    assert kvm.vmnet("sync").err == ""

    kvm.vmnet("attach", "vm1", "--nic", "1", "--require-vhost")
    assert _holder(kvm, 1)["vhost_fds"] == 3
    wait_for(lambda: "nic=eth1" in kvm.console("vm1"), 60, "the guest has no second NIC")
    kvm.vmnet("detach", "vm1", "--nic", "1")
    assert link_name("vm1", 1) not in kvm.links()
    assert _holder(kvm, 0)["vhost_fds"] == 2
    kvm.virsh("destroy", "vm1")
    assert kvm.leftovers() == []


def test_required_vhost_that_cannot_be_had_is_refused_before_anything_is_made(kvm: Host) -> None:
    kvm.define(kvm.domain("vm1"))
    kvm.vmnet("attach", "vm1", "--require-vhost")
    mode = _NODE.stat().st_mode & 0o777
    kvm.sh(f"mknod /run/null c 1 3; mount --bind /run/null {_NODE}")
    try:
        refused = kvm.virsh("start", "vm1", status=1).err
        assert "refuses VHOST_GET_FEATURES" in refused
        assert kvm.operations() == ["prepare", "stopped", "release"]
        # A running domain cannot get such a NIC either, and stays as it was.
        kvm.vmnet("detach", "vm1")
        kvm.virsh("start", "--paused", "vm1")
        before = kvm.live_xml("vm1")
        kvm.vmnet("attach", "vm1", "--require-vhost", status=9)
        assert kvm.live_xml("vm1") == before
        # Nor one that only would like it: libvirt would hand QEMU the descriptor, and QEMU ends.
        assert "--no-vhost" in kvm.vmnet("attach", "vm1", "--vhost", status=9).err
        assert kvm.live_xml("vm1") == before
        assert kvm.vmnet("attach", "vm1", "--no-vhost").status == 0
    finally:
        kvm.sh(f"umount {_NODE}")
    assert _NODE.stat().st_mode & 0o777 == mode
    kvm.virsh("destroy", "vm1")
    assert kvm.leftovers() == []
