"""Whether a QEMU shares its guest's memory, by its command line.

Job: find the memory that the guest is given, and whether another process may map it.
Leaves to others: the NICs (`vmnet.formats.qemu`).
Privilege: none.

Source: qemu(1), -object memory-backend-*, -machine memory-backend=, -numa node,memdev=.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmnet.errors import InvalidInput
from vmnet.formats.qemuoptions import ON, fields_of, is_qemu, options_of

#: Whether a backend shares unless it says otherwise; there are no others to share with.
_SHARES = {"memory-backend-memfd": True, "memory-backend-shm": True, "memory-backend-file": False,
           "memory-backend-ram": False}  # fmt: skip


def check_shares_memory(command: list[str]) -> None:
    """Refuse a QEMU whose memory a vhost-user program could not map; its guest would have no NIC.

    What cannot be read off the command line is taken for shared: a script that starts QEMU, and
    `-readconfig`.

    Raises:
        InvalidInput: the memory is not shared.
    """
    options = list(options_of(command))
    if not any(map(is_qemu, command)):
        return
    if any(name == "readconfig" for name, _ in options):
        return
    backends = dict(_backend(value) for name, value in options if name == "object")
    used = list(_used(options))
    for name in used:
        if not backends.get(name, False):
            raise _not_shared(f"memory-backend {name[:60]!r} is not shared (share=on)")
    if not used:
        raise _not_shared("the guest's memory is QEMU's own")


def _not_shared(why: str) -> InvalidInput:
    return InvalidInput(
        f"a vhost-user NIC works only with shared memory, and in this command line {why}",
        code="memory-not-shared",
        remedy="add -object memory-backend-memfd,id=mem,size=SIZE,share=on "
        "-machine memory-backend=mem, SIZE as for -m",
    )


def _used(options: list[tuple[str, str]]) -> Iterator[str]:
    for name, value in options:
        fields = fields_of(value, "type")
        if name in ("machine", "M") and "memory-backend" in fields:
            yield fields["memory-backend"]
        if name == "numa" and "memdev" in fields:
            yield fields["memdev"]


def _backend(value: str) -> tuple[str, bool]:
    fields = fields_of(value, "qom-type")
    usual = _SHARES.get(fields.get("qom-type", ""), False)
    said = fields.get("share")
    return fields.get("id", ""), usual if said is None else said in ON
