"""Live migration as libvirt does it, without vmnet: what vmnet's own is measured against."""

from __future__ import annotations

import pytest

from tests.support.domains import address, bridge_nic, mac, tap_nic
from tests.support.libvirtd import Host
from tests.support.pair import Migration, Pair
from tests.support.place import wait_for

pytestmark = pytest.mark.long

_TAP = "ip tuntap add dev tap7 mode tap vnet_hdr; ip link set tap7 master br0 up"
_ARRIVES = ["migrate", "prepare", "start", "started"]
_LEAVES = ["stopped", "release"]


def _boot(pair: Pair, nic: str) -> None:
    pair.a.boot(pair.a.domain("vm1", nic, addresses=(address(1),)))
    assert pair.client.ping(address(1))


def _moved(pair: Pair, source: Host) -> Migration:
    for host in (pair.a, pair.b):
        host.forget_calls()
    result = pair.migrate("vm1", source)
    print(f"{source.name} to {pair.other(source).name}: {result}")  # noqa: T201 - the baseline
    assert pair.other(source).state("vm1") == "running"
    assert pair.other(source).operations() == _ARRIVES
    assert source.operations() == _LEAVES
    assert pair.client.ping(address(1), 2)
    assert len(result.pings.lost) < 100
    return result


def test_there_and_back_on_a_bridge(pair: Pair) -> None:
    _boot(pair, bridge_nic(mac(1)))
    _moved(pair, pair.a)
    assert pair.a.leftovers() == []
    _moved(pair, pair.b)
    assert pair.b.leftovers() == []


def test_there_and_back_on_taps_that_are_there(pair: Pair) -> None:
    for host in (pair.a, pair.b):
        host.sh(_TAP)
    _boot(pair, tap_nic(mac(1), "tap7"))
    _moved(pair, pair.a)
    _moved(pair, pair.b)
    assert "tap7" in pair.b.links()


def test_the_destination_runs_its_hooks_before_any_of_the_guest_comes(pair: Pair) -> None:
    _boot(pair, bridge_nic(mac(1)))
    for host in (pair.a, pair.b):
        host.forget_calls()
    with pair.migrating("vm1", pair.a, "--bandwidth", "5") as migration:
        wait_for(lambda: pair.b.operations() == _ARRIVES)
        assert pair.client.ping(address(1), 2)
        assert pair.a.state("vm1") == "running"
        pair.a.virsh("domjobabort", "vm1")
        assert migration.wait(20) != 0
    assert pair.b.operations() == _ARRIVES + _LEAVES
    assert pair.a.operations() == []
    assert pair.client.ping(address(1), 2)
    assert pair.b.leftovers() == []


def test_a_refusal_at_migrate_leaves_the_guest_and_runs_nothing_else(pair: Pair) -> None:
    _boot(pair, bridge_nic(mac(1)))
    pair.a.forget_calls()
    pair.b.put_hook("50-no", '[ "$2" != migrate ] || { echo "not here" >&2; exit 3; }')
    result = pair.migrate("vm1", pair.a, status=1)
    assert "unexpected exit status 3: not here" in result.done.err
    assert (pair.b.operations(), pair.a.operations()) == (["migrate"], [])
    assert result.pings.lost == []
