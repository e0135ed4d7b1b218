"""Answers about the host as a whole: its configuration, `up` and `down`.

Job: words and JSON data.
Leaves to others: printing (`vmnet.entry.report`), plans (`vmnet.entry.say`).
Privilege: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmnet.entry import report, say
from vmnet.errors import VmnetError
from vmnet.formats.config import Config
from vmnet.formats.hostconfig import NicRule
from vmnet.model.network import Network
from vmnet.model.port import PORT_KEYS, port_settings, port_texts

if TYPE_CHECKING:
    from vmnet.service import Part


def config(found: Config, *, as_json: bool) -> None:
    """Answer `config check`."""
    if as_json:
        _config_data(found)
        return
    if not found.networks:
        report.answer(f"{found.source}: no networks")
    for bridge in found.own_bridges:
        mtu = "the kernel's" if bridge.mtu is None else str(bridge.mtu)
        filtering = ", VLAN filtering" if bridge.vlan_filtering else ""
        uplinks = f", uplinks {', '.join(bridge.uplinks)}" if bridge.uplinks else ""
        report.answer(f"bridge {bridge.name}: mtu {mtu}{filtering}{uplinks}")
    for network in found.networks.values():
        _network(network, default=network.name == found.default)
    for name, rule in found.taps.items():
        report.answer(f"tap {report.safe(name)}: network {report.safe(rule.network)}")
    for each in found.nics:
        report.answer(_nic(each, found.default))


def _config_data(found: Config) -> None:
    networks = {
        n.name: {
            "bridge": n.bridge,
            "mtu": n.mtu,
            "queues": n.queues,
            "vhost": n.vhost.value,
            "port": port_settings(n.port),
            "strict": n.strict,
            "uplinks": list(n.uplinks),
        }
        for n in found.networks.values()
    }
    report.answer_json(
        {
            "source": found.source,
            "default": found.default,
            "networks": networks,
            "taps": {n: {"network": t.network, "vm": t.vm} for n, t in found.taps.items()},
            "bridges": {
                b.name: {
                    "mtu": b.mtu,
                    "vlan_filtering": b.vlan_filtering,
                    "uplinks": list(b.uplinks),
                }
                for b in found.own_bridges
            },
            "vms": [_nic_data(each) for each in found.nics],
        }
    )


#: What is said of a NIC beside its number and network, and beside what may pass.
_SAID = ("mac", "mtu", "queues", "vhost", "owner", *PORT_KEYS)


def _network(network: Network, *, default: bool) -> None:
    mark = " (default)" if default else ""
    mtu = "the bridge's" if network.mtu is None else str(network.mtu)
    strict = ", strict" if network.strict else ""
    uplinks = f", uplinks {', '.join(network.uplinks)}" if network.uplinks else ""
    report.answer(
        f"network {report.safe(network.name)}{mark}: bridge {network.bridge}, mtu {mtu}, "
        f"queues {network.queues}, vhost {network.vhost}; "
        f"{say.passing(network.port)}{strict}{uplinks}"
    )


def _nic(rule: NicRule, default: str | None) -> str:
    network = rule.wish.network or default
    on = f"network {network}" if network is not None else "bridge br0"
    data = _nic_data(rule)
    port = data.pop("port")
    said = [f"{k} {v}" for k, v in (data | port).items() if k in _SAID and v is not None]
    return report.safe(f"vm {rule.wish.vm} nic {rule.wish.nic}: {', '.join([on, *said])}")


def _nic_data(rule: NicRule) -> dict[str, Any]:
    wish = rule.wish
    return {
        "vm": wish.vm,
        "nic": wish.nic,
        "network": wish.network,
        "mac": wish.mac,
        "mtu": wish.mtu,
        "queues": wish.queues,
        "vhost": None if wish.vhost is None else wish.vhost.value,
        "model": wish.model,
        "owner": rule.owner,
        "port": port_texts(wish.port),
    }


def parts(done: list[Part], *, dry_run: bool, as_json: bool) -> None:
    """Answer `up` and `down`."""
    if as_json:
        rows = [
            {
                "what": part.what,
                **say.plan_data(part.plan),
                "error": None if part.error is None else report.error_data(part.error),
            }
            for part in done
        ]
        report.answer_json({"dry_run": dry_run, "parts": rows})
        return
    for part in done:
        if dry_run and part.plan.moves:
            report.answer(f"# {report.safe(part.what)}")
            say.lines(part.plan)
        else:
            report.note(f"{report.safe(part.what)}: {_outcome(part)}")
        say.notes(part.plan.notes)
    if not done:
        report.note("the configuration names no bridge and no VM: nothing to do")


def failures(done: list[Part]) -> list[VmnetError]:
    """Return the errors, each with what it is about."""
    errors = []
    for part in done:
        if part.error is not None:
            part.error.message = f"{part.what}: {part.error.message}"
            errors.append(part.error)
    return errors


def _outcome(part: Part) -> str:
    if part.error is not None:
        return "failed"
    return "done" if part.plan.moves else "nothing to do"
