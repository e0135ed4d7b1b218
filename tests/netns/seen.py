"""What the kernel shows, without what is different in every run."""

from __future__ import annotations

import re
from typing import Any

from tests.support.lab import Lab, run


def seen(lab: Lab) -> dict[str, Any]:
    """Return the links of a namespace, to be compared with those of another or of another time.

    With what may pass there: forwarding entries, VLANs, rates, the filter; and with proxies. Left
    out: a tag's generation and idle mark, and the segment size that a bridge learns from its ports
    and does not forget.
    """
    links = lab.state()
    for link in links.values():
        link.pop("tso_max_size", None)
        if "ifalias" in link:
            link["ifalias"] = timeless(link["ifalias"])
    for name, link in links.items():
        fdb = run(["bridge", "fdb", "show", "brport", name]).out.splitlines()
        link["entries"] = sorted(line for line in fdb if " master " in line)
        link["vlans"] = _words(["bridge", "vlan", "show", "dev", name])
        qdiscs = run(["tc", "qdisc", "show", "dev", name]).out.splitlines()
        # Not those that the kernel gives by itself to a link that was up once.
        link["rates"] = [line for line in qdiscs if "qdisc tbf" in line or "ingress" in line]
        link["redirects"] = _words(["tc", "filter", "show", "dev", name, "ingress"])
    for family in ("-4", "-6"):
        for line in run(["ip", family, "neighbour", "show", "proxy"]).out.splitlines():
            links.setdefault("proxies", {})[line] = True
    links["the filter"] = {"words": _words(["nft", "-s", "list", "ruleset"])}
    return links


def _words(argv: list[str]) -> list[str]:
    """Return what a program prints, its words sorted: the order of sets' elements is nobody's."""
    return sorted(re.split(r"[,\s]+", run(argv).out))


def timeless(text: str) -> str:
    """Return a text that has tags in it, without their generation and idle mark."""
    return re.sub(r" (gen|idle)=[0-9a-f.-]+", r" \1=*", text)


def generation(lab: Lab, link: str) -> str:
    """Return what a tag says to tell a link from an earlier one of its name."""
    found = re.search(r" gen=([0-9a-f]{8})\b", lab.link(link)["ifalias"])
    assert found
    return found[1]
