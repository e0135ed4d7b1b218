"""`vmnet attach`: what the kernel shows afterwards."""

from __future__ import annotations

from tests.support.lab import Lab


def test_attach_makes_a_tap_that_is_ready(lab: Lab) -> None:
    lab.sh("ip link add br0 type bridge; ip link set br0 up")
    done = lab.vmnet("attach", "vm1", "--json").json
    tap = lab.link(done["tap"])
    assert tap["master"] == "br0"
    assert tap["linkinfo"]["info_kind"] == "tun"
    assert tap["linkinfo"]["info_data"]["persist"] is True
    assert tap["linkinfo"]["info_data"]["vnet_hdr"] is True
    assert tap["linkinfo"]["info_data"]["user"] == "root"
    assert tap["address"] == "fe" + done["mac"][2:]
    assert "UP" in tap["flags"]
    assert tap["inet6_addr_gen_mode"] == "none"
    assert "vmnet-vm1-0" in tap["altnames"]


def test_attaching_again_is_an_empty_plan(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    first = lab.vmnet("attach", "vm1", "--json").json
    before = lab.state()
    again = lab.vmnet("attach", "vm1", "--json").json
    assert again["steps"] == []
    assert lab.state() == before
    assert again["qemu"] == first["qemu"]
    lab.vmnet("detach", "vm1")
    lab.vmnet("bridge", "delete", "br0")
    assert lab.leftovers() == []
