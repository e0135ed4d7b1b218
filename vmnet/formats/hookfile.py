"""The text of libvirt's hook: `hooks/libvirt-qemu` with two lines filled in.

Job: fill them in, and read them again from a file that may be vmnet's.
Leaves to others: the text itself, and where it goes (`vmnet.kernel.hookfile`).
Privilege: none.
"""

from __future__ import annotations

import shlex

from vmnet.errors import InvalidInput
from vmnet.model.hookfile import LIMIT_MAX, Script

_MARK = "# vmnet-hook "


def render(template: str, script: Script) -> str:
    """Return the text of the hook.

    Raises:
        InvalidInput: the interpreter's path or the limit cannot be.
    """
    path = script.python
    if not path.startswith("/") or not path.isprintable():
        raise InvalidInput(
            f"the interpreter {path[:200]!r} is not a full path of printable characters",
            code="hook-python",
            remedy="give it as `--python /full/path/to/python3`",
        )
    if not 1 <= script.limit <= LIMIT_MAX:
        raise InvalidInput(
            f"a time limit of {script.limit} s cannot be",
            code="hook-timeout",
            remedy=f"give 1 to {LIMIT_MAX} seconds",
        )
    text = template.replace("=@PYTHON@", f"={shlex.quote(path)}", 1)
    return text.replace("=@LIMIT@", f"={script.limit}", 1)


def parse(text: str | None) -> Script | None:
    """Return what was filled into a hook of vmnet's; None if the text is not one."""
    lines = (text or "").split("\n")
    if len(lines) < 2 or not lines[1].startswith(_MARK):
        return None
    limit = _value(lines, "limit")
    return Script(_value(lines, "python"), int(limit) if limit.isdecimal() else 0)


def _value(lines: list[str], name: str) -> str:
    for line in lines:
        if line.startswith(f"{name}="):
            try:
                return shlex.split(line, comments=True)[0].removeprefix(f"{name}=")
            except ValueError:
                return ""
    return ""
