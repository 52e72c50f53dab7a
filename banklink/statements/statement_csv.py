"""Bank statements as a table of text: what a bank's website offers as CSV or TAB.

    table = read_table(data)
    columns = table.columns or asked
    statements = read(table, columns, "EUR", way_of(table, columns, "EUR"))

There is no standard. Layouts of Dutch banks that are known for certain are read by themselves, by
their titles (ING, Rabobank, Knab, bunq) or, where there are none, by their cells (ABN AMRO, ASN,
Triodos). Of any other table a person says which column is what; `guess` proposes it. A wrong guess
would store wrong money, so no guess is ever taken without being looked at.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise

from banklink.core.money import exponent
from banklink.statements.columns import looks_iban
from banklink.statements.encoding import text_of
from banklink.statements.model import Balance, Booking, Statement, StatementError

FIELDS = (
    "booked", "amount", "out", "direction", "description", "name", "counterparty", "value",
    "account", "currency", "balance", "reference",
)  # fmt: skip
"""What a column can be. `out`: money out stands in a column of its own, `amount` then holds what
came in. `direction`: a word says which way the money went. `balance`: after the booking."""

MAX_COLUMNS = 60
_SAMPLES = 5
_PREAMBLE = 10
_ASN_WIDTH = 19
Columns = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """`bank` and `columns` are known where the layout is one of a bank's. `titles` are empty where
    there are none. `loose`: the file does not end its last line, so it may have been cut."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    bank: str | None = None
    columns: Columns | None = None
    texts: tuple[int, ...] = ()
    guessed: str | None = None
    loose: bool = False

    @property
    def width(self) -> int:
        return max([len(self.titles), *(len(row.cells) for row in self.rows[:50])])

    def samples(self, column: int) -> tuple[str, ...]:
        found = (row.cells[column] for row in self.rows if len(row.cells) > column)
        return tuple(dict.fromkeys(text for text in found if text))[:_SAMPLES]


@dataclass(frozen=True, slots=True)
class _Layout:
    """`titles` by field; `texts` are further columns of the description, in order."""

    bank: str
    titles: Mapping[str, str]
    texts: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)  # where the export has them


_LAYOUTS = (
    _Layout(
        "ING",
        {"booked": "datum", "name": "naamomschrijving", "account": "rekening",
         "counterparty": "tegenrekening", "direction": "afbij", "amount": "bedrageur"},
        ("mededelingen",),
        {"balance": "saldonamutatie"},
    ),
    _Layout(
        "ING",
        {"booked": "date", "name": "namedescription", "account": "account",
         "counterparty": "counterparty", "direction": "debitcredit", "amount": "amounteur"},
        ("notifications",),
        {"balance": "resultingbalance"},
    ),
    _Layout(
        "Rabobank",
        {"account": "ibanbban", "currency": "munt", "booked": "datum", "value": "rentedatum",
         "amount": "bedrag", "balance": "saldonatrn", "counterparty": "tegenrekeningibanbban",
         "name": "naamtegenpartij"},
        ("omschrijving", "omschrijving", "omschrijving", "betalingskenmerk"),
    ),
    _Layout(
        "Knab",
        {"account": "rekeningnummer", "booked": "transactiedatum", "currency": "valutacode",
         "direction": "creditdebet", "amount": "bedrag", "counterparty": "tegenrekeningnummer",
         "name": "tegenrekeninghouder"},
        ("omschrijving",),
        {"value": "valutadatum"},
    ),
    _Layout(
        "bunq",
        {"booked": "date", "value": "interestdate", "amount": "amount", "account": "account",
         "counterparty": "counterparty", "name": "name"},
        ("description",),
    ),
)  # fmt: skip

