"""Looking at a host for its picture.

Job: all links, what Open vSwitch has, VLANs, who moves which NIC's packets.
Leaves to others: what of it is shown (`vmnet.plan.picture`).
Privilege: reading links needs none; seeing other users' processes needs root.
"""

from __future__ import annotations

from vmnet.kernel.links import Netlink
from vmnet.kernel.observe import holders_of_all
from vmnet.kernel.ports import vlans
from vmnet.model.host import Holders, Link
from vmnet.model.picture import Picture
from vmnet.model.portfacts import VlanEntry
from vmnet.plan.ovs import is_link_of
from vmnet.plan.picture import Seen, picture
from vmnet.service.base import opened
from vmnet.service.holding import open_in, path_now
from vmnet.service.views import asked


def graph() -> Picture:
    """Return the picture of this network namespace.

    Raises:
        VmnetError: it could not be looked at.
    """
    with opened() as netlink:
        links = list(netlink.links())
        switches, homes = _switches(netlink)
        return picture(
            Seen(links, frozenset(switches), homes, _vlans(netlink, links), _paths(links))
        )


def _switches(netlink: Netlink) -> tuple[list[str], dict[str, str]]:
    with asked() as switch:
        if switch is None:
            return [], {}
        here = [each for each in switch.bridges() if is_link_of(each, netlink.link(each.name))]
    return [each.name for each in here], {port: each.name for each in here for port in each.ports}


def _vlans(netlink: Netlink, links: list[Link]) -> dict[int, tuple[VlanEntry, ...]]:
    filtering = {link.index for link in links if link.vlan_filtering}
    return {link.index: vlans(netlink, link.index) for link in links if link.master in filtering}


def _paths(links: list[Link]) -> dict[str, str]:
    nics = [link for link in links if link.tag is not None and link.is_nic]
    held = holders_of_all(nics) if nics else {}
    known = open_in(held, nics)
    paths = {link.name: path_now(link, held.get(link.name, Holders()), known) for link in nics}
    return {name: path.path.value for name, path in paths.items() if path.path is not None}
