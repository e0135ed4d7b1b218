"""Files for the host's own programs: whose a text is, which links they name, what is planned."""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.source import REPO
from tests.unit.values import vm_names
from vmnet.errors import Conflict, InvalidInput
from vmnet.formats.hostfile import check_group, parse, render
from vmnet.model.filestep import MakeFolder, RemoveFile, RemoveFolder, WriteFile
from vmnet.model.found import Daemon
from vmnet.model.hostfile import (
    GROUP_FILE,
    HOST_FILES,
    MODULE_FILE,
    UNIT_COMMANDS,
    UNIT_FILE,
    AtBoot,
    Spot,
    State,
    VhostNode,
    Written,
)
from vmnet.model.names import NIC_MAX, ifb_name, link_name
from vmnet.plan.hostfile import (
    Judged,
    about_daemons,
    about_files,
    about_group,
    about_unit,
    about_vhost,
    judge,
    plan_install,
    plan_uninstall,
)

TEXTS = {file: (REPO / "templates" / file.template).read_text() for file in HOST_FILES}
NAMING = [file for file in HOST_FILES if "vmn?" in TEXTS[file]]


def patterns(text: str) -> list[str]:
    """Return what a file says of links' names."""
    (line,) = (line for line in text.splitlines() if "vmn?" in line)
    return re.findall(r"vm[\w?*-]+", line)


@pytest.mark.parametrize("file", NAMING, ids=lambda file: file.name)
@given(vm=vm_names, nic=st.integers(0, NIC_MAX))
def test_the_files_name_every_port_of_vmnets(file: object, vm: str, nic: int) -> None:
    for name in (link_name(vm, nic), ifb_name(vm, nic)):
        assert sum(fnmatchcase(name, each) for each in patterns(TEXTS[file])) == 1  # type: ignore[index]


@pytest.mark.parametrize("name", ["vmnet0", "vmnet10", "vmnet8-x", "vnet0", "eth0", "vmn", "vmi0"])
def test_the_files_name_no_other_link(name: str) -> None:
    assert len(NAMING) == 3
    for file in NAMING:
        assert not any(fnmatchcase(name, each) for each in patterns(TEXTS[file]))


# ---- texts


@pytest.mark.parametrize("file", HOST_FILES, ids=lambda file: file.name)
def test_a_text_says_whose_it_is_and_that_nobody_changed_it(file: object) -> None:
    text = render(TEXTS[file], "qemu")  # type: ignore[index]
    assert text.startswith("# vmnet-host 1 ")
    assert "@" not in text
    assert parse(text) == Written(intact=True, group="qemu" if file is GROUP_FILE else "")
    for changed in (text + "\n", text[:-1], text.replace("vmnet", "vmnot", 2)):
        there = parse(changed)
        assert there is None or not there.intact


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    assert parse(text) is None or text.startswith("# vmnet-host ")
    there = parse(f"# vmnet-host 1 {text}")
    assert there is not None


@pytest.mark.parametrize(
    "group",
    ["", "-a", "1", "a b", 'a"', "a\n", "a$", "$a", "a%", "a" * 33, "ä", "a,b", 'a", RUN+="'],
)
def test_what_could_be_more_than_a_group_is_refused(group: str) -> None:
    with pytest.raises(InvalidInput):
        check_group(group)


# ---- plans


def spots(**changes: object) -> list[Spot]:
    """Return places where nothing is."""
    there = Spot(HOST_FILES[0], "", program_there=True)
    return [
        replace(there, file=file, path=file.path, **changes)  # type: ignore[arg-type]
        for file in HOST_FILES
    ]


def found(state: State, **changes: object) -> list[Judged]:
    text = None if state in (State.ABSENT, State.FOREIGN) else "old\n"
    there = state is not State.ABSENT
    values = {"there": there, "text": text, "proper": True, **changes}
    return [
        Judged(spot, state, "new\n", "kvm" if spot.file is GROUP_FILE else "")
        for spot in spots(**values)
    ]


