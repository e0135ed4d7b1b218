"""The session in docs/libvirt.md is run, and answers what the document says it does."""

from __future__ import annotations

from tests.support.examples import examples, fits
from tests.support.lab import REPO, VENV_BIN
from tests.support.libvirtd import Host

_CONFIG = """
[network.lan]
bridge = "br0"

[network.dmz]
bridge = "br1"
"""
_UUID = "<uuid>00112233-4455-4677-8899-aabbccddeeff</uuid>"


def test_the_session_answers_what_the_document_says(host: Host) -> None:
    host.bridge("br1", "10.98.0.1/24")
    host.config(_CONFIG)
    host.define(host.domain("vm1").replace("</name>", f"</name>{_UUID}"))
    path = f"PATH={VENV_BIN}:/usr/sbin:/usr/bin:/sbin:/bin"
    for command, expected in examples((REPO / "docs" / "libvirt.md").read_text()):
        done = host.sh(f"exec 2>&1; {path}; {command}")
        assert fits(done.out, expected), f"$ {command}\n{done.out}\nthe document says:\n{expected}"
