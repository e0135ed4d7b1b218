"""Where Open vSwitch's database listens, and whether it does.

Job: the path of its socket; small, for who only asks whether there is anything to ask.
Leaves to others: asking (`vmnet.peers.ovsdb`).
Privilege: none.
"""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER, _SOCKET = "/run/openvswitch", "db.sock"


def socket_path() -> str:
    """Return where the database listens: `OVS_RUNDIR` as Open vSwitch's own tools take it."""
    return f"{os.environ.get('OVS_RUNDIR') or _FOLDER}/{_SOCKET}"


def is_here() -> bool:
    """Say whether there is a database to ask."""
    return Path(socket_path()).exists()