@pytest.mark.parametrize(
    ("there", "proper", "text", "state"),
    [
        (False, False, None, State.ABSENT),
        (True, True, None, State.FOREIGN),
        (True, True, "x", State.FOREIGN),
        (True, True, render("a", "kvm"), State.INSTALLED),
        (True, False, render("a", "kvm"), State.OTHER),
        (True, True, render("b", "kvm"), State.OTHER),
        (True, True, render("a", "kvm") + "b", State.CHANGED),
    ],
)
def test_what_is_there(there: bool, proper: bool, text: str | None, state: State) -> None:  # noqa: FBT001
    spot = Spot(GROUP_FILE, GROUP_FILE.path, there=there, text=text, proper=proper)
    assert judge(spot, parse(text), render("a", "kvm")).state is state


def test_each_folder_is_made_once_and_each_step_has_its_undo() -> None:
    plan = plan_install(found(State.ABSENT, missing=("/etc", "/etc/x")), force=False)
    made = [move.do for move in plan.moves if isinstance(move.do, MakeFolder)]
    assert made == [MakeFolder("/etc"), MakeFolder("/etc/x")]
    for move in plan.moves:
        match move.do:
            case MakeFolder(path):
                assert move.undo == RemoveFolder(path)
            case WriteFile(path, text):
                assert (move.undo, text) == (RemoveFile(path), "new\n")
            case other:
                raise AssertionError(other)


def test_what_is_replaced_comes_back_and_what_is_right_stays() -> None:
    plan = plan_install(found(State.OTHER), force=False)
    assert {move.undo for move in plan.moves} == {WriteFile(f.path, "old\n") for f in HOST_FILES}
    assert plan_install(found(State.INSTALLED), force=False).moves == ()
    rest = plan_install(found(State.INSTALLED, rest="/etc/.x.new"), force=False)
    assert {move.do for move in rest.moves} == {RemoveFile("/etc/.x.new")}


@pytest.mark.parametrize("force", [False, True])
def test_one_that_is_foreign_keeps_all_from_being_written(force: bool) -> None:  # noqa: FBT001
    places = [*found(State.ABSENT)[:5], *found(State.FOREIGN)[5:]]
    with pytest.raises(Conflict) as refused:
        plan_install(places, force=force)
    assert refused.value.code == "foreign-file"
    plan = plan_uninstall(places, force=force)
    assert (plan.moves, len(plan.notes)) == ((), 1)


def test_what_was_changed_is_lost_only_when_asked_for_and_said() -> None:
    for make in (plan_install, plan_uninstall):
        with pytest.raises(Conflict) as refused:
            make(found(State.CHANGED), force=False)
        assert refused.value.code == "changed-file"
        plan = make(found(State.CHANGED), force=True)
        assert (len(plan.moves), len(plan.notes)) == (6, 6)
        assert all("the change is lost" in note for note in plan.notes)


def test_folders_go_only_where_no_program_wants_them() -> None:
    kept = plan_uninstall(found(State.INSTALLED), force=False)
    assert {type(move.do) for move in kept.moves} == {RemoveFile}
    gone = plan_uninstall(found(State.INSTALLED, program_there=False), force=False)
    folders = [move.do.path for move in gone.moves if isinstance(move.do, RemoveFolder)]
    assert folders == sorted(folders, reverse=True)
    assert set(folders) == {
        *("/etc/systemd/network", "/etc/systemd/system", "/etc/systemd", "/etc/modules-load.d"),
        *("/etc/NetworkManager/conf.d", "/etc/NetworkManager", "/etc/udev/rules.d", "/etc/udev"),
    }


# ---- findings


def test_what_is_missing_matters_where_its_program_is() -> None:
    assert {each.code for each in about_files(found(State.ABSENT))} == {"absent"}
    assert list(about_files(found(State.ABSENT, program_there=False))) == []
    assert list(about_files(found(State.INSTALLED))) == []
    assert {each.code for each in about_files(found(State.OTHER))} == {"old-file"}
    assert {each.code for each in about_files(found(State.OTHER, proper=False))} == {"file-mode"}


