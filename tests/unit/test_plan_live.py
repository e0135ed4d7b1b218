"""Changes of a libvirt domain: which definition, by which steps, and what a running one refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.values import MAC
from vmnet.errors import Conflict
from vmnet.model.domain import Domain, DomainState, Interface, NicWish
from vmnet.model.nic import Wish
from vmnet.model.step import Move, PlugDevice, SetMetadata, UnplugDevice, UpdateDevice, Where
from vmnet.plan.live import Change, plan_change, plan_changes, targets
from vmnet.service import settle
from vmnet.service.settle import Document, removal

LIVE, CONFIG = Where.LIVE, Where.CONFIG
NIC = Interface("bridge", MAC, bridge="br0", model="virtio", queues=2, mtu=1400)
MAC2 = "52:54:00:00:00:02"


def state(*, active: bool = True, persistent: bool = True) -> DomainState:
    return DomainState("vm1", active, persistent, b"", b"")


@pytest.mark.parametrize(
    ("there", "live", "config", "found"),
    [
        (state(), False, False, (LIVE, CONFIG)),
        (state(), True, True, (LIVE, CONFIG)),
        (state(), True, False, (LIVE,)),
        (state(), False, True, (CONFIG,)),
        (state(active=False), False, False, (CONFIG,)),
        (state(active=False), False, True, (CONFIG,)),
        (state(persistent=False), False, False, (LIVE,)),
        (state(persistent=False), True, False, (LIVE,)),
    ],
)
def test_what_is_asked_for_is_changed_or_all_there_is(
    there: DomainState,
    live: bool,  # noqa: FBT001
    config: bool,  # noqa: FBT001
    found: tuple[Where, ...],
) -> None:
    assert targets(there, live=live, config=config) == found


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("missing", [LIVE, CONFIG])
def test_a_definition_that_is_not_there_cannot_be_asked_for(missing: Where, *, both: bool) -> None:
    there = state(active=missing is not LIVE, persistent=missing is not CONFIG)
    with pytest.raises(Conflict) as caught:
        targets(there, live=both or missing is LIVE, config=both or missing is CONFIG)
    assert caught.value.code == "domain-state"
    assert f"--{missing}" in caught.value.remedy


def change(before: Interface | None, after: Interface | None, where: Where = LIVE) -> Change:
    return Change(
        where=where,
        wishes_before="",
        wishes_after="<nics/>" if after else "",
        before=before,
        before_xml="<before/>" if before else "",
        after=after,
        after_xml="<after/>" if after else "",
    )


def moves(made: Change) -> list[Move]:
    return plan_change("vm1", MAC, made)


def test_the_stored_wish_is_written_first_and_the_stored_interface_last() -> None:
    both = [change(None, NIC, where) for where in Where]
    steps = [(type(move.do), move.do.where) for move in plan_changes("vm1", MAC, both)]  # type: ignore[union-attr]
    assert steps == [
        (SetMetadata, CONFIG),
        (SetMetadata, LIVE),
        (PlugDevice, LIVE),
        (PlugDevice, CONFIG),
    ]


@pytest.mark.parametrize("where", Where)
def test_a_new_interface_comes_after_its_wish_and_goes_before_it(where: Where) -> None:
    wish, plug = moves(change(None, NIC, where))
    assert wish == Move(SetMetadata("vm1", where, "<nics/>"), SetMetadata("vm1", where, ""))
    assert plug == Move(
        PlugDevice("vm1", where, MAC, "<after/>"), UnplugDevice("vm1", where, MAC, "<after/>")
    )
    gone = replace(change(NIC, None, where), wishes_before="<nics/>")
    unplug, unwish = moves(gone)
    assert unplug == Move(
        UnplugDevice("vm1", where, MAC, "<before/>"), PlugDevice("vm1", where, MAC, "<before/>")
    )
    assert unwish == Move(SetMetadata("vm1", where, ""), SetMetadata("vm1", where, "<nics/>"))


@pytest.mark.parametrize("where", Where)
def test_what_is_so_already_needs_nothing(where: Where) -> None:
    same = replace(change(NIC, NIC, where), wishes_before="<nics/>")
    assert moves(same) == []
    assert moves(change(None, None, where)) == []


@pytest.mark.parametrize(
    "after",
    [
        replace(NIC, queues=4),
        replace(NIC, queues=1),
        replace(NIC, mtu=1500),
        replace(NIC, mtu=None),
        replace(NIC, model="e1000"),
    ],
)
def test_what_a_running_domain_cannot_change_is_refused_and_waits_in_the_other(
    after: Interface,
) -> None:
    with pytest.raises(Conflict) as caught:
        moves(change(NIC, after))
    assert (caught.value.code, "--config" in caught.value.remedy) == ("not-live", True)
    (_, update) = moves(change(NIC, after, CONFIG))
    assert isinstance(update.do, UpdateDevice)


def test_another_bridge_is_a_change_in_both_and_a_driver_only_from_the_next_start_on() -> None:
    for where in Where:
        (_, update) = moves(change(NIC, replace(NIC, bridge="br1"), where))
        assert update == Move(
            UpdateDevice("vm1", where, MAC, "<after/>"),
            UpdateDevice("vm1", where, MAC, "<before/>"),
        )
    driver = replace(NIC, driver="vhost")
    assert len(moves(change(NIC, driver))) == 1
    assert len(moves(change(NIC, driver, CONFIG))) == 2


# Which MAC a NIC of a domain has.


def domains(*wishes: tuple[NicWish, ...]) -> list[Domain]:
    return [Domain("vm1", "uuid-1", "kvm", (), each) for each in wishes]


def mac_of(wish: Wish, there: list[Domain]) -> str:
    return settle._mac(wish, there[0], [each for domain in there for each in domain.wishes])


def test_a_nic_keeps_its_mac_and_a_new_one_gets_one_of_the_domain() -> None:
    there = domains((NicWish(MAC, 0),), (NicWish(MAC, 0),))
    assert mac_of(Wish("vm1"), there) == mac_of(Wish("vm1", mac=MAC), there) == MAC
    assert mac_of(Wish("vm1", 1, mac=MAC2), there) == MAC2
    derived = mac_of(Wish("vm1", 1), there)
    assert derived == mac_of(Wish("vm1", 1), domains(()))
    assert derived != mac_of(Wish("vm1", 2), there)


@pytest.mark.parametrize(
    ("wish", "there", "code"),
    [
        (Wish("vm1", mac=MAC2), domains((NicWish(MAC, 0),)), "mac-fixed"),
        (Wish("vm1", 1, mac=MAC), domains((NicWish(MAC, 0),)), "mac-used"),
        (Wish("vm1", 1, mac=MAC), domains((), (NicWish(MAC, 0),)), "mac-used"),
        (Wish("vm1"), domains((NicWish(MAC, 0),), (NicWish(MAC2, 0),)), "mac-differs"),
    ],
)
def test_a_mac_that_is_another_nics_or_was_another_is_refused(
    wish: Wish, there: list[Domain], code: str
) -> None:
    with pytest.raises(Conflict) as caught:
        mac_of(wish, there)
    assert caught.value.code == code


def test_what_is_removed_is_one_interface_and_its_wish() -> None:
    other = replace(NIC, mac=MAC2)
    wishes = (NicWish(MAC, 0), NicWish(MAC2, 1))
    made = removal(
        Document(b"<domain/>", Domain("vm1", "u", "kvm", (NIC, other), wishes)), LIVE, MAC
    )
    assert (made.before, made.after) == (NIC, None)
    assert (MAC in made.wishes_after, MAC2 in made.wishes_after) == (False, True)
    with pytest.raises(Conflict) as caught:
        removal(Document(b"<domain/>", Domain("vm1", "u", "kvm", (NIC, NIC), wishes)), LIVE, MAC)
    assert caught.value.code == "mac-twice"
