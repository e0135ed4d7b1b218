"""MAC addresses: the guest's own and the one the host's end of the TAP gets.

Job: the rules about both, and a guest MAC that stays the same without being stored.
Leaves to others: reading this host's machine id (`vmnet.kernel.host`).
Privilege: none.
"""

from __future__ import annotations

import hashlib
import re

from vmnet.errors import InvalidInput

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)
#: 0x52: locally administered (bit 1), unicast (bit 0 clear); how QEMU's own addresses begin.
_GUEST_FIRST = "52"
#: A port's address that is high never becomes the address of a bridge that has not got its own.
_TAP_FIRST = "fe"


def parse_guest_mac(text: str) -> str:
    """Return the address in lower case if a guest may have it, else raise.

    Raises:
        InvalidInput: not six bytes, multicast, all zero, or beginning with `fe:`, which is what
            the host's end of the TAP begins with (the bridge would take the guest's frames for
            its own port's).
    """
    mac = text.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise _bad(text, "is not six bytes like 52:54:00:12:34:56")
    if int(mac[:2], 16) & 1:
        raise _bad(text, "is a multicast address")
    if mac == "00:00:00:00:00:00":
        raise _bad(text, "is all zero")
    if mac.startswith(_TAP_FIRST):
        raise _bad(text, "begins with fe:, which is kept for the host's end of a TAP")
    return mac


def _bad(text: str, why: str) -> InvalidInput:
    return InvalidInput(
        f"MAC {text[:40]!r} {why}",
        code="bad-mac",
        remedy="leave --mac out for a stable one, or give a unicast one such as 52:54:00:12:34:56",
    )


def derive(seed: str, *parts: str) -> str:
    """Return a unicast, locally administered address that depends on nothing but the arguments.

    Args:
        seed: what tells this host from others (the machine id).
        parts: what is addressed on it, e.g. a VM's name and a NIC's number.
    """
    text = "\0".join(("vmnet", seed, *parts))
    tail = hashlib.sha256(text.encode()).digest()[:5]
    return ":".join((_GUEST_FIRST, *(f"{byte:02x}" for byte in tail)))


def tap_mac(guest_mac: str) -> str:
    """Return the address for the host's end: `fe:` and the guest's last five bytes.

    Never the guest's own: the bridge would deliver the guest's frames to itself.
    """
    return _TAP_FIRST + guest_mac[2:]
