"""The script that libvirt calls, with a program in vmnet's place that fails in every way."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.lab import REPO

LIMIT, SLACK = 1, 8  # seconds: the program's own limit; what a busy machine may add to all of it
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
ASKED = ("prepare", "start", "started", "migrate", "restore", "release")
PASSED = ("reconnect", "stopped", "attach", "some-later-one", "")
REWRITES = ("migrate", "restore")
SECRET = "hush"  # noqa: S105 - to be looked for in what is said
OURS = f"<domain><vmnet:nics xmlns:vmnet='urn:vmnet:nics:1'/><graphics passwd='{SECRET}'/></domain>"
#: More than a pipe holds, so that whoever writes it waits for its reader.
LARGE = OURS.replace("</domain>", "<!--" + "x" * 200_000 + "--></domain>\n")

#: What the program does, by the name of the domain; $5 is the operation.
PROGRAM = """#!/bin/sh
case $4 in unread*) ;; *) xml=$(cat) ;; esac
case $4 in
good) ;;
rewrites) printf '<other>%s</other>\\n\\n' "${#xml}" ;;
warns) echo 'vmnet: all is well' >&2 ;;
refuses) printf 'a word before\\nvmnet: no; try: that\\n' >&2; exit 3 ;;
prints-and-refuses) echo '<other/>'; echo 'vmnet: no; try: that' >&2; exit 12 ;;
unread-refuses) echo 'vmnet: no; try: that' >&2; exit 3 ;;
floods-and-refuses) yes | head -c 3000000 >&2; echo 'vmnet: no; try: that' >&2; exit 3 ;;
mute) exit 3 ;;
traceback) printf 'Traceback (most recent call last):\\nKeyError: %s\\n' "$xml" >&2; exit 1 ;;
odd-status) echo 'vmnet: what is this' >&2; exit 77 ;;
killed) kill -KILL $$ ;;
segv) kill -SEGV $$ ;;
child) sleep 3333 & echo $! >"$0.$5.child"; exit 0 ;;
hangs) sleep 3333 & echo $! >"$0.$5.hangs"; wait ;;
unread-hangs) exec sleep 3333 ;;
ignores) trap '' TERM; while :; do sleep 3333; done ;;
floods) exec cat /dev/zero >&2 ;;
floods-out) exec cat /dev/zero ;;
holds) setsid sleep 5 & exit 3 ;;
unread-holds) setsid sleep 5 <&3 & exit 3 ;;
esac 3<&0
"""


@dataclass
class Called:
    """What a call of the hook did, and how long it took in seconds."""

    status: int
    out: str
    err: str
    seconds: float


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """Return the words that begin a command of this shell."""
    return SHELLS[request.param]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a program in vmnet's place."""
    path = tmp_path / "program with space"
    path.write_text(PROGRAM)
    path.chmod(0o755)
    return path


@pytest.fixture
def hook(tmp_path: Path, program: Path) -> Path:
    """Return the hook as it would be installed."""
    text = (REPO / "hooks" / "libvirt-qemu").read_text()
    path = tmp_path / "50-vmnet"
    text = text.replace("@PYTHON@", f"'{program}'").replace("@LIMIT@", str(LIMIT))
    path.write_text(text)
    path.chmod(0o755)
    return path


def start(hook: Path, shell: list[str], *args: str, xml: str = OURS) -> Callable[[], Called]:
    """Start the hook as libvirt does; return what waits for it."""
    began = time.monotonic()
    stdin, writing = os.pipe()
    if len(xml) < 60_000:
        os.write(writing, xml.encode())
        os.close(writing)
        feeder = None
    else:
        feeder = os.fork()
        if feeder == 0:
            try:
                os.close(stdin)
                os.write(writing, xml.encode())
            finally:
                os._exit(0)
        os.close(writing)
    process = subprocess.Popen(
        [*shell, str(hook), *args],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        cwd="/",
    )
    os.close(stdin)

    def wait() -> Called:
        out, err = process.communicate(timeout=60)
        seconds = time.monotonic() - began
        if feeder is not None:
            os.waitpid(feeder, 0)
        return Called(process.returncode, out.decode(), err.decode("utf-8", "replace"), seconds)

    return wait