_GUESSES: dict[str, tuple[str, ...]] = {
    "booked": ("boekdatum", "boekingsdatum", "transactiedatum", "datum", "bookingdate",
               "transactiondate", "date", "completeddate"),
    "value": ("rentedatum", "valutadatum", "valuedate", "interestdate"),
    "amount": ("transactiebedrag", "bedrag", "bedrageur", "amount", "amounteur", "bij", "credit",
               "ontvangen", "inkomsten"),
    "out": ("af", "debet", "debit", "uitgaven", "betaald"),
    "direction": ("afbij", "debetcredit", "creditdebet", "debitcredit", "creditdebit", "dc", "cd",
                  "bijaf"),
    "currency": ("munt", "muntsoort", "valuta", "valutacode", "currency",
                 "valutasoortmutatie"),
    "account": ("rekening", "rekeningnummer", "iban", "ibanbban", "account", "accountnumber",
                "eigenrekening", "opdrachtgeversrekening"),
    "counterparty": ("tegenrekening", "tegenrekeningnummer", "tegenrekeningiban",
                     "ibantegenrekening", "counterpartyiban", "counterparty"),
    "name": ("naamtegenpartij", "tegenpartij", "naamtegenrekening", "tegenrekeninghouder", "naam",
             "name", "payee", "counterpartyname", "begunstigde"),
    "description": ("omschrijving", "omschrijvingen", "mededelingen", "description", "details",
                    "remittance", "reference", "betreft"),
    "balance": ("saldonamutatie", "saldonatrn", "saldonatransactie", "saldo", "eindsaldo",
                "balance"),
    "reference": ("endtoendid", "endtoendreference"),
}  # fmt: skip

_IN = {"c", "cr", "credit", "bij", "b", "in", "crdt", "+", "ontvangen"}
_OUT = {"d", "dr", "debet", "debit", "af", "a", "uit", "out", "dbit", "-", "betaald"}
_NO_REFERENCE = {"", "NOTPROVIDED", "NONREF"}
_EXCEL_SAYS = re.compile(r"sep=[;,\t|]", re.IGNORECASE)


# -- the table ----------------------------------------------------------------------------------


def is_table(text: str) -> bool:
    lines = [line for line in text.splitlines()[:30] if line.strip()][:20]
    sign = _separator(lines)
    return sign is not None and sum(line.count(sign) >= 2 for line in lines) * 2 > len(lines)


def read_table(data: bytes) -> Table:
    """Raises StatementError: empty, no_bookings, cut_line, quote_open, cells_many."""
    text, guessed = text_of(data)
    text = text.replace("\x00", "").rstrip("\x1a")
    loose = not text.endswith(("\n", "\r"))
    rows, separator = _rows(text)
    if not rows:
        raise StatementError("empty")
    bank, titles, columns, texts, rows = _known(rows)
    if columns is None:
        titles, rows = _titled(rows)
    if not rows:
        raise StatementError("no_bookings")
    open_cell = text.endswith(tuple(";,\t|")) and not (titles and titles[-1] == "")
    short = len(rows[-1].cells) < max(len(titles), len(rows[0].cells))
    if loose and (short or open_cell):
        raise StatementError("cut_line", line=rows[-1].line)
    _refuse_shifted(rows, len(titles) or len(rows[0].cells), separator)
    return Table(titles, tuple(rows), bank, columns, texts, guessed, loose)


def _refuse_shifted(rows: Sequence[Row], width: int, separator: str) -> None:
    """A row with more cells than there are columns has a separator in a text or an amount, and all
    behind it stands in the wrong column. Some programs end each row with a separator, which is
    harmless; but with commas an empty last cell may be one that 12,50 has pushed there."""
    for row in rows:
        beyond = row.cells[width:]
        if any(beyond) or (beyond and separator == ","):
            raise StatementError("cells_many", line=row.line)


def _rows(text: str) -> tuple[list[Row], str]:
    """With the separator. Quotes mean nothing in a TAB file."""
    lines = io.StringIO(text, newline="").readlines()
    if lines and _EXCEL_SAYS.fullmatch(lines[0].strip().strip('"')):
        lines[0] = "\n"
    separator = _separator([line for line in lines[:50] if line.strip()]) or ";"
    read = _as_written(lines, separator) if separator == "\t" else _quoted(lines, separator)
    return [row for row in read if any(row.cells)], separator


def _quoted(lines: Sequence[str], separator: str) -> list[Row]:
    """A cell between quotes may go on in the next line. Where the quotes do not follow the rules,
    as in texts that hold some, each line is taken to be a row."""
    rows: list[Row] = []
    reader = csv.reader(lines, delimiter=separator, strict=True)
    before = 0
    try:
        for cells in reader:
            width = min(len(cells), len(rows[0].cells) if rows else len(cells))
            if _holds_rows(lines[before : reader.line_num], separator, width):
                raise StatementError("quote_open", line=before + 1)
            rows.append(_row(before + 1, cells))
            before = reader.line_num
    except csv.Error as error:
        if "unexpected end" in str(error):
            if _holds_rows(lines[before:], separator, len(rows[0].cells) if rows else 2):
                raise StatementError("quote_open", line=before + 1) from None
            raise StatementError("cut_line", line=max(1, len(lines))) from None
        if "field larger" in str(error):
            raise StatementError("unknown_format", looks_like="unknown") from None
        return list(_as_written(lines, separator))
    return rows


