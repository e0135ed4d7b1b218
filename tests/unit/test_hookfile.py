"""libvirt's hook as a text, and what is decided about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.source import REPO
from vmnet.errors import Conflict, InvalidInput
from vmnet.formats.hookfile import parse, render
from vmnet.model.found import Daemon
from vmnet.model.hookfile import (
    HOOK_PATH,
    LIMIT,
    LIMIT_MAX,
    HookFile,
    Place,
    Profile,
    Script,
    Security,
)
from vmnet.plan.hookfile import (
    State,
    about_apparmor,
    about_daemons,
    about_place,
    about_selinux,
    judge_place,
    plan_install,
    plan_uninstall,
)

TEMPLATE = (REPO / "hooks" / "libvirt-qemu").read_text()
SCRIPT = Script("/opt/vmnet/bin/python3", LIMIT)
TEXT = render(TEMPLATE, SCRIPT)


def place(text: str | None = TEXT, *, there: bool = True, proper: bool = True) -> Place:
    return Place(there, text, proper, (), ())


def test_what_is_filled_in_can_be_read_again() -> None:
    assert parse(TEXT) == SCRIPT
    assert "@" not in TEXT.replace('"$@"', "")
    assert [line for line in TEXT.split("\n") if line not in TEMPLATE.split("\n")] == [
        "python=/opt/vmnet/bin/python3",
        f"limit={LIMIT} # seconds",
    ]


@given(st.text(max_size=40), st.integers(1, LIMIT_MAX))
def test_any_path_that_can_be_is_read_again(name: str, limit: int) -> None:
    script = Script(f"/{name}", limit)
    if script.python.isprintable():
        assert parse(render(TEMPLATE, script)) == script
    else:
        with pytest.raises(InvalidInput):
            render(TEMPLATE, script)


@pytest.mark.parametrize("path", ["", "python3", "bin/python3", "/a\nb", "/a\x1bb"])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="full path"):
        render(TEMPLATE, Script(path, LIMIT))


@pytest.mark.parametrize("limit", [-1, 0, LIMIT_MAX + 1])
def test_a_limit_that_cannot_be_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match="time limit"):
        render(TEMPLATE, Script("/p", limit))


@pytest.mark.parametrize("text", [None, "", "#!/bin/sh\n", "#!/bin/sh\nexit 0\n", "\n#vmnet-hook"])
def test_another_text_is_not_vmnets(text: str | None) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("rest", ["", "python='\nlimit=x", "python=\nlimit=", "limit=-1"])
def test_a_damaged_hook_is_vmnets_all_the_same(rest: str) -> None:
    script = parse(f"#!/bin/sh\n# vmnet-hook 0\n{rest}")
    assert script is not None
    assert script.limit == 0


def test_the_place_is_judged() -> None:
    assert judge_place(place(there=False), None, None) is State.ABSENT
    assert judge_place(place("else"), None, None) is State.FOREIGN
    assert judge_place(place(), SCRIPT, TEXT) is State.INSTALLED
    assert judge_place(place(proper=False), SCRIPT, TEXT) is State.OTHER
    assert judge_place(place(TEXT + "#"), SCRIPT, TEXT) is State.OTHER


@pytest.mark.parametrize(
    ("there", "written"),
    [
        (place(), False),
        (place(proper=False), True),
        (place(TEXT + "#"), True),
        (place(None, there=False), True),
    ],
)
def test_only_what_is_not_so_is_written(there: Place, *, written: bool) -> None:
    script = parse(there.text)
    assert plan_install(there, script, TEXT) is written
    assert plan_uninstall(there, script) is there.there


@pytest.mark.parametrize("text", ["#!/bin/sh\n", None])
def test_what_is_foreign_stays(text: str | None) -> None:
    with pytest.raises(Conflict, match="not vmnet's"):
        plan_install(place(text), None, TEXT)
    with pytest.raises(Conflict, match="not vmnet's"):
        plan_uninstall(place(text), None)


def codes(state: State, there: Place) -> list[str]:
    return [finding.code for finding in about_place(state, there)]


def test_what_is_wrong_with_the_file_is_found() -> None:
    assert codes(State.INSTALLED, place()) == []
    assert codes(State.ABSENT, place(there=False)) == ["absent"]
    assert codes(State.FOREIGN, place()) == ["foreign-hook"]
    assert codes(State.OTHER, place()) == ["hook-version"]
    assert codes(State.OTHER, place(proper=False)) == ["hook-mode"]


def hook(since: float, *, executable: bool = True) -> HookFile:
    return HookFile(HOOK_PATH, executable, since)


@pytest.mark.parametrize(
    ("hooks", "needed"),
    [
        ([], False),
        ([hook(5)], False),
        ([hook(15)], True),
        ([hook(15), hook(5)], False),
        ([hook(15), hook(5, executable=False)], True),
        ([hook(15, executable=False)], False),
    ],
)
def test_a_daemon_that_had_no_hook_at_its_start_is_found(
    hooks: list[HookFile], *, needed: bool
) -> None:
    found = list(about_daemons([Daemon(7, "virtqemud", 10, "")], hooks, systemd=True))
    assert [finding.remedy for finding in found] == ["systemctl restart virtqemud"] * needed
    found = list(about_daemons([Daemon(7, "virtqemud", 10, "")], hooks, systemd=False))
    assert len(found) == needed
    assert all("`kill 7`" in finding.remedy for finding in found)


def test_what_apparmor_denies_is_said_with_the_line_that_allows_it() -> None:
    profile = Profile("libvirtd", "/etc/p", "/etc/local/p", "text")
    assert not list(about_apparmor(profile, []))
    first, second = about_apparmor(profile, ["/opt/python", "/a b"])
    assert first.remedy == (
        "add the line `/opt/python PUx,` to /etc/local/p, then `apparmor_parser -r /etc/p`"
    )
    assert '`"/a b" PUx,`' in second.remedy
    (unknown,) = about_apparmor(Profile("libvirtd", "/etc/p", "/etc/local/p", None), ["/a"])
    assert not unknown.certain


def test_what_selinux_may_object_to_is_possible_only() -> None:
    labels = (
        (HOOK_PATH, "system_u:object_r:user_tmp_t:s0"),
        ("/opt/python", "unconfined_u:object_r:user_home_t:s0"),
        ("/usr/bin/timeout", "system_u:object_r:bin_t:s0"),
    )
    assert not list(about_selinux(Security(labels=labels)))
    first, second = about_selinux(Security(selinux=True, labels=labels))
    assert not first.certain
    assert first.remedy == f"restorecon -v {HOOK_PATH}"
    assert second.remedy.startswith("semanage fcontext -a -t bin_t /opt/python && ")
