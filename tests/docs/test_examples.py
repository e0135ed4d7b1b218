"""Every ```console block of the documents is run, and answers what the document says it does.

The blocks of one document are one session: as root, in a lab, with a machine id of its own.
`...` stands for anything; the data path is the host's affair and may differ.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.examples import examples, fits, section
from tests.support.lab import REPO, VENV_BIN, Lab, run
from tests.unit.test_cli import COMMANDS

DOCUMENTS = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
#: That one is run where a libvirtd is: tests/libvirt/test_document.py.
_ELSEWHERE = REPO / "docs" / "libvirt.md"
#: And this section where br_netfilter is: tests/testhost/test_docker.py.
_WITH_DOCKER = (REPO / "docs" / "howto.md", "... share a host with Docker")
WITH_EXAMPLES = [
    path for path in DOCUMENTS if "```console" in path.read_text() and path != _ELSEWHERE
]
_MACHINE_ID = "00112233445566778899aabbccddeeff"


@pytest.mark.parametrize("document", WITH_EXAMPLES, ids=lambda path: path.name)
def test_examples_answer_what_the_document_says(lab: Lab, document: Path, tmp_path: Path) -> None:
    machine_id = tmp_path / "machine-id"
    machine_id.write_text(_MACHINE_ID)
    lab.sh(f"mount --bind {machine_id} /etc/machine-id")
    env = {**os.environ, "PATH": f"{VENV_BIN}:{os.environ['PATH']}:/usr/sbin:/sbin"}
    text = document.read_text()
    if document == _WITH_DOCKER[0]:
        text = text.replace(section(text, _WITH_DOCKER[1]), "")
    for command, expected in examples(text):
        done = run(["sh", "-c", f"exec 2>&1; {command}"], env=env, cwd=tmp_path)
        assert fits(done.out, expected), f"$ {command}\n{done.out}\nthe document says:\n{expected}"


def test_every_document_with_commands_has_examples_that_are_run() -> None:
    assert {path.name for path in WITH_EXAMPLES} >= {"README.md", "tutorial.md", "howto.md"}


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_man_pages_say_what_help_says(tmp_path: Path) -> None:
    done = run(["sh", str(REPO / "docs" / "man.sh"), str(tmp_path)])
    assert done.status == 0, done.err
    fresh = {path.name: path.read_text() for path in tmp_path.glob("*.1")}
    kept = {path.name: path.read_text() for path in (REPO / "docs" / "man").glob("*.1")}
    assert fresh == kept, "run ./dev man"


def test_the_reference_names_every_reason_and_exit_status() -> None:
    from vmnet import errors
    from vmnet.model.vhost import Reason

    text = (REPO / "docs" / "reference.md").read_text()
    for reason in Reason:
        assert f"`{reason.value}`" in text, reason
    for name, thing in vars(errors).items():
        if (
            isinstance(thing, type)
            and issubclass(thing, errors.VmnetError)
            and name != "Interrupted"
        ):
            assert re.search(rf"\| {thing.exit_code}\b.*\| `{name}` \|", text), name


def test_every_command_has_a_man_page() -> None:
    pages = {path.stem for path in (REPO / "docs" / "man").glob("*.1")}
    assert {"-".join(["vmnet", *words]) for words in COMMANDS} | {"vmnet"} == pages
