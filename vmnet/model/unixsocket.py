"""A path at which two programs meet.

Job: what can be there, as a value.
Leaves to others: looking (`vmnet.kernel.unixsockets`).
Privilege: none.
"""

from __future__ import annotations

from enum import StrEnum


class Meeting(StrEnum):
    """What is at the path of a socket."""

    NO_FOLDER = "no folder"
    NOTHING = "nothing"
    OTHER = "something else"
    SILENT = "a socket at which nobody listens, as far as this network namespace shows"
    LISTENING = "a socket at which a program listens"
