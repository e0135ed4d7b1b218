"""A container of LXC and a guest on one bridge."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from tests.netns.commands import until
from tests.netns.ends import Place, echoed
from tests.netns.places import put_tmpfs
from tests.support.guest import GUEST_IP, guest_argv, started
from tests.support.lab import Lab
from tests.support.lxc import container, environment

_ADDRESS = "10.99.0.77/24"


def _patch(lab: Lab) -> list[str]:
    words = ("patch", "br0", "lxc:web", "--address", _ADDRESS, "--json")
    steps = lab.vmnet(*words, env=environment()).json["steps"]
    assert isinstance(steps, list)
    return steps


def _reaches(inside: Place) -> bool:
    return inside.pings(GUEST_IP) and echoed(inside.argv(), GUEST_IP)


def _link(inside: Place) -> Any:
    return json.loads(inside.sh("ip -j link show eth0"))[0]["address"]


def test_they_ping_and_move_ten_megabytes_also_after_the_container_restarted(
    lab: Lab, tmp_path: Path
) -> None:
    put_tmpfs("/run")
    lab.vmnet("bridge", "create", "br0")
    args = shlex.split(lab.vmnet("attach", "vm1", "--bridge", "br0").out)
    before = set(lab.links())
    console = tmp_path / "console"
    with container("web") as web, started(guest_argv(console, GUEST_IP) + args, console) as guest:
        guest.wait_ready()
        missing = lab.vmnet("patch", "br0", "lxc:web", status=4, env=environment()).err
        assert "lxc:web does not run here" in missing
        inside = web.start()
        assert _patch(lab) != []
        mac = _link(inside)
        assert _reaches(inside)
        assert _patch(lab) == []
        web.stop()
        until(lambda: set(lab.links()) == before)
        inside = web.start()
        assert _patch(lab) != []
        assert _link(inside) == mac
        assert _reaches(inside)
        lab.vmnet("unpatch", "br0", "lxc:web", env=environment())
        assert set(lab.links()) == before
        assert "eth0" not in inside.sh("ip link")
    lab.vmnet("detach", "vm1")
