"""Halves of IPv6 addresses in the filter: libnftables writes those from 8000:: on below zero."""

from __future__ import annotations

import pytest

from tests.support.lab import Lab


@pytest.mark.parametrize("prefix", ["fe80::/64", "fd00::/64", "2001:db8::/64"])
def test_a_prefix_is_read_back_as_it_was_written(lab: Lab, prefix: str) -> None:
    lab.vmnet("bridge", "create", "br0")
    lab.vmnet("attach", "vm1", "--address", prefix)
    again = lab.vmnet("attach", "vm1", "--json").json
    assert (again["steps"], again["port"]["address"]) == ([], prefix)
    lab.vmnet("attach", "vm1", "--address", "none")
    lab.vmnet("detach", "vm1")
