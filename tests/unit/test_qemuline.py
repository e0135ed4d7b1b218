"""What is read off the command line of a QEMU that runs; its user may have written anything."""

from __future__ import annotations

import pytest

from vmnet.formats.qemuline import netdevs
from vmnet.model.netdev import Netdev


def test_a_tap_by_name_with_its_device() -> None:
    line = (
        "qemu-system-x86_64 -netdev tap,id=n0,ifname=tap0,script=,downscript=,vhost=on,queues=4"
        " -device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:AB,mq=on"
    )
    (found,) = netdevs(line.split())
    assert found == Netdev(
        "n0", "tap0", vhost=True, queues=4, model="virtio-net-pci", mac="52:54:00:00:00:ab"
    )


def test_descriptors_as_run_and_libvirt_hand_them_over() -> None:
    line = (
        "qemu -netdev tap,id=a,fds=7:8,vhost=on,vhostfds=9:10"
        " -device driver=e1000e,netdev=a"
        """ -netdev {"type":"tap","fd":"31","vhost":true,"vhostfd":"33","id":"hostnet0"}"""
        """ -device {"driver":"virtio-net-pci","netdev":"hostnet0","mac":"52:54:00:00:00:01"}"""
        " -netdev user,id=u"
    )
    first, second = netdevs(line.split())
    assert (first.fds, first.vhost_fds, first.queues, first.model) == ((7, 8), (9, 10), 2, "e1000e")
    assert (second.fds, second.vhost_fds, second.vhost) == ((31,), (33,), True)
    assert second.model == "virtio-net-pci"


def test_nic_in_one_word() -> None:
    (found,) = netdevs(["kvm", "-nic", "tap,ifname=tap0,model=e1000,mac=52:54:00:00:00:01"])
    assert (found.ifname, found.model, found.vhost) == ("tap0", "e1000", False)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-netdev"],
        ["-netdev", "tap"],
        ["-netdev", "tap,fds=" + ":".join(["7"] * 100_000)],
        ["-netdev", "tap,fds=a:-1:²:7:" + "9" * 5],
        ["-netdev", "tap,queues=99999999999999999999"],
        ["-netdev", "tap,queues=-1"],
        ["-netdev", "{" * 100_000],
        ["-netdev", '{"type": "tap", "fds": [1, 2], "queues": null}'],
        ["-netdev", '{"type": ["tap"]}'],
        ["-netdev", "tap,,=,=,,,id"],
        ["-device", "", "-netdev", "\x1b[31m"],
    ],
)
def test_nonsense_is_no_error(words: list[str]) -> None:
    for found in netdevs(words):
        assert len(found.fds) <= 256
        assert found.queues >= 1
