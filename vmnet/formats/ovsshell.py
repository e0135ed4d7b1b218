"""Steps of Open vSwitch's database as lines of `ovs-vsctl`.

Job: one line a step, every word quoted for sh.
Leaves to others: the other steps (`vmnet.formats.shell`).
Privilege: none.

Grammar: ovs-vsctl(8); columns: ovs-vswitchd.conf.db(5).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from vmnet.model.ovs import (
    MARK,
    AddOvsPort,
    DropOvsPort,
    OvsPort,
    OvsStep,
    OvsVlans,
    SetOvsPort,
    drop_step,
)


def ovs_line(step: OvsStep) -> str:
    """Return a step as a line."""
    match step:
        case AddOvsPort(port, leaves):
            line = _line([["add-port", port.bridge, port.name], *_commands(port)])
            return line if leaves is None else f"{ovs_line(drop_step(leaves))} && {line}"
        case SetOvsPort(port, limited):
            columns = ["tag", "trunks", "vlan_mode", "external_ids", "qos"]
            commands = [["clear", "port", port.name, *columns], *_commands(port)]
            if limited:
                commands.insert(0, ["--if-exists", "destroy", "qos", port.name])
            return _line(commands)
        case DropOvsPort(name, bridge, limited):
            line = _line([["--if-exists", "del-port", bridge, name]])
            # The database forgets a port that is in no bridge by itself, but no queue; and it lets
            # no queue go in the transaction in which ovs-vsctl takes its port away.
            queue = [["--if-exists", "destroy", "qos", name], ["clear", "port", name, "qos"]]
            return f"{_line(queue)} && {line}" if limited else line
        case _:
            assert_never(step)


def _line(commands: Sequence[Sequence[str]]) -> str:
    words = ["ovs-vsctl", *commands[0]]
    for command in commands[1:]:
        words += ["--", *command]
    return shlex.join(words)


def _commands(port: OvsPort) -> list[list[str]]:
    values = [*_vlan_words(port.vlans), "other_config:transient=true"]
    values += _pairs({MARK: port.mark} if port.mark else {})
    commands = [["set", "port", port.name, *values]]
    ids = list(_pairs(port.external_ids))
    if ids:
        commands.append(["set", "interface", port.name, *ids])
    if port.rate is not None:
        commands.append(["set", "port", port.name, "qos=@q"])
        queue = ["--id=@q", "create", "qos", "type=linux-htb", f"other_config:max-rate={port.rate}"]
        commands.append([*queue, f"external_ids:{MARK}={port.name}"])
    return commands


def _vlan_words(vlans: OvsVlans) -> list[str]:
    words = [] if vlans.tag is None else [f"tag={vlans.tag}"]
    if vlans.trunks:
        words.append(f"trunks={','.join(map(str, vlans.trunks))}")
    return words + ([f"vlan_mode={vlans.mode}"] if vlans.mode else [])


def _pairs(values: Mapping[str, str]) -> Iterable[str]:
    for key, value in values.items():
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        yield f'external_ids:{key}="{text}"'
