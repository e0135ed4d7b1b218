"""What was found on this host: daemons that run, and what has to be seen to.

Job: the nouns that `vmnet hook` and `vmnet host` share.
Leaves to others: finding (`vmnet.kernel`), judging (`vmnet.plan`).
Privilege: none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Daemon:
    """A running daemon that has this host's files in view.

    Attributes:
        pid: its process.
        name: as the kernel has it, e.g. `libvirtd`; at most 15 bytes.
        started: when, in seconds of the epoch.
        label: what the kernel's security module confines it to; empty if to nothing.
    """

    pid: int
    name: str
    started: float
    label: str


@dataclass(frozen=True)
class Finding:
    """Something that keeps a file of vmnet's from doing its work, or may.

    Attributes:
        code: a stable word for it.
        what: what was found.
        remedy: what would help.
        certain: it is so; else it is only possible.
    """

    code: str
    what: str
    remedy: str
    certain: bool = True

    def data(self) -> dict[str, object]:
        """Return it as JSON data."""
        return asdict(self)
