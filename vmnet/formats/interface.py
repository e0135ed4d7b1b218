"""One `<interface>` of a domain as text: a new one, and one with other settings.

Job: fill in a template; change what vmnet changes in an interface that is there and keep the rest
(boot order, filters, bandwidth, its place on the bus).
Leaves to others: what the settings are (`vmnet.plan.live`).
Privilege: none; the text is libvirt's own.

Not for libvirt's hook: the tree costs more than the hook has time for.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from vmnet.model.nic import DEFAULT_MODEL


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a template with its `$names` filled in; a line with nothing else than empty ones goes.

    Args:
        template: one of `templates/*.xml`.
        values: by name; those that end in `_xml` are markup, all others are escaped.
    """
    lines = []
    for line in template.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        filled = re.sub(r"\$([a-z_]+)", lambda m: _value(m[1], values), line)
        if filled.strip():
            lines.append(filled.replace("\n", f"\n{indent}"))
    return "\n".join(lines)


def _value(name: str, values: Mapping[str, str]) -> str:
    return values[name] if name.endswith("_xml") else html.escape(values[name])


def settings(
    *, mac: str, tap: str, bridge: str, model: str, queues: int, mtu: int | None, driver: str
) -> dict[str, str]:
    """Return the values of the interface templates.

    Args:
        mac: the guest's address.
        tap: the TAP's name, where vmnet makes it.
        bridge: the bridge, where libvirt makes it.
        model: libvirt's word for the device model.
        queues: queue pairs.
        mtu: in bytes; None to leave it to libvirt.
        driver: `vhost`, `qemu`, or empty for libvirt's choice.
    """
    name = f" name='{driver}'" if driver else ""
    count = f" queues='{queues}'" if queues > 1 else ""
    return {
        "mac": mac,
        "tap": tap,
        "bridge": bridge,
        "model": model,
        "driver_xml": f"<driver{name}{count}/>" if name or count else "",
        "mtu_xml": f"<mtu size='{mtu}'/>" if mtu is not None else "",
    }


def libvirt_model(model: str) -> str:
    """Return libvirt's word for one of QEMU's device models."""
    return "virtio" if model == DEFAULT_MODEL else model


def changed(
    text: str,
    *,
    queues: int,
    mtu: int | None,
    driver: str | None,
    bridge: str = "",
    tap: str = "",
) -> str:
    """Return an interface with other settings; all else stays.

    Args:
        text: an `<interface>` of libvirt's.
        queues: queue pairs.
        mtu: in bytes; None leaves it as it is.
        driver: `vhost`, `qemu`, or empty for libvirt's choice; None leaves it as it is.
        bridge: another bridge for type bridge; empty leaves it as it is.
        tap: another name for the TAP; empty leaves it as it is.
    """
    root = ET.fromstring(text)  # noqa: S314 - from libvirt, and without a document type
    if driver is not None:
        _set(root, "driver", "name", driver)
    _set(root, "driver", "queues", str(queues) if queues > 1 else "")
    if mtu is not None:
        _set(root, "mtu", "size", str(mtu))
    if tap:
        _set(root, "target", "dev", tap)
    if bridge:
        _set(root, "source", "bridge", bridge)
    return ET.tostring(root, encoding="unicode")


def _set(root: ET.Element, name: str, key: str, value: str) -> None:
    node = root.find(name)
    if value:
        node = ET.SubElement(root, name) if node is None else node
        node.set(key, value)
    elif node is not None:
        node.attrib.pop(key, None)
        if not node.attrib and len(node) == 0:
            root.remove(node)