def _holds_rows(lines: Sequence[str], separator: str, width: int) -> bool:
    """Whether a quote too many made one row of these lines, though a later one is a row of its own:
    as wide, like the first, and with a day."""
    if len(lines) < 2 or lines[0].count(separator) + 1 < width:
        return False
    cut = (line.split(separator) for line in lines[1:])
    return any(
        len(cells) >= width and any(_looks_day(cell.strip(' "\r\n')) for cell in cells)
        for cells in cut
    )


def _as_written(lines: Sequence[str], separator: str) -> Iterator[Row]:
    """Each line is a row; quotes count only around a whole cell."""
    sign = re.escape(separator)
    cell = re.compile(rf'(?:"((?:(?!{sign}").)*?)" *|([^{sign}]*))({sign}|\Z)')
    for number, line in enumerate(lines, start=1):
        cells: list[str] = []
        for found in cell.finditer(line.rstrip("\r\n")):
            cells.append(found[2] if found[1] is None else found[1].replace('""', '"'))
            if not found[3] or len(cells) == MAX_COLUMNS:
                break
        yield _row(number, cells)


def _row(line: int, cells: Sequence[str]) -> Row:
    return Row(line, tuple(_clean(cell) for cell in cells[:MAX_COLUMNS]))


def _separator(lines: Sequence[str]) -> str | None:
    """The one that cuts most lines into most: a comma is also in amounts, a bar in texts."""
    cut = {sign: sum(line.count(sign) >= 2 for line in lines) for sign in "\t;,|"}
    best = max(cut, key=lambda sign: cut[sign])
    return best if cut[best] else None


def _clean(text: str) -> str:
    if text.isprintable() and "  " not in text:  # as most are
        return text.strip()
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def _plain(title: str) -> str:
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", title).casefold())


# -- which column is what -----------------------------------------------------------------------

_Known = tuple[str | None, tuple[str, ...], Columns | None, tuple[int, ...], list[Row]]


def _known(rows: list[Row]) -> _Known:
    """The layout of a bank, where the titles stand in one of the first rows, or no titles do."""
    for skip, row in enumerate(rows[:3]):
        words = [_plain(cell) for cell in row.cells]
        for layout in _LAYOUTS:
            if set(layout.titles.values()) | set(layout.texts) <= set(words):
                wanted = {**layout.titles, **layout.also}
                columns = {
                    key: words.index(title) for key, title in wanted.items() if title in words
                }
                texts = tuple(
                    n for n, word in enumerate(words) if word in dict.fromkeys(layout.texts)
                )
                columns["description"] = texts[0]
                return layout.bank, row.cells, columns, texts, rows[skip + 1 :]
    first = rows[0].cells
    if _like_abn_amro(first):
        columns = {"account": 0, "currency": 1, "booked": 2, "balance": 4, "value": 5,
                   "amount": 6, "description": 7}  # fmt: skip
        return "ABN AMRO", (), columns, (7,), rows
    if _like_triodos(first):
        columns = {"booked": 0, "account": 1, "amount": 2, "direction": 3, "name": 4,
                   "counterparty": 5, "description": 7}  # fmt: skip
        if len(first) > 8 and _looks_amount(first[8]):
            columns["balance"] = 8
        return "Triodos", (), columns, (7,), rows
    if _like_asn(first):
        columns = {"booked": 0, "account": 1, "counterparty": 2, "name": 3, "currency": 9,
                   "amount": 10, "value": 12, "description": 17}  # fmt: skip
        return "ASN", (), columns, (16, 17), [_asn_row(row) for row in rows]
    return None, (), None, (), rows


def _titled(rows: list[Row]) -> tuple[tuple[str, ...], list[Row]]:
    """Titles, where there are any, and what is under them. Whose account it is and of which period
    may stand above; but no row that could be a booking is ever dropped with it."""
    first = next((n for n, row in enumerate(rows[:_PREAMBLE]) if _like_booking(row.cells)), 0)
    if first > 1 and _like_titles(rows[first - 1].cells):
        above = rows[0].cells
        if any(map(_is_value, above)) or _filled(above) < _filled(rows[first - 1].cells):
            return rows[first - 1].cells, rows[first:]
    if any(map(_is_value, rows[0].cells)):
        return (), rows
    return rows[0].cells, rows[1:]


