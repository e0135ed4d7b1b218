"""The codecs of rtnetlink messages. The one file that imports pyroute2.

Job: pyroute2's message classes, loaded without the rest of it; encoding, decoding, quick reading.
Leaves to others: what the messages say (`vmnet.kernel.links` and its neighbours).
Privilege: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmnet.kernel.parts import parts_of

with parts_of("pyroute2"):
    from pyroute2.netlink import nla, nlmsg
    from pyroute2.netlink.rtnl.br_vlan import br_vlan_msg, br_vlan_query
    from pyroute2.netlink.rtnl.fibmsg import fibmsg
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

__all__ = [
    "br_vlan_msg",
    "br_vlan_query",
    "decoded",
    "encoded",
    "fibmsg",
    "getter",
    "head",
    "ifaddrmsg",
    "ifinfmsg",
    "inet_link",
    "ndmsg",
    "rtmsg",
    "tcm",
    "text_of",
]

# linux/netlink.h
REQUEST, ACK, ECHO, DUMP = 0x1, 0x4, 0x8, 0x300
REPLACE, EXCL, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800


def head(message: Any, kind: int, flags: int) -> None:
    """Set type and flags of a message."""
    message["header"]["type"] = kind
    message["header"]["flags"] = flags


def encoded(message: Any) -> bytes:
    """Return a message as the kernel takes it."""
    message.encode()
    return bytes(message.data)


def decoded(codec: Any, raw: bytes) -> Any:
    """Return a message of the kernel's, read by that codec."""
    message = codec(raw)
    message.decode()
    return message


def getter(message: Any) -> Callable[[str], Any]:
    """Return a quick get_attr: one pass over some fifty attributes instead of one for each asked.

    Values are decoded when they are asked for.
    """
    slots = {slot[0]: slot for slot in message["attrs"]}
    return lambda name: slots[name][1] if name in slots else None


