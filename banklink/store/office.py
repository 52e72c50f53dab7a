"""What the page over all administrations reads: summary rows of one person's administrations, in a
constant number of statements, however many connections stand behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Result,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session

from banklink.store.models import (
    Account,
    Administration,
    Base,
    Connection,
    ExpiryDay,
    Grant,
    Journal,
    Membership,
    Summary,
)


def _table(model: type[Base]) -> FromClause:
    """Plain rows: this page reads no objects, and they cost twice as much."""
    return model.__table__


_A, _M, _S = _table(Administration).c, _table(Membership).c, _table(Summary).c
_C, _E = _table(Connection).c, _table(ExpiryDay).c

TODO, SOON, SILENT, WELL, OFF = "todo", "soon", "silent", "well", "off"
_FILTERS: dict[str, ColumnElement[bool]] = {
    TODO: _S.attention > 0,
    SOON: _S.breaks > 0,
    SILENT: _S.silent > 0,
    WELL: and_(
        _S.shown > 0,
        _S.running == _S.shown,
        _S.attention == 0,
        _S.breaks == 0,
        _S.silent == 0,
    ),
    OFF: and_(_S.attention == 0, or_(_S.shown == 0, _S.running < _S.shown)),
}
"""`WELL`: all that is there runs; `OFF`: something does not, and that is meant or nobody's task. An
administration is under one of them at least."""
FILTERS = tuple(_FILTERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which of a person's administrations: those that match the query by name, that a filter names
    (None: all), that have something ending in the week that begins on `week`, and in which they
    may change something (`changing`)."""

    user_id: int
    query: str = ""
    filter: str | None = None
    week: date | None = None
    changing: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all of a person's administrations; `filters`: administrations under each filter.
    `changing`: in how many of them they are more than a reader, and `renewable`: how many accounts
    could be asked for in those."""

    administrations: int
    changing: int
    attention: int
    breaks: int
    running: int
    silent: int
    renewable: int
    filters: dict[str, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One administration. `may_change`: the person is more than a reader there."""

    id: int
    name: str
    may_change: bool
    urgencies: dict[str, int]
    attention: int
    breaks: int
    running: int
    silent: int
    next_expiry: date | None
    next_what: str | None = None


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return _sum(case((condition, 1), else_=0))


_CHANGING = _M.role != "reader"
_RENEWABLE = _sum(case((_CHANGING, _S.breaks + _S.lapsed), else_=0))
_ORDER = (
    case((_S.attention > 0, 0), (_S.breaks > 0, 1), (_S.silent > 0, 2), else_=3),
    case((and_(_S.attention == 0, _S.breaks > 0), _S.next_expiry)),
    func.lower(_A.name),
    _A.id,
)
_TOTALS = (
    func.count(),
    _number(_CHANGING),
    _sum(_S.attention),
    _sum(_S.breaks),
    _sum(_S.running),
    _sum(_S.silent),
    _RENEWABLE,
    *(_number(condition) for condition in _FILTERS.values()),
)
_FOUND = (func.count(), _RENEWABLE)
_NAMED = (_A.id, _A.name)
_LINES = (
    _A.id,
    _A.name,
    _CHANGING.label("may_change"),
    _S.urgencies,
    _S.attention,
    _S.breaks,
    _S.running,
    _S.silent,
    _S.next_expiry,
    _S.next_connection_id,
)


def _ask(
    session: Session, columns: tuple[Any, ...], choice: Choice, **more: int
) -> Result[*tuple[Any, ...]]:
    """`columns` of what is chosen. `more`: `first` and `count`, for one page of it in its order."""
    values: dict[str, Any] = {"user": choice.user_id, **more}
    if choice.week is not None:
        values |= {"begins": choice.week, "ends": choice.week + timedelta(days=6)}
    if choice.query:
        values["named"] = _named(session, choice)
    statement = _statement(
        columns,
        choice.filter,
        changing=choice.changing,
        week=choice.week is not None,
        named=bool(choice.query),
        page="count" in more,
    )
    return session.execute(statement, values)


@cache
def _statement(
    columns: tuple[Any, ...], filter_: str | None, *, changing: bool, week: bool, named: bool,
    page: bool,
) -> Select[*tuple[Any, ...]]:  # fmt: skip
    """Made once: putting a statement together costs more than a small one takes."""
    wanted = (
        select(*columns)
        .select_from(_table(Membership))
        .join(_table(Administration), _A.id == _M.administration_id)
        .join(_table(Summary), _S.administration_id == _M.administration_id)
        .where(_M.user_id == bindparam("user"))
    )
    if filter_ in _FILTERS:
        wanted = wanted.where(_FILTERS[filter_])
    if changing:
        wanted = wanted.where(_CHANGING)
    if week:
        ending = select(_E.administration_id).where(
            _E.day.between(bindparam("begins"), bindparam("ends"))
        )
        wanted = wanted.where(_A.id.in_(ending))
    if named:
        wanted = wanted.where(_A.id.in_(bindparam("named", expanding=True)))
    if columns is _LINES or columns is _NAMED:
        wanted = wanted.order_by(*_ORDER)
    return wanted.offset(bindparam("first")).limit(bindparam("count")) if page else wanted