def _like_booking(cells: Sequence[str]) -> bool:
    return any(map(_looks_day, cells)) and any(map(_looks_amount, cells))


def _like_titles(cells: Sequence[str]) -> bool:
    """Two digits are a part of a day or an amount, also of one that cannot be read."""
    return _filled(cells) > 1 and not any(
        _is_value(cell) or re.search(r"\d\d", cell) for cell in cells
    )


def _filled(cells: Sequence[str]) -> int:
    return sum(map(bool, cells))


def _like_abn_amro(cells: Sequence[str]) -> bool:
    return (
        len(cells) == 8
        and re.fullmatch(r"\d{9,10}", cells[0], re.ASCII) is not None
        and re.fullmatch(r"[A-Z]{3}", cells[1], re.ASCII) is not None
        and all(re.fullmatch(r"\d{8}", cells[n], re.ASCII) for n in (2, 5))
        and all(map(_looks_amount, (cells[3], cells[4], cells[6])))
    )


def _like_triodos(cells: Sequence[str]) -> bool:
    return (
        len(cells) in (8, 9)
        and _DAY_FIRST.fullmatch(cells[0]) is not None
        and looks_iban(cells[1])
        and _looks_amount(cells[2])
        and cells[3].casefold() in ("debet", "credit")
    )


def _like_asn(cells: Sequence[str]) -> bool:
    """ASN, and SNS and RegioBank that became a part of it. The amount follows the balance before
    it."""
    return (
        len(cells) >= _ASN_WIDTH
        and all(_DAY_FIRST.fullmatch(cells[n]) for n in (0, 11, 12))
        and looks_iban(cells[1])
        and all(re.fullmatch(r"[A-Z]{3}", cells[n], re.ASCII) for n in (7, 9))
        and all(map(_looks_amount, (cells[8], cells[10])))
    )


def _asn_row(row: Row) -> Row:
    """Commas also stand in the description, which only apostrophes enclose; of the cells behind
    the amount it is all but the last, the number of the statement."""
    if len(row.cells) <= _ASN_WIDTH or not _like_asn(row.cells):
        return row
    before, last = row.cells[: _ASN_WIDTH - 2], row.cells[-1]
    return Row(row.line, (*before, ", ".join(row.cells[_ASN_WIDTH - 2 : -1]), last))


def guess(table: Table) -> dict[str, int]:
    """What to propose in the form: by title, else by what stands in the cells. Of several columns
    of amounts or of accounts nobody can say by their looks which is meant."""
    words = [_plain(title) for title in table.titles]
    found: dict[str, int] = {}
    for key, titles in _GUESSES.items():
        for title in titles:
            if title in words and words.index(title) not in found.values():
                found[key] = words.index(title)
                break
    columns = [table.samples(n) for n in range(table.width)]
    for key, fits in (("booked", _looks_day), ("amount", _looks_amount), ("counterparty",
                      looks_iban)):  # fmt: skip
        if key not in found:
            free = [
                n
                for n, cells in enumerate(columns)
                if cells and n not in found.values() and all(map(fits, cells))
            ]
            if free and (key == "booked" or len(free) == 1):
                found[key] = free[0]
    if "description" not in found:
        free = [n for n in range(table.width) if n not in found.values()]
        if free:
            found["description"] = max(free, key=lambda n: sum(map(len, columns[n])))
    return found


def _is_value(cell: str) -> bool:
    return _looks_day(cell) or _looks_amount(cell) or looks_iban(cell)


# -- cells --------------------------------------------------------------------------------------

_YEAR_FIRST = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})(?:[T ].*)?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?:[T ,].*)?", re.ASCII)
_AMOUNT = re.compile(r"([+-]?)(\d[\d.,' ]*|[.,]\d+)([+-]?)", re.ASCII)

_AROUND = re.compile(r"[\s\u20ac]|EUR")
_DECIMALS = re.compile(
    # One or two digits behind it; or before it a nought, nothing, or more than thousands have.
    r"[+-]?(?:(?:0|\d{4,})?([.,])\d+|.*([.,])\d{1,2})[+-]?",
    re.ASCII,
)
_THREE = re.compile(r".*([.,])\d{3}[+-]?", re.ASCII)


def _looks_day(cell: str) -> bool:
    return _day(cell) is not None


