"""Device nodes: open them to know, never ask whether one might.

Job: `/dev/net/tun` and `/dev/vhost-net` opened, and each errno told apart as a different cause with
a different remedy. access(2) would only tell of the node, not of the driver behind it, nor of a
devices cgroup or a security module.
Leaves to others: what follows from it (`vmnet.model.vhost`).
Privilege: what the nodes' owner and mode ask; trying as another user needs CAP_SETUID.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from vmnet.errors import NotPermitted, Unsupported, VmnetError, of_errno
from vmnet.kernel import ioctl
from vmnet.kernel.child import in_child
from vmnet.kernel.host import kernel_release, user_name
from vmnet.model.vhost import Finding, Reason

#: linux/virtio_config.h VIRTIO_F_VERSION_1: without it no modern driver can use the rings.
_VERSION_1 = 1 << 32
_MODULE = "vhost_net"


def open_tun() -> int:
    """Open `/dev/net/tun`.

    Raises:
        Unsupported: no such node or no driver behind it.
        NotPermitted: this user may not.
        KernelError: any other refusal.
    """
    try:
        return ioctl.open_tun()
    except OSError as error:
        raise _tun_error(error.errno or 0) from error


def _tun_error(number: int) -> VmnetError:
    doing = f"open {ioctl.TUN_NODE}"
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return Unsupported(
            f"cannot {doing}: {os.strerror(number)}",
            code="no-tun",
            remedy="`modprobe tun`; in a container give it the device /dev/net/tun (char 10:200)",
        )
    if number in (errno.EACCES, errno.EPERM):
        return NotPermitted(
            f"cannot {doing}: {os.strerror(number)}",
            code="tun-permission",
            remedy="run as root; udev gives it mode 0666, a devices cgroup may still refuse it",
        )
    if number in (errno.EMFILE, errno.ENFILE):
        return of_fd_limit(doing, number)
    return of_errno(doing, number)


def of_fd_limit(doing: str, number: int) -> VmnetError:
    """Return the error for too many open files, of this process or of the host."""
    whose = "this process" if number == errno.EMFILE else "this host"
    raise_it = "raise `ulimit -n`" if number == errno.EMFILE else "raise sysctl fs.file-max"
    return Unsupported(
        f"cannot {doing}: {whose} has too many open files", code="fd-limit", remedy=raise_it
    )


def open_vhost(count: int) -> tuple[list[int], Finding]:
    """Open `/dev/vhost-net` `count` times, or not at all.

    Returns:
        The descriptors (close-on-exec) and `Reason.OK`, or none and what stood in the way.
    """
    fds: list[int] = []
    try:
        while len(fds) < count:
            fds.append(os.open(ioctl.VHOST_NODE, os.O_RDWR | os.O_CLOEXEC))
        finding = _check_features(fds)
    except OSError as error:
        finding = explain(error.errno or 0, os.geteuid())
    except BaseException:
        _close(fds)
        raise
    if finding.reason is not Reason.OK:
        _close(fds)
        return [], finding
    return fds, finding


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _check_features(fds: list[int]) -> Finding:
    for fd in fds:
        try:
            features = ioctl.vhost_get_features(fd)
        except OSError as error:
            return Finding(
                Reason.NOT_VHOST,
                f"{ioctl.VHOST_NODE} opens but refuses VHOST_GET_FEATURES: {error.strerror}",
                f"look at `ls -l {ioctl.VHOST_NODE}`: it is to be char 10:238",
            )
        if not features & _VERSION_1:
            return Finding(
                Reason.FEATURES,
                f"vhost-net of this kernel lacks VIRTIO_F_VERSION_1 (features {features:#x})",
                "run a kernel that has it (any since 4.0)",
            )
    times = "once" if len(fds) == 1 else f"{len(fds)} times"
    return Finding(Reason.OK, f"{ioctl.VHOST_NODE} opened {times} and answered")


def try_vhost(count: int, uid: int | None = None) -> Finding:
    """Find out whether a user can open `/dev/vhost-net` `count` times; nothing stays open.

    Args:
        count: queue pairs.
        uid: the user QEMU will run as; None or this process's own: tried right here.
    """
    if uid is None or uid == os.geteuid():
        fds, finding = open_vhost(count)
        _close(fds)
        return finding
    try:
        reason, detail, remedy = in_child(lambda: _try_as(uid, count))
    except VmnetError as error:
        return Finding(Reason.OTHER, error.message, error.remedy)
    return Finding(Reason(reason), detail, remedy)


def peek_vhost(count: int, uid: int | None = None) -> Finding:
    """Do as `try_vhost` does, and change nothing: opening a node of devtmpfs loads its module.

    Where the module is not loaded nothing is opened, and the finding says so.
    """
    if has_module():
        return try_vhost(count, uid)
    return _absent(errno.ENODEV if Path(ioctl.VHOST_NODE).exists() else errno.ENOENT)


def _try_as(uid: int, count: int) -> tuple[str, str, str]:
    from vmnet.kernel.identity import act_as  # noqa: PLC0415 - ctypes, needed only here

    act_as(uid)
    fds, finding = open_vhost(count)
    _close(fds)
    return finding.reason.value, finding.detail, finding.remedy


def explain(number: int, uid: int) -> Finding:
    """Turn the errno of opening `/dev/vhost-net` into its cause and remedy.

    Args:
        number: the errno.
        uid: the user who tried.
    """
    node, who = ioctl.VHOST_NODE, user_name(uid)
    match number:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return _absent(number)
        case errno.EACCES:
            return Finding(
                Reason.PERMISSION,
                f"user {who} may not open {node} ({_mode(node)})",
                f"`usermod -aG kvm {who}` where the node's group is kvm, or `chgrp kvm {node}; "
                f'chmod 0660 {node}` (udev: KERNEL=="vhost-net", GROUP="kvm", MODE="0660")',
            )
        case errno.EPERM:
            return Finding(
                Reason.DENIED,
                f"{node} is refused to {who} although its mode may allow it: a devices cgroup or a "
                "security module",
                "allow char 10:238 in the container or unit (DeviceAllow=/dev/vhost-net rw)",
            )
        case errno.EMFILE | errno.ENFILE:
            error = of_fd_limit(f"open {node}", number)
            return Finding(Reason.FD_LIMIT, error.message, error.remedy)
        case errno.ENOMEM:
            return Finding(Reason.NO_MEMORY, f"no memory to open {node}", "free memory, try again")
        case _:
            return Finding(
                Reason.OTHER, f"cannot open {node}: {os.strerror(number)}", "see `dmesg`"
            )


def _absent(number: int) -> Finding:
    node, release = ioctl.VHOST_NODE, kernel_release()
    how = f"{node}: {os.strerror(number)}"
    match _module_state(release):
        case "loaded":
            return Finding(
                Reason.NODE_MISSING,
                f"{how}, although {_MODULE} is loaded: the node is missing here",
                f"`mknod -m 0660 {node} c 10 238`; in a container pass the device in",
            )
        case "available":
            return Finding(
                Reason.NOT_LOADED,
                f"{how}: the module {_MODULE} is not loaded",
                f"`modprobe {_MODULE}`; at every boot: `vmnet host install`",
            )
        case "absent":
            return Finding(
                Reason.NOT_IN_KERNEL,
                f"{how}: kernel {release} was built without {_MODULE}",
                "boot a kernel that has it, such as the distribution's generic one",
            )
        case _:
            return Finding(
                Reason.NODE_MISSING,
                f"{how}; the modules of kernel {release} cannot be seen from here",
                f"on the host: `modprobe {_MODULE}`; in a container pass {node} in",
            )


def why_no_module() -> str:
    """Return why the running kernel can load no vhost_net; empty if it can, or has."""
    release = kernel_release()
    state = _module_state(release)
    if state == "absent":
        return f"kernel {release} was built without {_MODULE}"
    return f"the modules of kernel {release} cannot be seen here" if state == "unknown" else ""


def has_module() -> bool:
    """Say whether vhost_net is loaded, or a part of the kernel."""
    return _module_state(kernel_release()) == "loaded"


def _module_state(release: str) -> str:
    """Return `loaded`, `available`, `absent`, or `unknown`, from what a person would look at."""
    if Path(f"/sys/module/{_MODULE}").is_dir():
        return "loaded"
    folder = Path("/lib/modules") / release
    config = _kernel_config(release)
    lists = [folder / "modules.dep", folder / "modules.builtin"]
    texts = [text for text in map(_read, lists) if text is not None]
    if any(f"/{_MODULE}.ko" in text for text in texts):
        return "available"
    if texts or "CONFIG_VHOST_NET is not set" in config:
        return "absent"
    return "unknown"


def _kernel_config(release: str) -> str:
    text = _read(Path(f"/boot/config-{release}"))
    if text is not None:
        return text
    try:
        import gzip  # noqa: PLC0415 - only on hosts that got here, and only with /proc/config.gz

        with gzip.open("/proc/config.gz", "rt") as packed:
            return packed.read()
    except OSError:
        return ""


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def _mode(node: str) -> str:
    try:
        status = os.stat(node)
    except OSError as error:
        return error.strerror or "cannot be looked at"
    return f"{stat.filemode(status.st_mode)} uid {status.st_uid} gid {status.st_gid}"
