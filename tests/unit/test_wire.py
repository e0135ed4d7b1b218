"""Wires as text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.values import link_names
from vmnet.errors import InvalidInput
from vmnet.model.nic import Wish, check_wish
from vmnet.model.tag import Life, Own, Tag, format_tag, parse_tag
from vmnet.model.wire import (
    Direct,
    LinkWire,
    Mode,
    Routed,
    User,
    VhostUser,
    Wire,
    parse_wire,
    wire_from,
    wire_texts,
    wire_word,
)

_PORTS = st.integers(1, 65535)
LINK_WIRES: st.SearchStrategy[LinkWire] = st.one_of(
    st.builds(Direct, link_names, st.sampled_from(Mode)),
    st.builds(Routed, link_names | st.just("")),
)
WIRES: st.SearchStrategy[Wire] = st.one_of(
    LINK_WIRES,
    st.builds(User, st.dictionaries(_PORTS, _PORTS, max_size=3).map(lambda d: tuple(d.items()))),
    st.builds(VhostUser, st.just("/run/vm1:a.sock"), st.booleans()),
)


@given(WIRES)
def test_a_wire_comes_back_from_its_texts(wire: Wire) -> None:
    assert parse_wire(wire_texts(wire)) == wire


@given(LINK_WIRES)
def test_the_tag_remembers_what_has_a_link(wire: LinkWire) -> None:
    assert wire_from(wire_word(wire)) == wire
    tag = Tag("vm1", 0, "00c0ffee", Own.MADE, Life.KEPT, wire=wire)
    text = format_tag(tag)
    assert parse_tag(text) == tag
    assert len(text) <= 255


@given(st.text(max_size=60))
def test_what_is_no_wire_is_never_an_error_of_python(word: str) -> None:
    try:
        wire = wire_from(word)
    except ValueError:
        return
    assert wire_from(wire_word(wire)) == wire


@pytest.mark.parametrize(
    "texts",
    [
        {"direct": "eth0", "routed": "on"},
        {"user": "on", "vhost-user": "/run/x"},
        {"mode": "vepa"},
        {"routed": "on", "mode": "vepa"},
        {"direct": "eth0", "mode": "fast"},
        {"direct": "eth0", "proxy": "eth1"},
        {"direct": "a/b"},
        {"direct": ""},
        {"routed": "maybe"},
        {"routed": "off", "proxy": "eth1"},
        {"user": "on", "forward": "22"},
        {"user": "on", "forward": "0:22"},
        {"user": "on", "forward": "2222:65536"},
        {"user": "on", "forward": "2222:22,2222:23"},
        {"user": "on", "forward": ""},
        {"routed": "on", "forward": "2222:22"},
        {"user": "on", "server": "on"},
        {"vhost-user": "x.sock"},
        {"vhost-user": "/" + "x" * 107},
        {"vhost-user": "/run/x\n"},
    ],
)
def test_what_can_never_be_is_refused(texts: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        parse_wire(texts)


def test_user_mode_has_no_word_in_a_tag() -> None:
    for word in ("user", "vhost-user:/run/x", "server"):
        with pytest.raises(ValueError, match=word):
            wire_from(word)


def test_off_is_as_not_said() -> None:
    assert parse_wire({"routed": "off", "user": "no", "direct": None}) is None


def test_a_nic_is_in_one_place() -> None:
    for place in ({"bridge": "br0"}, {"network": "lan"}):
        with pytest.raises(InvalidInput):
            check_wish(Wish("vm1", wire=Routed(), **place))  # type: ignore[arg-type]
