"""NICs without a link: what they carry, what has to be there, who moves the packets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.values import nic
from vmnet.errors import Busy, Conflict, InvalidInput, NotFound, Unsupported, VhostUnavailable
from vmnet.formats.qemu import Args, by_stream, by_vhost_user, fill
from vmnet.formats.qemumemory import check_shares_memory
from vmnet.model.nic import Nic
from vmnet.model.port import USUAL, PortAsk, settle_port
from vmnet.model.unixsocket import Meeting
from vmnet.model.vhost import DataPath, Policy, Reason, decide_wire
from vmnet.model.wire import User, VhostUser
from vmnet.model.wirestep import EndPasst, StartPasst
from vmnet.plan.sockets import on_socket, plan_user, plan_vhost_user

_SOCKET = VhostUser("/run/a,b.sock")
#: The program makes the socket; QEMU does.
_ITS, _OURS = VhostUser("/run/x"), VhostUser("/run/x", server=True)
_MEMFD = ["-object", "memory-backend-memfd,id=mem,size=64M"]


def _user(**changed: object) -> Nic:
    return replace(nic(bridge=""), **{"wire": User(), **changed})  # type: ignore[arg-type]


def test_user_mode_is_one_step_with_its_undo() -> None:
    forward = ((2222, 22),)
    settled = on_socket(_user(wire=User(forward)), guard_asked=False)
    (move,) = plan_user(settled, unasked=False).moves
    assert move.do == StartPasst(0, 65520, forward)
    assert move.undo == EndPasst(0)


def test_a_guest_that_is_not_told_its_mtu_gets_the_usual_one() -> None:
    assert on_socket(_user(model="e1000"), guard_asked=False).mtu == 1500
    assert on_socket(_user(mtu=9000), guard_asked=False).mtu == 9000


def test_what_nobody_asked_for_says_so_first() -> None:
    settled = on_socket(_user(), guard_asked=False)
    assert "CAP_NET_ADMIN" in plan_user(settled, unasked=True).notes[0]
    assert "CAP_NET_ADMIN" not in "".join(plan_user(settled, unasked=False).notes)


@pytest.mark.parametrize("wire", [User(), _SOCKET])
def test_what_wants_a_link_is_refused(wire: User | VhostUser) -> None:
    shaped = replace(_user(), wire=wire, port=settle_port(USUAL, PortAsk(rate_in=10**6)))
    with pytest.raises(Unsupported, match="rate-in"):
        on_socket(shaped, guard_asked=False)
    with pytest.raises(Unsupported, match="guard"):
        on_socket(replace(_user(), wire=wire), guard_asked=True)


def test_user_mode_has_one_queue_and_vhost_user_has_many() -> None:
    with pytest.raises(InvalidInput):
        on_socket(_user(queues=2), guard_asked=False)
    assert on_socket(_user(queues=2, wire=_SOCKET), guard_asked=False).queues == 2


@pytest.mark.parametrize(
    ("wire", "there", "error"),
    [
        (_ITS, Meeting.NOTHING, NotFound),
        (_ITS, Meeting.OTHER, Conflict),
        (_ITS, Meeting.NO_FOLDER, NotFound),
        (_OURS, Meeting.NO_FOLDER, NotFound),
        (_OURS, Meeting.OTHER, Conflict),
        (_OURS, Meeting.LISTENING, Busy),
    ],
)
def test_a_socket_that_cannot_be_used_is_refused(
    wire: VhostUser, there: Meeting, error: type[Exception]
) -> None:
    with pytest.raises(error):
        plan_vhost_user(wire, there)


@pytest.mark.parametrize(
    ("wire", "there", "said"),
    [
        (_ITS, Meeting.LISTENING, ""),
        (_ITS, Meeting.SILENT, "nobody listens"),
        (_OURS, Meeting.NOTHING, "QEMU waits"),
        (_OURS, Meeting.SILENT, "QEMU waits"),
    ],
)
def test_one_that_can_be_leaves_nothing_to_do(wire: VhostUser, there: Meeting, said: str) -> None:
    plan = plan_vhost_user(wire, there)
    assert plan.moves == ()
    assert len(plan.notes) == (2 if said else 1)
    assert said in plan.notes[-1]


def test_arguments_of_each() -> None:
    assert by_stream(nic(), 1500, 7).netdev == (
        "stream,id=vmnet0,server=off,addr.type=fd,addr.str=7"
    )
    args = by_vhost_user(nic(queues=2), 1500, replace(_SOCKET, server=True))
    assert args.chardev == "socket,id=vmnet0-char,path=/run/a,,b.sock,server=on"
    assert args.netdev == "vhost-user,id=vmnet0,chardev=vmnet0-char,queues=2"
    assert args.words()[:2] == ["-chardev", args.chardev]


def test_a_netdev_in_its_place_brings_its_chardev() -> None:
    filled = fill(["qemu", "-netdev", "{netdev}"], {0: Args("n", "d", "c")})
    assert filled == ["qemu", "-netdev", "n", "-chardev", "c"]


def test_who_moves_the_packets() -> None:
    asked = decide_wire(Policy.AUTO, "virtio-net-pci", User())
    assert (asked.path, asked.reason, asked.warning) == (
        DataPath.USERSPACE, Reason.WIRE_USER, False)  # fmt: skip
    assert decide_wire(Policy.PREFER, "virtio-net-pci", User()).warning
    assert decide_wire(Policy.AUTO, "e1000", User()).path is DataPath.EMULATED
    served = decide_wire(Policy.OFF, "virtio-net-pci", _SOCKET)
    assert (served.path, served.reason) == (DataPath.VHOST_USER, Reason.WIRE_VHOST_USER)
    for wire in (User(), _SOCKET):
        with pytest.raises(VhostUnavailable):
            decide_wire(Policy.REQUIRE, "virtio-net-pci", wire)
    with pytest.raises(InvalidInput):
        decide_wire(Policy.AUTO, "e1000", _SOCKET)


@pytest.mark.parametrize(
    "words",
    [
        [*_MEMFD, "-machine", "pc,memory-backend=mem"],
        [*_MEMFD, "-M", "memory-backend=mem,accel=tcg"],
        [*_MEMFD, "--numa", "node,memdev=mem"],
        ["-object", "memory-backend-file,id=mem,mem-path=/x,,y,share=on", "-numa",
         "node,memdev=mem"],
        ["-object", '{"qom-type":"memory-backend-file","id":"mem","share":true}', "-machine",
         "memory-backend=mem"],
        ["-readconfig", "/etc/vm.cfg"],
    ],
)  # fmt: skip
def test_memory_that_is_shared(words: list[str]) -> None:
    check_shares_memory(["qemu-system-x86_64", *words])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["-m", "64"],
        _MEMFD,
        ["-object", "memory-backend-memfd,id=mem,share=off", "-machine", "memory-backend=mem"],
        ["-object", "memory-backend-file,id=mem,mem-path=/x", "-machine", "memory-backend=mem"],
        ["-object", "memory-backend-file,id=mem,mem-path=/x,,share=on", "-numa", "memdev=mem"],
        [*_MEMFD, "-numa", "node,memdev=mem", "-numa", "node,memdev=other"],
        [*_MEMFD, "-machine"],
        ["-object", "{", "-machine", "memory-backend=mem"],
        ["-object", "[1]", "-machine", "{}"],
    ],
)
def test_memory_that_is_not_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_shares_memory(["/usr/bin/qemu-system-x86_64", *words])
    assert caught.value.code == "memory-not-shared"


def test_what_starts_qemu_in_its_own_way_is_believed() -> None:
    check_shares_memory(["./start-vm.sh", "-m", "64"])
    with pytest.raises(InvalidInput):
        check_shares_memory(["taskset", "-c", "1", "qemu-system-x86_64", "-m", "64"])
