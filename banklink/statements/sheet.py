"""A list as a file for a spreadsheet program: semicolons and a byte order mark, which is what Excel
in Dutch opens by a double click."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

BOM = "\ufeff"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Figure(str):
    """A number as it is to stand, with its sign and its decimals: no text, so never a formula."""

    __slots__ = ()


Cell = str | int | date | None


def sheet(head: Sequence[str], blocks: Iterable[Iterable[Sequence[Cell]]]) -> Iterator[str]:
    """The file piece by piece, one for each block of lines, so that its length costs no memory."""
    yield BOM + _written([head])
    for lines in blocks:
        yield _written(lines)


def _written(lines: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerows([_text(each) for each in cells] for cells in lines)
    return text.getvalue()


def _text(cell: Cell) -> str:
    """A text that a spreadsheet would take for a formula is told to be a text (OWASP, "CSV
    Injection"): names come from people and from banks. A NUL is nothing to read, ends the text for
    some programs and hides the sign after it."""
    if cell is None:
        return ""
    if type(cell) is Figure:
        return cell
    if isinstance(cell, date):
        return cell.isoformat()
    text = str(cell).replace("\0", "")
    return f"'{text}" if isinstance(cell, str) and text.startswith(_FORMULA) else text
