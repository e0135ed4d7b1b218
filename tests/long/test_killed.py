"""Changes of a running libvirt domain, killed at many times of their run."""

from __future__ import annotations

import pytest

from tests.libvirt.killing import sweep
from tests.libvirt.wished import By, ready
from tests.support.libvirtd import Host


@pytest.mark.timeout(600)
@pytest.mark.parametrize("by", By)
def test_every_twentieth_of_a_second(by: By) -> None:
    with Host() as host:
        host.bridge("br0", "10.99.0.1/24")
        ready(host)
        sweep(host, by, range(10, 130, 5))
