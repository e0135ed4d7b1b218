"""A libvirt domain, as far as its network goes.

Job: the interfaces and the wishes of a domain as values; what the metadata may say.
Leaves to others: the XML (`vmnet.formats.domain`), what follows from it (`vmnet.plan.domain`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from vmnet.errors import Conflict
from vmnet.model.names import shorten, typed
from vmnet.model.port import PortAsk
from vmnet.model.vhost import Policy

#: The namespace of vmnet's element in `<metadata>`; its last part is the schema's version.
NICS_URI = "urn:vmnet:nics:1"
#: What every version of it begins with.
NICS_URI_ANY = "urn:vmnet:nics:"
#: The prefix that libvirt is asked to write it with.
NICS_KEY = "vmnet"


@dataclass(frozen=True)
class Interface:
    """An `<interface>` of a domain (formatdomain, "Network interfaces").

    Attributes:
        kind: its `type`: `bridge`, `network`, `ethernet`, ...
        mac: the guest's address, in lower case; empty if the XML leaves it to libvirt.
        target: the TAP's name; empty where libvirt has not chosen one yet.
        managed: libvirt makes and removes the TAP; False for `<target managed='no'/>`.
        bridge: the bridge that the XML names; empty for none, or one that only a libvirt network
            knows before the start.
        network: libvirt's network; empty for none.
        model: libvirt's word: `virtio`, `e1000`, ...; empty for its default.
        driver: `vhost`, `qemu`, or empty for libvirt's choice.
        queues: `<driver queues=>`, or 1.
        mtu: `<mtu size=>` in bytes, or None.
        virtualport: the type of its `<virtualport>`; empty for none.
    """

    kind: str
    mac: str
    target: str = ""
    managed: bool = True
    bridge: str = ""
    network: str = ""
    model: str = ""
    driver: str = ""
    queues: int = 1
    mtu: int | None = None
    virtualport: str = ""


@dataclass(frozen=True)
class NicWish:
    """What the metadata asks for one interface.

    Attributes:
        mac: which interface.
        nic: its number for vmnet.
        network: a network of vmnet's configuration; None for the default one.
        vhost: who is to move the packets; None for what the network says.
        port: what may pass at its port, less than what the network says.
    """

    mac: str
    nic: int
    network: str | None = None
    vhost: Policy | None = None
    port: PortAsk = PortAsk()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class DomainState:
    """A domain as libvirt has it now.

    Attributes:
        active: it runs.
        persistent: it stays defined when it does not.
        live: the XML of the running one; empty if it does not run.
        config: the XML it starts with next; empty if it is not persistent.
    """

    name: str
    active: bool
    persistent: bool
    live: bytes
    config: bytes


@dataclass(frozen=True)
class Domain:
    """A domain as one XML document shows it.

    Attributes:
        kind: `kvm`, `qemu`, ...
        interfaces: in the order of the XML.
        wishes: what vmnet's metadata says, if there is any.
    """

    name: str
    uuid: str
    kind: str
    interfaces: tuple[Interface, ...] = ()
    wishes: tuple[NicWish, ...] = ()

    def interface(self, mac: str) -> Interface | None:
        """Return the interface with that address, or None.

        Raises:
            Conflict: libvirt lets two have it, but then nobody knows which one is meant.
        """
        found = [each for each in self.interfaces if each.mac == mac]
        if len(found) > 1:
            raise Conflict(
                f"{len(found)} interfaces of domain {shorten(self.name)!r} have MAC {mac}",
                code="mac-twice",
                remedy=f"give each its own: `virsh edit {typed(self.name)}`",
            )
        return found[0] if found else None

    def wish(self, mac: str) -> NicWish | None:
        """Return the wish for the interface with that address, or None."""
        return next((w for w in self.wishes if w.mac == mac), None)
