"""What every tier gets: a lab on request, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from tests.support.lab import Lab, descriptors, own_namespaces


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A network and mount namespace of the test's own; no descriptor or child may stay behind."""
    before = descriptors()
    with own_namespaces():
        yield Lab()
    assert descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip is a failure: what the plain machine lacks belongs to the test host."""
    report = yield
    if os.environ.get("VMNET_NO_SKIP") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
    return report
