"""Reads a list of bank journals: pasted or from a file, as CSV or as the Dutch audit file XAF 3.2.

    for line in read_journals(data, today=today).lines: ...

A line that cannot be used comes out all the same, with what is wrong with it, so that a person can
mend that line and keep the rest. Whatever cannot be read at all raises `JournalsError`, and nothing
else does.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from datetime import date
from typing import Any

from schwifty import IBAN
from schwifty.exceptions import InvalidChecksumDigits, SchwiftyException

from banklink.core.calendar import FIRST_DAY
from banklink.statements import sniff
from banklink.statements.columns import FIELDS, MAX_CODE, Layout, Unclear, find, read_day
from banklink.statements.encoding import text_of

MAX_BYTES = 20 * 1024 * 1024
MAX_LINES = 2_000
"""More bank journals than any firm has; a longer file is something else."""

MAX_NAME = 100
_MAX_COLUMNS = 50
_EXCEL_SAYS = re.compile(r"\ufeff?\"?sep=[;,\t]\"?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be used, as a code and parameters.

    | code                       | params  |
    |----------------------------|---------|
    | `code_missing`, `name_missing` |     |
    | `code_too_long`, `name_too_long` | `most` |
    | `iban_wrong`               |         |
    | `iban_check_digits`        |         |
    | `code_twice`, `iban_twice` | `line`: the first one's |
    | `not_a_date`               |         |
    | `date_in_future`           |         |
    | `year_unlikely`            | `first`: of the years that can be |
    """

    code: str
    field: str
    params: dict[str, str | int] = attribute(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One journal. `number` counts lines of the text from 1 (journals of an audit file); `source`
    is the line as it stands, to be mended and offered again. `iban` has no spaces."""

    number: int
    source: str
    code: str
    name: str
    iban: str | None
    through: date | None
    written: tuple[str, str] = ("", "")
    """IBAN and date as written, to show where they cannot be read."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalList:
    """`form` is csv or xaf. `guessed` names the encoding when the text did not say: a person
    should look at accented letters. `heading` is the header line, to put above lines that are
    offered again. `unused` are the columns, by title or number, of which nothing was taken; `taken`
    those that were taken for a field by what stands in them, under a title that says something
    else."""

    lines: tuple[JournalLine, ...]
    form: str
    guessed: str | None = None
    heading: str | None = None
    unused: tuple[str | int, ...] = ()
    taken: Mapping[str, str | int] = attribute(default_factory=dict)

    @property
    def good(self) -> tuple[JournalLine, ...]:
        return tuple(each for each in self.lines if not each.problems)

    @property
    def bad(self) -> tuple[JournalLine, ...]:
        return tuple(each for each in self.lines if each.problems)


class JournalsError(ValueError):
    """A text or file that cannot be read as journals, as a code and parameters.

    | code              | params            | meaning                                        |
    |-------------------|-------------------|------------------------------------------------|
    | `empty`           |                   | nothing in it                                  |
    | `too_large`       | `megabytes`       | more than is read                              |
    | `too_many_lines`  | `lines`, `most`   | more journals than any firm has                |
    | `unknown_format`  | `looks_like`      | neither a table of text nor an audit file      |
    | `column_missing`  | `column`          | a header without code or name                  |
    | `columns_unknown` |                   | no header, and no telling which column is what |
    | `malformed`       | `line`            | an audit file that is no XML from there        |
    | `hostile_xml`     |                   | XML with a document type declaration           |
    | `no_journals`     |                   | an audit file without bank journals            |
    """

    def __init__(self, code: str, **params: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.params: dict[str, str | int] = params


def read_journals(source: bytes | str, *, today: date) -> JournalList:
    """The journals of a pasted text (str) or a file (bytes). Raises JournalsError."""
    data = source if isinstance(source, bytes) else None
    if len(source) > MAX_BYTES:
        raise JournalsError("too_large", megabytes=MAX_BYTES // (1024 * 1024))
    if data is None:
        assert isinstance(source, str)
        text, guessed = source, None
        if text.lstrip("\ufeff \t\r\n").startswith("<"):
            data = text.lstrip("\ufeff \t\r\n").encode("utf-8", "replace")
            data = re.sub(rb"^<\?xml[^>]*\?>", b"", data)  # it spoke of the file's encoding
    elif not data.strip(b"\xef\xbb\xbf\xff\xfe\x00\x1a \t\r\n"):
        raise JournalsError("empty")
    elif looks_like := sniff.signature(data):
        raise JournalsError("unknown_format", looks_like=looks_like)
    if data is not None and sniff.is_xml(data):
        return JournalList(_judge(_audit_file(data, today), today), "xaf")
    if data is not None:
        text, guessed = text_of(data)
    if not text.strip("\ufeff\x1a \t\r\n"):
        raise JournalsError("empty")
    if "\x00" in text:
        raise JournalsError("unknown_format", looks_like="unknown")
    heading, layout, lines = _table(text.lstrip("\ufeff"))
    return JournalList(_judge(lines, today), "csv", guessed, heading, layout.unused, layout.guessed)


# -- text ---------------------------------------------------------------------------------------


def _table(text: str) -> tuple[str | None, Layout, Iterator[JournalLine]]:
    """The header line, if there is one, what is where, and the lines. One line is one journal: an
    unclosed quote spoils its own line and no other."""
    numbered = [
        (number, line)
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1)
        if line.strip(" \t,;\x1a")
    ]
    if numbered and _EXCEL_SAYS.fullmatch(numbered[0][1]):
        del numbered[0]
    if not numbered:
        raise JournalsError("empty")
    if len(numbered) > MAX_LINES + 1:
        raise JournalsError("too_many_lines", lines=len(numbered), most=MAX_LINES)
    separator = _separator([line for _, line in numbered[:50]])
    if separator is None:
        raise JournalsError("columns_unknown")
    rows = [(number, line, _cells(line, separator)) for number, line in numbered]
    try:
        layout = find([cells for _, _, cells in rows])
    except Unclear as error:
        if error.missing is None:
            raise JournalsError("columns_unknown") from None
        raise JournalsError("column_missing", column=error.missing) from None
    heading = rows.pop(0)[1] if layout.header else None
    if not rows:
        raise JournalsError("empty")
    if len(rows) > MAX_LINES:
        raise JournalsError("too_many_lines", lines=len(rows), most=MAX_LINES)
    made = (_line(number, line, cells, layout.columns) for number, line, cells in rows)
    return heading, layout, made


def _separator(lines: Sequence[str]) -> str | None:
    """The one that cuts most lines; a tab before a semicolon before a comma where they tie, as a
    name may hold the later ones."""
    cut = {sign: sum(len(_cells(line, sign)) > 1 for line in lines) for sign in "\t;,"}
    best = max(cut, key=lambda sign: cut[sign])
    return best if cut[best] else None


def _cells(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a cell beyond what csv takes
        cells = line.split(separator)
    return [_clean(cell) for cell in cells[:_MAX_COLUMNS]]


def _clean(text: str) -> str:
    """Without the marks nobody sees that come along from web pages and spreadsheets: two codes that
    look the same are the same."""
    return "".join(each for each in " ".join(text.split()) if each.isprintable())


def _line(
    number: int, source: str, cells: Sequence[str], columns: Mapping[str, int]
) -> JournalLine:
    code, name, iban, through = (
        cells[columns[key]] if key in columns and columns[key] < len(cells) else ""
        for key in FIELDS
    )
    return JournalLine(number, source, code, name, _plain(iban), read_day(through), (iban, through))


def _plain(iban: str) -> str | None:
    return "".join(iban.split()).upper() or None


# -- what is wrong with a line ------------------------------------------------------------------


def _judge(lines: Iterator[JournalLine], today: date) -> tuple[JournalLine, ...]:
    codes: dict[str, int] = {}
    ibans: dict[str, int] = {}
    judged = []
    for line in lines:
        problems = list(_problems(line, today))
        for name, value, seen in (("code", line.code, codes), ("iban", line.iban, ibans)):
            if value and seen.setdefault(value, line.number) != line.number:
                problems.append(Problem(f"{name}_twice", name, {"line": seen[value]}))
        judged.append(replace(line, problems=tuple(problems)))
    return tuple(judged)


def _problems(line: JournalLine, today: date) -> Iterator[Problem]:
    for name, value, most in (("code", line.code, MAX_CODE), ("name", line.name, MAX_NAME)):
        if not any(each.isprintable() for each in value):
            yield Problem(f"{name}_missing", name)
        elif len(value) > most:
            yield Problem(f"{name}_too_long", name, {"most": most})
    if line.iban is not None:
        try:
            IBAN(line.iban)
        except InvalidChecksumDigits:
            yield Problem("iban_check_digits", "iban")
        except SchwiftyException:
            yield Problem("iban_wrong", "iban")
    if line.through is None and line.written[1]:
        yield Problem("not_a_date", "through")
    if line.through is not None and line.through > today:
        yield Problem("date_in_future", "through")
    elif line.through is not None and line.through < FIRST_DAY:
        yield Problem("year_unlikely", "through", {"first": FIRST_DAY.year})


# -- the audit file -----------------------------------------------------------------------------

_JOURNAL = ("auditfile", "company", "transactions", "journal")
_WORDS = ("jrnID", "desc", "jrnTp", "offsetAccID", "bankAccNr")
_LEDGER = ("auditfile", "company", "generalLedger", "ledgerAccount")


def _audit_file(data: bytes, today: date) -> Iterator[JournalLine]:
    """Bank journals of an XAF 3.x file, or all where none says its kind, read as it passes by: a
    year of bookings is never in memory. A journal without a name has that of its ledger account,
    which comes earlier in the file. The newest day up to today on which something was booked is the
    day through which the books are done."""
    from lxml import etree  # not before a file comes

    if b"<!DOCTYPE" in data.replace(b"\x00", b""):
        raise JournalsError("hostile_xml")
    events = etree.iterparse(
        io.BytesIO(data),
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    found: list[JournalLine] = []
    try:
        found.extend(_journals(events, today))
    except etree.XMLSyntaxError as error:
        raise JournalsError("malformed", line=error.lineno or 1) from None
    if not found:
        raise JournalsError("no_journals")
    return iter(found)


def _journals(events: Iterator[tuple[str, Any]], today: date) -> Iterator[JournalLine]:
    from lxml import etree

    path: list[str] = []
    words: dict[str, str] = {}
    accounts: dict[str, str] = {}
    untold: list[JournalLine] = []
    told = False
    newest: date | None = None
    number = 0
    for event, element in events:
        if event == "start":
            if not path and element.getroottree().docinfo.internalDTD is not None:
                raise JournalsError("hostile_xml")
            path.append(etree.QName(element).localname)
            if len(path) == 1 and path[0] != "auditfile":
                raise JournalsError("unknown_format", looks_like="xml")
            if tuple(path) == _JOURNAL:
                words, newest = {}, None
            continue
        inside = tuple(path[:4]) == _JOURNAL
        ledger = tuple(path[:4]) == _LEDGER
        name = path.pop()
        if inside and len(path) == 4 and name in _WORDS:
            words.setdefault(name, _clean(element.text or ""))
        elif ledger and len(path) == 4 and name in ("accID", "accDesc"):
            words[name] = _clean(element.text or "")
        elif ledger and len(path) == 3:
            accounts[words.pop("accID", "")] = words.pop("accDesc", "")
        elif inside and name in ("effDate", "trDt"):
            day = read_day((element.text or "").strip())
            if day is not None and FIRST_DAY <= day <= today and (newest is None or day > newest):
                newest = day
        elif inside and len(path) == 3:
            kind = words.get("jrnTp", "").upper()
            if kind and not told:
                told, number = True, 0  # those that did not say are out
            words["desc"] = words.get("desc") or accounts.get(words.get("offsetAccID", ""), "")
            if kind == "B" or not (kind or told):
                number += 1
                if number > MAX_LINES:
                    raise JournalsError("too_many_lines", lines=number, most=MAX_LINES)
                line = _from_audit_file(number, words, newest)
                if kind:
                    yield line
                else:
                    untold.append(line)
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    if not told:
        yield from untold


def _from_audit_file(number: int, words: dict[str, str], newest: date | None) -> JournalLine:
    code, name, iban = (words.get(key, "") for key in ("jrnID", "desc", "bankAccNr"))
    through = newest.isoformat() if newest else ""
    source = io.StringIO()
    csv.writer(source, delimiter=";", lineterminator="").writerow([code, name, iban, through])
    return JournalLine(number, source.getvalue(), code, name, _plain(iban), newest, (iban, through))


# -- and back into text -------------------------------------------------------------------------

HEADING = "code;naam;iban;verwerkt t/m"


def as_text(lines: Iterable[JournalLine]) -> str:
    """The lines as this reader reads them again, as written, under a header of its own."""
    text = io.StringIO()
    text.write(f"{HEADING}\n")
    writer = csv.writer(text, delimiter=";", lineterminator="\n")
    writer.writerows([each.code, each.name, *each.written] for each in lines)
    return text.getvalue()
