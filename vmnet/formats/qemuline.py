"""The NICs in the command line of a QEMU that runs.

Job: each `-netdev tap` with the `-device` that uses it; the older `-net` and `-nic tap` as far as
they say a link.
Leaves to others: which link a descriptor is of (`vmnet.kernel.processes`).
Privilege: none.

A command line is its user's to write, and QEMU does not keep to it: what was plugged in later is
not there, and what was unplugged is still there. It says what was asked for, no more.
Source: qemu(1), -netdev tap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vmnet.formats.qemuoptions import ON, fields_of, options_of
from vmnet.model.netdev import Netdev

_MOST_FDS = 256


def netdevs(command: Sequence[str]) -> list[Netdev]:
    """Return what a command line says of TAPs."""
    options = list(options_of(command))
    devices = {}
    for name, value in options:
        fields = fields_of(value, "driver") if name == "device" else {}
        if "netdev" in fields:
            devices[fields["netdev"]] = fields
    return list(_netdevs(options, devices))


def _netdevs(
    options: Sequence[tuple[str, str]], devices: Mapping[str, Mapping[str, str]]
) -> Iterator[Netdev]:
    for name, value in options:
        if name not in ("netdev", "nic"):
            continue
        fields = fields_of(value, "type")
        if fields.get("type") != "tap":
            continue
        device = devices.get(fields.get("id", ""), fields)
        fds = _numbers(fields, "fds", "fd")
        yield Netdev(
            id=fields.get("id", ""),
            ifname=fields.get("ifname", ""),
            fds=fds,
            vhost=fields.get("vhost") in ON,
            vhost_fds=_numbers(fields, "vhostfds", "vhostfd"),
            queues=len(fds) or _number(fields.get("queues", "1")) or 1,
            model=device.get("driver", "") or device.get("model", ""),
            mac=device.get("mac", "").lower(),
        )


def _numbers(fields: Mapping[str, str], *keys: str) -> tuple[int, ...]:
    text = next((fields[key] for key in keys if key in fields), "")
    words = text.split(":")[:_MOST_FDS]
    return tuple(int(word) for word in words if word.isascii() and word.isdecimal())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
