"""The size report (`pytest -s` shows it) and its limits."""

from __future__ import annotations

import pytest

from tests.unit import sizes
from tests.unit.sizes import Size
from tests.unit.source import REPO

FOLDERS = ["vmnet", "tests"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_too_long(folder: str) -> None:
    long = [size for size in sizes.files(REPO, folder) if size.lines > sizes.FILE_MAX]
    assert long == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_is_too_long(folder: str) -> None:
    long = [size for size in sizes.functions(REPO, folder) if size.lines > sizes.FUNCTION_MAX]
    assert long == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_most_functions_are_short(folder: str) -> None:
    assert sizes.share(sizes.functions(REPO, folder), 90) <= sizes.FUNCTION_P90


def test_the_report_has_a_line_for_each_folder() -> None:
    table = sizes.report(REPO, FOLDERS)
    print("\n" + table)  # noqa: T201 - the report is what this is for
    assert [line.split()[0] for line in table.splitlines()[1:]] == FOLDERS


def test_a_function_is_measured_from_def_to_its_last_line() -> None:
    text = "@decorated\ndef f():\n    def g():\n        pass\n    return g\n\nasync def h(): ...\n"
    assert sizes.of_text(text, "x") == [Size(4, "x:f"), Size(1, "x:h"), Size(2, "x:g")]


def test_the_share_is_the_length_that_so_many_do_not_exceed() -> None:
    ten = [Size(n, "") for n in range(1, 11)]
    assert [sizes.share(ten, p) for p in (10, 50, 90, 100)] == [1, 5, 9, 10]
    assert sizes.share(ten[:1], 90) == 1
