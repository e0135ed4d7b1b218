"""Saying: the one file that prints.

Job: answers to standard output, everything else to standard error; text for people, JSON for
programs; every foreign character made harmless for where it goes.
Leaves to others: what to say.
Privilege: none.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from vmnet.errors import VmnetError

#: Raised with every change that a reader of the JSON would notice.
JSON_VERSION = 1
_STYLES = {"good": "32", "warn": "33", "bad": "31", "head": "1"}


class ReaderGone(VmnetError):
    """Whoever read the answer has closed the pipe: `vmnet list | head -1`."""


def answer(text: str) -> None:
    """Print an answer to standard output.

    Raises:
        VmnetError: it could not be written (full disk, closed pipe).
    """
    _write(sys.stdout, text)


def answer_raw(data: bytes) -> None:
    """Print bytes to standard output as they are.

    Raises:
        VmnetError: they could not be written.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise _unwritten(error) from error


def note(text: str) -> None:
    """Print to standard error what a person should know and a script need not."""
    # Whoever closed standard error does not want to know.
    _write(sys.stderr, text, must=False)


def answer_json(data: dict[str, Any]) -> None:
    """Print an answer as one JSON object, with the version of its form."""
    import json  # noqa: PLC0415 - few answers are JSON

    answer(json.dumps({"version": JSON_VERSION, **data}, indent=2))


def failure(error: VmnetError, *, as_json: bool) -> None:
    """Print an error: what failed, then what to do.

    A reader that has gone wants to know nothing: the process then ends by SIGPIPE, as others do.
    """
    if isinstance(error, ReaderGone):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
    if as_json:
        import json  # noqa: PLC0415

        note(json.dumps({"version": JSON_VERSION, "error": error_data(error)}, indent=2))
        return
    for each in getattr(error, "errors", None) or [error]:
        note(f"{styled('vmnet:', 'bad', sys.stderr)} {safe(each.message)}")
        note(f"  try: {safe(each.remedy)}")
        for line in each.paste.splitlines():
            note(safe(line))
        for later in each.undo_errors:
            note(f"  not undone: {safe(later.message)}")


def error_data(error: VmnetError) -> dict[str, Any]:
    """Return an error as JSON data."""
    more = {"paste": error.paste} if error.paste else {}
    return {
        "code": error.code,
        "message": error.message,
        "remedy": error.remedy,
        "exit_code": error.exit_code,
        "undo_errors": [error_data(later) for later in error.undo_errors],
        "errors": [error_data(each) for each in getattr(error, "errors", [])],
        **more,
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a heading, in columns as wide as they need to be.

    On a terminal the first column gives way, so that a row stays on one line.
    """
    lines = [list(head), *([safe(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    if sys.stdout is not None and sys.stdout.isatty():
        import shutil  # noqa: PLC0415 - only for a table on a terminal

        spare = shutil.get_terminal_size().columns - sum(widths[1:]) - 2 * (len(head) - 1)
        widths[0] = min(widths[0], max(spare, len(head[0])))
    for number, line in enumerate(lines):
        padded = [_cut(cell, width).ljust(width) for cell, width in zip(line, widths, strict=True)]
        text = "  ".join(padded).rstrip()
        answer(styled(text, "head", sys.stdout) if number == 0 else text)


def paragraph(name: str, text: str, style: str = "") -> None:
    """Print a name and what belongs to it, on a terminal in as many lines as it takes."""
    shown, head = [safe(text)], f"  {name:10}"
    if sys.stdout is not None and sys.stdout.isatty():
        import shutil  # noqa: PLC0415 - only on a terminal
        import textwrap  # noqa: PLC0415

        width = max(shutil.get_terminal_size().columns - len(head), 20)
        shown = textwrap.wrap(shown[0], width, break_on_hyphens=False) or [""]
    for number, line in enumerate(shown):
        words = styled(line, style, sys.stdout) if style else line
        answer(f"{head if number == 0 else ' ' * len(head)}{words}")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def safe(text: str) -> str:
    """Return text whose control and formatting characters cannot act on a terminal."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def styled(text: str, style: str, stream: TextIO | None) -> str:
    """Return text in colour if the stream is a terminal that wants it (NO_COLOR, TERM=dumb)."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{_STYLES[style]}m{text}\033[0m" if stream.isatty() else text


def _writable(text: str, stream: TextIO) -> str:
    """Return text with an escape for what the stream's encoding has not got."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _write(stream: TextIO | None, text: str, *, must: bool = True) -> None:
    if stream is None:
        return
    try:
        stream.write(_writable(text, stream) + "\n")
        stream.flush()
    except OSError as error:
        # What could not be written would be tried again, and fail again, when Python ends.
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)
        if must:
            raise _unwritten(error) from error


def _unwritten(error: OSError) -> VmnetError:
    kind = ReaderGone if isinstance(error, BrokenPipeError) else VmnetError
    return kind(
        f"cannot write the answer: {error.strerror}",
        code="output",
        remedy="free space or mend the pipe, then run it again",
    )
