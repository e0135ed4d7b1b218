"""A link that vanishes between the look and the step: strace holds the command up meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kill.commands import home
from tests.kill.matrix import shape
from tests.kill.strace import INSTALLED, Fault, ended, under_strace
from tests.support.lab import Done, Lab

_HELD_SECONDS = 2
_HOLD = Fault("openat", f"delay_enter={_HELD_SECONDS * 1000000}", ("/dev/net/tun",))
_ATTACH = ("attach", "vm1", "--bridge", "br0", "--json")


def _meanwhile(lock: str, act: Callable[[], object], *args: str) -> Done:
    """Run a command and do something while it waits to open /dev/net/tun, its locks taken."""
    options = ["-o", "/dev/null", *_HOLD.options(1)]
    with under_strace([INSTALLED, *args], options) as process:
        while not list(Path("/run").glob(f"vmnet/*.{lock}=*.lock")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        # From the lock to the opening it takes some milliseconds.
        time.sleep(_HELD_SECONDS / 2)
        act()
        done = ended(process)
    assert "Traceback" not in done.err
    return done


@pytest.fixture
def place(lab: Lab) -> Lab:
    """A lab with two bridges."""
    home(lab)
    return lab


def test_a_bridge_that_vanishes_is_an_error_and_no_tap_stays(place: Lab) -> None:
    done = _meanwhile("bridge", lambda: place.sh("ip link del br0"), *_ATTACH)
    assert done.status == 4, done
    assert '"link-gone"' in done.err
    assert set(place.links()) == {"br1"}
    assert place.leftovers() == []


def test_a_tap_that_vanishes_before_detach_is_gone_as_wished(place: Lab) -> None:
    before = shape(place)
    tap = place.vmnet(*_ATTACH).json["tap"]
    done = _meanwhile("vm", lambda: place.sh(f"ip link del {tap}"), "detach", "vm1")
    assert done.status == 0, done
    assert shape(place) == before
    assert place.leftovers() == []


def test_a_tap_that_vanishes_before_run_is_an_error_and_no_other_takes_its_place(
    place: Lab,
) -> None:
    before = shape(place)
    tap = place.vmnet(*_ATTACH).json["tap"]
    wanted = ("run", "vm1", "--nic", "bridge=br0", "--", "true")
    done = _meanwhile("bridge", lambda: place.sh(f"ip link del {tap}"), *wanted)
    assert done.status == 4, done
    assert "try: " in done.err
    assert shape(place) == before
    assert place.leftovers() == []


def test_a_tap_made_anew_by_somebody_else_is_left_to_them(place: Lab) -> None:
    """The name is the same, the link is not."""
    tap = place.vmnet(*_ATTACH).json["tap"]
    made_anew = f"ip link del {tap}; ip tuntap add {tap} mode tap vnet_hdr"
    done = _meanwhile("vm", lambda: place.sh(made_anew), "detach", "vm1")
    assert done.status == 0, done
    assert place.link(tap)["linkinfo"]["info_data"]["persist"] is True
    assert "ifalias" not in place.link(tap)
