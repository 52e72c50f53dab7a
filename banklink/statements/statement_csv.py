"""Bank statements as a table of text: what a bank's website offers as CSV or TAB.

    table = read_table(data)
    statements = read(table, table.columns or asked)

There is no standard. Layouts of Dutch banks that are known for certain are read by themselves, by
their titles (ING, Rabobank, Knab, bunq) or, where there are none, by their cells (ABN AMRO,
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
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise

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
    "currency": ("munt", "muntsoort", "valuta", "valutacode", "currency"),
    "account": ("rekening", "rekeningnummer", "iban", "ibanbban", "account", "accountnumber",
                "eigenrekening"),
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
    """Raises StatementError: empty, no_bookings, cut_line."""
    text, guessed = text_of(data)
    text = text.replace("\x00", "").rstrip("\x1a")
    loose = not text.endswith(("\n", "\r"))
    rows = _rows(text)
    if not rows:
        raise StatementError("empty")
    bank, titles, columns, texts, rows = _known(rows)
    if columns is None and rows and not any(map(_is_value, rows[0].cells)):
        titles, rows = rows[0].cells, rows[1:]
    if not rows:
        raise StatementError("no_bookings")
    open_cell = text.endswith(tuple(";,\t|")) and not (titles and titles[-1] == "")
    short = len(rows[-1].cells) < max(len(titles), len(rows[0].cells))
    if loose and (short or open_cell):
        raise StatementError("cut_line", line=rows[-1].line)
    return Table(titles, tuple(rows), bank, columns, texts, guessed, loose)


def _rows(text: str) -> list[Row]:
    lines = text.splitlines()
    if lines and _EXCEL_SAYS.fullmatch(lines[0].strip('"')):
        text = "\n" + text.partition("\n")[2]
        lines = text.splitlines()
    separator = _separator([line for line in lines[:50] if line.strip()]) or ";"
    try:
        read = [*_cut(text, separator, strict=True)]
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise StatementError("cut_line", line=max(1, len(lines))) from None
        try:
            read = [*_cut(text, separator, strict=False)]
        except csv.Error:  # a cell beyond what csv takes
            raise StatementError("unknown_format", looks_like="unknown") from None
    return [row for row in read if any(row.cells)]


def _cut(text: str, separator: str, *, strict: bool) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    before = 0
    for cells in reader:
        yield Row(before + 1, tuple(_clean(cell) for cell in cells[:MAX_COLUMNS]))
        before = reader.line_num


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
    return None, (), None, (), rows


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


def guess(table: Table) -> dict[str, int]:
    """What to propose in the form: by title, else by what stands in the cells."""
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
            if free:
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
_DECIMALS = re.compile(r"([.,])\d{1,2}[+-]?$", re.ASCII)


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


def _decimal_sign(cells: Sequence[str]) -> str:
    """The sign that most often stands before one or two last digits; where none does, a sign before
    three is between thousands, and the other one would be the decimals'."""
    found = [match[1] for cell in cells if (match := _DECIMALS.search(_bare(cell)))]
    if found:
        return max(",.", key=found.count)
    return "." if any("," in cell for cell in cells) else ","


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


def read(table: Table, columns: Columns, currency: str) -> list[Statement]:
    """One statement for every account and currency in the table; `currency` is meant where it says
    none. Raises StatementError, nothing else, with the line of the cell that cannot be read."""
    grouped: dict[tuple[str, str], list[_Line]] = defaultdict(list)
    for each in _lines(table, columns, currency):
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
    sign: str
    month_first: bool

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
            return _amount(self.text(key), self.sign)
        except ValueError:
            raise self.wrong(key) from None

    def day(self, key: str) -> date | None:
        return _day(self.text(key), month_first=self.month_first)


def _lines(table: Table, columns: Columns, currency: str) -> Iterator[_Line]:
    def cells(*keys: str) -> list[str]:
        places = [columns[key] for key in keys if key in columns]
        return [row.cells[n] for n in places for row in table.rows if n < len(row.cells)]

    month_first = _month_first(cells("booked", "value"))
    sign = _decimal_sign(cells("amount", "out", "balance"))
    texts = table.texts or ((columns["description"],) if "description" in columns else ())
    for row in table.rows:
        each = _Cells(row, columns, sign, month_first)
        booked_on = each.day("booked")
        if booked_on is None:
            raise each.wrong("booked")
        reference = each.text("reference")
        booking = Booking(
            booked_on=booked_on,
            value_on=each.day("value"),
            amount=_signed(each),
            currency=_currency(each.text("currency")) or currency,
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


def _currency(cell: str) -> str:
    """Empty where the file does not say; then it is the account's."""
    word = cell.upper()
    return "EUR" if word == "\u20ac" else word if re.fullmatch(r"[A-Z]{3}", word) else ""


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
