"""The configuration's values: each key takes its kinds alone, whatever a file holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.errors import ConfigError
from vmnet.formats.config import parse_config

BASES = {
    "network": '[network.a]\nbridge = "br0"\n',
    "bridge": "[bridge.br0]\n",
    "vm": "[[vm.web]]\n",
    "tap": '[network.a]\nbridge = "br0"\n[tap.t]\n',
}
PORT_NUMBERS = ("vlan", "native")
NUMBERS = {
    "network": ("mtu", "queues", *PORT_NUMBERS),
    "bridge": ("mtu",),
    "vm": ("mtu", "queues", "nic", *PORT_NUMBERS),
}
NO_NUMBERS = ("true", "1.0", "1.5", "nan", "[1]", "[]", "{}", "1979-05-27", "'x'", "''")


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "x")
    assert caught.value.code == "config"
    return caught.value.message


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize(
    ("base", "key"), [(base, key) for base, keys in NUMBERS.items() for key in keys]
)
def test_a_number_is_a_number_and_nothing_else(base: str, key: str, value: str) -> None:
    said = refused(f"{BASES[base]}{key} = {value}")
    if value in {"true", "1.0", "1.5", "nan", "[]"}:
        assert f"{key} is " in said
        assert "expected" in said


@pytest.mark.parametrize("base", ["network", "vm"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("vlan = true", "vlan is bool 'True', expected the number of a VLAN, or \"none\""),
        ("native = false", "native is bool 'False', expected the number of a VLAN"),
        ("vlan = [10, 20]", "vlan is list '[10, 20]', expected the number of a VLAN"),
        ("trunk = true", "trunk is bool 'True', expected VLANs like"),
        ("trunk = [true]", "trunk is list '[True]', expected VLANs like"),
        ("trunk = []", "trunk is list '[]', expected VLANs like"),
        ("trunk = 1.5", "trunk is float '1.5', expected VLANs like"),
        ("address = 10", "address is int '10', expected a text like"),
        ("address = []", "address is list '[]', expected a text like"),
        ("rate-in = true", "rate-in is bool 'True', expected a text like \"100mbit\""),
        ("rate-out = 1e9", "rate-out is float '1000000000.0', expected a text like"),
        ("guard = 1", "guard is int '1', expected true or false"),
        ("isolated = []", "isolated is list '[]', expected true or false"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_what_was_expected(
    base: str, line: str, said: str
) -> None:
    assert said in refused(BASES[base] + line)


@pytest.mark.parametrize("owner", ["true", "''", "-1", "4294967295", "1.5", "['qemu']"])
def test_an_owner_is_a_users_name_or_number(owner: str) -> None:
    assert "expected a user's name or number" in refused(f"{BASES['vm']}owner = {owner}")


def test_what_has_to_have_a_name_has_one() -> None:
    assert 'network."" has no name' in refused('[network.""]\nbridge = "br0"')
    assert "device model ''" in refused(f"{BASES['vm']}model = ''")


@pytest.mark.parametrize("key", ["mtu", "vlan", "rate-in"])
@pytest.mark.parametrize("number", [str(2**63), str(-(2**63) - 1), "0x" + "f" * 5000])
def test_a_number_that_toml_has_not_got_is_no_toml(key: str, number: str) -> None:
    assert "beyond 64 bits" in refused(f"{BASES['network']}{key} = {number}")


def test_tables_without_end_are_an_error_and_no_traceback() -> None:
    assert "deep" in refused("default." + ".".join("a" * 20_000) + " = 1")


# ---- anything at all

PORT_KEYS = (
    *("vlan", "trunk", "native", "guard", "isolated", "flood", "neigh-suppress", "address"),
    *("dhcp-guard", "ra-guard", "rate-in", "rate-out"),
)
KEYS = {
    "network": ("mtu", "queues", "vhost", "strict", "uplinks", *PORT_KEYS),
    "bridge": ("mtu", "vlan-filtering", "uplinks"),
    "vm": ("nic", "network", "mac", "mtu", "queues", "vhost", "model", "owner", *PORT_KEYS),
    "tap": ("network", "vm", "mac"),
}
#: What some key takes, so that others are got past.
FITTING = (
    *("a", "br0", "eth1", "none", "on", "off", "auto", "require", "e1000", "root", "10,20-29"),
    *("10", "4095", "29-20", "10.0.0.5", "10.0.0.0/24", "2001:db8::/64", "100mbit", "99999gbit"),
    *("52:54:00:00:00:01", "01:00:5e:00:00:01", "", "a/b", "x" * 300),
)
fitting = st.sampled_from(FITTING).map(json.dumps) | st.sampled_from(["0", "1", "10", "1500"])
scalars = st.one_of(
    fitting,
    st.text(st.characters(exclude_categories=("Cs", "Cc"))).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
    st.integers(-3, 5000).map(str),
    st.integers().map(str),
    st.integers(0).map(hex),
    st.booleans().map(lambda value: str(value).lower()),
    st.floats().map(str),
    st.datetimes().map(lambda value: value.isoformat()),
    st.dates().map(str),
    st.times().map(str),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda each: f"[{', '.join(each)}]"),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=2).map(
            lambda each: "{" + ", ".join(f"{key} = {value}" for key, value in each.items()) + "}"
        ),
    ),
    max_leaves=5,
)
#: Half of them may fit.
values = st.booleans().flatmap(lambda may_fit: fitting if may_fit else anything)


def _body(name: str) -> st.SearchStrategy[str]:
    return st.dictionaries(st.sampled_from(KEYS[name]), values, max_size=4).map(
        lambda keys: "".join(f"{key} = {value}\n" for key, value in keys.items())
    )


@given(_body("network"), _body("bridge"), _body("vm"), _body("tap"))
def test_whatever_the_keys_hold_it_is_a_configuration_or_an_error_in_words(
    network: str, bridge: str, vm: str, tap: str
) -> None:
    text = f'[network.a]\nbridge = "br0"\n{network}[bridge.br0]\n{bridge}[[vm.web]]\n{vm}'
    text += f"[[vm.web]]\nnic = 7\n[tap.t]\n{tap}"
    try:
        found = parse_config(text, "x.toml")
    except ConfigError as error:
        assert error.message.startswith(("x.toml: ", "x.toml is not TOML: "))  # noqa: PT017 - either outcome is right
        assert error.remedy  # noqa: PT017
        return
    assert [each.name for each in found.own_bridges] == ["br0"]


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in KEYS for key in KEYS[name]])
@given(value=values)
def test_whatever_one_key_holds_it_is_taken_or_refused_in_words(
    name: str, key: str, value: str
) -> None:
    needed = 'network = "a"\n' if name == "tap" and key != "network" else ""
    try:
        parse_config(f"{BASES[name]}{needed}{key} = {value}\n", "x.toml")
    except ConfigError as error:
        assert error.message.startswith("x.toml")  # noqa: PT017 - either outcome is right
