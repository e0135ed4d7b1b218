"""The demo, as root and as an ordinary user where the host lets one open /dev/net/tun."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.lab import REPO, Done, Lab, run

_DEMO = REPO / "tests" / "lab" / "demo.sh"
_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_the_demo_pings_and_leaves_nothing(lab: Lab) -> None:
    _tells_the_whole_story(run(["sh", str(_DEMO)]))
    assert lab.links() == {}


def test_an_ordinary_user_has_the_same_demo(lab: Lab, tmp_path: Path) -> None:
    _open_to_everybody(lab, tmp_path)
    _tells_the_whole_story(run([*_NOBODY, "sh", str(_DEMO)]))


@pytest.mark.parametrize("mode", [0o600])
def test_an_ordinary_user_is_told_what_is_missing(lab: Lab, tmp_path: Path, mode: int) -> None:
    _open_to_everybody(lab, tmp_path)
    Path("/dev/net/tun").chmod(mode)
    done = run([*_NOBODY, "sh", str(_DEMO)])
    assert done.status == 1
    assert "may not open /dev/net/tun" in done.err
    assert "try:" in done.err


def _tells_the_whole_story(done: Done) -> None:
    assert done.status == 0, done
    assert "3 packets transmitted, 3 packets received" in done.out
    assert "data path: " in done.out
    assert "will not detach it" in done.out
    assert "links left: none; files left in /run/vmnet: none" in done.out
    assert "works   bridge frame" in done.out


def _open_to_everybody(lab: Lab, tmp_path: Path) -> None:
    """Give this lab a /dev/net/tun as udev makes it, and let everybody reach the checkout."""
    node = tmp_path / "tun"
    lab.sh(f"mknod -m 0666 {node} c 10 200; mount --bind {node} /dev/net/tun")
    closed = [path for path in REPO.parents if not path.stat().st_mode & stat.S_IXOTH]
    if closed:
        top = closed[-1]
        lab.sh(
            f"exec 9<{REPO}; mount -t tmpfs -o mode=755 none {top}; mkdir -p {REPO}; "
            f"mount --bind /proc/self/fd/9 {REPO}"
        )
