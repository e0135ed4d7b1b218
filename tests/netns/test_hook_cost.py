"""What the hook does without: no search of all processes, no library but pyroute2's codecs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.netns.places import put_tmpfs
from tests.netns.taps import held
from tests.support.domains import bridge_nic, domain_xml, mac, metadata, tap_nic
from tests.support.lab import REPO, Lab, checked, run
from vmnet.model.names import link_name

_TAP = link_name("vm1", 0)
_CONFIG = 'default = "lan"\n[network.lan]\nbridge = "br0"\n'
#: Does what the door does, and says which modules it has loaded.
_SAYS = """\
import sys
from vmnet.entry import hook
hook.handle(sys.argv[1], sys.argv[2], sys.stdin.buffer.read())
print(*sys.modules)
"""


@pytest.fixture(autouse=True)
def _place(lab: Lab) -> None:
    machine_id = Path("/etc/machine-id").read_text()
    put_tmpfs("/etc")
    Path("/etc/machine-id").write_text(machine_id)
    Path("/etc/vmnet").mkdir()
    Path("/etc/vmnet/vmnet.toml").write_text(_CONFIG)
    lab.vmnet("bridge", "create", "br0")


def loaded(op: str, xml: str) -> set[str]:
    """Carry out an operation in a fresh interpreter; return the modules it had in the end."""
    return set(checked([sys.executable, "-c", _SAYS, "vm1", op], input=xml, cwd=REPO).out.split())


def domain(nic: str) -> str:
    return domain_xml("vm1", nic, console=Path("/dev/null"), metadata=metadata(f'mac="{mac(1)}"'))


def light(modules: set[str]) -> bool:
    """Say whether nothing is there that only other commands need."""
    assert "vmnet.service.domains" in modules
    return not modules & {"psutil", "typer", "libvirt", "vmnet.service.nics"}


def test_a_life_of_a_domain_searches_no_processes_and_loads_little(lab: Lab) -> None:
    xml = domain(tap_nic(mac(1), _TAP))
    assert light(loaded("prepare", xml))
    with held(_TAP):
        assert light(loaded("start", xml))
        assert light(loaded("started", xml))
    assert light(loaded("release", xml))
    assert _TAP not in lab.links()


def test_nor_does_one_whose_tap_libvirt_makes() -> None:
    with held("vnet0"):
        xml = domain(bridge_nic(mac(1), inner="<target dev='vnet0'/>"))
        for op in ("prepare", "start", "started", "release"):
            assert light(loaded(op, xml))


def test_a_refusal_still_names_the_holder() -> None:
    xml = domain(tap_nic(mac(1), _TAP))
    loaded("prepare", xml)
    with held(_TAP) as pid:
        argv = [sys.executable, "-I", "-m", "vmnet.entry.hook", "vm1", "prepare", "begin", "-"]
        done = run(argv, input=xml)
        assert done.status == 6
        assert f"held by pid {pid} (sleep 1000)" in done.err
