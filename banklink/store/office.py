"""What the page over all administrations reads: summary rows of one person's administrations, in a
constant number of statements, however many connections stand behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.orm import Session

from banklink.store.models import (
    Account,
    Administration,
    Connection,
    ExpiryDay,
    Grant,
    Journal,
    Membership,
    Summary,
)

TODO, SOON, WELL = "todo", "soon", "well"
_FILTERS: dict[str, ColumnElement[bool]] = {
    TODO: Summary.attention > 0,
    SOON: Summary.breaks > 0,
    WELL: and_(Summary.attention == 0, Summary.breaks == 0),
}
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
    """Over all of a person's administrations; `filters`: administrations under each filter;
    `changing`: in how many of them they are more than a reader."""

    administrations: int
    changing: int
    attention: int
    breaks: int
    running: int
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
    next_expiry: date | None
    next_what: str | None = None


def totals(session: Session, user_id: int) -> Totals:
    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    def total(column: Any) -> ColumnElement[int]:
        return func.coalesce(func.sum(column), 0)

    row = session.execute(
        _of(
            Choice(user_id=user_id),
            func.count(),
            number(Membership.role != "reader"),
            total(Summary.attention),
            total(Summary.breaks),
            total(Summary.running),
            *(number(condition) for condition in _FILTERS.values()),
        )
    ).one()
    administrations, changing, attention, breaks, running, *filters = map(int, row)
    return Totals(
        administrations,
        changing,
        attention,
        breaks,
        running,
        dict(zip(_FILTERS, filters, strict=True)),
    )


def found(session: Session, choice: Choice) -> tuple[int, int]:
    """How many administrations match, and how many of their accounts could be asked for: in those
    the person may change."""
    may = case((Membership.role != "reader", Summary.breaks + Summary.lapsed), else_=0)
    count, renewable = session.execute(
        _chosen(session, choice, func.count(), func.coalesce(func.sum(may), 0))
    ).one()
    return int(count), int(renewable)


def lines(session: Session, choice: Choice, *, first: int, count: int) -> list[Line]:
    """Those that need action first, then those with something ending soon, the soonest before; by
    name within that."""
    rows = session.execute(
        _chosen(
            session,
            choice,
            Administration.id,
            Administration.name,
            Membership.role != "reader",
            Summary.urgencies,
            Summary.attention,
            Summary.breaks,
            Summary.next_expiry,
            Summary.next_connection_id,
        )
        .order_by(*_order())
        .offset(first)
        .limit(count)
    ).all()
    names = _names(session, [row.next_connection_id for row in rows if row.next_connection_id])
    return [
        Line(
            row.id,
            row.name,
            bool(row[2]),
            row.urgencies,
            row.attention,
            row.breaks,
            row.next_expiry,
            names.get(row.next_connection_id),
        )
        for row in rows
    ]


def chosen(session: Session, choice: Choice) -> list[tuple[int, str]]:
    """Number and name of each, in the order of the page."""
    rows = session.execute(
        _chosen(session, choice, Administration.id, Administration.name).order_by(*_order())
    )
    return [(number, name) for number, name in rows]


def renewable(session: Session, administration_ids: Iterable[int]) -> list[int]:
    """The connections of these that end soon or whose authorisation has ended."""
    wanted = set(administration_ids)
    rows = session.execute(
        select(Summary.administration_id, Summary.renewable)
        .where(Summary.breaks + Summary.lapsed > 0)
        .order_by(Summary.administration_id)
    )
    return [each for administration_id, row in rows if administration_id in wanted for each in row]


def roles(session: Session, user_id: int) -> dict[int, str]:
    rows = session.execute(
        select(Membership.administration_id, Membership.role).where(Membership.user_id == user_id)
    )
    return {row.administration_id: row.role for row in rows}


def expiry_days(session: Session, user_id: int, first: date, last: date) -> dict[date, int]:
    rows = session.execute(
        select(ExpiryDay.day, func.sum(ExpiryDay.count))
        .join(Membership, Membership.administration_id == ExpiryDay.administration_id)
        .where(Membership.user_id == user_id, ExpiryDay.day.between(first, last))
        .group_by(ExpiryDay.day)
    )
    return {day: int(count) for day, count in rows}


def _of(choice: Choice, *columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(Membership)
        .join(Administration, Administration.id == Membership.administration_id)
        .join(Summary, Summary.administration_id == Membership.administration_id)
        .where(Membership.user_id == choice.user_id)
    )


def _chosen(session: Session, choice: Choice, *columns: Any) -> Select[Any]:
    wanted = _of(choice, *columns)
    if choice.filter in _FILTERS:
        wanted = wanted.where(_FILTERS[choice.filter])
    if choice.week is not None:
        ending = select(ExpiryDay.administration_id).where(
            ExpiryDay.day.between(choice.week, choice.week + timedelta(days=6))
        )
        wanted = wanted.where(Summary.administration_id.in_(ending))
    if choice.changing:
        wanted = wanted.where(Membership.role != "reader")
    if choice.query:
        wanted = wanted.where(Administration.id.in_(_named(session, choice)))
    return wanted


def _named(session: Session, choice: Choice) -> list[int]:
    """By name, whatever its capitals: databases do not agree on those of letters with accents."""
    query = choice.query.casefold()
    rows = session.execute(_of(choice, Administration.id, Administration.name))
    return [number for number, name in rows if query in name.casefold()]


def _order() -> tuple[Any, ...]:
    soon = and_(Summary.attention == 0, Summary.breaks > 0)
    return (
        case((Summary.attention > 0, 0), (Summary.breaks > 0, 1), else_=2),
        case((soon, Summary.next_expiry)),
        func.lower(Administration.name),
        Administration.id,
    )


def _names(session: Session, connection_ids: list[int]) -> dict[int, str]:
    """What an account is called in a list: its journal, and the bank it is at."""
    rows = session.execute(
        select(Connection.id, Journal.code, Journal.name, Account.bank)
        .outerjoin(
            Journal,
            and_(
                Journal.administration_id == Connection.administration_id,
                Journal.iban == Connection.iban,
                Journal.currency == Connection.currency,
            ),
        )
        .outerjoin(
            Grant,
            and_(
                Grant.administration_id == Connection.administration_id,
                Grant.holder_id == Connection.selected_id,
            ),
        )
        .outerjoin(
            Account,
            and_(
                Account.grant_id == Grant.id,
                Account.iban == Connection.iban,
                Account.currency == Connection.currency,
            ),
        )
        .where(Connection.id.in_(connection_ids))
    )
    return {
        number: " · ".join(filter(None, (f"{code} {name}" if code else None, bank)))
        for number, code, name, bank in rows
    }
