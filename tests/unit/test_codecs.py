"""pyroute2's codecs without the rest of it, and the rest for whoever asks."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_vmnet_loads_the_codecs_alone() -> None:
    trace = "sys.addaudithook(lambda event, args: event == 'import' and seen.add(args[0]))"
    program = f"import sys; seen = set(); {trace}; import vmnet.kernel.links; print(*seen)"
    loaded = {name for name in _python(program).split() if name.startswith("pyroute2")}
    assert "pyroute2.netlink.rtnl.ifinfmsg" in loaded
    assert "pyroute2.iproute" not in loaded
    assert len(loaded) < 40


@pytest.mark.parametrize(
    "use",
    [
        "import pyroute2; pyroute2.IPRoute",
        "from pyroute2 import IPRoute, NDB",
        "from pyroute2.iproute import IPRoute",
        "import pyroute2.iproute; pyroute2.__version__; pyroute2.netlink.rtnl.ifinfmsg.ifinfmsg",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_program_that_uses_pyroute2_too_gets_all_of_it(use: str, *, first: bool) -> None:
    lines = [use, "import vmnet.kernel.links as links"]
    program = "\n".join(lines if first else reversed(lines))
    check = "with links.Netlink() as netlink: print(netlink.link('lo').name)"
    assert _python(f"{program}\n{check}") == "lo"
