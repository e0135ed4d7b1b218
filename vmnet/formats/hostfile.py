"""The text of a file of the host's: a template of `templates/host` under a line that says whose.

Job: fill it in, and tell from a text whether vmnet wrote it and nobody changed it since.
Leaves to others: where it goes (`vmnet.kernel.hostfile`).
Privilege: none.

The sum in the first line is no proof against malice: who can write there is root.
"""

from __future__ import annotations

import hashlib
import re

from vmnet.errors import InvalidInput
from vmnet.model.hostfile import Written

_MARK = "# vmnet-host "
_VERSION = "1"
_SUM_CHARS = 16
#: As useradd(8) takes it, but without a closing `$`, which udev would fill in.
_GROUP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}", re.ASCII)
_GROUP = re.compile(r'\bGROUP="([^"]*)"')


def check_group(group: str) -> str:
    """Return the name of a group if it could be one.

    Raises:
        InvalidInput: it could not.
    """
    if not _GROUP_NAME.fullmatch(group):
        raise InvalidInput(
            f"{group[:60]!r} is no name of a group",
            code="bad-group",
            remedy="give a name as `getent group` shows it, e.g. `--group kvm`",
        )
    return group


def render(template: str, group: str) -> str:
    """Return the text of a file."""
    body = template.replace("@GROUP@", group)
    return (
        f"{_MARK}{_VERSION} {_sum(body)}: written by `vmnet host install`, "
        f"taken away by `vmnet host uninstall`.\n{body}"
    )


def parse(text: str | None) -> Written | None:
    """Return what a text says of itself; None if it is not vmnet's."""
    first, _, body = (text or "").partition("\n")
    if not first.startswith(_MARK):
        return None
    words = first.removeprefix(_MARK).split()
    group = _GROUP.search(body)
    return Written(
        intact=len(words) > 1 and words[1].rstrip(":") == _sum(body),
        group=group[1] if group is not None else "",
    )


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:_SUM_CHARS]
