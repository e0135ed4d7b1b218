"""What a step does, in words."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.unit.steps import EVERY_STEP
from vmnet.model.filestep import MakeFolder, RemoveFile, RemoveFolder, WriteFile
from vmnet.model.ovs import AddOvsPort, DropOvsPort, SetOvsPort
from vmnet.model.portstep import CreateIfb, ForgetLink, InstallFilter, RemoveFilter, SetStrict
from vmnet.model.step import (
    AddDevice,
    AddNetdev,
    CloseFd,
    CreateBridge,
    CreateTap,
    CreateTun,
    CreateVeth,
    InPlace,
    PassFd,
    PlugDevice,
    RemoveDevice,
    RemoveNetdev,
    SetMetadata,
    Step,
    UnplugDevice,
    UpdateDevice,
)
from vmnet.model.wirestep import CreateMacvtap, EndPasst, StartPasst
from vmnet.model.words import describe


def test_the_tests_know_every_kind_of_step() -> None:
    assert {type(step) for step in EVERY_STEP} == set(get_args(Step))


def test_every_step_has_words_of_its_own() -> None:
    assert len({describe(step) for step in EVERY_STEP}) == len(EVERY_STEP)


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: type(step).__name__)
def test_the_words_name_the_link_and_go_on_after_cannot(step: Step) -> None:
    words = describe(step)
    assert repr(_about(step)) in words
    assert words.isprintable()
    assert words.split()[0] in {
        *("make", "open", "give", "remove", "delete", "write", "set", "keep"),
        *("take", "put", "bring", "add", "change", "pass", "plug", "start", "end"),
    }


def _about(step: Step) -> str:
    match step:
        case SetMetadata() | PlugDevice() | UnplugDevice() | UpdateDevice():
            return step.domain
        case AddDevice() | RemoveDevice():
            return step.device
        case AddNetdev() | RemoveNetdev():
            return step.netdev
        case InstallFilter() | RemoveFilter():
            return "bridge vmnet"
        case MakeFolder() | RemoveFolder() | WriteFile() | RemoveFile():
            return step.path
        case ForgetLink(about) | SetStrict(about) | InPlace(about):
            return str(about)
        case AddOvsPort(port) | SetOvsPort(port):
            return port.name
        case (
            CreateTap()
            | CreateTun()
            | CreateVeth()
            | CreateBridge()
            | CreateIfb()
            | CreateMacvtap()
            | PassFd()
            | DropOvsPort()
            | CloseFd()
        ):
            return step.name
        case StartPasst() | EndPasst():
            return "passt"
        case _:
            return step.link.name
