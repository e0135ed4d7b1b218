"""What the facts say of the data path, each case of it."""

from __future__ import annotations

import pytest

from vmnet.model.host import Holder
from vmnet.model.netdev import Netdev
from vmnet.model.status import Moved, Path, contradicted, path_of
from vmnet.model.vhost import DataPath, Finding, Reason

_NO = Finding(Reason.PERMISSION, "user joe may not open it", "let joe")
_ON, _OFF = Netdev("n0", "tap0", vhost=True), Netdev("n0", "tap0")
_E1000 = Netdev("n0", "tap0", model="e1000")


def _holder(vhost: int) -> tuple[Holder]:
    return (Holder(1, "qemu", "root", 2, vhost),)


@pytest.mark.parametrize(
    ("vhost", "netdev", "held", "expected"),
    [
        (2, _ON, 2, (DataPath.VHOST, "vhost-ok", True)),
        (2, None, 2, (DataPath.VHOST, "vhost-ok", True)),
        (2, _ON, 4, (DataPath.VHOST, "vhost-ok", False)),
        (2, _OFF, 4, (DataPath.USERSPACE, "asked-not", True)),
        (2, None, 4, (None, "vhost-of-some", False)),
        (0, _ON, 2, (DataPath.USERSPACE, "permission", False)),
        (0, _OFF, 2, (DataPath.USERSPACE, "asked-not", True)),
        (0, None, 2, (DataPath.USERSPACE, "permission", False)),
        (0, _E1000, 1, (DataPath.EMULATED, "model-not-virtio", True)),
    ],
)
def test_path(
    vhost: int, netdev: Netdev | None, held: int, expected: tuple[DataPath | None, str, bool]
) -> None:
    found = path_of(_holder(vhost), netdev, held, _NO)
    assert (found.path, found.reason, found.certain) == expected


def test_nobody_moves_what_nobody_has_open() -> None:
    assert path_of((), _ON, 0, None).reason == "not-running"


def test_why_not_is_in_the_line() -> None:
    detail = path_of(_holder(0), _ON, 1, _NO).detail
    assert "vhost=on and could not have it" in detail
    assert "user joe may not open it" in detail


_FAST = Path(DataPath.VHOST, "vhost-ok", "")
_SLOW = Path(DataPath.USERSPACE, "asked-not", "")


@pytest.mark.parametrize(
    ("path", "moved", "trouble"),
    [
        (_FAST, Moved(0.5, 50, 50, 40, 0.01), False),
        (_FAST, Moved(0.5, 50, 50, 0, 0.0), True),
        (_FAST, Moved(0.5, 1, 2, 0, 0.0), False),
        (_FAST, None, False),
        (_SLOW, Moved(0.5, 50, 50, 0, 0.0), False),
    ],
)
def test_workers_that_sleep_while_packets_move_are_told(
    path: Path, moved: Moved | None, *, trouble: bool
) -> None:
    assert (contradicted(path, moved) is not None) is trouble