def text_of(value: str | bytes | None) -> str:
    """Return a name or alias as text; the kernel takes any bytes for one."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


class tcm(nlmsg):  # type: ignore[misc]  # noqa: N801 - named as its library names messages
    """struct tcmsg (linux/rtnetlink.h), with what vmnet says of tbf, u32, mirred and police.

    Of pyroute2's own, tbf has no 64-bit rate, and the package loads every scheduler there is.
    """

    prefix = "TCA_"
    fields = (
        ("family", "B"),
        ("pad1", "B"),
        ("pad2", "H"),
        ("index", "i"),
        ("handle", "I"),
        ("parent", "I"),
        ("info", "I"),
    )
    nla_map = (
        ("TCA_UNSPEC", "none"),
        ("TCA_KIND", "asciiz"),
        ("TCA_OPTIONS", "options"),
    )

    @staticmethod
    def options(self: Any, *_: Any, **__: Any) -> Any:  # noqa: PLW0211 - called so by its library
        """Return the codec of the options, by the kind that stands before them."""
        return {"tbf": tcm.tbf, "u32": tcm.u32}.get(self.get_attr("TCA_KIND"), tcm.hex)

    class tbf(nla):  # type: ignore[misc]  # noqa: N801
        """struct tc_tbf_qopt and its 64-bit companions (linux/pkt_sched.h TCA_TBF_*)."""

        nla_map = (
            ("TCA_TBF_UNSPEC", "none"),
            ("TCA_TBF_PARMS", "parms"),
            ("TCA_TBF_RTAB", "hex"),
            ("TCA_TBF_PTAB", "hex"),
            ("TCA_TBF_RATE64", "uint64"),
            ("TCA_TBF_PRATE64", "uint64"),
            ("TCA_TBF_BURST", "uint32"),
        )

        class parms(nla):  # type: ignore[misc]  # noqa: N801
            """Two struct tc_ratespec, then limit, buffer (in ticks of 64 ns) and mtu."""

            fields = (
                ("cell_log", "B"),
                ("linklayer", "B"),
                ("overhead", "H"),
                ("cell_align", "h"),
                ("mpu", "H"),
                ("rate", "I"),
                ("peak", "12s"),
                ("limit", "I"),
                ("buffer", "I"),
                ("mtu", "I"),
            )

    class u32(nla):  # type: ignore[misc]  # noqa: N801
        """A u32 filter (linux/pkt_cls.h TCA_U32_*): the kind of filter that every kernel has."""

        nla_map = (
            ("TCA_U32_UNSPEC", "none"),
            ("TCA_U32_CLASSID", "uint32"),
            ("TCA_U32_HASH", "uint32"),
            ("TCA_U32_LINK", "hex"),
            ("TCA_U32_DIVISOR", "uint32"),
            ("TCA_U32_SEL", "sel"),
            ("TCA_U32_POLICE", "hex"),
            ("TCA_U32_ACT", "actions"),
        )

        class sel(nla):  # type: ignore[misc]  # noqa: N801
            """struct tc_u32_sel with one key, which matches all."""

            fields = (
                ("flags", "B"),
                ("offshift", "B"),
                ("nkeys", "B"),
                ("pad", "B"),
                ("offmask", "H"),
                ("off", "H"),
                ("offoff", "h"),
                ("hoff", "h"),
                ("hmask", "I"),
                ("mask", "I"),
                ("val", "I"),
                ("keyoff", "i"),
                ("keyoffmask", "i"),
            )

        class actions(nla):  # type: ignore[misc]  # noqa: N801
            """Actions by their place, from 1; vmnet has one."""

            nla_map = (("TCA_ACT_UNSPEC", "none"), ("TCA_ACT_1", "action"))

            class action(nla):  # type: ignore[misc]  # noqa: N801
                """One action (linux/pkt_cls.h TCA_ACT_*)."""

                nla_map = (
                    ("TCA_ACT_UNSPEC", "none"),
                    ("TCA_ACT_KIND", "asciiz"),
                    ("TCA_ACT_OPTIONS", "options"),
                )

                @staticmethod
                def options(self: Any, *_: Any, **__: Any) -> Any:  # noqa: PLW0211
                    """Return the codec of an action's options."""
                    action = tcm.u32.actions.action
                    kinds = {"mirred": action.mirred, "police": action.police}
                    return kinds.get(self.get_attr("TCA_ACT_KIND"), action.hex)

                class mirred(nla):  # type: ignore[misc]  # noqa: N801
                    """struct tc_mirred (linux/tc_act/tc_mirred.h)."""

                    nla_map = (
                        ("TCA_MIRRED_UNSPEC", "none"),
                        ("TCA_MIRRED_TM", "hex"),
                        ("TCA_MIRRED_PARMS", "parms"),
                    )

                    class parms(nla):  # type: ignore[misc]  # noqa: N801
                        """struct tc_mirred."""

                        fields = (
                            ("act_index", "I"),
                            ("capab", "I"),
                            ("action", "i"),
                            ("refcnt", "i"),
                            ("bindcnt", "i"),
                            ("eaction", "i"),
                            ("ifindex", "I"),
                        )

                class police(nla):  # type: ignore[misc]  # noqa: N801
                    """struct tc_police (linux/pkt_cls.h) and its 64-bit companions."""

                    nla_map = (
                        ("TCA_POLICE_UNSPEC", "none"),
                        ("TCA_POLICE_TBF", "parms"),
                        ("TCA_POLICE_RATE", "cdata"),
                        ("TCA_POLICE_PEAKRATE", "hex"),
                        ("TCA_POLICE_AVRATE", "uint32"),
                        ("TCA_POLICE_RESULT", "uint32"),
                        ("TCA_POLICE_TM", "hex"),
                        ("TCA_POLICE_PAD", "hex"),
                        ("TCA_POLICE_RATE64", "uint64"),
                    )

                    class parms(nla):  # type: ignore[misc]  # noqa: N801
                        """struct tc_police."""

                        fields = (
                            ("act_index", "I"),
                            ("action", "i"),
                            ("limit", "I"),
                            ("burst", "I"),
                            ("mtu", "I"),
                            ("cell_log", "B"),
                            ("linklayer", "B"),
                            ("overhead", "H"),
                            ("cell_align", "h"),
                            ("mpu", "H"),
                            ("rate", "I"),
                            ("peak", "12s"),
                            ("refcnt", "i"),
                            ("bindcnt", "i"),
                            ("capab", "I"),
                        )


class inet_link(nlmsg):  # type: ignore[misc]  # noqa: N801
    """A link with switches of net.ipv4.conf to be set (linux/ip.h IPV4_DEVCONF_*).

    The kernel tells them as a row of numbers and takes them as attributes; pyroute2 knows the row.
    """

    prefix = "IFLA_"
    fields = ifinfmsg.fields
    nla_map = ((26, "IFLA_AF_SPEC", "af_spec"),)

    class af_spec(nla):  # type: ignore[misc]  # noqa: N801
        """Settings by the family they are for."""

        nla_map = ((2, "AF_INET", "inet"),)

        class inet(nla):  # type: ignore[misc]  # noqa: N801
            """Those of IPv4 (linux/if_link.h IFLA_INET_*)."""

            nla_map = ((1, "IFLA_INET_CONF", "conf"),)

            class conf(nla):  # type: ignore[misc]  # noqa: N801
                """The switches."""

                nla_map = (
                    (1, "IPV4_DEVCONF_FORWARDING", "uint32"),
                    (3, "IPV4_DEVCONF_PROXY_ARP", "uint32"),
                    (8, "IPV4_DEVCONF_RP_FILTER", "uint32"),
                )
