"""What the kernel shows, without what is different in every run."""

from __future__ import annotations

import re
from typing import Any

from tests.support.lab import Lab


def seen(lab: Lab) -> dict[str, Any]:
    """Return the links of a namespace, to be compared with those of another or of another time.

    Left out: a tag's generation and idle mark, and the segment size that a bridge learns from its
    ports and does not forget.
    """
    links = lab.state()
    for link in links.values():
        link.pop("tso_max_size", None)
        if "ifalias" in link:
            link["ifalias"] = timeless(link["ifalias"])
    return links


def timeless(text: str) -> str:
    """Return a text that has tags in it, without their generation and idle mark."""
    return re.sub(r" (gen|idle)=[0-9a-f.-]+", r" \1=*", text)


def generation(lab: Lab, link: str) -> str:
    """Return what a tag says to tell a link from an earlier one of its name."""
    found = re.search(r" gen=([0-9a-f]{8})\b", lab.link(link)["ifalias"])
    assert found
    return found[1]
