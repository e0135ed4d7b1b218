"""Answers about the host as a whole: its configuration, `up` and `down`.

Job: words and JSON data.
Leaves to others: printing (`vmnet.entry.report`), plans (`vmnet.entry.say`).
Privilege: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmnet.entry import report, say
from vmnet.formats.config import Config
from vmnet.model.network import Network
from vmnet.model.port import port_settings

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
        on = each.wish.network or found.default or "none"
        report.answer(f"vm {report.safe(each.wish.vm)} nic {each.wish.nic}: {report.safe(on)}")


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
            "vms": [{"vm": each.wish.vm, "nic": each.wish.nic} for each in found.nics],
        }
    )


def _network(network: Network, *, default: bool) -> None:
    mark = " (default)" if default else ""
    mtu = "the bridge's" if network.mtu is None else str(network.mtu)
    strict = ", strict" if network.strict else ""
    report.answer(
        f"network {report.safe(network.name)}{mark}: bridge {network.bridge}, mtu {mtu}, "
        f"queues {network.queues}, vhost {network.vhost}; {say.passing(network.port)}{strict}"
    )


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


def _outcome(part: Part) -> str:
    if part.error is not None:
        return "failed"
    return "done" if part.plan.moves else "nothing to do"
