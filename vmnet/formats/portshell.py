"""Steps about ports, rates and the filter as lines a person could type.

Job: as `vmnet.formats.shell`, of which this is the second half: `ip`, `bridge`, `tc` and `nft`.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

import shlex
from typing import assert_never

from vmnet.model.nft import change_text, install_text, remove_text, strict_text
from vmnet.model.portstep import (
    AddIngress,
    AddVlans,
    ChangeFilter,
    CreateIfb,
    DropIngress,
    DropRate,
    DropVlans,
    FilterStep,
    ForgetLink,
    InstallFilter,
    PinMac,
    Police,
    PortStep,
    RateStep,
    Redirect,
    RemoveFilter,
    SetPort,
    SetRate,
    SetStrict,
    UnpinMac,
)
from vmnet.model.rate import Shape

_MARK = "30317"  # 0x766d


def port_words(step: PortStep) -> list[str]:
    """Return the command of a step about a port."""
    name = step.link.name
    match step:
        case SetPort(_, flags):
            words = [word for flag, on in flags for word in (flag, "on" if on else "off")]
            return ["ip", "link", "set", "dev", name, "type", "bridge_slave", *words]
        case AddVlans(_, vids, untagged):
            how = ["pvid", "untagged"] if untagged else []
            return ["bridge", "vlan", "add", "dev", name, "vid", str(vids), *how]
        case DropVlans(_, vids):
            return ["bridge", "vlan", "del", "dev", name, "vid", str(vids)]
        case PinMac(_, mac):
            return ["bridge", "fdb", "replace", mac, "dev", name, "master", "static", "sticky"]
        case UnpinMac(_, mac):
            return ["bridge", "fdb", "del", mac, "dev", name, "master"]
        case _:
            assert_never(step)


def rate_words(step: RateStep) -> list[str]:
    """Return the command of a step about rates."""
    match step:
        case CreateIfb(name):
            return ["ip", "link", "add", "dev", name, "type", "ifb"]
        case SetRate(link, shape):
            words = ["tc", "qdisc", "replace", "dev", link.name, "root", "handle", "766d:", "tbf"]
            return [*words, *_bucket(shape), "limit", str(shape.limit)]
        case DropRate(link):
            return ["tc", "qdisc", "del", "dev", link.name, "root", "handle", "766d:"]
        case AddIngress(link):
            return ["tc", "qdisc", "add", "dev", link.name, "ingress"]
        case DropIngress(link):
            return ["tc", "qdisc", "del", "dev", link.name, "ingress"]
        case Redirect(link, to):
            return [*_match_all(link.name), "mirred", "egress", "redirect", "dev", to.name]
        case Police(link, shape):
            return [*_match_all(link.name), "police", *_bucket(shape), "mtu", "262143", "drop"]
        case _:
            assert_never(step)


def _bucket(shape: Shape) -> list[str]:
    return ["rate", f"{shape.rate}bps", "burst", str(shape.burst)]


def _match_all(name: str) -> list[str]:
    words = ["tc", "filter", "add", "dev", name, "parent", "ffff:", "protocol", "all"]
    return [*words, "pref", _MARK, "u32", "match", "u32", "0", "0", "action"]


def filter_lines(step: FilterStep) -> list[str]:
    """Return a step about the filter as lines for sh."""
    match step:
        case InstallFilter(strict):
            return ["nft -f - <<'NFT'", *install_text(strict=strict).splitlines(), "NFT"]
        case ChangeFilter(link, add, drop):
            return [_json(change_text(link.name, add, drop))]
        case ForgetLink(index, entries):
            return [_json(change_text(str(index), (), entries))]
        case SetStrict(bridge, strict):
            return [_json(strict_text(bridge, strict=strict))]
        case RemoveFilter():
            return [shlex.join(["nft", *remove_text().split()])]
        case _:
            assert_never(step)


def _json(text: str) -> str:
    return f"printf %s {shlex.quote(text)} | nft -j -f -"
