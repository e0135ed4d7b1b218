"""Parts of the configuration that cannot both be."""

from __future__ import annotations

import pytest

from vmnet.errors import ConfigError
from vmnet.formats.config import parse_config

_CASES = {
    "one NIC for two bridges": (
        '[bridge.a]\nuplinks = ["eth1"]\n[bridge.b]\nuplinks = ["eth1"]\n',
        "bridge.b.uplinks names 'eth1', which is a port of bridge 'a' already",
    ),
    "one NIC twice": (
        '[bridge.a]\nuplinks = ["eth1", "eth1"]\n',
        "bridge.a.uplinks names 'eth1', which is a port of bridge 'a' already",
    ),
    "itself": ('[bridge.a]\nuplinks = ["a"]\n', "bridge.a.uplinks names bridge 'a'"),
    "another bridge": (
        '[bridge.a]\nuplinks = ["b"]\n[bridge.b]\n',
        "bridge.a.uplinks names bridge 'b', and a bridge cannot be a port of one",
    ),
    "half strict": (
        '[network.n]\nbridge = "br0"\nstrict = true\n[network.m]\nbridge = "br0"\n',
        "network.m.strict is missing: a bridge is strict as a whole, and network 'n' makes",
    ),
    "a MAC twice": (
        (
            '[network.n]\nbridge = "br0"\n[[vm.a]]\nnetwork = "n"\nmac = "52:54:00:00:00:01"\n'
            '[tap.t]\nnetwork = "n"\nmac = "52:54:00:00:00:01"\n'
        ),
        "tap.t has the MAC 52:54:00:00:00:01, which vm.a nic 0 has too",
    ),
    "many addresses": (
        'default = "n"\n[network.n]\nbridge = "br0"\naddress = "10.0.0.0/24"\n[[vm.a]]\n',
        "vm.a nic 0 says no address of its own: network 'n' guards 10.0.0.0/24",
    ),
    "no guard for addresses": (
        (
            'default = "n"\n[network.n]\nbridge = "br0"\naddress = "10.0.0.5"\n'
            "[[vm.a]]\nguard = false\n"
        ),
        "vm.a nic 0 cannot be on network 'n': ",
    ),
    "a VLAN where nothing filters": (
        '[bridge.br0]\n[network.n]\nbridge = "br0"\nvlan = 10\n',
        "network.n has a VLAN, and bridge.br0 no vlan-filtering = true",
    ),
    "a VM's VLAN where nothing filters": (
        'default = "n"\n[bridge.br0]\n[network.n]\nbridge = "br0"\n[[vm.a]]\nvlan = 10\n',
        "vm.a nic 0 has a VLAN, and bridge.br0 no vlan-filtering = true",
    ),
    "longer packets than the bridge's": (
        '[bridge.br0]\nmtu = 1500\n[network.n]\nbridge = "br0"\nmtu = 9000\n',
        "network.n has MTU 9000, and bridge.br0 only 1500",
    ),
}
_FINE = {
    "two networks that are strict": (
        '[network.n]\nbridge = "br0"\nstrict = true\n[network.m]\nbridge = "br0"\nstrict = true\n'
    ),
    "one strict, on another bridge": (
        '[network.n]\nbridge = "br0"\nstrict = true\n[network.m]\nbridge = "br1"\n'
    ),
    "an address of one's own": (
        'default = "n"\n[network.n]\nbridge = "br0"\naddress = "10.0.0.0/24"\n'
        '[[vm.a]]\naddress = "10.0.0.5"\n'
    ),
    "a VLAN that is filtered": (
        '[bridge.br0]\nvlan-filtering = true\n[network.n]\nbridge = "br0"\nvlan = 10\n'
    ),
    "a prefix of IPv6": (
        'default = "n"\n[network.n]\nbridge = "br0"\naddress = "2001:db8::/64"\n[[vm.a]]\n'
    ),
}


@pytest.mark.parametrize("case", _CASES.values(), ids=list(_CASES))
def test_what_cannot_both_be_is_refused_and_says_where(case: tuple[str, str]) -> None:
    text, why = case
    with pytest.raises(ConfigError) as error:
        parse_config(text, "x.toml")
    assert f"x.toml: {why}" in error.value.message


@pytest.mark.parametrize("text", _FINE.values(), ids=list(_FINE))
def test_what_goes_together_is_taken(text: str) -> None:
    parse_config(text, "x.toml")
