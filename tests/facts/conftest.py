"""A network namespace for each test, and proof that the test left nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.facts import processes


@pytest.fixture(autouse=True)
def netns() -> Iterator[None]:
    """Put the test into a fresh network namespace; no descriptor or child may stay behind."""
    before = _descriptors()
    home = processes.open_netns()
    try:
        processes.unshare_net()
    except PermissionError:
        os.close(home)
        pytest.skip("needs a network namespace of its own: run as root")
    try:
        yield
    finally:
        processes.setns(home)
        os.close(home)
    assert _descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def _descriptors() -> dict[str, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = os.readlink(entry)
        except FileNotFoundError:
            continue  # the listing's own
    return found