def _looks_amount(cell: str) -> bool:
    return _AMOUNT.fullmatch(_bare(cell)) is not None and _day(cell) is None


def _bare(cell: str) -> str:
    return _AROUND.sub("", cell).replace("\u2212", "-")


def _day(cell: str, *, month_first: bool = False) -> date | None:
    if found := _YEAR_FIRST.fullmatch(cell):
        year, month, day = found[1], found[3], found[4]
    elif found := _DAY_FIRST.fullmatch(cell):
        year, month, day = found[4], found[3], found[1]
        if month_first:
            month, day = day, month
    else:
        return None
    try:
        return date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
    except ValueError:
        return None


def _month_first(cells: Sequence[str]) -> bool:
    """03/31/2026 somewhere, and nowhere 31/03/2026."""
    pairs = [(int(m[1]), int(m[3])) for cell in cells if (m := _DAY_FIRST.fullmatch(cell))]
    return any(second > 12 for _, second in pairs) and not any(first > 12 for first, _ in pairs)


def _decimal_sign(cells: Sequence[str], places: int) -> str:
    """The sign that most often stands before the decimals; where none surely does, a sign before
    three digits is between thousands, and the other one would be the decimals'. But a currency may
    have three decimals."""
    found = _signs(_DECIMALS, cells) or (_signs(_THREE, cells) if places == 3 else [])
    if found:
        return max(",.", key=found.count)
    return "." if any("," in cell for cell in cells) else ","


def _signs(pattern: re.Pattern[str], cells: Sequence[str]) -> list[str]:
    return [
        next(filter(None, match.groups()))
        for cell in cells
        if (match := pattern.fullmatch(_bare(cell)))
    ]


def _doubtful_amount(cells: Sequence[str]) -> str | None:
    """A cell such as 12.500, where nothing tells whether the sign is between thousands."""
    marked = [cell for cell in cells if re.search(r"[.,]", cell)]
    if _signs(_DECIMALS, marked) or any(len(re.findall(r"[.,]", cell)) > 1 for cell in marked):
        return None
    return next(iter(marked), None)


def _doubtful_day(cells: Sequence[str], *, of_bank: bool) -> str | None:
    """A cell such as 03/04/2026 or 24-03-15, where nothing tells which is the day. What a bank
    itself writes has the day first, a hyphen and the whole year."""
    found = [match for cell in cells if (match := _DAY_FIRST.fullmatch(cell))]
    if of_bank:
        found = [match for match in found if match[2] != "-" or len(match[4]) == 2]
    short = [match[0] for match in found if len(match[4]) == 2]
    if short or any(int(match[n]) > 12 for match in found for n in (1, 3)):
        return next(iter(short), None)
    return next((match[0] for match in found if int(match[1]) != int(match[3])), None)


def _amount(cell: str, sign: str) -> Decimal:
    """Raises ValueError."""
    found = _AMOUNT.fullmatch(_bare(cell))
    if found is None or (found[1] and found[3]):
        raise ValueError
    other = "," if sign == "." else "."
    digits = re.sub(r"['\s]", "", found[2])
    whole, _, rest = digits.partition(sign)
    if other in whole and not re.fullmatch(rf"\d{{1,3}}(?:\{other}\d{{3}})+", whole):
        raise ValueError
    if rest and not rest.isdecimal():
        raise ValueError
    value = Decimal(f"{whole.replace(other, '') or '0'}.{rest or '0'}")
    return -value if "-" in (found[1], found[3]) else value


# -- statements ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    booking: Booking
    account: str
    balance: Decimal | None


@dataclass(frozen=True, slots=True)
class Way:
    """How the cells are read. `day` and `amount`: a cell that may mean something else as well, and
    what it is taken for; None where the table leaves no doubt."""

    sign: str
    month_first: bool
    day: tuple[str, date] | None = None
    amount: tuple[str, Decimal] | None = None


def way_of(table: Table, columns: Columns, currency: str) -> Way:
    def cells(*keys: str) -> list[str]:
        places = [columns[key] for key in keys if key in columns]
        return [row.cells[n] for n in places for row in table.rows if n < len(row.cells)]

    days, amounts = cells("booked", "value"), cells("amount", "out", "balance")
    places = max(map(exponent, {currency, *map(str.upper, cells("currency"))}))
    sign, month_first = _decimal_sign(amounts, places), _month_first(days)
    day = amount = None
    if text := _doubtful_day(days, of_bank=table.columns is not None):
        read = _day(text, month_first=month_first)
        day = (text, read) if read else None
    if places == 2 and (text := _doubtful_amount(amounts)):
        with suppress(ValueError):
            amount = text, _amount(text, sign)
    return Way(sign, month_first, day, amount)


