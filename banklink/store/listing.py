"""The transactions of one connection as somebody looks for them: filtered, counted, a page at a
time. A page costs its rows, wherever it stands among a million; a search costs one look at every
booking of its period (a few tenths of a second for a million), and its totals are exact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    Integer,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from banklink.store.asides import ASIDE
from banklink.store.models import BookedDay, FetchRun, Transaction

PAGE = 50
STATES = ("booked", "review", "rejected", "removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for. `least` and `most` are sizes in minor units, whatever the sign; `amounts`
    those that the words name, if they name one; `holder` 0 stands for files. `states` are columns'
    values, empty for any."""

    connection_id: int
    words: tuple[str, ...] = ()
    amounts: tuple[int, ...] = ()
    first: date | None = None
    last: date | None = None
    sign: int = 0
    least: int | None = None
    most: int | None = None
    holder: int | None = None
    run: int | None = None
    states: tuple[str, ...] = ("booked",)

    @property
    def by_days(self) -> bool:
        """Whether sums of days answer it."""
        return replace(self, first=None, last=None) == Wanted(connection_id=self.connection_id)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: before or after the booking of this day and number, or (`end`) the last
    one there is. The first page has none of it."""

    day: date | None = None
    key: int = 0
    newer: bool = False
    end: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """`first`, `last`: the days of the first and the last, where all bookings were looked at."""

    count: int
    credit: int
    debit: int
    first: date | None = None
    last: date | None = None

    @property
    def net(self) -> int:
        return self.credit + self.debit


@dataclass(frozen=True, slots=True)
class Found:
    """A page, newest first; `newer` and `older`: whether there is more on that side."""

    rows: list[Any]
    newer: bool
    older: bool


COLUMNS = (
    Transaction.id,
    Transaction.booked_on,
    Transaction.value_on,
    Transaction.amount,
    Transaction.currency,
    Transaction.counterparty_name,
    Transaction.counterparty_iban,
    Transaction.remittance,
    Transaction.state,
    FetchRun.kind,
    FetchRun.holder_id,
)


def look(session: Session, wanted: Wanted, position: Position) -> tuple[Totals, Found]:
    """What there is, and the page at this position. What is rare is looked for in the days between
    its first and its last only: it need not be looked for everywhere twice."""
    sums = totals(session, wanted)
    if sums.count == 0:
        return sums, Found([], newer=False, older=False)
    if sums.first is not None:
        wanted = replace(wanted, first=sums.first, last=sums.last)
    return sums, page(session, wanted, position)


def page(session: Session, wanted: Wanted, position: Position) -> Found:
    """The page at this position. Where nothing lies beyond it any more, the one at that end."""
    backwards = position.newer or position.end
    if wanted == Wanted(connection_id=wanted.connection_id):
        given = {"connection": wanted.connection_id, "day": position.day, "key": position.key}
        plain = _plain_page(position.day is not None, position.newer, position.end)
        found = session.connection().execute(plain, given).all()
    else:
        found = session.connection().execute(_page(conditions(wanted), position)).all()
    if position.day is not None and len(found) <= (PAGE if position.newer else 0):
        # Beyond the newest, or the oldest, that there is: whoever asks wants a whole page.
        return page(session, wanted, Position(end=not position.newer))
    rows = list(found[:PAGE])
    more = len(found) > PAGE
    if backwards:
        rows.reverse()
        return Found(rows, newer=more, older=not position.end)
    return Found(rows, newer=position.day is not None, older=more)


@cache
def _plain_page(placed: bool, newer: bool, end: bool) -> Any:
    """Of all that is booked; made once, because making a statement costs more than running it."""
    mine = [Transaction.connection_id == bindparam("connection"), Transaction.state == "booked"]
    place = Position(date.min, 0, newer, end) if placed else Position(None, 0, newer, end)
    return _page(mine, place, here=tuple_(bindparam("day", type_=Date), bindparam("key")))


def _page(where: Any, position: Position, here: Any = None) -> Any:
    booked_on: Any = Transaction.booked_on
    if any(each is ASIDE for each in where):
        # There are few of these, so they are sorted: a plain day would have SQLite walk through all
        # bookings in the order of the list, where only a page of them is asked for.
        booked_on = func.nullif(booked_on, None)
    place = tuple_(booked_on, Transaction.id)
    asked = (
        select(*COLUMNS)
        .join(FetchRun, FetchRun.id == Transaction.run_id)
        .where(*where)
        .limit(PAGE + 1)
    )
    if position.day is not None:
        if here is None:
            here = tuple_(literal(position.day, Date), literal(position.key, Integer))
        asked = asked.where(place > here if position.newer else place < here)
    if position.newer or position.end:
        return asked.order_by(booked_on, Transaction.id)
    return asked.order_by(booked_on.desc(), Transaction.id.desc())


_SUMS = select(
    func.sum(BookedDay.count), func.sum(BookedDay.credit), func.sum(BookedDay.debit)
).where(BookedDay.connection_id == bindparam("connection"))


def totals(session: Session, wanted: Wanted) -> Totals:
    if wanted == Wanted(connection_id=wanted.connection_id):
        sums: Any = _SUMS
    elif wanted.by_days:
        days = [BookedDay.connection_id == wanted.connection_id]
        if wanted.first is not None:
            days.append(BookedDay.day >= wanted.first)
        if wanted.last is not None:
            days.append(BookedDay.day <= wanted.last)
        sums = select(
            func.sum(BookedDay.count), func.sum(BookedDay.credit), func.sum(BookedDay.debit)
        ).where(*days)
    else:
        amount = Transaction.amount
        sums = select(
            func.count(),
            func.sum(case((amount > 0, amount), else_=0)),
            func.sum(case((amount < 0, amount), else_=0)),
            func.min(Transaction.booked_on),
            func.max(Transaction.booked_on),
        ).where(*conditions(wanted))
    given = {"connection": wanted.connection_id} if sums is _SUMS else {}
    found = session.connection().execute(sums, given).one()
    count, credit, debit = (int(each or 0) for each in found[:3])
    return Totals(count, credit, debit, *found[3:])


def conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    made: list[Any] = [Transaction.connection_id == wanted.connection_id]
    if wanted.states:
        made.append(Transaction.state.in_(wanted.states))
        if "booked" not in wanted.states:
            made.append(ASIDE)
    if wanted.first is not None:
        made.append(Transaction.booked_on >= wanted.first)
    if wanted.last is not None:
        made.append(Transaction.booked_on <= wanted.last)
    if wanted.sign:
        made.append(Transaction.amount > 0 if wanted.sign > 0 else Transaction.amount < 0)
    size = func.abs(Transaction.amount)
    if wanted.least is not None:
        made.append(size >= wanted.least)
    if wanted.most is not None:
        made.append(size <= wanted.most)
    if wanted.run is not None:
        made.append(Transaction.run_id == wanted.run)
    if wanted.holder is not None:
        through = FetchRun.holder_id == wanted.holder if wanted.holder else FetchRun.kind == "file"
        runs = select(FetchRun.id).where(FetchRun.connection_id == wanted.connection_id, through)
        made.append(Transaction.run_id.in_(runs))
    said = and_(*(_says(word) for word in wanted.words)) if wanted.words else None
    if wanted.amounts:
        is_it = Transaction.amount.in_(wanted.amounts)
        said = is_it if said is None else or_(is_it, said)
    if said is not None:
        made.append(said)
    return made


def _says(word: str) -> ColumnElement[bool]:
    """Who it was with, their IBAN, or the description. The sign of likeness ignores case by itself
    in SQLite, in ASCII letters, so a word with others is looked for in the usual spellings."""
    spellings = {word}
    if not word.isascii():
        spellings |= {word.lower(), word.upper(), word.capitalize()}
    columns = (
        Transaction.remittance,
        Transaction.counterparty_name,
        Transaction.counterparty_iban,
        Transaction.end_to_end_id,
    )
    patterns = [f"%{_escaped(each)}%" for each in sorted(spellings)]
    return or_(*(_Like(column, each) for each in patterns for column in columns))


class _Like(FunctionElement[bool]):
    """Like, whatever the case: ILIKE of PostgreSQL, LIKE of SQLite, which is twice as fast as
    lowering every text first."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any] | Any, pattern: str):
        super().__init__(column, literal(pattern, String))


@compiles(_Like)
def _like(element: _Like, compiler: Any, **options: Any) -> str:
    column, pattern = (compiler.process(each, **options) for each in element.clauses)
    word = "ILIKE" if compiler.dialect.name == "postgresql" else "LIKE"
    return f"({column} {word} {pattern} ESCAPE '!')"


def _escaped(word: str) -> str:
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
