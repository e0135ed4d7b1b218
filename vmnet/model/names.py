"""Names: what a link may be called, and what vmnet calls its own.

Job: the rules of IFNAMSIZ and ALTIFNAMSIZ in one place; names that are stable for a VM and NIC.
Leaves to others: whether such a link exists (`vmnet.kernel.links`).
Privilege: none.
"""

from __future__ import annotations

import hashlib
import re
import shlex

from vmnet.errors import InvalidInput

#: linux/if.h IFNAMSIZ is 16 with the closing NUL. The TUNSETIFF ioctl cuts a longer name silently.
LINK_NAME_MAX = 15
#: linux/if.h ALTIFNAMSIZ is 128 with the closing NUL.
ALT_NAME_MAX = 127
#: What every TAP made by vmnet begins with. Not one of libvirt's (vnet, vif, macvtap, macvlan)
#: nor of systemd's (vt-, ns-, ve-, vb-), which would be renamed, dropped or given addresses.
PREFIX = "vmn"
#: What every ifb made by vmnet begins with.
IFB_PREFIX = "vmi"
#: How many NICs a VM may have here; two digits fit the name.
NIC_MAX = 99
#: What a VM's name may take inside the link's tag (`vmnet.model.tag`), so that the longest fits.
VM_IN_TAG_MAX = 76

_HASH_CHARS = 9
_LINK_NAME_OF_OURS = re.compile(rf"{PREFIX}[a-z2-7]{{{_HASH_CHARS}}}-\d{{1,2}}", re.ASCII)
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
#: netdev names: the kernel's dev_valid_name() forbids `/`, `:` and white space; `%` is a template.
_LINK_NAME = re.compile(r"[!-~]+", re.ASCII)
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")


def check_link_name(name: str, what: str) -> str:
    """Return `name` if the kernel could give it to a link, else raise.

    Args:
        name: a link's name.
        what: what it names, for the message, e.g. `bridge`.

    Raises:
        InvalidInput: empty, over 15 bytes, or with a character that no link name may have.
    """
    length = len(name.encode("utf-8", "replace"))
    if not 1 <= length <= LINK_NAME_MAX:
        raise InvalidInput(
            f"{what} name {shorten(name)!r} has {length} bytes, not 1 to {LINK_NAME_MAX}",
            code="bad-link-name",
            remedy=f"give a name of at most {LINK_NAME_MAX} bytes",
        )
    if not _LINK_NAME.fullmatch(name) or set(name) & set("/:%") or name in (".", ".."):
        raise InvalidInput(
            f"{what} name {name!r} has a character that a link name cannot have",
            code="bad-link-name",
            remedy="use printable ASCII without blanks, '/', ':' and '%'",
        )
    return name


def check_vm_name(name: str) -> str:
    """Return `name` if libvirt could give it to a domain, else raise.

    Any other rule of length or characters would refuse VMs that exist: names are hashed and
    encoded before they reach a link, a shell or QEMU.

    Raises:
        InvalidInput: empty, not UTF-8, with NUL, newline or `/`, or over 255 bytes.
    """
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"VM name {shorten(name)!r} is not valid UTF-8",
            code="bad-vm-name",
            remedy="name the VM in UTF-8, as libvirt does",
        ) from error
    if not 1 <= length <= 255 or set(name) & set("\0\n/"):
        raise InvalidInput(
            f"VM name {shorten(name)!r} is empty, over 255 bytes, or has a newline, NUL or '/'",
            code="bad-vm-name",
            remedy="give the name that `virsh list` shows, or any other of 1 to 255 bytes",
        )
    return name


def check_nic(nic: int) -> int:
    """Return the NIC's number if a VM can have it, else raise `InvalidInput`."""
    if not 0 <= nic <= NIC_MAX:
        raise InvalidInput(
            f"NIC number {nic} is not in 0..{NIC_MAX}",
            code="bad-nic",
            remedy="count a VM's NICs from 0",
        )
    return nic


def link_name(vm: str, nic: int) -> str:
    """Return the name of the TAP of this VM's NIC: the same at every call, at most 15 bytes.

    45 bits of SHA-256 stand for the VM's name; should two names ever meet, the tag tells them
    apart and the second attach is refused.
    """
    number = int.from_bytes(hashlib.sha256(vm.encode()).digest()[:8], "big")
    chars = []
    for _ in range(_HASH_CHARS):
        number, digit = divmod(number, 32)
        chars.append(_BASE32[digit])
    return f"{PREFIX}{''.join(chars)}-{nic}"


def ifb_name(vm: str, nic: int) -> str:
    """Return the name of the ifb through which this NIC's frames go where they are shaped."""
    return IFB_PREFIX + link_name(vm, nic).removeprefix(PREFIX)


def is_made_name(name: str) -> bool:
    """Say whether a link is called as `link_name` calls it, for whatever VM."""
    return _LINK_NAME_OF_OURS.fullmatch(name) is not None


def alt_name(vm: str, nic: int) -> str:
    """Return the second name by which a person finds the TAP: `vmnet-<vm>-<nic>`, encoded."""
    tail = f"-{nic}"
    return f"vmnet-{encode(vm, ALT_NAME_MAX - len('vmnet-') - len(tail))}{tail}"


def mac_alt_name(mac: str) -> str:
    """Return the second name that carries the guest's MAC.

    The kernel keeps alternative names unique in a network namespace, so two NICs with one MAC
    cannot come to be, however many processes try at once; and no scan of all links is needed.
    """
    return f"vmnet-mac-{mac.replace(':', '')}"


def netdev_id(nic: int) -> str:
    """Return the id by which QEMU knows the back end of a NIC."""
    return f"vmnet{nic}"


def device_id(nic: int) -> str:
    """Return the id by which QEMU knows the device of a NIC."""
    return f"{netdev_id(nic)}-nic"


def encode(text: str, limit: int) -> str:
    """Write any text in characters that mean nothing to a shell, a terminal or a link name.

    Letters, digits and `._+-` stand for themselves, every other byte of the UTF-8 form is `=XX`.
    What would be longer than `limit` characters ends in `~` and 12 hexadecimal digits of its hash,
    so that two long texts stay apart.
    """
    coded = "".join(
        chr(byte) if chr(byte) in _PLAIN else f"={byte:02X}" for byte in text.encode("utf-8")
    )
    if len(coded) <= limit:
        return coded
    mark = "~" + hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]
    head = coded[: limit - len(mark)]
    # An escape cut in two would decode to something else.
    while "=" in head[-2:]:
        head = head[:-1]
    return head + mark


def decode(coded: str) -> str:
    """Return what `encode` was given; a shortened text comes back with `…` for the rest.

    Meant for showing only: compare the encoded forms.
    """
    head, cut, _ = coded.partition("~")
    raw = re.sub(
        rb"=([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), head.encode("ascii", "replace")
    )
    return raw.decode("utf-8", "replace") + ("…" if cut else "")


def shorten(text: str, limit: int = 60) -> str:
    """Return `text`, cut for a message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def typed(name: str) -> str:
    """Return a VM's name as it is typed in a shell, for a remedy: a name is a tenant's choice."""
    return shlex.quote(shorten(name))
