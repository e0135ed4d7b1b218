"""Steps about files of the host that other programs obey.

Job: one frozen class for each such change, as in `vmnet.model.step`.
Leaves to others: as there.
Privilege: none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MakeFolder:
    """Make a folder that did not exist, mode 0755."""

    path: str


@dataclass(frozen=True)
class RemoveFolder:
    """Remove a folder if nothing is in it."""

    path: str


@dataclass(frozen=True)
class WriteFile:
    """Put a file to its place, whole, mode 0644; one that is there is replaced in one step."""

    path: str
    text: str


@dataclass(frozen=True)
class RemoveFile:
    """Remove a file."""

    path: str


#: Steps that change files.
FileStep = MakeFolder | RemoveFolder | WriteFile | RemoveFile
