"""Steps about files as lines for sh.

Job: as `vmnet.formats.shell`, for what `vmnet host` does.
Leaves to others: printing them.
Privilege: none.
"""

from __future__ import annotations

import shlex
from typing import assert_never

from vmnet.model.filestep import FileStep, MakeFolder, RemoveFile, RemoveFolder, WriteFile

_END = "VMNET"


def file_lines(step: FileStep) -> list[str]:
    """Return one step as lines for sh; a file is shown whole."""
    match step:
        case MakeFolder(path):
            return [f"mkdir -m 0755 {_word(path)}"]
        case RemoveFolder(path):
            return [f"rmdir --ignore-fail-on-non-empty {_word(path)}"]
        case WriteFile(path, text):
            return [f"install -m 0644 /dev/stdin {_word(path)} <<'{_end(text)}'", *_body(text)]
        case RemoveFile(path):
            return [f"rm {_word(path)}"]
        case _:
            assert_never(step)


def _word(path: str) -> str:
    return shlex.quote(path)


def _end(text: str) -> str:
    """Return a word that ends the text and is no line of it."""
    end = _END
    while end in text.split("\n"):
        end += "_"
    return end


def _body(text: str) -> list[str]:
    return [*text.removesuffix("\n").split("\n"), _end(text)]
