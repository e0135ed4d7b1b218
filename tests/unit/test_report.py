"""What is printed: harmless on a terminal, exact in JSON, never a traceback for want of a place."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmnet.entry import report
from vmnet.errors import Conflict, NotFound, SeveralErrors, VmnetError

GONE = NotFound("link 'a' is gone", code="link-gone", remedy="look with `ip link`")
HOSTILE = "a\033[2J\nb\u202ec\udcff"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\033", r"\x1b"),
        ("\n", r"\n"),
        ("\r", r"\r"),
        ("\t", r"\t"),
        ("\b", r"\x08"),
        ("\0", r"\x00"),
        ("\x7f", r"\x7f"),
        ("\x9b", r"\x9b"),
        ("\u200b", r"\u200b"),
        ("\u202e", r"\u202e"),
        ("\u2066", r"\u2066"),
        ("\u2028", r"\u2028"),
        ("\ufeff", r"\ufeff"),
        ("\U000e0001", r"\U000e0001"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(char: str, shown: str) -> None:
    assert report.safe(f"a{char}b") == f"a{shown}b"


@pytest.mark.parametrize("text", ["", "vm 1", "é語😀", r"a\b", "'\"$;`"])
def test_what_can_be_printed_is_left(text: str) -> None:
    assert report.safe(text) == text


@given(st.text(st.characters()))
def test_anything_becomes_one_printable_line(text: str) -> None:
    assert report.safe(text).isprintable()
    assert report.safe(report.safe(text)) == report.safe(text)


def test_a_table_is_as_wide_as_it_needs_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    report.table(("VM", "NIC"), [("a", "0"), ("long name", "12")])
    assert capsys.readouterr().out == "VM         NIC\na          0\nlong name  12\n"


def test_a_table_without_rows_has_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    report.table(("VM", "NIC"), [])
    assert capsys.readouterr().out == "VM  NIC\n"


def test_on_a_terminal_the_first_column_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    report.table(("VM", "TAP"), [("a" * 50, "vmnx-0"), ("b", "vmny-0")])
    assert screen.getvalue().splitlines() == [
        "VM            TAP",
        "aaaaaaaaaaa…  vmnx-0",
        "b             vmny-0",
    ]


def test_a_terminal_too_narrow_keeps_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "3")
    monkeypatch.setenv("NO_COLOR", "1")
    report.table(("VM", "TAP"), [("abc", "vmnx-0")])
    assert screen.getvalue().splitlines() == ["VM  TAP", "a…  vmnx-0"]


def test_on_a_terminal_the_heading_alone_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    report.table(("VM",), [("a",)])
    assert screen.getvalue() == "\033[1mVM\033[0m\na\n"


def test_no_cell_can_leave_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    report.table(("VM", "NIC"), [(HOSTILE, "0")])
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 2
    assert out.replace("\n", "").isprintable()


def test_an_answer_and_a_note_go_different_ways(capsys: pytest.CaptureFixture[str]) -> None:
    report.answer("for programs")
    report.note("for people")
    assert capsys.readouterr() == ("for programs\n", "for people\n")


def test_json_has_its_version_and_survives_any_text(capsys: pytest.CaptureFixture[str]) -> None:
    report.answer_json({"vm": HOSTILE})
    out = capsys.readouterr().out
    assert json.loads(out) == {"version": 1, "vm": HOSTILE}
    assert out.isascii()
    assert "\033" not in out


def test_a_failure_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    report.failure(GONE, as_json=False)
    assert capsys.readouterr() == (
        "",
        "vmnet: link 'a' is gone\n  try: look with `ip link`\n",
    )


def test_a_failure_says_what_could_not_be_undone(capsys: pytest.CaptureFixture[str]) -> None:
    error = Conflict("no", code="mac-used", remedy="other")
    error.undo_errors = [GONE]
    report.failure(error, as_json=False)
    assert "  not undone: link 'a' is gone\n" in capsys.readouterr().err


def test_several_failures_are_said_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    report.failure(SeveralErrors([GONE, GONE]), as_json=False)
    assert capsys.readouterr().err.count("vmnet: link 'a' is gone\n") == 2


def test_nothing_in_a_failure_acts_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    error = NotFound(HOSTILE, code="link-gone", remedy=HOSTILE)
    error.undo_errors = [NotFound(HOSTILE, code="x", remedy="y")]
    report.failure(error, as_json=False)
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 3
    assert err.replace("\n", "").isprintable()


def test_a_failure_in_json_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = SeveralErrors([GONE, Conflict(HOSTILE, code="mac-used", remedy="other")])
    error.undo_errors = [GONE]
    report.failure(error, as_json=True)
    out, err = capsys.readouterr()
    gone = {
        "code": "link-gone",
        "message": "link 'a' is gone",
        "remedy": "look with `ip link`",
        "exit_code": 4,
        "undo_errors": [],
        "errors": [],
    }
    taken = {**gone, "code": "mac-used", "message": HOSTILE, "remedy": "other", "exit_code": 5}
    assert out == ""
    assert json.loads(err) == {
        "version": 1,
        "error": {
            "code": "several",
            "message": error.message,
            "remedy": "look with `ip link`; other",
            "exit_code": 12,
            "undo_errors": [gone],
            "errors": [gone, taken],
        },
    }


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert report.styled("x", "good", Terminal()) == "\033[32mx\033[0m"
    assert report.styled("x", "good", io.StringIO()) == "x"
    assert report.styled("x", "good", None) == "x"


@pytest.mark.parametrize(("key", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(key, value)
    assert report.styled("x", "good", Terminal()) == "x"


def test_what_the_streams_encoding_has_not_got_is_escaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    report.answer("vm é語")
    assert raw.getvalue() == b"vm \\xe9\\u8a9e\n"


def test_a_stream_that_was_closed_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    report.answer("x")
    report.note("x")
    report.table(("VM",), [("a",)])


@pytest.fixture
def full() -> io.TextIOWrapper:
    """Return a stream on a full disk."""
    return io.TextIOWrapper(open("/dev/full", "wb"), encoding="utf-8")


def test_an_answer_that_cannot_be_written_is_an_error(
    monkeypatch: pytest.MonkeyPatch, full: io.TextIOWrapper
) -> None:
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(VmnetError, match="No space left") as caught:
        report.answer("x")
    assert caught.value.code == "output"
    # Python flushes again when it ends; that must not fail once more.
    full.close()


def test_a_note_that_cannot_be_written_is_not(
    monkeypatch: pytest.MonkeyPatch, full: io.TextIOWrapper
) -> None:
    monkeypatch.setattr(sys, "stderr", full)
    report.note("x")
    full.close()


def test_a_full_disk_costs_no_descriptor(
    monkeypatch: pytest.MonkeyPatch, full: io.TextIOWrapper
) -> None:
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())
    monkeypatch.setattr(sys, "stderr", full)
    report.note("x")
    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before
    assert os.readlink(f"/proc/self/fd/{full.fileno()}") == os.devnull
    full.close()
