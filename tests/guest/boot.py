"""What a boot of the test host runs: `vmnet up` with this configuration, twice.

Prints, as JSON, what the kernel shows after the first, and what the second found left to do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.netns.seen import seen
from tests.support.lab import Lab, run


def _host(lab: Lab) -> dict[str, Any]:
    """Return what the host says and shows, without what the kernel draws anew at each boot."""
    links = seen(lab)
    for name, link in links.items():
        link.pop("ifindex", None)
        if name == "eth1":  # what the bridge learns behind it comes and goes
            link.pop("entries")
        if name.startswith("vmi"):  # nobody sees an ifb's address
            link.pop("address")
    addresses = run(["ip", "-4", "address", "show", "dev", "br0"]).out.splitlines()
    routes = run(["ip", "-4", "route"]).out.splitlines()
    return {"links": links, "addresses": addresses[1:], "routes": routes}


def _boot(config: str) -> None:
    lab = Lab()
    lab.sh(
        "ip link add eth1 address 02:00:00:00:00:e1 type veth"
        " peer name far address 02:00:00:00:00:e2;"
        "ip link set eth1 up; ip link set far up;"
        "ip address add 10.9.0.1/24 dev eth1; ip route add default via 10.9.0.254"
    )
    path = Path("/tmp/vmnet.toml")
    path.write_text(config)
    command = ("--config", str(path), "up", "--json")
    first = lab.vmnet(*command).json["parts"]
    host = _host(lab)
    again = lab.vmnet(*command).json["parts"]
    sys.stdout.write(
        json.dumps(
            {
                "first": [part["what"] for part in first if part["steps"]],
                "host": host,
                "again": [part["what"] for part in again if part["steps"]],
                "after": _host(lab),
            }
        )
    )


if __name__ == "__main__":
    _boot(sys.argv[1])
