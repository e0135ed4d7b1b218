"""Options about a NIC's port and its wire, for the commands that have them all.

Job: one name and one help text for each; the commands get what they say as two values.
Leaves to others: what the values mean (`vmnet.model.port`, `vmnet.model.wire`).
Privilege: none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from vmnet.entry.options import state

#: Options with a value, by the key of `vmnet.model.port.PORT_KEYS`.
_VALUES = {
    "vlan": ("VID", "VLAN of the guest's frames, which have no tag; none: as the bridge has it."),
    "trunk": (
        "VIDS",
        "VLANs whose tags the guest sees, e.g. 10,20-29; repeatable.",
    ),
    "native": ("VID", "With --trunk: VLAN of frames without a tag."),
    "address": (
        "IPS",
        "Addresses the guest may send from, e.g. 10.0.0.5,2001:db8::5; repeatable.",
    ),
    "rate-in": ("RATE", "Limit to the guest, e.g. 100mbit; none: no limit."),
    "rate-out": ("RATE", "Limit from the guest, e.g. 100mbit; none: no limit."),
}
#: Of the wire: as above, by the key of `vmnet.model.wire.WIRE_KEYS`; no value: a switch.
_WIRE = {
    "direct": ("LINK", "No bridge: a macvtap straight on this NIC of the host."),
    "mode": ("MODE", "With --direct: bridge (default), vepa, private or passthru."),
    "routed": ("", "No bridge: the host routes each --address to the TAP."),
    "proxy": ("LINK", "With --routed: the host answers for the addresses there (ARP, ND)."),
    "vhost-user": ("SOCKET", "No TAP: the rings of a program that forwards itself, e.g. OVS-DPDK."),
    "server": ("", "With --vhost-user: QEMU makes the socket, that program connects."),
}
#: Those of which each one given counts.
_LISTS = ("trunk", "address")
#: Options that switch something.
_SWITCHES = {
    "guard": "Only the guest's own MAC, no bridge control frames (on by default).",
    "isolated": "No frames to or from other isolated ports.",
    "flood": "Frames to unknown addresses come here too (on by default).",
    "neigh-suppress": "The bridge answers ARP and ND for what it knows.",
    "dhcp-guard": "No DHCP server at this port.",
    "ra-guard": "No router advertisements from this port.",
}


def _parameters() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, (metavar, text) in _VALUES.items():
        option = typer.Option(f"--{key}", metavar=metavar, help=text)
        found[key] = Annotated[list[str] | None if key in _LISTS else str | None, option]
    for key, text in _SWITCHES.items():
        option = typer.Option(f"--{key}/--no-{key}", help=text, show_default=False)
        found[key] = Annotated[bool | None, option]
    return found | {key: _wire_parameter(key) for key in _WIRE}


def _wire_parameter(key: str) -> Any:
    metavar, text = _WIRE[key]
    if metavar:
        return Annotated[str | None, typer.Option(f"--{key}", metavar=metavar, help=text)]
    return Annotated[bool | None, typer.Option(f"--{key}", help=text, show_default=False)]


def _text(value: list[str] | str | bool | None) -> str | None:  # noqa: FBT001 - a value
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(value) if isinstance(value, list) else value


def port_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all these options; it gets port and wire as its `asked`."""
    options = _parameters()
    names = {key: key.replace("-", "_") for key in options}

    @wraps(command)
    def called(**given: Any) -> None:
        from vmnet.model.port import parse_port  # noqa: PLC0415 - `--help` does without
        from vmnet.model.wire import parse_wire  # noqa: PLC0415

        state["json"] = given.get("json", False)
        values = {key: given.pop(name) for key, name in names.items()}
        texts = {key: _text(value) for key, value in values.items()}
        wire = parse_wire({key: texts.pop(key) for key in _WIRE})
        command(asked=(parse_port(texts), wire), **given)

    own = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    kept = [
        p.replace(annotation=hints[p.name]) for p in own.parameters.values() if p.name != "asked"
    ]
    place = next((i for i, p in enumerate(kept) if p.name == "model"), len(kept))
    new = [
        inspect.Parameter(names[key], inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for key, hint in options.items()
    ]
    ordered = [*kept[:place], *new, *kept[place:]]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in ordered]
    called.__signature__ = own.replace(parameters=keyword)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in keyword} | {"return": None}
    return called
