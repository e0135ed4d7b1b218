"""What others may do to links and tags; vmnet keeps its head and its hands off."""

from __future__ import annotations

from tests.netns import taps
from tests.support.lab import Lab


def test_a_tag_that_is_no_text_is_shown_and_stops_nothing(lab: Lab) -> None:
    lab.sh(
        "name=$(printf 't\\377'); ip tuntap add dev \"$name\" mode tap; "
        'ip link set "$name" alias "$(printf \'vmnet/1 vm=\\377 nic=0 gen=1 own=made life=kept\')"'
    )
    assert "\\udcff" in lab.vmnet("list").out
    lab.vmnet("gc")


def test_a_second_program_gets_no_queue_of_a_held_tap_whose_carrier_was_switched_off(
    lab: Lab,
) -> None:
    lab.vmnet("bridge", "create", "br0")
    name = lab.vmnet("attach", "vm1", "--queues", "2", "--json").json["tap"]
    with taps.held(name, taps.MANY, 2):
        lab.sh(f"ip link set dev {name} carrier off")
        lab.vmnet("run", "vm1", "--nic", "queues=2", "--", "true", status=6)
        assert lab.link(name)["linkinfo"]["info_data"]["numqueues"] == 2


def test_gc_leaves_a_held_tap_whose_carrier_was_switched_off(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    with taps.held("tapx"):
        lab.script("up", "tapx")
        lab.sh("ip link set dev tapx carrier off")
        lab.vmnet("gc")
        assert lab.link("tapx")["master"] == "br0"


def test_the_highest_uids_may_own_a_tap(lab: Lab) -> None:
    lab.vmnet("bridge", "create", "br0")
    name = lab.vmnet("attach", "vm1", "--owner", str(2**32 - 2), "--json").json["tap"]
    assert lab.link(name)["linkinfo"]["info_data"]["user"] == 2**32 - 2
