"""Answers: what a hostile name can do to them (nothing), and the fields of the JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.values import HELD, MAC, NOW, attached, launched, nic, view
from vmnet.entry import say, say_whole
from vmnet.errors import NotFound
from vmnet.formats import qemu
from vmnet.formats.config import parse_config
from vmnet.look import Holding, Others, Row
from vmnet.model.host import Holder, Holders, Worker
from vmnet.model.nft import install_text
from vmnet.model.step import Plan
from vmnet.model.vhost import DataPath, Reason, Verdict
from vmnet.plan.attach import plan_attach
from vmnet.plan.gc import judge
from vmnet.probe import Check
from vmnet.service import Attached, Detached, Launch

HOSTILE = "a,vhost=on;$(touch x)\033[2J\u202e"
SLOW = Verdict(DataPath.USERSPACE, Reason.NOT_LOADED, "not loaded", "modprobe it", warning=True)
GONE = NotFound("gone", code="link-gone", remedy="look")
CONFIG = r"""
[network."l\u001B\u202En"]
bridge = "br0"
[tap.tap0]
network = "l\u001B\u202En"
"""
FATES = [
    judge(attached(nic(HOSTILE)), Holders(), NOW.boottime, 0),
    judge(attached(nic(HOSTILE)), Holders(), NOW.boottime, None),
]


def done(vm: str = HOSTILE) -> Attached:
    wish = nic(vm, queues=2)
    plan = plan_attach(wish, view(wish), NOW)
    args = qemu.by_name(wish, "vmnx-0", 1500, vhost=False)
    return Attached(wish, "vmnx-0", 1500, plan, SLOW, args)


def row(vm: str = HOSTILE) -> Row:
    link = launched(nic(vm, owner=None))
    assert link.tag is not None
    return Row(link, link.tag, "br0", HELD)


def holding() -> Holding:
    found = row()
    workers = (Worker(4712, "thread of 4711", 1.5),)
    holder = Holder(4711, f"qemu -name {HOSTILE}", "alice\033", 2, 2, workers)
    return Holding(found.link, found.tag, "br0", Holders((holder,)))


#: What a line of a plan begins with.
STARTS = ("ip ", "bridge ", "printf ", "# ")
ANSWERS: dict[str, Callable[..., None]] = {
    "attach": lambda as_json: say.attached(done(), dry_run=False, as_json=as_json),
    "plan": lambda as_json: say.attached(done(), dry_run=True, as_json=as_json),
    "launch": lambda as_json: say.launch(
        HOSTILE, Launch([done()]), ["qemu", HOSTILE], as_json=as_json
    ),
    "detach": lambda as_json: say.detached(
        HOSTILE, [Detached("vmnx-0", HOSTILE, 0, Plan())], dry_run=False, as_json=as_json
    ),
    "nothing": lambda as_json: say.detached(HOSTILE, [], dry_run=False, as_json=as_json),
    "list": lambda as_json: say.rows([row()], [], Others(), as_json=as_json),
    "empty list": lambda as_json: say.rows([], [], Others(), as_json=as_json),
    "who": lambda as_json: say.holding(holding(), as_json=as_json),
    "gc": lambda as_json: say.fates(FATES, [GONE], dry_run=False, as_json=as_json),
    "bridge": lambda as_json: say.bridge("br0", Plan(), "made", dry_run=False, as_json=as_json),
    "probe": lambda as_json: say.checks(
        [Check("tap frame", "broken", HOSTILE, HOSTILE, "x", 1.0)], as_json=as_json
    ),
    "config": lambda as_json: say_whole.config(parse_config(CONFIG, "x"), as_json=as_json),
}


def answered(capsys: pytest.CaptureFixture[str], what: str) -> Any:
    ANSWERS[what](as_json=True)
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("what", ANSWERS)
def test_nothing_foreign_acts_on_a_terminal(capsys: pytest.CaptureFixture[str], what: str) -> None:
    ANSWERS[what](as_json=False)
    out, err = capsys.readouterr()
    assert (out + err).replace("\n", "").isprintable()
    assert out + err


@pytest.mark.parametrize("what", ANSWERS)
def test_every_answer_is_one_json_object_with_its_version(
    capsys: pytest.CaptureFixture[str], what: str
) -> None:
    ANSWERS[what](as_json=True)
    out, err = capsys.readouterr()
    assert json.loads(out)["version"] == 1
    assert out.isascii()
    assert err == ""


def test_attach_answers_the_arguments_alone_and_the_reasons_beside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ANSWERS["attach"](as_json=False)
    out, err = capsys.readouterr()
    args = done().args
    assert args is not None
    assert shlex.split(out) == args.words()
    assert "data path: userspace (not-loaded: not loaded)" in err
    assert "warning: vhost-net was asked for and is not used; try: modprobe it" in err


def test_attach_answers_programs_with_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    data = answered(capsys, "attach")
    assert (data["vm"], data["tap"], data["mac"], data["queues"]) == (HOSTILE, "vmnx-0", MAC, 2)
    assert data["data_path"] == {
        "path": "userspace",
        "reason": "not-loaded",
        "detail": "not loaded",
        "remedy": "modprobe it",
    }
    assert data["qemu"]["args"] == [
        "-netdev",
        data["qemu"]["netdev"],
        "-device",
        data["qemu"]["device"],
    ]
    assert data["steps"][0] == f"make tap '{attached(nic(HOSTILE)).name}'"
    assert len(data["shell"]) >= len(data["steps"]) - 2
    assert not data["dry_run"]


def test_a_plan_is_lines_for_sh_and_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    ANSWERS["plan"](as_json=False)
    out = capsys.readouterr().out
    rules = ["nft -f - <<'NFT'", *install_text(strict=False).splitlines(), "NFT"]
    lines = [line for line in out.splitlines() if line not in rules]
    assert lines
    assert all(line.startswith(STARTS) for line in lines)
    assert "touch x" not in out


def test_an_empty_plan_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    say.attached(replace(done(), plan=Plan()), dry_run=True, as_json=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing to do" in err


def test_a_command_that_holds_a_newline_stays_in_its_comment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say.launch("vm1", Launch([]), ["./a\ntouch x"], as_json=False)
    assert all(line.startswith("#") for line in capsys.readouterr().out.splitlines())


def test_list_has_a_row_for_each_nic(capsys: pytest.CaptureFixture[str]) -> None:
    say.rows(
        [row("vm1"), replace(row("vm2"), bridge="", holders=Holders())], [], Others(), as_json=False
    )
    head, first, second = capsys.readouterr().out.splitlines()
    assert " ".join(head.split()) == "VM NIC TAP BRIDGE GUEST MAC MTU Q LIFE PID"
    tap = attached(nic("vm1")).name
    assert first.split() == ["vm1", "0", tap, "br0", MAC, "1500", "1", "process", "4711"]
    # Held, though nobody is seen to hold it.
    assert second.split()[3] == "-"
    assert second.split()[-1] == "?"


def test_list_answers_programs_with_the_holders(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = answered(capsys, "list")["nics"]
    assert found["vm"] == HOSTILE
    assert found["held"]
    assert found["holders"] == [
        {
            "pid": 4711,
            "command": "qemu-system-x86_64 -name vm1",
            "user": "alice",
            "queues": 1,
            "vhost_fds": 0,
            "workers": [],
        }
    ]


def test_who_says_queues_and_workers(capsys: pytest.CaptureFixture[str]) -> None:
    ANSWERS["who"](as_json=False)
    out = capsys.readouterr().out
    assert "NIC 0, port of br0" in out
    assert "pid 4711 (alice\\x1b): 2 queues, 2 vhost-net open" in out
    assert "vhost worker 4712: thread of 4711, 1.50 s of CPU" in out


def test_who_says_what_it_cannot_see(capsys: pytest.CaptureFixture[str]) -> None:
    hidden = replace(holding(), holders=Holders(blind="hidepid"))
    say.holding(hidden, as_json=False)
    out, err = capsys.readouterr()
    assert "cannot be seen" in out
    assert "hidepid" in err
    tun = hidden.link.tun
    assert tun is not None
    tun = replace(tun, persist=True)
    idle = replace(hidden, link=replace(hidden.link, carrier=False, tun=tun))
    say.holding(idle, as_json=False)
    assert "nobody" in capsys.readouterr().out


def test_gc_says_what_became_of_each_link(capsys: pytest.CaptureFixture[str]) -> None:
    say.fates(FATES, [], dry_run=True, as_json=False)
    removed, left = capsys.readouterr().out.splitlines()
    assert removed.startswith("would remove vmn")
    assert left.startswith("leave vmn")


def test_gc_answers_programs_with_its_failures(capsys: pytest.CaptureFixture[str]) -> None:
    data = answered(capsys, "gc")
    assert [link["action"] for link in data["links"]] == ["remove", "leave"]
    assert [error["code"] for error in data["errors"]] == ["link-gone"]
