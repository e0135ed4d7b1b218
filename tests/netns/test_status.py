"""`vmnet status`: what is as wished, what is not and what would mend it, by `ip` and /proc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.netns import taps
from tests.netns.places import be_nobody, vmnet_after
from tests.support.lab import Lab

_WRONG = 11


@pytest.fixture(autouse=True)
def _bridge(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")


def _attach(lab: Lab, *words: str) -> str:
    tap = lab.vmnet("attach", *words, "--json").json["tap"]
    assert isinstance(tap, str)
    return tap


def _status(lab: Lab, *words: str, status: int = 0) -> list[dict[str, Any]]:
    answer = lab.vmnet("status", *words, "--sample", "0", "--json", status=status).json
    assert answer["schema"] == "vmnet.status/1"
    nics: list[dict[str, Any]] = answer["nics"]
    return nics


def _codes(nic: dict[str, Any]) -> list[str]:
    return [trouble["code"] for trouble in nic["troubles"]]


def test_a_nic_that_waits_is_as_wished(lab: Lab) -> None:
    tap = _attach(lab, "vm1", "--queues", "2")
    (nic,) = _status(lab, "vm1")
    assert (nic["vm"], nic["nic"], nic["tap"], nic["place"]) == ("vm1", 0, tap, "bridge br0")
    assert nic["queues"] == {"asked": 2, "open": 0, "used": 0}
    assert (nic["data_path"]["path"], nic["data_path"]["reason"]) == (None, "not-running")
    assert (nic["troubles"], nic["holders"], nic["drift"]["steps"]) == ([], [], [])


def test_who_has_it_open_and_with_how_many_queues(lab: Lab) -> None:
    tap = _attach(lab, "vm1", "--queues", "3")
    with taps.held(tap, taps.MANY, 2) as pid:
        (nic,) = _status(lab, "vm1")
        assert [holder["pid"] for holder in nic["holders"]] == [pid]
        assert nic["queues"] == {"asked": 3, "open": 2, "used": 2}
        assert nic["data_path"]["path"] == "userspace"
        assert nic["data_path"]["certain"] is False  # `sleep` has no -netdev
        out = lab.vmnet("status", "vm1", "--sample", "0.1").out
        assert f"pid {pid} of root: sleep 1000" in out
        assert "0 packets to the guest and 0 from it" in out
    (nic,) = _status(lab, "vm1")
    assert nic["data_path"]["reason"] == "not-running"


_DAMAGE = [
    "ip link set {} nomaster",
    "ip link set {} down",
    "bridge link set dev {} learning on",
    "ip link set {} address fe:00:00:00:00:01",
]


@pytest.mark.parametrize("damage", _DAMAGE)
def test_what_somebody_changed_is_shown_as_what_would_mend_it(lab: Lab, damage: str) -> None:
    tap = _attach(lab, "vm1")
    before = lab.state()
    lab.sh(damage.format(tap))
    damaged = lab.state()
    (nic,) = _status(lab, "vm1", status=_WRONG)
    assert _codes(nic) == ["drift"]
    assert nic["drift"]["shell"]
    assert lab.state() == damaged
    lab.vmnet("status", "vm1", "--repair", "--sample", "0")
    assert lab.state() == before
    (nic,) = _status(lab, "vm1")
    assert nic["drift"]["steps"] == []


def test_the_lines_that_are_shown_mend_it(lab: Lab) -> None:
    tap = _attach(lab, "vm1")
    before = lab.state()
    lab.sh(f"ip link set {tap} nomaster")
    (nic,) = _status(lab, "vm1", status=_WRONG)
    lab.sh("\n".join(nic["drift"]["shell"]))
    assert lab.state() == before


def test_one_that_somebody_moved_is_not_moved_back(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br1")
    tap = _attach(lab, "vm1", "--bridge", "br0")
    lab.sh(f"ip link set {tap} master br1")
    (nic,) = _status(lab, "vm1", status=_WRONG)
    assert (_codes(nic), nic["place"]) == (["other-bridge"], "bridge br1")
    lab.vmnet("status", "vm1", "--repair", status=_WRONG)
    assert lab.link(tap)["master"] == "br1"


def test_a_bridge_that_is_gone_is_told(lab: Lab) -> None:
    _attach(lab, "vm1")
    lab.sh("ip link del br0")
    (nic,) = _status(lab, "vm1", status=_WRONG)
    assert (_codes(nic), nic["place"]) == (["bridge-missing"], None)


def test_a_tap_of_qemus_own_that_strayed_is_told(lab: Lab) -> None:
    with taps.held("tap0"):
        lab.script("up", "tap0")
        (nic,) = _status(lab)
        assert nic["troubles"] == []
        lab.sh("ip link set tap0 nomaster")
        (nic,) = _status(lab, status=_WRONG)
        assert _codes(nic) == ["strayed"]
        lab.sh(nic["troubles"][0]["remedy"])
        assert _status(lab)[0]["troubles"] == []


@pytest.mark.parametrize(
    "words", [("--routed", "--address", "10.9.0.5"), ("--direct", "eth1")], ids=["routed", "direct"]
)
def test_other_wires_are_as_wished_too(lab: Lab, words: tuple[str, ...]) -> None:
    lab.sh("ip link add eth1 type veth peer name far1; ip link set eth1 up; ip link set far1 up")
    tap = _attach(lab, "vm1", *words)
    (nic,) = _status(lab, "vm1")
    assert (nic["troubles"], nic["tap"]) == ([], tap)
    assert words[0].removeprefix("--") in nic["place"] or "eth1" in nic["place"]
    lab.sh(f"ip link set {tap} down")
    assert _status(lab, "vm1", status=_WRONG)[0]["troubles"] != []


def test_of_a_vm_without_nics_it_says_so(lab: Lab) -> None:
    assert "nothing is attached for 'vm1'" in lab.vmnet("status", "vm1", status=4).err
    done = lab.vmnet("status")
    assert (done.out, done.err) == ("", "nothing is attached\n")


def test_an_ordinary_user_sees_what_there_is_and_what_is_hidden(lab: Lab) -> None:
    tap = _attach(lab, "vm1")
    with taps.held(tap):
        done = vmnet_after(be_nobody, "status", "vm1", "--sample", "0", status=None)
    assert "processes may not be looked at by this user" in done.out


def test_what_a_tenant_wrote_does_not_act_on_a_terminal(lab: Lab) -> None:
    name = "vm\x1b[31m\u202e<svg>"
    tap = lab.vmnet("attach", "--json", "--", name).json["tap"]
    with taps.held(tap):
        shown = lab.vmnet("status", "--sample", "0").out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    (nic,) = _status(lab)
    assert nic["vm"] == name


def test_a_policy_that_is_not_had_is_one_line(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "vmnet.toml"
    config.write_text('default = "n"\n[network.n]\nbridge = "br0"\nvhost = "prefer"\n')
    tap = _attach(lab, "vm1")
    with taps.held(tap):
        done = lab.vmnet("--config", str(config), "status", "vm1", "--sample", "0", status=_WRONG)
    (line,) = [line for line in done.out.splitlines() if "asked for vhost" in line]
    assert "(vhost=prefer of network 'n'), running in userspace: " in line
    assert "(vhost-not-had)" in line
