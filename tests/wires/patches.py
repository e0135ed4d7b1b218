"""Patches as a test makes them, and what is seen of them."""

from __future__ import annotations

import json
from typing import Any

from tests.support.lab import Lab

TAG = "vmnet/1 patch "


def patch(lab: Lab, *words: str) -> list[str]:
    """Return what `vmnet patch` did."""
    steps = lab.vmnet("patch", *words, "--json").json["steps"]
    assert isinstance(steps, list)
    return steps


def code(lab: Lab, *words: str, status: int) -> str:
    """Return the code of an error."""
    found = json.loads(lab.vmnet(*words, "--json", status=status).err)["error"]["code"]
    assert isinstance(found, str)
    return found


def links(lab: Lab) -> dict[str, Any]:
    """Return the links of patches here, by name."""
    return {n: link for n, link in lab.links().items() if link.get("ifalias", "").startswith(TAG)}


def listed(lab: Lab) -> list[tuple[str, str, bool]]:
    """Return both ends of each patch, and whether it is broken."""
    rows = lab.vmnet("list", "--json").json["patches"]
    return [(row["a"], row["b"], row["broken"]) for row in rows]
