"""What may pass at a port: what there is and what is asked for, joined or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.errors import InvalidInput
from vmnet.model.port import USUAL, Port, parse_port, settle_port
from vmnet.model.vlan import VID_MAX, VID_MIN, VidRange, Vlans

LAB = Port(vlans=Vlans(5, (VidRange(10, 10), VidRange(20, 29))))


@pytest.mark.parametrize(
    ("base", "texts", "remedy"),
    [
        (USUAL, {"trunk": "10,20", "native": "10"}, "--trunk 20)"),
        (USUAL, {"trunk": "1-4094", "native": "7"}, "--trunk 1-6,8-4094)"),
        (USUAL, {"trunk": "10", "native": "10"}, "--vlan 10"),
        (LAB, {"native": "25"}, "--trunk 10,20-24,26-29)"),
        (LAB, {"trunk": "5-6"}, "--trunk 6)"),
        (LAB, {"trunk": "5"}, "--vlan 5"),
    ],
)
def test_a_vlan_is_in_the_trunk_or_native_and_not_both(
    base: Port, texts: dict[str, str], remedy: str
) -> None:
    with pytest.raises(InvalidInput, match="is in the trunk and native") as caught:
        settle_port(base, parse_port(texts))
    assert caught.value.code == "bad-vlan"
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("texts", "vlans"),
    [
        ({"native": "none"}, Vlans(None, (VidRange(10, 10), VidRange(20, 29)))),
        ({"trunk": "5,10", "native": "none"}, Vlans(None, (VidRange(5, 5), VidRange(10, 10)))),
        ({"trunk": "11"}, Vlans(5, (VidRange(11, 11),))),
        ({"native": "30"}, Vlans(30, (VidRange(10, 10), VidRange(20, 29)))),
        ({"trunk": "none", "native": "none"}, None),
        ({"vlan": "10"}, Vlans(10)),
        ({"isolated": "on"}, LAB.vlans),
    ],
)
def test_what_is_not_asked_for_stays_beside_what_is(
    texts: dict[str, str], vlans: Vlans | None
) -> None:
    assert settle_port(LAB, parse_port(texts)).vlans == vlans


vids = st.integers(VID_MIN, VID_MAX)


@given(st.sets(vids, min_size=1, max_size=5), vids)
def test_no_vlan_of_a_trunk_is_lost_without_a_word(trunk: set[int], native: int) -> None:
    ask = parse_port({"trunk": ",".join(map(str, trunk)), "native": str(native)})
    if native in trunk:
        with pytest.raises(InvalidInput):
            settle_port(USUAL, ask)
        return
    vlans = settle_port(USUAL, ask).vlans
    assert vlans is not None
    assert {vid for each in vlans.tagged for vid in each.vids} == trunk
    assert vlans.untagged == native
