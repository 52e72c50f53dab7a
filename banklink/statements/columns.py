"""Which column of a list of journals is what: by its title, else by what stands in it.

    layout = find(rows)

A title that nobody thought of must not cost a column without a word: what is in none of the four
fields is named (`unused`), and so is what was taken for a field by its looks (`guessed`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import date

from schwifty import IBAN
from schwifty.exceptions import SchwiftyException

MAX_CODE = 20
FIELDS = ("code", "name", "iban", "through")
"""In the order of the hint under the box."""

_TITLES = {
    "code": {
        "code", "dagboekcode", "dagboeknummer", "dagboeknr", "journalcode", "journalnumber",
        "nummer", "number", "nr", "no",
    },
    "name": {
        "naam", "name", "omschrijving", "description", "dagboeknaam", "naamdagboek",
        "dagboekomschrijving", "omschrijvingdagboek", "journalname",
    },
    "iban": {
        "iban", "ibannummer", "ibannr", "ibannumber", "rekening", "rekeningnummer", "rekeningnr",
        "bankrekening", "bankrekeningnummer", "bankrekeningnr", "bankaccount", "accountnumber",
        "bankaccountnumber",
    },
    "through": {
        f"{done}{until}"
        for done in ("verwerkt", "bijgewerkt", "processed")
        for until in ("", "tm", "tot", "totenmet", "until", "through", "upto")
    },
}  # fmt: skip
_EITHER = {"dagboek", "journal", "bankdagboek", "bankjournal"}
"""The code where another column has the name, else the name."""

_OTHER_DAY = re.compile(
    r"maakt|gewijzigd|geopend|start|begin|vanaf|sinds|since|from|creat|chang|open|modif"
)
"""In the title of a column of days that are surely not those through which the books are done."""

_LOOKS_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}", re.ASCII)
_BEGINS_LIKE_IBAN = re.compile(r"[A-Z]{2}\d{2}", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:T.*|Z|[+-]\d\d:\d\d)?", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})", re.ASCII)

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """`columns`: the place of each field that is there, from 0. `header`: the first row names
    them. `unused` and `guessed` hold titles, or numbers from 1 where a column has no title."""

    columns: Mapping[str, int]
    header: bool
    unused: tuple[str | int, ...] = ()
    guessed: Mapping[str, str | int] = attribute(default_factory=dict)


class Unclear(ValueError):
    """`missing` is the field a header does not name; None when there is no telling at all."""

    def __init__(self, missing: str | None = None) -> None:
        super().__init__(missing)
        self.missing = missing


def find(rows: Sequence[Row]) -> Layout:
    """Raises Unclear. `rows` has at least one, of cells without space around them."""
    titles, under = rows[0], rows[1:]
    named = _named(titles, under)
    if named is None:
        columns = _by_looks(rows)
        return Layout(columns, False, _unused((), rows, columns.values()))
    guessed: dict[str, int] = {}
    for name, fits in (("iban", _holds_ibans), ("through", _holds_days)):
        if name in named:
            continue
        free = [
            index
            for index in range(_width(rows))
            if index not in (*named.values(), *guessed.values())
            and fits(_plain_title(_cell(titles, index)), _filled(under, index))
        ]
        if len(free) == 1:  # of two nobody can say which is meant
            guessed[name] = free[0]
    columns = {**named, **guessed}
    return Layout(
        columns,
        True,
        _unused(titles, under, columns.values()),
        {name: _cell(titles, index) or index + 1 for name, index in guessed.items()},
    )


def _named(titles: Row, under: Sequence[Row]) -> dict[str, int] | None:
    """Which column is what, when the line names them. Raises Unclear for one that names some, but
    neither a code nor a name."""
    words = [_plain_title(cell) for cell in titles]
    columns = {}
    for name, known in _TITLES.items():
        found = [index for index, word in enumerate(words) if word in known]
        if name == "iban":  # a ledger account and an IBAN may both be called an account
            found.sort(key=lambda index: -sum(map(is_iban, _filled(under, index))))
        if found:
            columns[name] = found[0]
    either = next((index for index, word in enumerate(words) if word in _EITHER), None)
    if either is not None:
        columns.setdefault("code" if "name" in columns else "name", either)
    if not columns or any(looks_iban(cell) or _is_day(cell) for cell in titles):
        return None
    no_titles = not {"iban", "through"} & columns.keys() or any(map(_has_digit, titles))
    if len(columns) == 1 and either is None and no_titles:
        return None  # a journal that is called "Rekening" or "Code" is no header
    for needed in ("code", "name"):
        if needed not in columns:
            raise Unclear(needed)
    return columns


def _by_looks(rows: Sequence[Row]) -> dict[str, int]:
    """Without a header: the column of IBANs and the column of dates are known by their looks; of
    the others the first is the code and the second the name. Without IBANs, only the order of the
    hint is understood."""
    width = _width(rows)
    columns: dict[str, int] = {}
    for name, looks in (("iban", looks_iban), ("through", _is_day)):
        hits = [sum(map(looks, _filled(rows, index))) for index in range(width)]
        best = max(range(width), key=hits.__getitem__)
        if hits[best]:
            columns[name] = best
    rest = [index for index in range(width) if index not in columns.values()]
    if "iban" in columns and len(rest) >= 2:
        return {**columns, "code": rest[0], "name": rest[1]}
    if "iban" not in columns and _in_the_order_of_the_hint(rows):
        return dict(zip(FIELDS, range(width), strict=False))
    raise Unclear


def _in_the_order_of_the_hint(rows: Sequence[Row]) -> bool:
    if not 2 <= _width(rows) <= len(FIELDS):
        return False
    codes, names, ibans, days = (_filled(rows, index) for index in range(len(FIELDS)))
    return (
        bool(codes and names)
        and not any(" " in code or len(code) > MAX_CODE or _is_day(code) for code in codes)
        and not any(map(_is_day, names))
        and all(_BEGINS_LIKE_IBAN.match(_squeezed(each)) for each in ibans)
        and all(map(_has_digit, days))
        # Words above numbers are a header in words of its own, and no journal.
        and (_has_digit(codes[0]) or not codes[1:] or not all(map(_has_digit, codes[1:])))
    )


def _unused(titles: Row, under: Sequence[Row], used: Iterable[int]) -> tuple[str | int, ...]:
    used = set(used)
    return tuple(
        _cell(titles, index) or index + 1
        for index in range(max(len(titles), _width(under)))
        if index not in used and (_cell(titles, index) or _filled(under, index))
    )


# -- cells --------------------------------------------------------------------------------------


def _width(rows: Sequence[Row]) -> int:
    return max((len(row) for row in rows), default=0)


def _cell(row: Row, index: int) -> str:
    return row[index] if index < len(row) else ""


def _filled(rows: Iterable[Row], index: int) -> list[str]:
    return [cell for row in rows if (cell := _cell(row, index))]


def _plain_title(title: str) -> str:
    """Without case, accents, signs and spaces."""
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", title).casefold())


def _squeezed(text: str) -> str:
    return "".join(text.split()).upper()


def _has_digit(text: str) -> bool:
    return any(each.isdecimal() for each in text)


def _holds_ibans(_title: str, cells: Sequence[str]) -> bool:
    return sum(map(is_iban, cells)) * 2 > len(cells)


def _holds_days(title: str, cells: Sequence[str]) -> bool:
    return bool(cells) and all(map(_is_day, cells)) and not _OTHER_DAY.search(title)


def looks_iban(cell: str) -> bool:
    return _LOOKS_IBAN.fullmatch(_squeezed(cell)) is not None


def is_iban(cell: str) -> bool:
    """With the right check digits, too."""
    if not looks_iban(cell):
        return False
    try:
        IBAN(_squeezed(cell))
    except SchwiftyException:
        return False
    return True


def _is_day(cell: str) -> bool:
    """A day, or meant as one: 31-02-2026 is. With two digits for the year it may be a code."""
    if _YEAR_FIRST.fullmatch(cell):
        return True
    found = _DAY_FIRST.fullmatch(cell)
    return found is not None and (len(found[4]) == 4 or read_day(cell) is not None)


def read_day(text: str) -> date | None:
    """2026-03-31, or 31-03-2026 with slashes or dots as well and with 26 for 2026; None for
    anything else."""
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = found[1], found[2], found[3]
    elif found := _DAY_FIRST.fullmatch(text):
        year, month, day = found[4], found[3], found[1]
    else:
        return None
    century = 2000 if len(year) == 2 else 0
    try:
        return date(century + int(year), int(month), int(day))
    except ValueError:
        return None
