"""`vmnet host` where there is a vhost-net: its module loaded, its node given to the group."""

from __future__ import annotations

import grp
import stat
from pathlib import Path

from tests.netns.judges import MODULES_LOAD, device_event, fresh_etc
from tests.support.lab import Lab, checked

NODE, MODULE = Path("/dev/vhost-net"), Path("/sys/module/vhost_net")


def codes(lab: Lab) -> set[str]:
    data = lab.vmnet("host", "status", "--json", status=None).json
    return {each["code"] for each in data["findings"]}


def test_the_module_is_loaded_and_the_node_given_to_the_group(lab: Lab) -> None:
    fresh_etc()
    checked(["modprobe", "-r", "vhost_net"])
    said = lab.vmnet("host", "install", "--group", "disk").err
    assert "problem: vhost_net is not loaded" in said
    assert not MODULE.exists()
    checked([MODULES_LOAD])
    assert MODULE.exists()
    assert codes(lab) & {"not-loaded", "no-module", "node-group"} == {"node-group"}
    status = NODE.stat()
    try:
        assert "/etc/udev/rules.d/60-vmnet.rules:" in device_event().err
        now = NODE.stat()
        assert (grp.getgrgid(now.st_gid).gr_name, stat.S_IMODE(now.st_mode)) == ("disk", 0o660)
        assert not codes(lab) & {"not-loaded", "no-module", "node-group"}
    finally:
        checked(["chown", f"{status.st_uid}:{status.st_gid}", str(NODE)])
        NODE.chmod(stat.S_IMODE(status.st_mode))
