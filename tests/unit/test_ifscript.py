"""The script door: where the wish for a TAP comes from."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.entry import door, ifscript
from vmnet.entry.ifscript import wish_for
from vmnet.errors import InvalidInput
from vmnet.formats.config import Config, TapRule
from vmnet.model.network import Network
from vmnet.model.nic import Wish

CONFIG = Config(
    "x.toml",
    "lan",
    {"lan": Network("lan", "br0"), "dmz": Network("dmz", "br1")},
    {"tap0": TapRule("dmz", "db"), "tap1": TapRule("lan")},
)


def test_without_any_word_the_service_chooses_and_the_tap_names_the_vm() -> None:
    assert wish_for("tap9", {}, CONFIG) == Wish("tap9")
    assert wish_for("tap9", {}, Config()) == Wish("tap9")


def test_the_configurations_rule_for_the_tap_counts() -> None:
    assert wish_for("tap0", {}, CONFIG) == Wish("db", network="dmz")
    assert wish_for("tap1", {}, CONFIG) == Wish("tap1", network="lan")


def test_the_environment_may_have_numbers_of_nine_digits() -> None:
    assert wish_for("tap9", {"VMNET_MTU": "9" * 9}, CONFIG).mtu == 10**9 - 1


def test_the_environment_goes_before_the_rule() -> None:
    environment = {"VMNET_NETWORK": "lan", "VMNET_VM": "web", "VMNET_NIC": "2", "VMNET_MTU": "1400"}
    assert wish_for("tap0", environment, CONFIG) == Wish("web", 2, network="lan", mtu=1400)
    assert wish_for("tap0", {"VMNET_BRIDGE": "br7"}, CONFIG) == Wish("db", bridge="br7")


def test_the_rule_fills_in_what_the_environment_leaves_open() -> None:
    assert wish_for("tap0", {"VMNET_VM": "web"}, CONFIG) == Wish("web", network="dmz")
    assert wish_for("tap0", {"VMNET_MTU": "1400"}, CONFIG) == Wish("db", network="dmz", mtu=1400)


def test_bridge_and_network_are_both_passed_on_to_be_refused() -> None:
    both = wish_for("tap0", {"VMNET_BRIDGE": "br0", "VMNET_NETWORK": "lan"}, CONFIG)
    assert (both.bridge, both.network) == ("br0", "lan")


@pytest.mark.parametrize(
    "key", ["VMNET_NETWORK", "VMNET_BRIDGE", "VMNET_VM", "VMNET_NIC", "VMNET_MTU"]
)
def test_a_variable_set_to_nothing_says_nothing(key: str) -> None:
    assert wish_for("tap0", {key: ""}, CONFIG) == wish_for("tap0", {}, CONFIG)


@pytest.mark.parametrize(
    "text", ["two", "-1", "1.5", " 1", "1 ", "٣", "1_0", "0x1", "9" * 10, "9" * 5000]
)
@pytest.mark.parametrize("key", ["VMNET_NIC", "VMNET_MTU"])
def test_a_variable_that_is_no_number_is_named(key: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=f"{key}=.* is not a number") as caught:
        wish_for("tap0", {key: text}, CONFIG)
    assert caught.value.code == "bad-environment"
    assert key in caught.value.remedy
    assert len(caught.value.message) < 100


@given(st.text(), st.text(), st.text())
def test_any_text_of_the_environment_is_taken_as_it_is(vm: str, bridge: str, network: str) -> None:
    environment = {"VMNET_VM": vm, "VMNET_BRIDGE": bridge, "VMNET_NETWORK": network}
    wish = wish_for("tap9", environment, Config())
    assert wish == Wish(vm or "tap9", bridge=bridge or None, network=network or None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "called with 'up' or 'down'"),
        (["up"], "called with 'up' or 'down'"),
        (["sideways", "tap0"], "called with 'up' or 'down'"),
        (["up", "tap0", "x"], "called with 'up' or 'down'"),
        (["up", ""], "tap name '' has 0 bytes"),
        (["up", "a" * 16], "has 16 bytes"),
        (["down", "a/b"], "has a character"),
        (["up", "a\033[2J"], r"'a\x1b[2J' has a character"),
    ],
)
def test_a_wrong_call_is_one_line_of_error_with_status_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(door, "begin", lambda: None)
    monkeypatch.setattr(sys, "argv", ["ifscript", *words])
    with pytest.raises(SystemExit) as ended:
        ifscript.main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == ""
    assert said in err
    assert "; try: " in err
    assert len(err.splitlines()) == 1
