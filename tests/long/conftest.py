"""Hosts on request, as in the libvirt tier."""

from tests.libvirt.conftest import host, nothing_stays, pair

__all__ = ["host", "nothing_stays", "pair"]
