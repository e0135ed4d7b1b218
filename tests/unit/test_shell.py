"""Steps as lines for sh: exact forms, every word quoted, nothing of a VM's name loose."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.steps import EVERY_STEP
from tests.unit.values import (
    LINK,
    MAC,
    NOW,
    attached,
    carried,
    link_names,
    nic,
    view,
    vm_names,
)
from vmnet.formats.shell import plan_lines, step_lines
from vmnet.model.filestep import WriteFile
from vmnet.model.host import Holders, Link
from vmnet.model.nft import install_text
from vmnet.model.ovs import AddOvsPort, DropOvsPort, SetOvsPort
from vmnet.model.portstep import (
    AddIngress,
    AddVlans,
    CreateIfb,
    DropIngress,
    DropRate,
    DropVlans,
    InstallFilter,
    PinMac,
    Police,
    Redirect,
    RemoveFilter,
    SetPort,
    SetRate,
    UnpinMac,
)
from vmnet.model.step import (
    AddAltname,
    CreateBridge,
    CreateTap,
    CreateTun,
    CreateVeth,
    DeleteLink,
    DropAltname,
    DropTap,
    DropTun,
    InPlace,
    Move,
    OpenQueues,
    Persist,
    Plan,
    QuietIpv6,
    Ref,
    SetAlias,
    SetMac,
    SetMaster,
    SetMtu,
    SetOwner,
    SetUp,
    SetVlanFiltering,
    Step,
)
from vmnet.model.wirestep import (
    AddProxy,
    CreateMacvtap,
    DropProxy,
    GiveMacvtap,
    OpenMacvtap,
    SetRouting,
    SetTxChecksum,
)
from vmnet.plan.attach import plan_attach, plan_run
from vmnet.plan.detach import plan_detach

_AS_WISHED = (
    "set port tap0 tag=10 trunks=20,21 vlan_mode=native-untagged other_config:transient=true"
    """ 'external_ids:vmnet="vmnet/1 vm=a nic=0"'"""
    r""" -- set interface tap0 'external_ids:iface-id="vm \"1\"-0"'"""
    " -- set port tap0 qos=@q -- --id=@q create qos type=linux-htb"
    " other_config:max-rate=1000000 external_ids:vmnet=tap0"
)
_CLEARED = (
    "ovs-vsctl --if-exists destroy qos tap0"
    " -- clear port tap0 tag trunks vlan_mode external_ids qos"
)
_NO_QUEUE = "ovs-vsctl --if-exists destroy qos tap0 -- clear port tap0 qos"
FORMS: dict[type[Step], list[str]] = {
    CreateTap: ["ip tuntap add dev tap0 mode tap vnet_hdr multi_queue"],
    CreateTun: ["ip tuntap add dev tun0 mode tun"],
    SetRouting: [
        f"sysctl -q -w net/ipv4/conf/tap0/{key}=1"
        for key in ("forwarding", "proxy_arp", "rp_filter")
    ],
    CreateMacvtap: [
        f"ip link add link eth0 name tap0 address {MAC} type macvtap mode vepa",
        "ip link set dev tap0 allmulticast on",
    ],
    OpenMacvtap: [],
    SetTxChecksum: ["ethtool -K tap0 tx off", "ethtool -K tap0 tx on"],
    GiveMacvtap: [],
    AddProxy: ["ip neighbour add proxy 10.0.0.5 dev tap0 protocol 118"],
    DropProxy: ["ip neighbour del proxy 2001:db8::5 dev tap0"],
    CreateVeth: ["ip link add dev vmp1-a type veth peer name eth0 netns /run/netns/web"],
    AddOvsPort: [
        f"ovs-vsctl add-port br0 tap0 -- {_AS_WISHED}",
        (
            f"{_NO_QUEUE} && ovs-vsctl --if-exists del-port br1 tap0"
            f" && ovs-vsctl add-port br0 tap0 -- {_AS_WISHED}"
        ),
    ],
    SetOvsPort: [f"{_CLEARED} -- {_AS_WISHED}"],
    DropOvsPort: [
        "ovs-vsctl --if-exists del-port br0 tap0",
        f"{_NO_QUEUE} && ovs-vsctl --if-exists del-port br0 tap0",
    ],
    InPlace: [
        "nsenter --net=/proc/7/ns/net ip link set dev tap0 up",
        "nsenter --net=/proc/7/ns/net ethtool -K tap0 tx off",
    ],
    OpenQueues: [],
    SetOwner: [],
    Persist: [],
    DropTap: ["ip tuntap del dev tap0 mode tap multi_queue"],
    DropTun: ["ip tuntap del dev tap0 mode tun"],
    DeleteLink: ["ip link delete dev tap0"],
    CreateBridge: [
        "ip link add dev br0 address 52:00:00:00:00:01 type bridge stp_state 0 mcast_snooping 0",
        (
            "ip link add dev br0 address 52:00:00:00:00:01 type bridge stp_state 0 "
            "mcast_snooping 0 vlan_filtering 1"
        ),
    ],
    SetVlanFiltering: [
        "ip link set dev tap0 type bridge vlan_filtering 1",
        "ip link set dev tap0 type bridge vlan_filtering 0",
    ],
    SetPort: ["ip link set dev tap0 type bridge_slave guard on learning off"],
    AddVlans: [
        "bridge vlan add dev tap0 vid 10 pvid untagged",
        "bridge vlan add dev tap0 vid 20-29",
    ],
    DropVlans: ["bridge vlan del dev tap0 vid 1"],
    PinMac: ["bridge fdb replace 52:54:00:12:34:56 dev tap0 master static sticky"],
    UnpinMac: ["bridge fdb del 52:54:00:12:34:56 dev tap0 master"],
    CreateIfb: ["ip link add dev vmi0 type ifb"],
    SetRate: [
        "tc qdisc replace dev tap0 root handle 766d: tbf rate 1250000bps burst 10000 limit 100000"
    ],
    DropRate: ["tc qdisc del dev tap0 root handle 766d:"],
    AddIngress: ["tc qdisc add dev tap0 ingress"],
    DropIngress: ["tc qdisc del dev tap0 ingress"],
    Redirect: [
        (
            "tc filter add dev tap0 parent ffff: protocol all pref 30317 u32 match u32 0 0 "
            "action mirred egress redirect dev vmi0"
        )
    ],
    Police: [
        (
            "tc filter add dev tap0 parent ffff: protocol all pref 30317 u32 match u32 0 0 "
            "action police rate 1250000bps burst 10000 mtu 262143 drop"
        )
    ],
    RemoveFilter: ["nft delete table bridge vmnet"],
    SetAlias: ["ip link set dev tap0 alias 'vmnet/1 vm=a'"],
    SetMac: ["ip link set dev tap0 address fe:54:00:12:34:56"],
    SetMtu: ["ip link set dev tap0 mtu 9000"],
    QuietIpv6: ["ip link set dev tap0 addrgenmode none"],
    AddAltname: ["ip link property add dev tap0 altname vmnet-vm1-0"],
    DropAltname: ["ip link property del dev tap0 altname vmnet-vm2-0"],
    SetMaster: ["ip link set dev tap0 master br0", "ip link set dev tap0 nomaster"],
    SetUp: ["ip link set dev tap0 up", "ip link set dev tap0 down"],
}


#: What brings the rules, which are the same for every VM.
RULES = ["nft -f - <<'NFT'", *install_text(strict=False).splitlines(), "NFT"]


#: What a line may begin with.
_BEGINNINGS = (
    *("nsenter ", "ovs-vsctl ", "sysctl ", "ethtool "),
    *("ip ", "bridge ", "tc ", "nft ", "# ", "virsh ", "printf "),
    *("mkdir ", "rmdir ", "install ", "rm "),
)


def commands(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("#")]


def of_nft(line: str) -> Any:
    """Return what a line tells nft, as JSON, or None for one that is no such line."""
    head, tail = "printf %s ", " | nft -j -f -"
    if not line.startswith(head) or not line.endswith(tail):
        return None
    (text,) = shlex.split(line.removeprefix(head).removesuffix(tail))
    return json.loads(text)


def lines_of(*steps: Step) -> list[str]:
    return plan_lines(Plan(tuple(map(Move, steps))))


def made(vm: str, **changes: object) -> list[str]:
    wish = nic(vm, **changes)
    return plan_lines(plan_attach(wish, view(wish), NOW))


@pytest.mark.parametrize("kind", FORMS, ids=lambda kind: kind.__name__)
def test_every_step_has_its_form(kind: type[Step]) -> None:
    steps = [step for step in EVERY_STEP if isinstance(step, kind)]
    assert steps
    assert [line for step in steps for line in commands(step_lines(step))] == FORMS[kind]


@pytest.mark.parametrize("step", EVERY_STEP, ids=lambda step: type(step).__name__)
def test_a_step_without_a_form_is_a_comment(step: Step) -> None:
    lines = step_lines(step)
    if isinstance(step, InstallFilter | WriteFile):
        lines = lines[:1]  # what follows is nft's, or the file's
    assert lines
    assert all(line.startswith(_BEGINNINGS) for line in lines)


def test_a_new_tap_gets_its_owner_where_ip_can_give_it() -> None:
    lines = made("vm1", owner=1000, queues=2)
    assert commands(lines)[0].endswith("mode tap vnet_hdr multi_queue user 1000")
    assert not any("TUNSETOWNER" in line for line in lines)
    assert "user" not in commands(made("vm1", owner=None))[0]


def test_an_owner_changed_later_has_no_form() -> None:
    wish = nic(owner=7)
    lines = plan_lines(plan_attach(wish, view(wish, attached(nic())), NOW))
    assert commands(lines) == []
    assert "opens 1 queue of" in lines[0]
    assert "uid 7" in lines[1]


def test_what_ip_does_otherwise_is_said() -> None:
    kept, fleeting = made("vm1"), plan_lines(plan_run(nic(), view(nic()), NOW))
    assert any("IFF_TUN_EXCL" in line for line in kept)
    assert not any("does not make it persistent" in line for line in kept)
    assert any("does not make it persistent" in line for line in fleeting)


def test_the_lines_of_an_attach_are_those_a_person_could_type() -> None:
    name = attached(nic()).name
    tag = "vmnet/1 vm=vm1 nic=0 gen=00c0ffee own=made life=kept mac=525400123456 br=br0 idle=1000.0"
    lines = [line for line in commands(made("vm1")) if line not in RULES and not of_nft(line)]
    assert lines == [
        f"ip tuntap add dev {name} mode tap vnet_hdr user 1000",
        f"ip link set dev {name} alias '{tag.replace('kept', 'building')}'",
        f"ip link set dev {name} addrgenmode none",
        f"ip link set dev {name} address fe:54:00:12:34:56",
        f"ip link set dev {name} mtu 1500",
        f"ip link property add dev {name} altname vmnet-vm1-0",
        f"ip link property add dev {name} altname vmnet-mac-525400123456",
        f"ip link set dev {name} master br0",
        f"bridge fdb replace {MAC} dev {name} master static sticky",
        f"ip link set dev {name} type bridge_slave guard on root_block on learning off locked on",
        f"ip link set dev {name} alias '{tag}'",
        f"ip link set dev {name} up",
    ]


def test_an_empty_plan_is_no_lines() -> None:
    assert plan_lines(Plan()) == []


def _words(step: Step) -> list[str]:
    (line,) = commands(step_lines(step))
    return shlex.split(line)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_every_word_comes_through_sh_as_it_was(text: str) -> None:
    link = Ref(text, 7)
    assert _words(SetAlias(link, text)) == ["ip", "link", "set", "dev", text, "alias", text]
    assert _words(AddAltname(link, text))[-1] == text
    assert _words(DropAltname(link, text))[-1] == text
    assert _words(SetMaster(LINK, link))[-1] == text
    assert _words(CreateBridge(text, "52:00:00:00:00:01"))[4] == text
    assert _words(CreateTap(text, multi_queue=False))[4] == text
    assert _words(DropTap(link, multi_queue=False))[4] == text
    assert _words(DeleteLink(link))[4] == text
    assert _words(SetUp(link))[4] == text


@given(vm_names, link_names)
def test_no_line_of_a_plan_holds_anything_that_acts(vm: str, bridge: str) -> None:
    wish = nic(vm, bridge=bridge, queues=2)
    tap = attached(nic(vm, queues=2))
    place = Link(**{**vars(view(nic()).bridge), "name": bridge})
    seen = view(wish, bridges=(place,))
    plans = [plan_attach(wish, seen, NOW), plan_detach(tap, Holders(), force=False)]
    lines = [line for plan in plans for line in plan_lines(plan) if line not in RULES]
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        if not line.startswith("#") and of_nft(line) is None:
            assert set(shlex.join(shlex.split(line))) == set(line)


@given(vm_names)
def test_a_vms_name_reaches_no_line_unencoded(vm: str) -> None:
    plain = made("vm1")
    assert len(made(vm)) == len(plain)
    for line in (line for line in commands(made(vm)) if line not in RULES and not of_nft(line)):
        words = shlex.split(line)
        assert words[0] in ("ip", "bridge")
        assert all(set(word) <= _harmless(word) for word in words)


def _harmless(word: str) -> set[str]:
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-=~:/")
    return letters | ({" "} if word.startswith("vmnet/1 ") else set())


def test_a_hostile_name_is_harmless() -> None:
    lines = made("a,vhost=on;$(touch x)`y`\033[2J")
    loose = [line for line in commands(lines) if line not in RULES and not of_nft(line)]
    assert not set("".join(loose)) & set("$();`,\033")
    assert "touch x" not in "".join(lines)


@given(link_names)
def test_comments_cannot_be_left(name: str) -> None:
    for step in (OpenQueues(Ref(name), 2, multi_queue=True), Persist(Ref(name))):
        assert all(line.startswith("# ") and "\n" not in line for line in step_lines(step))


def test_the_lines_do_what_the_steps_do() -> None:
    """The two forms are tested against the kernel elsewhere; here none of the plan is left out."""
    plan = plan_attach(nic(), view(nic()), NOW)
    steps = [m.do for m in plan.moves if not isinstance(m.do, SetOwner | Persist)]
    lines = [line for line in commands(plan_lines(plan)) if line not in RULES[1:]]
    assert len(lines) == len(steps)
    assert carried(None, [move.do for move in plan.moves]) is not None
    assert replace(attached(nic()), carrier=True) == carried(None, [m.do for m in plan.moves])
