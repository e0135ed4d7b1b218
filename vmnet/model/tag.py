"""The tag: what vmnet writes into a link's alias so that the kernel itself remembers.

Job: the tag as a value and as text. The alias is the only record there is; listing, detaching and
clearing up work from it alone.
Leaves to others: reading and writing the alias (`vmnet.kernel.links`).
Privilege: none.

The text, at most 255 bytes (linux/if.h IFALIASZ less the NUL), printable ASCII:

    vmnet/1 vm=<encoded> nic=0 gen=5f3a0c11 own=made life=kept mac=52.. q=1 br=br0 idle=<s>.<n>

Fields that vmnet does not know are kept out of its way: a tag of another version is not its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from vmnet.model.names import NIC_MAX, VM_IN_TAG_MAX, decode, encode
from vmnet.model.nic import QUEUES_MAX
from vmnet.model.wire import LinkWire, wire_from, wire_word

_VERSION = "vmnet/1"
_DIGITS = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{8}", re.ASCII)
_COUNT_MAX = 2**63 - 1


class Own(StrEnum):
    """Who made the link."""

    MADE = "made"
    MANAGED = "managed"


class Life(StrEnum):
    """How long the link is meant to stay."""

    BUILDING = "building"  # being made; without a lock on its VM, a leftover
    PROCESS = "process"  # as long as a process holds it
    KEPT = "kept"  # until it is detached
    DOMAIN = "domain"  # as long as its libvirt domain runs


@dataclass(frozen=True)
class IdleMark:
    """When the link was last known to be unused.

    Attributes:
        since: seconds of CLOCK_BOOTTIME (a link does not outlive the boot it was made in).
        carrier_ups: the kernel's counter at that time; it moves whenever a process opens the
            TAP, so an unchanged counter proves that nobody did.
    """

    since: int
    carrier_ups: int


@dataclass(frozen=True)
class Tag:
    """What a link is to vmnet.

    Attributes:
        vm: the VM's name, encoded (`vmnet.model.names.encode`); empty for a bridge.
        nic: the NIC's number.
        generation: tells this link from an earlier one of the same name.
        own: made by vmnet, or only managed.
        life: how long it is to stay.
        mac: the guest's MAC.
        queues: queue pairs asked for.
        bridge: where vmnet plugged it; empty if it did not.
        idle: when it was last known to be unused.
        port: stands for what may pass there (`vmnet.model.port.port_digest`); empty for the usual.
        arriving: its guest may still be running on another host.
        wire: how it leaves the host where not by a bridge.
    """

    vm: str
    nic: int
    generation: str
    own: Own
    life: Life
    mac: str = ""
    queues: int = 1
    bridge: str = ""
    idle: IdleMark | None = None
    port: str = ""
    arriving: bool = False
    wire: LinkWire | None = None

    @property
    def vm_name(self) -> str:
        """The VM's name for showing; a very long one ends in `…`."""
        return decode(self.vm)

    def is_for(self, vm: str, nic: int) -> bool:
        """Say whether this is the tag of that VM's NIC."""
        return self.vm == vm_in_tag(vm) and self.nic == nic


def vm_in_tag(vm: str) -> str:
    """Return the form in which a VM's name stands in a tag."""
    return encode(vm, VM_IN_TAG_MAX)


def format_tag(tag: Tag) -> str:
    """Return the alias text of a tag."""
    fields = [
        _VERSION,
        f"vm={tag.vm}",
        f"nic={tag.nic}",
        f"gen={tag.generation}",
        f"own={tag.own}",
        f"life={tag.life}",
    ]
    if tag.mac:
        fields.append(f"mac={tag.mac.replace(':', '')}")
    if tag.queues != 1:
        fields.append(f"q={tag.queues}")
    if tag.bridge:
        fields.append(f"br={encode(tag.bridge, 60)}")
    if tag.wire is not None:
        fields.append(f"wire={encode(wire_word(tag.wire), 60)}")
    if tag.port:
        fields.append(f"pol={tag.port}")
    if tag.arriving:
        fields.append("arr=1")
    if tag.idle is not None:
        fields.append(f"idle={tag.idle.since}.{tag.idle.carrier_ups}")
    return " ".join(fields)


def parse_tag(alias: str) -> Tag | None:
    """Return the tag that an alias holds, or None if it is not one of vmnet's.

    An alias is anybody's to write: what does not parse is foreign, never an error.
    """
    version, _, rest = alias.partition(" ")
    if version != _VERSION:
        return None
    fields = dict(word.partition("=")[::2] for word in rest.split(" "))
    try:
        return Tag(
            vm=fields["vm"],
            nic=_number(fields["nic"], 0, NIC_MAX),
            generation=fields["gen"],
            own=Own(fields["own"]),
            life=Life(fields["life"]),
            mac=_mac(fields.get("mac", "")),
            queues=_number(fields.get("q", "1"), 1, QUEUES_MAX),
            bridge=decode(fields.get("br", "")),
            idle=_idle(fields.get("idle", "")),
            port=_digest(fields.get("pol", "")),
            arriving=bool(_number(fields.get("arr", "0"), 0, 1)),
            wire=wire_from(decode(fields["wire"])) if "wire" in fields else None,
        )
    except (KeyError, ValueError):
        return None


def _number(text: str, low: int, high: int) -> int:
    # What int() takes besides, vmnet never wrote: `1_0`, other scripts' digits, blanks.
    if not _DIGITS.fullmatch(text):
        raise ValueError(text)
    number = int(text)
    if not low <= number <= high:
        raise ValueError(text)
    return number


def _digest(text: str) -> str:
    if text and not _DIGEST.fullmatch(text):
        raise ValueError(text)
    return text


def _mac(text: str) -> str:
    if not text:
        return ""
    raw = bytes.fromhex(text)
    if len(raw) != 6:
        raise ValueError(text)
    return raw.hex(":")


def _idle(text: str) -> IdleMark | None:
    if not text:
        return None
    since, _, changes = text.partition(".")
    return IdleMark(_number(since, -_COUNT_MAX, _COUNT_MAX), _number(changes, 0, _COUNT_MAX))