def _named(session: Session, choice: Choice) -> list[int]:
    """By name, whatever its capitals: databases do not agree on those of letters with accents."""
    query = choice.query.casefold()
    rows = _ask(session, _NAMED, Choice(user_id=choice.user_id))
    return [number for number, name in rows if query in name.casefold()]


def totals(session: Session, user_id: int) -> Totals:
    row = _ask(session, _TOTALS, Choice(user_id=user_id)).one()
    administrations, changing, attention, breaks, running, silent, renewable, *filters = map(
        int, row
    )
    return Totals(
        administrations,
        changing,
        attention,
        breaks,
        running,
        silent,
        renewable,
        dict(zip(_FILTERS, filters, strict=True)),
    )


def found(session: Session, choice: Choice, whole: Totals) -> tuple[int, int]:
    """How many administrations match, and how many of their accounts end soon or have ended where
    the person may ask. Whom that comes to needs a diagnosis: actions/ask_renewal.py."""
    if choice == Choice(user_id=choice.user_id):
        return whole.administrations, whole.renewable
    count, renewable = _ask(session, _FOUND, choice).one()
    return int(count), int(renewable)


def lines(session: Session, choice: Choice, *, first: int, count: int) -> list[Line]:
    """Those that need action first, then those with something ending soon, the soonest before; by
    name within that."""
    rows = _ask(session, _LINES, choice, first=first, count=count).all()
    names = _names(session, [row.next_connection_id for row in rows if row.next_connection_id])
    return [
        Line(
            row.id,
            row.name,
            bool(row.may_change),
            row.urgencies,
            row.attention,
            row.breaks,
            row.running,
            row.silent,
            row.next_expiry,
            names.get(row.next_connection_id),
        )
        for row in rows
    ]


def chosen(session: Session, choice: Choice) -> list[tuple[int, str]]:
    """Number and name of each, in the order of the page."""
    return [(number, name) for number, name in _ask(session, _NAMED, choice)]


def renewable(session: Session, administration_ids: Iterable[int]) -> list[int]:
    """The connections of these that end soon or whose authorisation has ended."""
    wanted = sorted(set(administration_ids))
    return [
        each
        for first in range(0, len(wanted), _AT_A_TIME)
        for row in session.scalars(_RENEWABLE_OF, {"some": wanted[first : first + _AT_A_TIME]})
        for each in row
    ]


_AT_A_TIME = 500
"""Databases take so many values in one statement, and many more not."""

_RENEWABLE_OF = (
    select(_S.renewable)
    .where(_S.breaks + _S.lapsed > 0, _S.administration_id.in_(bindparam("some", expanding=True)))
    .order_by(_S.administration_id)
)


def roles(session: Session, user_id: int) -> dict[int, str]:
    rows = session.execute(select(_M.administration_id, _M.role).where(_M.user_id == user_id))
    return {row.administration_id: row.role for row in rows}


def expiry_days(session: Session, user_id: int, first: date, last: date) -> dict[date, int]:
    rows = session.execute(_DAYS, {"user": user_id, "first": first, "last": last})
    return {day: int(count) for day, count in rows}


_DAYS = (
    select(_E.day, func.sum(_E.count))
    .join(_table(Membership), _M.administration_id == _E.administration_id)
    .where(_M.user_id == bindparam("user"), _E.day.between(bindparam("first"), bindparam("last")))
    .group_by(_E.day)
)


_J, _G, _ACC = _table(Journal).c, _table(Grant).c, _table(Account).c
_NAMES = (
    select(_C.id, _J.code, _J.name, _ACC.bank)
    .select_from(_table(Connection))
    .outerjoin(
        _table(Journal),
        and_(
            _J.administration_id == _C.administration_id,
            _J.iban == _C.iban,
            _J.currency == _C.currency,
        ),
    )
    .outerjoin(
        _table(Grant),
        and_(_G.administration_id == _C.administration_id, _G.holder_id == _C.selected_id),
    )
    .outerjoin(
        _table(Account),
        and_(_ACC.grant_id == _G.id, _ACC.iban == _C.iban, _ACC.currency == _C.currency),
    )
    .where(_C.id.in_(bindparam("ids", expanding=True)))
)


def _names(session: Session, connection_ids: list[int]) -> dict[int, str]:
    """What an account is called in a list: its journal, and the bank it is at."""
    rows = session.execute(_NAMES, {"ids": connection_ids})
    return {
        number: " · ".join(filter(None, (f"{code} {name}" if code else None, bank)))
        for number, code, name, bank in rows
    }