def call(hook: Path, shell: list[str], *args: str, xml: str = OURS) -> Called:
    """Call the hook and wait for it; libvirt too waits until both pipes are closed."""
    return start(hook, shell, *args, xml=xml)()


def judge(called: Called, operation: str, said: str, status: int = 1) -> None:
    """Expect a refusal in one line, but for a release, which is never refused."""
    assert called.out == ""
    assert called.err.startswith("vmnet: "), called
    assert said in called.err
    assert called.err.count("\n") == 1
    assert called.err.endswith("\n")
    assert SECRET not in called.err
    assert called.status == (0 if operation == "release" else status)


@pytest.mark.parametrize("operation", ASKED)
def test_a_good_answer_passes(hook: Path, shell: list[str], operation: str) -> None:
    for vm in ("good", "warns"):
        called = call(hook, shell, vm, operation, "begin", "-")
        assert (called.status, called.out, called.err) == (0, "", "")


@pytest.mark.parametrize("operation", ASKED)
@pytest.mark.parametrize("xml", [OURS, LARGE], ids=["short", "large"])
def test_what_is_printed_is_passed_on_only_where_libvirt_takes_it(
    hook: Path, shell: list[str], operation: str, xml: str
) -> None:
    called = call(hook, shell, "rewrites", operation, "begin", "-", xml=xml)
    assert (called.status, called.err) == (0, "")
    other = f"<other>{len(xml.rstrip())}</other>\n\n"
    assert called.out == (other if operation in REWRITES else "")


REFUSALS = ("refuses", "prints-and-refuses", "unread-refuses", "floods-and-refuses")


@pytest.mark.parametrize("operation", ASKED)
@pytest.mark.parametrize("vm", REFUSALS)
def test_a_refusal_is_passed_on_in_its_own_words(
    hook: Path, shell: list[str], operation: str, vm: str
) -> None:
    called = call(hook, shell, vm, operation, "begin", "-", xml=LARGE)
    judge(called, operation, "no; try: that", 12 if vm.startswith("prints") else 3)


FAILURES = {
    "mute": "failed (status 3)",
    "traceback": "failed (status 1)",
    "odd-status": "failed (status 77)",
    "killed": "was killed, or not done within 1 s",
    "segv": "failed (status 139)",
}


@pytest.mark.parametrize("operation", ASKED)
@pytest.mark.parametrize("vm", FAILURES)
def test_a_failure_is_a_refusal_in_the_hooks_words(
    hook: Path, shell: list[str], operation: str, vm: str
) -> None:
    called = call(hook, shell, vm, operation, "begin", "-")
    judge(called, operation, f"{operation} of {vm}: ")
    assert FAILURES[vm] in called.err
    assert f"(on {os.uname().nodename})" in called.err


@pytest.mark.parametrize("operation", ASKED)
def test_a_program_that_cannot_be_run_is_a_refusal(
    hook: Path, program: Path, shell: list[str], operation: str
) -> None:
    program.chmod(0o644)
    judge(call(hook, shell, "good", operation, "begin", "-"), operation, f"{program} cannot be run")
    program.unlink()
    judge(call(hook, shell, "good", operation, "begin", "-"), operation, f"{program} cannot be run")
    program.mkdir()
    judge(call(hook, shell, "good", operation, "begin", "-"), operation, f"{program} cannot be run")


def test_what_is_not_for_the_program_passes_whatever_it_is(
    hook: Path, program: Path, shell: list[str]
) -> None:
    program.unlink()
    for operation in PASSED:
        called = call(hook, shell, "vm", operation, "begin", "-", xml=LARGE)
        assert (called.status, called.out, called.err) == (0, "", ""), operation
    for operation in ASKED:
        called = call(hook, shell, "vm", operation, "begin", "-", xml="<domain/>")
        assert (called.status, called.out, called.err) == (0, "", ""), operation
    called = call(hook, shell)
    assert (called.status, called.out, called.err) == (0, "", "")


