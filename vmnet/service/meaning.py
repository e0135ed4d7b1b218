"""What a VM's name means: a domain of libvirt's, or a QEMU that somebody starts by hand.

Job: find the one meaning, or refuse; a name with a typo must not get a TAP that nobody uses.
Leaves to others: what is then done (`vmnet.service.live`, `vmnet.service.nics`).
Privilege: reading links needs none; asking libvirt, what its connection asks.
"""

from __future__ import annotations

from vmnet.errors import Conflict, NotFound, VmnetError
from vmnet.model.names import check_vm_name, shorten
from vmnet.model.tag import Life
from vmnet.service.base import opened, tagged


def is_domain(vm: str, uri: str | None = None) -> bool:
    """Say whether a VM's name means a libvirt domain, where the caller did not.

    On a host without libvirt it never does, and is not asked for.

    Args:
        vm: the VM's name.
        uri: the libvirt connection; None for this host's own.

    Raises:
        Conflict: it means both a domain and NICs that were attached without libvirt.
        NotFound: libvirt is here and knows no such domain, and nothing was attached either.
        VmnetError: libvirt is here and cannot be asked.
    """
    from vmnet.peers import libvirt  # noqa: PLC0415 - loads the binding only when it connects

    check_vm_name(vm)
    # A libvirt that is stopped still has its domains.
    if not (libvirt.is_here() or libvirt.knows(vm)):
        return False
    try:
        with libvirt.Libvirt(uri) as peer:
            domain, where = peer.domain(vm) is not None, peer.uri
    except VmnetError as error:
        error.message = f"cannot tell what {shorten(vm)!r} means: {error.message}"
        error.remedy += "; for a QEMU that you start yourself: --plain"
        raise
    with opened() as netlink:
        plain = any(tag.life is Life.KEPT for _, tag in tagged(netlink, vm))
    if domain and plain:
        raise Conflict(
            f"{shorten(vm)!r} is a domain of libvirt at {where}, and has NICs that were attached "
            "without it",
            code="two-meanings",
            remedy="say which: --libvirt, or --plain",
        )
    if not domain and not plain:
        raise NotFound(
            f"libvirt at {where} has no domain {shorten(vm)!r}, and nothing is attached for it",
            code="no-meaning",
            remedy="`virsh list --all` lists its domains; for a QEMU that you start yourself: "
            "--plain",
        )
    return domain
