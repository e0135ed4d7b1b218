"""The test host itself."""

from __future__ import annotations

from tests.support.lab import REPO, run

_TESTHOST = str(REPO / "tests" / "lab" / "testhost.sh")
#: Of an emulated machine that ended before its command did.
_DIED = 70


def test_a_panic_is_told_from_a_command_that_fails() -> None:
    """By which `./dev test-host` knows what to run again."""
    panic = run([_TESTHOST, "sh", "-c", "echo c >/proc/sysrq-trigger"], timeout=110)
    assert panic.status == _DIED, panic
    assert "QEMU ended" in panic.err
    assert run([_TESTHOST, "sh", "-c", "exit 3"], timeout=110).status == 3
