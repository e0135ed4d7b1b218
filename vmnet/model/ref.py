"""Which link a step is about.

Job: a link's name with the index it was seen under.
Leaves to others: everything else.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ref:
    """Which link a step is about.

    Attributes:
        name: its name.
        index: its index as observed; 0 for a link that this very plan makes. With it a step
            cannot hit another link that got the name meanwhile.
    """

    name: str
    index: int = 0
