"""The vhost decision, for every policy, device model and finding."""

from __future__ import annotations

import pytest

from vmnet.errors import InvalidInput, VhostUnavailable
from vmnet.model.vhost import DataPath, Finding, Policy, Reason, decide, is_virtio, needs_look

VIRTIO, E1000 = "virtio-net-pci", "e1000"
#: What an attempt to open the node can give.
OBSTACLES = [r for r in Reason if r not in (Reason.OK, Reason.ASKED_NOT, Reason.MODEL)]
WANTING = [Policy.AUTO, Policy.PREFER, Policy.REQUIRE]
FALLING_BACK = [Policy.AUTO, Policy.PREFER]
GOOD = Finding(Reason.OK, "opened twice and answered")


def bad(reason: Reason) -> Finding:
    return Finding(reason, f"detail of {reason}", f"remedy of {reason}")


@pytest.mark.parametrize("policy", WANTING)
def test_vhost_is_used_where_it_was_proved(policy: Policy) -> None:
    verdict = decide(policy, VIRTIO, GOOD)
    assert (verdict.path, verdict.reason, verdict.warning) == (DataPath.VHOST, Reason.OK, False)
    assert verdict.vhost
    assert verdict.detail == GOOD.detail
    assert verdict.remedy == ""


@pytest.mark.parametrize("reason", OBSTACLES)
@pytest.mark.parametrize("policy", FALLING_BACK)
def test_an_obstacle_means_userspace_with_its_reason(policy: Policy, reason: Reason) -> None:
    verdict = decide(policy, VIRTIO, bad(reason))
    assert (verdict.path, verdict.reason) == (DataPath.USERSPACE, reason)
    assert not verdict.vhost
    assert verdict.detail == f"detail of {reason}"
    assert verdict.remedy == f"remedy of {reason}"


@pytest.mark.parametrize("reason", OBSTACLES)
def test_falling_back_is_a_warning_only_where_vhost_was_asked_for(reason: Reason) -> None:
    assert decide(Policy.PREFER, VIRTIO, bad(reason)).warning
    assert not decide(Policy.AUTO, VIRTIO, bad(reason)).warning


@pytest.mark.parametrize("reason", OBSTACLES)
def test_an_obstacle_to_required_vhost_is_an_error_with_its_code(reason: Reason) -> None:
    with pytest.raises(VhostUnavailable) as caught:
        decide(Policy.REQUIRE, VIRTIO, bad(reason))
    assert caught.value.code == reason.value
    assert f"detail of {reason}" in caught.value.message
    assert caught.value.remedy == f"remedy of {reason}"


@pytest.mark.parametrize("finding", [None, GOOD, bad(Reason.PERMISSION)])
def test_vhost_that_was_not_wanted_is_not_used(finding: Finding | None) -> None:
    verdict = decide(Policy.OFF, VIRTIO, finding)
    assert (verdict.path, verdict.reason) == (DataPath.USERSPACE, Reason.ASKED_NOT)
    assert not verdict.warning
    assert verdict.remedy == ""


@pytest.mark.parametrize("finding", [None, GOOD, bad(Reason.PERMISSION)])
@pytest.mark.parametrize("policy", [Policy.AUTO, Policy.PREFER, Policy.OFF])
def test_an_emulated_model_never_gets_vhost(policy: Policy, finding: Finding | None) -> None:
    verdict = decide(policy, E1000, finding)
    assert (verdict.path, verdict.reason) == (DataPath.EMULATED, Reason.MODEL)
    assert verdict.warning == (policy is Policy.PREFER)
    assert "e1000" in verdict.detail


def test_requiring_vhost_for_an_emulated_model_is_an_error() -> None:
    with pytest.raises(VhostUnavailable) as caught:
        decide(Policy.REQUIRE, E1000, None)
    assert caught.value.code == "model-not-virtio"
    assert "virtio-net-pci" in caught.value.remedy


@pytest.mark.parametrize("policy", WANTING)
def test_vhost_is_never_hoped_for(policy: Policy) -> None:
    with pytest.raises(InvalidInput, match="needs a look"):
        decide(policy, VIRTIO, None)


@pytest.mark.parametrize("policy", Policy)
def test_the_node_is_tried_only_if_it_can_matter(policy: Policy) -> None:
    assert needs_look(policy, VIRTIO) == (policy is not Policy.OFF)
    assert not needs_look(policy, E1000)


@pytest.mark.parametrize(
    ("model", "virtio"),
    [
        ("virtio-net-pci", True),
        ("virtio-net-device", True),
        ("virtio-net-ccw", True),
        ("virtio-net-pci-transitional", True),
        ("e1000", False),
        ("e1000e", False),
        ("rtl8139", False),
        ("vmxnet3", False),
        ("virtio-blk-pci", False),
    ],
)
def test_virtio_models_are_told_from_emulated_ones(model: str, *, virtio: bool) -> None:
    assert is_virtio(model) == virtio


def test_reason_codes_are_a_contract() -> None:
    assert {reason.value for reason in Reason} == {
        "vhost-ok",
        "asked-not",
        "model-not-virtio",
        "not-loaded",
        "not-in-kernel",
        "node-missing",
        "permission",
        "denied",
        "fd-limit",
        "no-memory",
        "not-vhost-net",
        "features",
        "open-failed",
        "domain-not-kvm",
        "wire-user",
        "wire-vhost-user",
        "driver-qemu",
        "plugged-without",
    }
