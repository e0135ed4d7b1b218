"""`vmnet tun`: TUNs whose packets a program reads and writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import vmnet
from tests.netns.commands import until
from tests.netns.ends import TEN_MB, moved, pings, place
from tests.netns.places import NOBODY, be_nobody, in_child
from tests.support.lab import REPO, Lab, checked, run

_JOINER = str(REPO / "tests" / "support" / "joiner.py")
_EXAMPLE = str(REPO / "docs" / "examples" / "answer_ping.py")
_FULL = ("--address", "10.8.0.1/24", "--address", "fd00:8::1/64", "--route", "10.9.0.0/16")


@pytest.fixture(autouse=True)
def _loopback(lab: Lab) -> None:
    lab.sh("ip link set lo up")


def _create(lab: Lab, *options: str, name: str = "tun0") -> list[str]:
    steps = lab.vmnet("tun", "create", name, *options, "--json").json["steps"]
    assert isinstance(steps, list)
    return steps


def _own(lab: Lab, name: str = "tun0") -> list[str]:
    (link,) = json.loads(lab.sh(f"ip -j address show dev {name}").out)
    return [f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"]]


def _routes(lab: Lab, name: str = "tun0") -> list[str]:
    found = []
    for family in ("-4", "-6"):
        rows = json.loads(lab.sh(f"ip -j {family} route show dev {name}").out or "[]")
        found += [row["dst"] for row in rows if row.get("protocol") != "kernel"]
    return found


def _code(lab: Lab, *words: str, status: int) -> str:
    code = json.loads(lab.vmnet("tun", *words, "--json", status=status).err)["error"]["code"]
    assert isinstance(code, str)
    return code


def test_it_is_made_owned_addressed_routed_and_the_second_time_is_empty(lab: Lab) -> None:
    assert _create(lab, *_FULL, "--owner", "nobody", "--mtu", "1400") != []
    link = lab.link("tun0")
    data = link["linkinfo"]["info_data"]
    assert (data["type"], data["persist"], data["pi"]) == ("tun", True, False)
    assert data["user"] in ("nobody", NOBODY)
    assert link["mtu"] == 1400
    assert "UP" in link["flags"]
    assert _own(lab) == ["10.8.0.1/24", "fd00:8::1/64"]
    assert _routes(lab) == ["10.9.0.0/16"]
    assert _create(lab, *_FULL) == []
    assert _create(lab) == []
    lab.vmnet("tun", "delete", "tun0")
    assert "tun0" not in lab.links()
    assert lab.leftovers() == []


def test_other_options_change_it_and_what_is_not_named_stays(lab: Lab) -> None:
    _create(lab, *_FULL, "--address", "10.8.0.3/24")
    index = lab.link("tun0")["ifindex"]
    _create(lab, "--mtu", "9000")
    assert _own(lab) == ["10.8.0.1/24", "10.8.0.3/24", "fd00:8::1/64"]
    # The first address of a network takes the others along, and the last one the routes.
    _create(lab, "--address", "10.8.0.3/24")
    assert (_own(lab), _routes(lab)) == (["10.8.0.3/24"], ["10.9.0.0/16"])
    _create(lab, "--address", "10.7.0.1/24", "--address", "fd00:7::1/64")
    assert (_own(lab), _routes(lab)) == (["10.7.0.1/24", "fd00:7::1/64"], ["10.9.0.0/16"])
    _create(lab, "--route", "10.6.0.0/16", "--route", "fd00:6::/48", "--owner", "nobody")
    assert _routes(lab) == ["10.6.0.0/16", "fd00:6::/48"]
    assert lab.link("tun0")["ifindex"] == index
    assert lab.link("tun0")["mtu"] == 9000


def test_the_lines_of_a_dry_run_make_the_same(lab: Lab) -> None:
    def shown() -> list[str]:
        (link,) = json.loads(lab.sh("ip -j -d link show tun0").out)
        data = link["linkinfo"]["info_data"]
        return [str(each) for each in (data["type"], data["persist"], _own(lab), _routes(lab))]

    lines = lab.vmnet("tun", "create", "tun0", *_FULL, "--dry-run").out
    assert lab.links().keys() == set()
    _create(lab, *_FULL)
    made = shown()
    checked(["sh", "-e"], input=lab.vmnet("tun", "delete", "tun0", "--dry-run").out)
    checked(["sh", "-e"], input=lines)
    assert shown() == made
    assert _create(lab, *_FULL) == []


@contextmanager
def _answering(*prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([*prefix, sys.executable, _EXAMPLE, "tun0"]) as process:
        yield process
        process.kill()


def _is_open(lab: Lab) -> bool:
    (row,) = lab.vmnet("tun", "list", "--json").json["tuns"]
    return bool(row["pids"])


def test_the_example_answers_ping_and_list_shows_who_has_it(lab: Lab) -> None:
    _create(lab, *_FULL)
    with _answering() as process:
        until(lambda: _is_open(lab))
        assert pings("10.8.0.7")
        assert pings("10.9.3.4")
        assert pings("fd00:8::9")
        (row,) = lab.vmnet("tun", "list", "--json").json["tuns"]
        assert row["pids"] == [process.pid]
        assert (row["own"], row["addresses"]) == (True, ["10.8.0.1/24", "fd00:8::1/64"])
        assert str(process.pid) in lab.vmnet("tun", "list").out
        assert _code(lab, "delete", "tun0", status=6) == "tun-held"
        assert pings("10.8.0.7")


def test_a_program_whose_tun_is_taken_is_told(lab: Lab) -> None:
    _create(lab, *_FULL)
    with vmnet.open_tun("tun0") as tun:
        note = lab.vmnet("tun", "delete", "tun0", "--force").err
        assert "taken from pid" in note
        assert f"pid {os.getpid()} " in note  # the warm command has it open too
        with pytest.raises(vmnet.VmnetError, match="it was deleted"):
            tun.read(5)
        with pytest.raises(vmnet.VmnetError, match="it was deleted"):
            tun.write(b"E" + bytes(39))


def test_ten_megabytes_by_tcp_go_through_a_program_that_joins_two(lab: Lab) -> None:
    with place() as far:
        _create(lab, "--address", "10.8.0.1/24")
        checked(far.argv(sys.executable, "-m", "vmnet", "tun", "create", "tunb", "--address",
                         "10.8.0.2/24"))  # fmt: skip
        words = [sys.executable, _JOINER, "tun0", "tunb", far.path]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as joiner:
            assert joiner.stdout is not None
            assert joiner.stdout.readline() == b"joined\n"
            assert far.pings("10.8.0.1")
            assert moved(far.argv(), [], "10.8.0.2") == TEN_MB
            assert moved([], far.argv(), "10.8.0.1") == TEN_MB


def test_its_owner_opens_it_without_privilege_and_nobody_else_does(lab: Lab) -> None:
    def opened() -> str:
        be_nobody()
        try:
            with vmnet.open_tun("tun0") as tun:
                return tun.name
        except vmnet.VmnetError as error:
            return error.code

    lab.sh("test -w /dev/net/tun")
    _create(lab)
    assert in_child(opened) == "tun-owner"
    _create(lab, "--owner", "nobody")
    assert in_child(opened) == "tun0"


def test_one_that_is_not_kept_goes_when_it_is_closed(lab: Lab) -> None:
    wish = vmnet.TunWish("tun1", addresses=vmnet.parse_own_addresses(["10.5.0.1/24"]))
    with vmnet.make_tun(wish) as tun:
        assert _own(lab, "tun1") == ["10.5.0.1/24"]
        lab.sh("busybox ping -c 1 -W 1 10.5.0.2 || :")
        packet = tun.read(5)
        assert packet is not None
        assert packet[16:20] == bytes([10, 5, 0, 2])
        assert tun.read(0) is None
    assert "tun1" not in lab.links()


def test_what_is_taken_or_somebody_elses_is_refused_and_nothing_is_left(lab: Lab) -> None:
    lab.sh(
        "ip link add d0 type veth peer name d1; ip address add 10.1.0.1/24 dev d0; "
        "ip link set d0 up; ip link set d1 up"
    )
    lab.sh("ip route add 10.2.0.0/16 dev d0; ip tuntap add dev other mode tun")
    before = lab.state()
    cases = {
        ("create", "d0"): "tun-foreign",
        ("create", "other"): "tun-foreign",
        ("create", "tun0", "--address", "10.1.0.1/16"): "address-taken",
        ("create", "tun0", "--route", "10.2.0.0/16"): "route-taken",
        ("create", "tun0", "--route", "10.1.0.0/24"): "route-taken",
        ("delete", "other"): "tun-foreign",
        ("delete", "d0"): "tun-foreign",
    }
    for words, code in cases.items():
        assert _code(lab, *words, status=5) == code, words
    assert _code(lab, "delete", "tun0", status=4) == "tun-missing"
    assert lab.state() == before


_BAD = [
    *(("--address", text) for text in ("", "x", "10.0.0.300", "127.0.0.1/8", "224.0.0.1/4")),
    *(("--address", text) for text in ("10.0.0.0/24", "10.0.0.255/24", "0.0.0.0/0", "::1", "::")),
    *(("--address", text) for text in ("fe80::1/64", "ff02::1", "::ffff:10.0.0.1", "fe80::1%lo")),
    ("--address", "10.0.0.1/24", "--address", "10.0.0.1/24"),
    *(("--route", text) for text in ("", "x", "10.0.0.1/24", "224.0.0.0/4", "127.0.0.0/8")),
    ("--route", "10.1.0.0/16", "--route", "10.1.0.0/16"),
    *(("--mtu", text) for text in ("0", "67", "65536", "-1")),
]


def test_what_can_never_be_is_refused_in_words(lab: Lab) -> None:
    for options in _BAD:
        done = lab.vmnet("tun", "create", "tun0", *options, "--json", status=2)
        assert json.loads(done.err)["error"]["code"] in ("bad-address", "bad-mtu"), options
    for name in ("", "a" * 16, "a b", "a/b", "."):
        assert _code(lab, "create", name, status=2) == "bad-link-name"
    assert lab.links().keys() == set()


def test_gc_leaves_tuns_alone(lab: Lab) -> None:
    _create(lab, *_FULL)
    assert lab.vmnet("gc", "--idle", "0", "--json").json["links"] == []
    assert "tun0" in lab.links()


def test_several_programs_have_one_open(lab: Lab) -> None:
    _create(lab, "--multi-queue")
    with vmnet.open_tun("tun0"), vmnet.open_tun("tun0"):
        assert _code(lab, "delete", "tun0", status=6) == "tun-held"
    lab.vmnet("tun", "delete", "tun0")
    _create(lab)
    with vmnet.open_tun("tun0"), pytest.raises(vmnet.VmnetError) as error:
        vmnet.open_tun("tun0")
    assert error.value.code == "tun-held"
    assert _code(lab, "create", "tun0", "--multi-queue", status=5) == "queues-fixed"
    assert run(["ip", "link", "show", "tun0"]).status == 0
