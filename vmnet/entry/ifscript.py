"""QEMU's `script=` and `downscript=`: `python -m vmnet.entry.ifscript up|down TAP`.

Job: plug in a TAP that a QEMU has just made, and let go of it again.
Leaves to others: the work (`vmnet.service`).
Privilege: CAP_NET_ADMIN, as QEMU has it when it runs the script.

QEMU starts the script with the TAP's name alone, so the wish comes from elsewhere; the first of
these that says something counts:

1. the TAP's own tag, where `vmnet attach` made it: it is ready, and stays as it is;
2. the environment: VMNET_NETWORK or VMNET_BRIDGE, VMNET_MTU, VMNET_VM, VMNET_NIC;
3. the configuration's `[tap.NAME]`;
4. the configured default network, or else br0.

Nothing is printed to standard output. A failing `up` keeps QEMU from starting and its one line of
standard error is the only explanation there is; a failing `down` is only logged by QEMU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NoReturn

from vmnet.entry import door, report, settings
from vmnet.errors import InvalidInput, VmnetError
from vmnet.formats.config import Config
from vmnet.model.names import check_link_name
from vmnet.model.nic import Wish


def wish_for(tap: str, environment: Mapping[str, str], config: Config) -> Wish:
    """Return what a TAP of this name is wished to be.

    Raises:
        InvalidInput: a variable of the environment is not a number.
    """
    rule = config.taps.get(tap)
    # A variable that is set to nothing says nothing.
    network = environment.get("VMNET_NETWORK") or None
    bridge = environment.get("VMNET_BRIDGE") or None
    if network is None and bridge is None and rule is not None:
        network = rule.network
    vm = environment.get("VMNET_VM") or (rule.vm if rule else None) or tap
    return Wish(
        vm=vm,
        nic=_number(environment, "VMNET_NIC") or 0,
        bridge=bridge,
        network=network,
        mtu=_number(environment, "VMNET_MTU"),
    )


def _number(environment: Mapping[str, str], key: str) -> int | None:
    text = environment.get(key)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInput(
            f"{key}={text[:40]!r} is not a number", code="bad-environment", remedy=f"unset {key}"
        )
    return int(text)


def up(tap: str) -> None:
    """Plug the TAP in."""
    from vmnet import service  # noqa: PLC0415 - a bad name is refused before rtnetlink is loaded

    config = settings.load(os.environ.get("VMNET_CONFIG") or None)
    service.plug(tap, wish_for(tap, os.environ, config), config=config)


def down(tap: str) -> None:
    """Let go of the TAP."""
    from vmnet import service  # noqa: PLC0415

    service.unplug(tap)


def main() -> NoReturn:
    """Run as a script: `up TAP` or `down TAP`."""
    door.begin()
    verbs = {"up": up, "down": down}
    try:
        if len(sys.argv) != 3 or sys.argv[1] not in verbs:
            raise InvalidInput(
                "this is called with 'up' or 'down' and a TAP's name",
                code="bad-call",
                remedy="use -netdev tap,script=.../qemu-ifup,downscript=.../qemu-ifdown",
            )
        verbs[sys.argv[1]](check_link_name(sys.argv[2], "tap"))
    except VmnetError as error:
        report.note(f"vmnet: {report.safe(error.message)}; try: {report.safe(error.remedy)}")
        sys.exit(error.exit_code)
    sys.exit(0)


if __name__ == "__main__":
    main()
