"""The configuration: read exactly, or refused with file, key and what was expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.errors import ConfigError, NotFound
from vmnet.formats.config import Config, TapRule, parse_config
from vmnet.formats.hostconfig import BridgeRule
from vmnet.model.network import Network
from vmnet.model.port import port_settings
from vmnet.model.vhost import Policy

WHOLE = """
default = "lan"
[network.lan]
bridge = "br0"
mtu = 9000
queues = 4
vhost = "require"
[network.dmz]
bridge = "br1"
[tap.tap0]
network = "dmz"
vm = "a b"
[tap.tap1]
network = "lan"
"""
LAN = '[network.lan]\nbridge = "br0"\n'


def test_every_key_is_read() -> None:
    assert parse_config(WHOLE, "/etc/x.toml") == Config(
        "/etc/x.toml",
        "lan",
        {
            "lan": Network("lan", "br0", 9000, 4, Policy.REQUIRE),
            "dmz": Network("dmz", "br1", None, 1, Policy.AUTO),
        },
        {"tap0": TapRule("dmz", "a b"), "tap1": TapRule("lan", None)},
    )


PORTS = """
[bridge.br0]
vlan-filtering = true
[bridge.br1]
vlan-filtering = true
mtu = 9000
[network.lan]
bridge = "br0"
vlan = 10
address = ["10.0.0.0/24", "2001:db8::/64"]
dhcp-guard = true
rate-out = "100mbit"
strict = true
uplinks = ["eth1"]
[network.lab]
bridge = "br1"
guard = false
trunk = "10,20-29"
native = 1
[tap.tap0]
network = "lan"
mac = "52:54:00:00:00:01"
[[vm.web]]
network = "lan"
address = "10.0.0.5"
owner = "qemu"
[[vm.web]]
nic = 7
owner = 1000
"""


def test_what_may_pass_is_read_and_what_up_is_to_make() -> None:
    found = parse_config(PORTS, "x")
    lan, lab = found.networks["lan"], found.networks["lab"]
    assert port_settings(lan.port) == {
        "vlan": "10",
        "guard": "on",
        "address": "10.0.0.0/24,2001:db8::/64",
        "dhcp-guard": "on",
        "rate-out": "100mbit",
    }
    assert (lan.strict, lan.uplinks) == (True, ("eth1",))
    assert port_settings(lab.port) == {"trunk": "10,20-29", "native": "1", "guard": "off"}
    assert found.taps["tap0"].mac == "52:54:00:00:00:01"
    assert found.own_bridges == (
        BridgeRule("br0", None, vlan_filtering=True),
        BridgeRule("br1", 9000, vlan_filtering=True),
    )
    assert [(each.wish.vm, each.wish.nic, each.owner) for each in found.nics] == [
        ("web", 0, "qemu"),
        ("web", 7, "1000"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("vlan = 0", "VLAN"),
        ("vlan = 4095", "VLAN"),
        ("vlan = 1.5", "vlan is float"),
        ('trunk = "29-20"', "29-20"),
        ("vlan = 1\ntrunk = 2", "exclude"),
        ("trunk = [10, 20]\nnative = 10", "VLAN 10 is in the trunk and native"),
        ('rate-in = "0"', "rate"),
        ('rate-in = "fast"', "fast"),
        ('address = "10.0.0.300"', "10.0.0.300"),
        ("address = [1.5]", "address is list"),
        ('guard = "perhaps"', "perhaps"),
        ("guard = false\nra-guard = true", "guard"),
        ("strict = 1", "strict"),
        ('uplinks = "eth1"', "uplinks"),
        ('uplinks = ["a/b"]', "a/b"),
        ('uplinks = ["eth1"]', "strict"),
    ],
)
def test_what_can_never_pass_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=r"network\.lan") as caught:
        parse_config(LAN + text, "x")
    assert why in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "[bridge.br0]\nmtu = 'x'",
        "[bridge.br0]\ncolour = 1",
        "[bridge.br0]\nvlan-filtering = 1",
        "[bridge.'a/b']",
        "[vm.web]\nnic = 0",
        "vm = 1",
        "[[vm.web]]\nnic = 'x'",
        "[[vm.web]]\nnic = 1\n[[vm.web]]",
        "[[vm.web]]\nnetwork = 'wan'",
        "[[vm.web]]\nvhost = 'maybe'",
        "[[vm.web]]\nmac = 'x'",
        "[[vm.web]]\ncolour = 1",
        "[[vm.'']]",
        "vm.web = [1]",
        "[tun.'a/b']",
        "[tun.tun0]\naddress = '10.0.0.1'",
        "[tun.tun0]\naddress = ['x']",
        "[tun.tun0]\nroute = [1]",
        "[tun.tun0]\nmulti-queue = 1",
        "[tun.tun0]\nowner = ''",
        "[tun.tun0]\ncolour = 1",
        "patch = 1",
        "patch = ['br0']",
        "[[patch]]",
        "[[patch]]\nends = ['br0']",
        "[[patch]]\nends = ['br0', 'br0']",
        "[[patch]]\nends = ['br0', 1]",
        "[[patch]]\nends = ['br0', 'x:y']",
        "[[patch]]\nends = ['br0', 'br1']\naddress = ['10.0.0.1/24']",
        "[[patch]]\nends = ['br0', 'br1']\n[[patch]]\nends = ['br1', 'br0']",
        "[[patch]]\nends = ['br0', 'br1']\ncolour = 1",
    ],
)
def test_what_up_could_never_make_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(text, "x")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[network]\n", "[tap]\n[network]\n"])
def test_an_empty_file_says_nothing(text: str) -> None:
    assert parse_config(text, "x") == Config("x")


def test_a_network_is_found_by_its_name() -> None:
    assert parse_config(WHOLE, "x").network("dmz").bridge == "br1"


def test_a_network_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(NotFound, match=r"no network 'wan' in /etc/x\.toml .networks: lan, dmz."):
        parse_config(WHOLE, "/etc/x.toml").network("wan")
    with pytest.raises(NotFound, match="networks: none") as caught:
        Config().network("lan")
    assert "[network.lan]" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "x.toml: colour is not known; expected one of default, network, tap"),
        (LAN + "mtus = 1", "x.toml: network.lan.mtus is not known; expected one of bridge, mtu"),
        (
            LAN + '[tap.t]\nnetwork = "lan"\nnic = 1',
            "x.toml: tap.t.nic is not known; expected one of network, vm",
        ),
        ("default = 1", "x.toml: default is int '1', expected the name of a network"),
        ('default = "wan"', "x.toml: default names no network: 'wan'"),
        ("network = 1", "x.toml: network is int '1', expected tables"),
        ("[network]\nlan = 1", "x.toml: network.lan is int '1', expected a table"),
        ("[[network]]\na = 1", "x.toml: network is list"),
        ("[network.lan]", "x.toml: network.lan.bridge is missing"),
        ("[network.lan]\nbridge = 1", "x.toml: network.lan.bridge is int '1', expected a bridge"),
        (LAN + 'mtu = "1500"', "x.toml: network.lan.mtu is str '1500', expected a number of bytes"),
        (LAN + "mtu = 1500.0", "x.toml: network.lan.mtu is float '1500.0', expected a number"),
        (LAN + "mtu = true", "x.toml: network.lan.mtu is bool 'True', expected a number of bytes"),
        (LAN + "mtu = 2001-01-01", "x.toml: network.lan.mtu is date '2001-01-01', expected"),
        (LAN + "mtu = 67", "x.toml: network.lan cannot be: MTU 67 is not in 68..65521"),
        (LAN + "mtu = 65522", "x.toml: network.lan cannot be: MTU 65522"),
        (LAN + "queues = true", "x.toml: network.lan.queues is bool 'True', expected a number of"),
        (LAN + "queues = 0", "x.toml: network.lan cannot be: 0 queues"),
        (LAN + "queues = 257", "x.toml: network.lan cannot be: 257 queues"),
        (LAN + "vhost = true", "x.toml: network.lan.vhost is bool 'True', expected one of"),
        (LAN + 'vhost = "on"', "x.toml: network.lan.vhost is 'on', expected one of \"auto\""),
        ('[network.lan]\nbridge = "a b"', "x.toml: network.lan cannot be: bridge name 'a b'"),
        ('[network.lan]\nbridge = ""', "x.toml: network.lan cannot be: bridge name '' has 0"),
        ("tap = []", "x.toml: tap is list '[]', expected tables"),
        (
            LAN + '[tap."a/b"]\nnetwork = "lan"',
            "x.toml: tap.a/b cannot be: tap name 'a/b' has a character",
        ),
        (
            "[tap.t]",
            "x.toml: tap.t.network is missing",
        ),
        ('[tap.t]\nnetwork = "wan"', "x.toml: tap.t.network names no network: 'wan'"),
        (LAN + '[tap.t]\nnetwork = "lan"\nvm = 1', "x.toml: tap.t.vm is int '1', expected a VM's"),
        (LAN + '[tap.t]\nnetwork = "lan"\nvm = "a/b"', "x.toml: tap.t cannot be: VM name 'a/b'"),
        (LAN + '[tap.t]\nnetwork = "lan"\nvm = ""', "x.toml: tap.t cannot be: VM name ''"),
        pytest.param(LAN + "mtu = " + "9" * 5000, "x.toml is not TOML: ", id="5000 digits"),
        (LAN + LAN, "x.toml is not TOML: "),
        ("default =", "x.toml is not TOML: "),
        ("default = 'lan\ndefault", "x.toml is not TOML: "),
    ],
)
def test_what_is_wrong_is_named_by_file_key_and_expectation(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "x.toml")
    assert caught.value.message.startswith(said)
    assert caught.value.code == "config"
    assert "vmnet config check" in caught.value.remedy


def test_deeply_nested_toml_is_an_error_and_no_traceback() -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        parse_config("default = " + "[" * 100_000, "x.toml")


@given(st.text())
def test_any_text_is_a_configuration_or_a_clear_error(text: str) -> None:
    try:
        config = parse_config(text, "x.toml")
    except ConfigError as error:
        assert error.message.startswith("x.toml")  # noqa: PT017 - either outcome is right
        return
    assert config.source == "x.toml"


@given(
    st.dictionaries(
        st.sampled_from(["bridge", "mtu", "queues", "vhost", "color"]),
        st.sampled_from(['"br0"', "1500", "1", "true", '"auto"', "1.5", "[]", "{}", "-1"]),
    )
)
def test_any_network_is_one_or_a_clear_error(keys: dict[str, str]) -> None:
    text = "[network.lan]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
    try:
        network = parse_config(text, "x.toml").network("lan")
    except ConfigError as error:
        assert error.message.startswith("x.toml: network.lan")  # noqa: PT017 - either is right
        return
    assert keys["bridge"] == f'"{network.bridge}"'
    assert network.queues >= 1