def test_a_program_that_started_before_its_file_may_not_know() -> None:
    programs = {file.program for file in HOST_FILES}
    manager = next(program for program in programs if program.name == "NetworkManager")
    daemons = [Daemon(7, manager.process, 100.0, "")]
    assert list(about_daemons(daemons, programs, {manager.name: 99.0})) == []
    (told,) = about_daemons(daemons, programs, {manager.name: 101.0})
    assert (told.code, told.remedy, told.certain) == ("reload", "nmcli general reload conf", False)
    assert list(about_daemons(daemons, programs, {})) == []


@pytest.mark.parametrize(
    ("node", "code"),
    [
        (VhostNode(loaded=True, why_not="", group="kvm", mode=0o660), ""),
        (VhostNode(loaded=True, why_not="", group="root", mode=0o666), ""),
        (VhostNode(loaded=True, why_not="", group="root", mode=0o660), "node-group"),
        (VhostNode(loaded=True, why_not="", group="kvm", mode=0o600), "node-group"),
        (VhostNode(loaded=False, why_not=""), "not-loaded"),
        (VhostNode(loaded=False, why_not="kernel 1 was built without it"), "no-module"),
    ],
)
def test_what_the_files_about_vhost_have_not_brought_about(node: VhostNode, code: str) -> None:
    assert "".join(each.code for each in about_vhost(found(State.INSTALLED), node)) == code
    # Of a module and a group that nobody asked for there is nothing to be said.
    absent = [replace(each, group="") for each in found(State.ABSENT)]
    assert {each.code for each in about_vhost(absent, node)} <= {"no-module"}
    assert MODULE_FILE in HOST_FILES


def test_a_group_of_people_is_said() -> None:
    assert list(about_group("kvm", 108)) == list(about_group("kvm", None)) == []
    (said,) = about_group("joe", 1000)
    assert "joe" in said


@pytest.mark.parametrize(
    ("state", "boot", "codes"),
    [
        (State.INSTALLED, AtBoot(enabled=True, command_there=True), []),
        (State.INSTALLED, AtBoot(enabled=False, command_there=True), ["not-enabled"]),
        (State.INSTALLED, AtBoot(enabled=True, command_there=False), ["no-command"]),
        (State.ABSENT, AtBoot(enabled=True, command_there=False), ["still-enabled"]),
        (State.ABSENT, AtBoot(enabled=False, command_there=False), []),
        (State.FOREIGN, AtBoot(enabled=False, command_there=False), []),
    ],
)
def test_what_the_unit_still_wants(state: State, boot: AtBoot, codes: list[str]) -> None:
    told = list(about_unit(found(state), boot))
    assert [each.code for each in told] == codes
    assert not any(each.certain for each in told)


def test_a_tree_is_named_in_what_would_help() -> None:
    places, boot = found(State.INSTALLED), AtBoot(enabled=False, command_there=False)
    disabled, missing = about_unit(places, boot, "/srv/a b")
    assert disabled.remedy == "systemctl --root='/srv/a b' enable vmnet"
    # Nothing that would put a link into this host's own /usr/bin.
    assert missing.remedy == "install vmnet in /srv/a b"
    assert "/srv/a b/usr/bin" in missing.what


def test_what_is_to_be_typed_for_a_tree_names_it() -> None:
    told = {finding.remedy for finding in about_files(found(State.CHANGED), "/srv/a b")}
    assert told == {"vmnet host install --root '/srv/a b' --force"}
    for make, verb in ((plan_install, "install"), (plan_uninstall, "uninstall")):
        with pytest.raises(Conflict) as caught:
            make(found(State.CHANGED), force=False, top="/srv/t")
        assert f"`vmnet host {verb} --root /srv/t --force`" in caught.value.remedy


def test_the_unit_runs_what_is_looked_for() -> None:
    lines = TEXTS[UNIT_FILE].splitlines()
    assert "ExecStart=vmnet up" in lines
    assert {path.rpartition("/")[2] for path in UNIT_COMMANDS} == {"vmnet"}
    assert "WantedBy=multi-user.target" in lines