def read(table: Table, columns: Columns, currency: str, way: Way) -> list[Statement]:
    """One statement for every account and currency in the table; `currency` is meant where it says
    none. Raises StatementError, nothing else, with the line of the cell that cannot be read."""
    grouped: dict[tuple[str, str], list[_Line]] = defaultdict(list)
    for each in _lines(table, columns, currency, way):
        grouped[each.account, each.booking.currency].append(each)
    return [
        Statement(
            account_reference=account,
            currency=stated,
            holder_name=None,
            bank_name=table.bank,
            bookings=tuple(each.booking for each in _in_time(lines)),
            balances=_balances(lines, stated),
        )
        for (account, stated), lines in grouped.items()
    ]


@dataclass(frozen=True, slots=True)
class _Cells:
    """One row by what its columns are."""

    row: Row
    columns: Columns
    way: Way

    def text(self, key: str) -> str:
        place = self.columns.get(key)
        return self.row.cells[place] if place is not None and place < len(self.row.cells) else ""

    def wrong(self, key: str) -> StatementError:
        return StatementError(
            "column_wrong", column=key, line=self.row.line, text=self.text(key)[:40]
        )

    def amount(self, key: str) -> Decimal | None:
        if not self.text(key):
            return None
        try:
            return _amount(self.text(key), self.way.sign)
        except ValueError:
            raise self.wrong(key) from None

    def day(self, key: str) -> date | None:
        return _day(self.text(key), month_first=self.way.month_first)


def _lines(table: Table, columns: Columns, currency: str, way: Way) -> Iterator[_Line]:
    texts = table.texts or ((columns["description"],) if "description" in columns else ())
    for row in table.rows:
        each = _Cells(row, columns, way)
        booked_on = each.day("booked")
        if booked_on is None:
            raise each.wrong("booked")
        reference = each.text("reference")
        booking = Booking(
            booked_on=booked_on,
            value_on=each.day("value"),
            amount=_signed(each),
            currency=_currency(each) or currency,
            counterparty_name=each.text("name") or None,
            counterparty_account="".join(each.text("counterparty").split()) or None,
            remittance=" ".join(filter(None, (row.cells[n] for n in texts if n < len(row.cells)))),
            bank_reference=None,
            end_to_end_id=None if reference.upper() in _NO_REFERENCE else reference,
            line=row.line,
        )
        account = "".join(each.text("account").split()).upper()
        yield _Line(booking, account, each.amount("balance"))


def _signed(each: _Cells) -> Decimal:
    amount, out = each.amount("amount"), each.amount("out")
    if amount is None and out is None:
        raise each.wrong("amount")
    total = (amount or Decimal(0)) - abs(out or Decimal(0))
    if "direction" not in each.columns:
        return total
    word = each.text("direction").casefold()
    if word in _OUT:
        return -abs(total)
    if word not in _IN:
        raise each.wrong("direction")
    return total


def _currency(each: _Cells) -> str:
    """Empty where the file does not say; then it is the account's."""
    word = each.text("currency").upper()
    if word == "\u20ac":
        return "EUR"
    if word and not re.fullmatch(r"[A-Z]{3}", word, re.ASCII):
        raise each.wrong("currency")
    return word


def _in_time(lines: Sequence[_Line]) -> Sequence[_Line]:
    """Oldest first: some banks write the newest first."""
    first, last = lines[0].booking.booked_on, lines[-1].booking.booked_on
    turn = first > last or (first == last and _adds_up(lines[::-1]) and not _adds_up(lines))
    return lines[::-1] if turn else lines


def _adds_up(lines: Sequence[_Line]) -> bool:
    return all(
        a.balance is not None
        and b.balance is not None
        and b.balance == a.balance + b.booking.amount
        for a, b in pairwise(lines)
    )


def _balances(lines: Sequence[_Line], currency: str) -> tuple[Balance, ...]:
    """Opening and closing, where each line says what the account held after it."""
    ordered = _in_time(lines)
    first, last = ordered[0], ordered[-1]
    if first.balance is None or last.balance is None:
        return ()
    return (
        Balance("opening", first.balance - first.booking.amount, currency, first.booking.booked_on),
        Balance("closing", last.balance, currency, last.booking.booked_on),
    )
