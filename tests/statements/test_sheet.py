"""A file for a spreadsheet: read back it says the same, and nothing in it runs."""

from __future__ import annotations

import csv
import io
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from banklink.statements.sheet import BOM, sheet

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def read(text: str) -> list[list[str]]:
    assert text.startswith(BOM)
    return list(csv.reader(io.StringIO(text.removeprefix(BOM), newline=""), delimiter=";"))


@given(st.lists(st.lists(TEXT, min_size=2, max_size=4), max_size=5))
def test_what_is_written_is_read_back_and_nothing_is_a_formula(lines: list[list[str]]) -> None:
    found = read("".join(sheet(["a", "b"], [lines])))
    assert len(found) == len(lines) + 1
    for wrote, got in zip(lines, found[1:], strict=True):
        for before, after in zip(wrote, got, strict=True):
            assert after in (before, f"'{before}")
            assert not after.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.lists(st.sampled_from("\0=+-@\t\r\na"), max_size=6).map("".join))
def test_a_nul_does_not_hide_a_formula(text: str) -> None:
    (_head, (cell, _other)) = read("".join(sheet(["a", "b"], [[[text, "b"]]])))
    assert cell.lstrip("'") == text.replace("\0", "")
    assert not cell.startswith(("\0", "=", "+", "-", "@", "\t", "\r", "\n"))


def test_days_numbers_and_nothing_are_themselves() -> None:
    (_head, line) = read("".join(sheet(["a"], [[[date(2026, 12, 3), 9, -9, None, "IBAN"]]])))
    assert line == ["2026-12-03", "9", "-9", "", "IBAN"]


def test_a_block_comes_before_the_next_is_made() -> None:
    made: list[int] = []

    def blocks() -> object:
        for number in range(3):
            made.append(number)
            yield [[number]]

    pieces = sheet(["n"], blocks())  # type: ignore[arg-type]
    next(pieces)
    assert made == []
    next(pieces)
    assert made == [0]
