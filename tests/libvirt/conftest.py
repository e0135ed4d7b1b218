"""Hosts on request; no descriptor, child or mount may stay behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lab import descriptors
from tests.support.libvirtd import Host
from tests.support.pair import Pair


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Compare descriptors, children and mounts before and after."""
    before, mounts = descriptors(), Path("/proc/self/mounts").read_text()
    yield
    assert descriptors() == before
    assert Path("/proc/self/mounts").read_text() == mounts
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with a libvirtd of its own, a bridge br0 and the address 10.99.0.1 on it."""
    with Host() as host:
        host.bridge("br0", "10.99.0.1/24")
        yield host


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two such hosts and a client on one Ethernet."""
    with Pair() as pair:
        yield pair
