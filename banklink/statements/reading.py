"""A file that somebody gives becomes statements, whichever of the formats it is in, with what a
person should know of it before anything is stored.

    file = read_file(data, currency="EUR")

A file of other accounts, of impossible days, or one that does not add up is read all the same:
whether it can be used is decided where the account is known (actions/take_in_file.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from banklink.statements import MAX_BYTES, camt053, mt940, sniff, statement_csv
from banklink.statements.encoding import garbled, text_of, unmarked_utf16
from banklink.statements.model import Booking, Statement, StatementError
from banklink.statements.statement_csv import Columns

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class File:
    """`format`: mt940, camt053 or csv. `bank`: whose layout a table has. `guessed`: the encoding
    where the file did not say. `garbled`: a word whose letters were spoiled before it came here.
    `loose`: its last line is not ended, so it may have been cut off. `day` and `amount`: a cell of
    a table that may be read in two ways, and how it was."""

    format: str
    statements: tuple[Statement, ...]
    bank: str | None = None
    guessed: str | None = None
    garbled: str | None = None
    loose: bool = False
    day: tuple[str, date] | None = None
    amount: tuple[str, Decimal] | None = None


def read_file(data: bytes, *, currency: str, columns: Columns | None = None) -> File:
    """`columns` say which column of a table is what, where no bank's layout is recognised;
    `currency` is meant where a table says none. Raises StatementError."""
    if len(data) > MAX_BYTES:
        raise StatementError("too_large", max_bytes=MAX_BYTES)
    if not data.strip(b"\xef\xbb\xbf\xff\xfe\x00\x1a \t\r\n"):
        raise StatementError("empty")
    if looks_like := sniff.signature(data):
        raise StatementError("unknown_format", looks_like=looks_like)
    if sniff.is_xml(data):
        return _told("camt053", camt053.read(data))
    if encoding := unmarked_utf16(data):
        data = data.decode(encoding, "replace").encode()
    text = mt940.decode(data)
    if sniff.is_mt940(text):
        return _told("mt940", mt940.read(text))
    if sniff.is_mt942(text) or not statement_csv.is_table(text_of(data)[0]):
        raise StatementError("unknown_format", looks_like=sniff.text_format(text))
    table = statement_csv.read_table(data)
    known = table.columns or columns
    if known is None:
        raise StatementError("columns_unknown")
    way = statement_csv.way_of(table, known, currency)
    return replace(
        _told("csv", statement_csv.read(table, known, currency, way)),
        bank=table.bank,
        guessed=table.guessed,
        loose=table.loose,
        day=way.day,
        amount=way.amount,
    )


def _told(form: str, statements: Sequence[Statement]) -> File:
    texts = (text for each in statements for text in _texts(each.bookings))
    return File(form, tuple(statements), garbled=garbled(texts))


def _texts(bookings: Sequence[Booking]) -> Iterator[str]:
    for each in bookings:
        yield each.remittance
        if each.counterparty_name:
            yield each.counterparty_name


# -- which days it tells of -----------------------------------------------------------------------


def days_told(statements: Sequence[Statement]) -> list[tuple[date, date]]:
    """The days of which these statements of one account tell everything, as stretches in order.

    A period that is stated counts; else it is from the opening to the closing balance. The day of
    an opening balance is with some banks the first of the statement and with others the last one
    of the statement before: without a booking on it, only the first of a month is believed to be
    the former. Days between two statements count when the one opens with what the other closed
    with. Where no balance is dated, a table, it is from the first booking to the last.
    """
    told: list[tuple[date, date, Decimal | None]] = []
    for each in sorted(statements, key=lambda each: each.period or _bounds(each) or _NEVER):
        bounds = each.period or _bounds(each)
        if bounds is None or bounds[0] > bounds[1]:
            continue
        first, last = bounds
        opening, closing = balance(each, "opening"), balance(each, "closing")
        if told and (
            first <= told[-1][1] + _DAY or (opening is not None and opening == told[-1][2])
        ):
            first, last = told[-1][0], max(last, told[-1][1])
            told.pop()
        told.append((first, last, closing))
    return [(first, last) for first, last, _ in told]


_NEVER = (date.max, date.max)


def _bounds(each: Statement) -> tuple[date, date] | None:
    days = [booking.booked_on for booking in each.bookings]
    opened = [item.on for item in each.balances if item.kind.endswith("opening")]
    closed = [item.on for item in each.balances if item.kind.endswith("closing")]
    if not opened or not closed:
        return (min(days), max(days)) if days else None
    first, last = min(opened), max(closed)
    if first < last and first not in days and first.day != 1:
        first += _DAY
    return first, last


def balance(each: Statement, side: str) -> Decimal | None:
    """What a statement opens or closes with; of several, as on pages, the outermost."""
    found = [item.amount for item in each.balances if item.kind.endswith(side)]
    if not found:
        return None
    return found[0] if side == "opening" else found[-1]


def difference(each: Statement) -> Decimal | None:
    """Closing less opening less what was booked; None where one of the two is not told."""
    opening, closing = balance(each, "opening"), balance(each, "closing")
    if opening is None or closing is None:
        return None
    return closing - opening - sum((booking.amount for booking in each.bookings), Decimal(0))
