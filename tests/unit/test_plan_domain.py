"""What a domain's XML and wishes come to on this host, and what goes beyond its networks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.domainxml import KINDS
from tests.unit.values import MAC
from vmnet.errors import Conflict, InvalidInput, NotFound, Unsupported, VmnetError
from vmnet.formats.config import Config
from vmnet.model.domain import Domain, Interface, NicWish
from vmnet.model.network import Network
from vmnet.model.nic import Nic
from vmnet.model.vhost import Policy, Reason
from vmnet.plan.domain import DomainNic, check_arrived, domain_nics, libvirt_vhost, model_of
from vmnet.service.domains import look, network_of

LAN = Network("lan", "br0")
MAC2 = "52:54:00:00:00:02"
BRIDGE = Interface("bridge", MAC, bridge="br0", model="virtio")
MADE = Interface("ethernet", MAC, target="vmnx-0", managed=False, model="virtio")
NETWORK = Interface("network", MAC, network="default", model="virtio")


def domain(*interfaces: Interface, wishes: tuple[NicWish, ...] = (NicWish(MAC, 0),)) -> Domain:
    return Domain("vm1", "u", "kvm", interfaces, wishes)


def joined(interface: Interface, network: Network = LAN, wish: NicWish | None = None) -> DomainNic:
    wish = wish or NicWish(interface.mac, 0)
    (each,), notes = domain_nics(domain(interface, wishes=(wish,)), {wish.mac: network})
    assert notes == []
    return each


def refusal(interface: Interface, network: Network = LAN, wish: NicWish | None = None) -> str:
    with pytest.raises(VmnetError) as caught:
        joined(interface, network, wish)
    assert caught.value.message.startswith(f"NIC 0 ({interface.mac}): ")
    assert caught.value.remedy
    return f"{type(caught.value).__name__} {caught.value.code}"


@pytest.mark.parametrize("interface", [BRIDGE, MADE, NETWORK])
def test_a_wish_that_says_nothing_gets_what_the_network_gives(interface: Interface) -> None:
    each = joined(interface)
    assert each.nic == Nic("vm1", 0, "br0", MAC, None, 1, Policy.AUTO, "virtio-net-pci", 0)
    assert each.made is (interface.kind == "ethernet")
    assert set(each.sources) == {
        *("network", "bridge", "mac", "mtu", "queues", "vhost", "model", "guard")
    }


def test_the_xml_goes_before_the_network_and_each_source_is_named() -> None:
    network = replace(LAN, mtu=9000, queues=4, vhost=Policy.PREFER)
    plain = joined(BRIDGE, network)
    assert (plain.nic.mtu, plain.nic.queues, plain.nic.vhost) == (9000, 1, Policy.PREFER)
    assert plain.sources["mtu"] == plain.sources["vhost"] == "network 'lan' of the configuration"
    said = joined(
        replace(BRIDGE, mtu=1400, queues=2), network, NicWish(MAC, 0, "lan", Policy.REQUIRE)
    )
    assert (said.nic.mtu, said.nic.queues, said.nic.vhost) == (1400, 2, Policy.REQUIRE)
    assert "XML" in said.sources["mtu"]
    assert "XML" in said.sources["queues"]
    assert said.sources["vhost"] == said.sources["network"] == "the domain's metadata"


# The ceiling.


@pytest.mark.parametrize(("kind", "bridge"), [("bridge", "br1"), ("network", "br1")])
def test_another_bridge_than_the_networks_is_refused(kind: str, bridge: str) -> None:
    assert refusal(replace(BRIDGE, kind=kind, bridge=bridge)) == "Conflict beyond-network"


@pytest.mark.parametrize("bridge", ["", "br0"])
def test_a_bridge_that_is_not_known_yet_is_looked_at_when_it_is(bridge: str) -> None:
    each = joined(replace(NETWORK, bridge=bridge))
    check_arrived(replace(NETWORK, target="vnet0", bridge="br0"), each.nic)
    # `start` reads the XML anew, and there libvirt's network has its bridge.
    arrived = replace(NETWORK, target="vnet0", bridge="br1")
    assert refusal(arrived) == "Conflict beyond-network"
    with pytest.raises(InvalidInput):
        check_arrived(replace(NETWORK, bridge="br0"), each.nic)


@pytest.mark.parametrize(("mtu", "limit"), [(1501, 1500), (65521, 9000), (10**9, 1500)])
def test_an_mtu_over_the_networks_is_refused(mtu: int, limit: int) -> None:
    network = replace(LAN, mtu=limit)
    assert refusal(replace(BRIDGE, mtu=mtu), network) == "Conflict beyond-network"
    assert joined(replace(BRIDGE, mtu=limit), network).nic.mtu == limit


#: What each network lets a wish say.
_ALL = set(Policy)
_MAY = {
    Policy.AUTO: _ALL,
    Policy.PREFER: _ALL,
    Policy.REQUIRE: {Policy.REQUIRE},
    Policy.OFF: {Policy.OFF},
}


@pytest.mark.parametrize("given", Policy)
@pytest.mark.parametrize("wished", Policy)
def test_a_policy_may_be_narrowed_only(given: Policy, wished: Policy) -> None:
    network, wish = replace(LAN, vhost=given), NicWish(MAC, 0, None, wished)
    if wished in _MAY[given]:
        assert joined(BRIDGE, network, wish).nic.vhost is wished
    else:
        assert refusal(BRIDGE, network, wish) == "Conflict beyond-network"


def test_a_wish_for_a_network_that_is_not_there_is_refused_in_few_words() -> None:
    config = Config("x.toml", None, {"lan": LAN})
    for name in ("dmz", "x" * 10**6, "LAN"):
        with pytest.raises(NotFound) as caught:
            look(domain(BRIDGE, wishes=(NicWish(MAC, 0, name),)), config)
        assert caught.value.code == "no-network"
        assert len(caught.value.message + caught.value.remedy) < 400
    with pytest.raises(InvalidInput):
        network_of(None, config)
    assert network_of(None, replace(config, default="lan")) == LAN


# Kinds.


@pytest.mark.parametrize(
    "kind",
    [*sorted({*KINDS} - {"bridge", "network", "ethernet"}), "", "Bridge", "x" * 10**6],
)
def test_a_kind_that_has_no_tap_of_ours_is_refused_only_with_a_wish(kind: str) -> None:
    interface = replace(BRIDGE, kind=kind)
    assert refusal(interface) == "Unsupported interface-kind"
    nics, notes = domain_nics(domain(interface, wishes=()), {})
    assert nics == []
    assert len(notes[0]) < 200


@pytest.mark.parametrize("virtualport", ["openvswitch", "midonet", "802.1Qbh"])
def test_another_kind_of_switch_is_refused(virtualport: str) -> None:
    with pytest.raises(Unsupported, match=virtualport):
        joined(replace(BRIDGE, virtualport=virtualport))


def test_a_tap_in_no_bridge_that_libvirt_would_make_is_refused() -> None:
    assert refusal(replace(MADE, managed=True)) == "Conflict not-managed-no"


@pytest.mark.parametrize(
    "target",
    ["", "x" * 16, "a/b", "a b", "a:b", "tap%d", "..", "täp", "\u0661", "a\nb", "x" * 10**6],
)
def test_a_target_that_no_link_can_have_is_refused(target: str) -> None:
    assert refusal(replace(MADE, target=target)) == "InvalidInput bad-link-name"
    if target:
        assert refusal(replace(BRIDGE, target=target)) == "InvalidInput bad-link-name"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"queues": 257}, "bad-queues"),
        ({"queues": 10**9}, "bad-queues"),
        ({"queues": 2, "model": "e1000"}, "bad-queues"),
        ({"queues": 2, "model": ""}, "bad-queues"),
        ({"mtu": 67}, "bad-mtu"),
        ({"mtu": 65522}, "bad-mtu"),
        ({"mtu": 10**9}, "bad-mtu"),
        ({"model": "e1000,romfile=/etc/shadow"}, "bad-model"),
        ({"model": "x" * 65}, "bad-model"),
    ],
)
def test_what_no_tap_can_have_is_refused(change: dict[str, object], code: str) -> None:
    interface = replace(BRIDGE, **change)  # type: ignore[arg-type]
    assert refusal(interface) == f"InvalidInput {code}"


@pytest.mark.parametrize(
    ("model", "qemus"),
    [
        ("virtio", "virtio-net-pci"),
        ("virtio-transitional", "virtio-net-pci"),
        ("virtio-non-transitional", "virtio-net-pci"),
        ("", "rtl8139"),
        ("e1000e", "e1000e"),
    ],
)
def test_libvirts_models_have_qemus_names(model: str, qemus: str) -> None:
    assert model_of(replace(BRIDGE, model=model)) == qemus


# Which interface a wish is for.


def test_two_interfaces_of_one_mac_and_a_wish_for_it_are_refused() -> None:
    for first, second in ((BRIDGE, BRIDGE), (BRIDGE, MADE), (replace(BRIDGE, kind="user"), BRIDGE)):
        with pytest.raises(Conflict) as caught:
            domain_nics(domain(first, second), {MAC: LAN})
        assert caught.value.code == "mac-twice"
    nics, notes = domain_nics(domain(BRIDGE, BRIDGE, wishes=()), {})
    assert (nics, len(notes)) == ([], 2)
    with pytest.raises(Conflict):
        domain(BRIDGE, BRIDGE).interface(MAC)


def test_two_nics_on_one_tap_are_refused() -> None:
    wishes = (NicWish(MAC, 0), NicWish(MAC2, 1))
    second = replace(MADE, mac=MAC2)
    with pytest.raises(Conflict) as caught:
        domain_nics(domain(MADE, second, wishes=wishes), {MAC: LAN, MAC2: LAN})
    assert caught.value.code == "target-twice"
    # Those that libvirt has not named yet are no such case.
    both = domain(BRIDGE, replace(BRIDGE, mac=MAC2), wishes=wishes)
    assert len(domain_nics(both, {MAC: LAN, MAC2: LAN})[0]) == 2


def test_wish_and_interface_meet_by_the_mac_and_keep_the_order_of_the_xml() -> None:
    second = replace(BRIDGE, mac=MAC2)
    wishes = (NicWish(MAC, 7), NicWish(MAC2, 3))
    nics, notes = domain_nics(domain(second, BRIDGE, wishes=wishes), {MAC: LAN, MAC2: LAN})
    assert [(each.nic.nic, each.nic.mac) for each in nics] == [(3, MAC2), (7, MAC)]
    assert notes == []


def test_what_has_no_counterpart_is_noted_and_left() -> None:
    nics, notes = domain_nics(domain(replace(BRIDGE, mac=""), wishes=(NicWish(MAC2, 0),)), {})
    assert nics == []
    assert [MAC2 in note for note in notes] == [False, True]
    # Not even its network has to be there.
    assert look(domain(wishes=(NicWish(MAC2, 0, "nowhere"),)), Config())[0] == []


# libvirt's own rule about vhost-net.


@pytest.mark.parametrize(
    ("kind", "driver", "reason"),
    [
        ("kvm", "", None),
        ("kvm", "vhost", None),
        ("kvm", "qemu", Reason.DRIVER_QEMU),
        ("qemu", "", Reason.NOT_KVM),
        ("qemu", "vhost", Reason.NOT_KVM),
        ("qemu", "qemu", Reason.NOT_KVM),
        ("", "", Reason.NOT_KVM),
        ("x" * 10**6, "", Reason.NOT_KVM),
    ],
)
def test_when_libvirt_does_not_use_vhost(kind: str, driver: str, reason: Reason | None) -> None:
    found = libvirt_vhost(replace(domain(), kind=kind), replace(BRIDGE, driver=driver))
    assert (found.reason if found else None) is reason
    if found is not None:
        assert len(found.detail) < 200
        assert found.remedy
