"""Live migration with vmnet on both hosts: the guest keeps its network, nothing stays behind."""

from __future__ import annotations

import pytest

from tests.libvirt.wished import CONFIG, ENDED, By, domain, interface, ready, tags, tap, wish
from tests.support.domains import address, mac
from tests.support.libvirtd import Host
from tests.support.pair import Migration, Pair
from tests.support.place import wait_for

_ARRIVES = ["migrate", "prepare", "start", "started"]
#: Of a guest that moves unhindered: tens of milliseconds; a busy machine gets time.
_GAP_MAX = 1.5


@pytest.fixture
def both(pair: Pair) -> Pair:
    """Both hosts with vmnet's configuration and hook."""
    for host in (pair.a, pair.b):
        ready(host)
    return pair


def _boot(pair: Pair, by: By) -> None:
    pair.a.boot(domain(pair.a, 1, [interface(by, 1)], [wish(1)]))
    assert pair.client.ping(address(1))
    pair.a.forget_calls()


def _moved(pair: Pair, source: Host, *options: str) -> Migration:
    target = pair.other(source)
    for host in (source, target):
        host.forget_calls()
    result = pair.migrate("vm1", source, *options)
    print(f"{source.name} to {target.name}: {result}")  # noqa: T201 - beside the one without vmnet
    assert target.operations() == _ARRIVES
    assert source.operations() == ENDED
    assert pair.client.ping(address(1), 2)
    assert result.pings.gap < _GAP_MAX
    assert source.leftovers() == []
    return result


def _only_tag(host: Host) -> str:
    (alias,) = tags(host).values()
    return alias


@pytest.mark.parametrize("by", By)
def test_there_and_back(both: Pair, by: By) -> None:
    _boot(both, by)
    life = "life=domain" if by is By.VMNET else "own=managed"
    _moved(both, both.a)
    assert life in _only_tag(both.b)
    # The guest has been heard of here: now its MAC stays at its port, and none is learned there.
    wait_for(lambda: "arr=1" not in _only_tag(both.b), why="nobody waits for the guest")
    (port,) = tags(both.b)
    assert f"{mac(1)} sticky master br0 static" in _entries(both.b, port)
    assert _flags(both.b, port) == (False, True)
    assert "br=br0" in _only_tag(both.b)
    _moved(both, both.b)
    assert life in _only_tag(both.a)
    both.a.virsh("destroy", "vm1")
    assert both.a.leftovers() == []


def _entries(host: Host, port: str) -> str:
    return host.run("bridge", "fdb", "show", "brport", port).out


def _flags(host: Host, port: str) -> tuple[bool, bool]:
    data = host.links()[port]["linkinfo"]["info_slave_data"]
    return data["learning"], data["locked"]


def _stays(pair: Pair) -> None:
    """Expect the guest on its source as if nothing had been."""
    assert pair.client.ping(address(1), 2)
    assert pair.a.state("vm1") == "running"
    assert pair.a.operations() == []
    assert len(tags(pair.a)) == 1
    wait_for(lambda: pair.b.leftovers() == [], why="the destination keeps something")


@pytest.mark.parametrize("by", By)
def test_an_aborted_one_leaves_the_source_alone_and_the_destination_empty(
    both: Pair, by: By
) -> None:
    _boot(both, by)
    with both.client.pinging(address(1)) as pings:
        with both.migrating("vm1", both.a, "--bandwidth", "5") as migration:
            wait_for(lambda: both.b.operations() == _ARRIVES)
            assert len(tags(both.b)) == 1
            both.a.virsh("domjobabort", "vm1")
            assert migration.wait(20) != 0
        assert len(pings().lost) < 20
    assert both.b.operations() == _ARRIVES + ENDED
    _stays(both)


@pytest.mark.long
def test_the_destinations_qemu_killed_midway(both: Pair) -> None:
    _boot(both, By.VMNET)
    with both.migrating("vm1", both.a, "--bandwidth", "5") as migration:
        wait_for(lambda: both.b.operations() == _ARRIVES)
        both.b.sh(f"kill -9 {both.b.qemu('vm1')}")
        assert migration.wait(30) != 0
    wait_for(lambda: both.b.operations() == _ARRIVES + ENDED)
    _stays(both)


@pytest.mark.long
def test_the_destinations_libvirtd_killed_midway_and_started_again(both: Pair) -> None:
    _boot(both, By.VMNET)
    with both.migrating("vm1", both.a, "--bandwidth", "20") as migration:
        wait_for(lambda: both.b.operations() == _ARRIVES)
        both.b.kill_libvirtd()
        assert migration.wait(60) != 0
    assert both.client.ping(address(1), 5)
    # The QEMU that waits for the rest of its guest still has the TAP: nobody takes it away.
    both.b.vmnet("gc")
    assert list(tags(both.b)) == [tap(1)]
    both.b.start_libvirtd()
    both.b.virsh("list")
    wait_for(lambda: both.b.operations() == _ARRIVES + ENDED)
    _stays(both)


def test_a_destination_without_the_network_refuses_at_once_and_says_where(both: Pair) -> None:
    _boot(both, By.VMNET)
    both.b.config(CONFIG.replace("network.lan", "network.other").replace('"lan"', '"other"'))
    result = both.migrate("vm1", both.a, status=1)
    assert "no network 'lan'" in result.done.err
    assert "(on b)" in result.done.err
    assert result.pings.lost == []
    assert both.b.operations() == ["migrate"]
    _stays(both)


def test_bridges_get_the_names_they_have_on_the_destination(both: Pair) -> None:
    """The same network is on another bridge there; a domain of libvirt's own kind names one."""
    both.plug(both.b, bridge="brlan", uplink="up1")
    both.b.config(
        CONFIG.replace('"br0"', '"brlan"') + '[migrate.bridges]\nbr0 = "brlan"\nbr1 = "br1"\n'
    )
    _boot(both, By.LIBVIRT)
    _moved(both, both.a)
    assert "<source bridge='brlan'/>" in both.b.live_xml("vm1")
    (port,) = tags(both.b)
    assert both.b.links()[port]["master"] == "brlan"


def test_networks_need_no_map(both: Pair) -> None:
    both.plug(both.b, bridge="brlan", uplink="up1")
    both.b.config(CONFIG.replace('"br0"', '"brlan"'))
    _boot(both, By.VMNET)
    _moved(both, both.a)
    assert both.b.links()[tap(1)]["master"] == "brlan"


def test_an_offline_one_makes_nothing(both: Pair) -> None:
    both.a.define(domain(both.a, 1, [interface(By.VMNET, 1)], [wish(1)]))
    both.a.run("virsh", "-q", "migrate", "--offline", "--persistent", "--p2p", "vm1", both.b.uri)
    assert both.b.operations() == ["migrate"]
    assert both.b.leftovers() == []
    marks = [path.name for path in both.b.path("/run/vmnet").iterdir()]
    assert [name for name in marks if not name.endswith(".mark")] == []  # a hint, and no more
    assert tags(both.b) == {}