#: Domain, and how long the hook may take for it, in seconds.
SLOW = {
    "hangs": LIMIT,
    "unread-hangs": LIMIT,
    "ignores": LIMIT + 2,
    "floods": LIMIT,
    "floods-out": LIMIT,
    "holds": LIMIT + 2,
    "unread-holds": LIMIT + 2,
}


@pytest.mark.parametrize("operation", ["start", "restore", "release"])
def test_nothing_holds_the_hook_up(hook: Path, shell: list[str], operation: str) -> None:
    waits = {vm: start(hook, shell, vm, operation, "begin", "-", xml=LARGE) for vm in SLOW}
    for vm, wait in waits.items():
        called = wait()
        judge(called, operation, f"{operation} of {vm}: ")
        assert called.seconds < SLOW[vm] + SLACK


@pytest.mark.parametrize("operation", ["prepare", "migrate", "release"])
@pytest.mark.parametrize("vm", ["child", "hangs"])
def test_what_the_program_started_ends_with_it(
    hook: Path, program: Path, shell: list[str], operation: str, vm: str
) -> None:
    called = call(hook, shell, vm, operation, "begin", "-")
    assert called.out == ""
    assert called.status == (1 if vm == "hangs" and operation != "release" else 0)
    pid = int(Path(f"{program}.{operation}.{vm}").read_text())
    assert not runs(pid)


def runs(pid: int) -> bool:
    """Say whether a process is there and not just waiting for its parent to notice its end."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize("operation", ASKED)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_closed_and_full_descriptors_change_no_answer(
    hook: Path, shell: list[str], operation: str, closed: str
) -> None:
    line = f'exec "$@" {closed}'
    outer = ["sh", "-c", line, "sh", *shell]
    refused = call(hook, outer, "refuses", operation, "begin", "-")
    # Where there is no XML there is nothing of vmnet's in it.
    passes = operation == "release" or "<&-" in closed
    assert refused.status == (0 if passes else 3)
    good = call(hook, outer, "rewrites", operation, "begin", "-")
    full = operation in REWRITES and "/dev/full" in closed
    assert good.status == int(full)


def test_a_domain_name_cannot_act_on_a_terminal(hook: Path, shell: list[str]) -> None:
    program = hook.with_name("program with space")
    program.unlink()
    called = call(hook, shell, "a\x1b[31m\u009b31mé\r\t", "prepare", "begin", "-")
    judge(called, "prepare", "31mé")
    assert called.err.rstrip("\n").isprintable()


def test_a_hook_whose_reader_is_gone_ends(hook: Path, shell: list[str]) -> None:
    out, writing = os.pipe()
    os.close(out)
    done = subprocess.run(
        [*shell, str(hook), "rewrites", "restore", "begin", "-"],
        input=OURS.encode(),
        stdout=writing,
        stderr=writing,
        check=False,
        timeout=20,
    )
    os.close(writing)
    assert done.returncode != 0


def test_without_coreutils_it_is_a_refusal(hook: Path, shell: list[str]) -> None:
    text = hook.read_text()
    hook.write_text(text.replace("timeout=/usr/bin/timeout", "timeout=/nowhere/timeout"))
    for operation in ("prepare", "restore", "release"):
        judge(call(hook, shell, "good", operation, "begin", "-"), operation, "status unknown")


def test_shells_agree_that_it_is_well_written() -> None:
    assert shutil.which("shellcheck")
    for words in SHELLS.values():
        subprocess.run([*words, "-n", str(REPO / "hooks" / "libvirt-qemu")], check=True)
    subprocess.run(["shellcheck", str(REPO / "hooks" / "libvirt-qemu")], check=True)
