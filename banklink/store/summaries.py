"""One row per administration for the page over all of them: counted afresh in the transaction that
changes a fact that counts, whoever changes it; what time alone changes is left to the due job.

`Writer` notices such facts as they are flushed and rewrites at the end of the transaction, when no
other lock is to be taken any more: first the summary's row is locked, then the facts are read, so
that of two transactions at once the later one sees what the earlier did.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, event, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.orm.attributes import get_history

from banklink.core.calendar import (
    EXPIRING_DAYS,
    STALE_AFTER,
    Moment,
    amsterdam_day,
    end_of_validity,
    start_of_day,
)
from banklink.core.statuses import Status, Urgency
from banklink.store.facts import Record, moment_of, records
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

LAPSED = frozenset({"r4", "r5b", "r10b"})
"""Rows of the table that say an authorisation has ended."""

_FETCHED = "last_success"
_FACTS: dict[type[Any], frozenset[str]] = {
    Journal: frozenset({"administration_id", "iban", "currency"}),
    Grant: frozenset({"administration_id", "holder_id", "state"}),
    Account: frozenset(
        {"grant_id", "iban", "currency", "listed", "authorised_at", "valid_until", "ended"}
        | {"outage_since"}
    ),
    Connection: frozenset(
        {"administration_id", "iban", "currency", "switch", "selected_id", "hidden_at"}
        | {"switched_at", "outage_since", _FETCHED}
    ),
}
"""What a summary is counted from. How far fetching or a step at the bank came changes all day and
moves no connection to another row of the table; that something was fetched again counts after a
long silence only (`_differs`)."""

_INSTANT = timedelta(microseconds=1)

_NOTICED = "noticed"


# -- counting -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counted:
    """The fields of a Summary; `days`: those of its ExpiryDays."""

    counts: dict[str, int]
    urgencies: dict[str, int]
    shown: int
    attention: int
    running: int
    silent: int
    breaks: int
    lapsed: int
    renewable: list[int]
    next_expiry: date | None
    next_connection_id: int | None
    next_change_at: datetime | None
    days: dict[date, int]


_FIELDS = tuple(name for name in Counted.__dataclass_fields__ if name != "days")


def summarise(session: Session, administration_id: int, at: Moment) -> Counted:
    """One administration, diagnosed at `at`."""
    shown = [each for each in records(session, administration_id, at) if each.shown]
    running = [each for each in shown if each.diagnosis.status is Status.ACTIVE]
    soon = {each.connection.id for each in running if each.diagnosis.urgency is Urgency.SOON}
    lapsed = {each.connection.id for each in shown if each.diagnosis.row.key in LAPSED}
    urgencies = Counter(each.diagnosis.urgency for each in shown)
    ends = sorted((end, each.connection.id) for each in running if (end := _last_day(each)))
    return Counted(
        counts=dict(sorted(Counter(each.diagnosis.row.key for each in shown).items())),
        urgencies={each.name.lower(): urgencies[each] for each in Urgency if urgencies[each]},
        shown=len(shown),
        attention=urgencies[Urgency.BROKEN] + urgencies[Urgency.TODO],
        running=len(running),
        silent=sum(each.diagnosis.silent for each in running),
        breaks=len(soon),
        lapsed=len(lapsed),
        renewable=sorted(soon | lapsed),
        next_expiry=ends[0][0] if ends else None,
        next_connection_id=ends[0][1] if ends else None,
        next_change_at=_next_change(shown, at),
        days=dict(sorted(Counter(end for end, _ in ends).items())),
    )


def _last_day(each: Record) -> date | None:
    selected = each.facts.holders.get(each.facts.selected or "")
    valid_until = selected.valid_until if selected else None
    return amsterdam_day(valid_until) if valid_until else None


def _next_change(shown: Iterable[Record], at: Moment) -> datetime | None:
    """When time alone may change something: an authorisation comes near its end, or ends; or
    nothing was fetched for too long. What is fetched before that puts it off, which is not noted
    here: counting afresh once too often costs less than at every fetch."""
    shown = list(shown)
    ends = {
        holder.valid_until
        for each in shown
        for holder in each.facts.holders.values()
        if holder.valid_until is not None
    }
    moments = {
        moment
        for end in ends
        for moment in (
            start_of_day(amsterdam_day(end) - timedelta(days=EXPIRING_DAYS)),
            end_of_validity(end),
        )
    }
    for each in shown:
        heard = max(filter(None, (each.facts.last_success, each.facts.switched_at)), default=None)
        if heard is not None and each.diagnosis.status is Status.ACTIVE:
            moments.add(heard + STALE_AFTER + _INSTANT)
    return min((moment for moment in moments if moment > at.now), default=None)


_DUE = (
    select(Administration.id)
    .outerjoin(Summary, Summary.administration_id == Administration.id)
    .where(Summary.administration_id.is_(None) | (Summary.next_change_at <= bindparam("now")))
    .order_by(Administration.id)
)
_DUE_OF = _DUE.join(Membership, Membership.administration_id == Administration.id).where(
    Membership.user_id == bindparam("user")
)


def due(session: Session, at: Moment, *, of: int | None = None) -> list[int]:
    """Administrations whose counts time has changed, or that have none yet. `of`: only those of
    this user."""
    if of is None:
        return list(session.scalars(_DUE, {"now": at.now}))
    return list(session.scalars(_DUE_OF, {"now": at.now, "user": of}))


# -- rewriting ----------------------------------------------------------------------------------


def rewrite(session: Session, administration_ids: Iterable[int], at: Moment) -> None:
    """Count these afresh at `at` and store it. Takes the locks of their summaries, in order, and
    reads past what `session` has in hand, which somebody else may have changed since."""
    session.flush()
    with Session(session.connection(), expire_on_commit=False) as fresh:
        for administration_id in sorted(administration_ids):
            row = _locked(fresh, administration_id, at)
            if row is None:
                continue
            counted = summarise(fresh, administration_id, at)
            for name in _FIELDS:
                if getattr(row, name) != getattr(counted, name):
                    setattr(row, name, getattr(counted, name))
                    row.made_at = at.now
            fresh.flush()
            _rewrite_days(fresh, administration_id, counted.days)
            fresh.expunge_all()


def _locked(session: Session, administration_id: int, at: Moment) -> Summary | None:
    """None when there is no such administration (any more)."""
    found = session.get(Summary, administration_id, with_for_update=True)
    if found is not None or session.get(Administration, administration_id) is None:
        return found
    postgres = session.get_bind().dialect.name == "postgresql"
    add = (postgresql.insert if postgres else sqlite.insert)(Summary)
    row = {"administration_id": administration_id, "made_at": at.now}
    session.execute(add.values(row).on_conflict_do_nothing())
    return session.get(Summary, administration_id, with_for_update=True)


def _rewrite_days(session: Session, administration_id: int, days: dict[date, int]) -> None:
    mine = ExpiryDay.administration_id == administration_id
    rows = session.execute(select(ExpiryDay.day, ExpiryDay.count).where(mine)).all()
    if dict(rows) == days:
        return
    session.execute(delete(ExpiryDay).where(mine))
    if days:
        session.execute(
            insert(ExpiryDay),
            [
                {"administration_id": administration_id, "day": day, "count": count}
                for day, count in days.items()
            ],
        )


# -- noticing -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Noticed:
    """Whose facts changed in this transaction. `everybody`: a statement that names nobody."""

    administrations: set[int] = field(default_factory=set)
    grants: set[int] = field(default_factory=set)
    everybody: bool = False


class Writer(Session):
    """A session that keeps the summaries of what is written in it."""


@event.listens_for(Writer, "before_commit")
def _keep(session: Session) -> None:
    session.flush()
    noticed: _Noticed | None = session.info.pop(_NOTICED, None)
    if noticed is None:
        return
    if noticed.everybody:
        _mark(session, None)
    touched = noticed.administrations
    if noticed.grants:
        touched |= set(
            session.scalars(select(Grant.administration_id).where(Grant.id.in_(noticed.grants)))
        )
    if not touched:
        return
    at = moment_of(session)
    if at is None:
        _mark(session, touched)
    else:
        rewrite(session, touched, at)


def _mark(session: Session, administration_ids: set[int] | None) -> None:
    """Nobody said at what moment this is: let them be due, so that who looks next counts afresh."""
    wanted = select(Summary).order_by(Summary.administration_id).with_for_update()
    if administration_ids is not None:
        wanted = wanted.where(Summary.administration_id.in_(administration_ids))
    for row in session.scalars(wanted):
        row.next_change_at = row.made_at
    session.flush()


@event.listens_for(Writer, "after_flush")
def _after_flush(session: Session, _context: object) -> None:
    noticed = _noticed(session)
    for row in (
        *session.new,
        *session.deleted,
        *(each for each in session.dirty if _differs(each)),
    ):
        if isinstance(row, Account):
            noticed.grants.add(row.grant_id)
        elif isinstance(row, Journal | Grant | Connection):
            noticed.administrations.add(row.administration_id)


def _noticed(session: Session) -> _Noticed:
    found: _Noticed = session.info.setdefault(_NOTICED, _Noticed())
    return found


def _differs(row: object) -> bool:
    return any(
        get_history(row, name).has_changes() and (name != _FETCHED or _breaks_silence(row))
        for name in _FACTS.get(type(row), ())
    )


def _breaks_silence(row: object) -> bool:
    """Whether this is the first that is fetched, or the first after so long that it was told as
    silence."""
    history = get_history(row, _FETCHED)
    before, now = (each[0] if each else None for each in (history.deleted, history.added))
    return before is None or now is None or not timedelta() <= now - before <= STALE_AFTER


@event.listens_for(Writer, "do_orm_execute")
def _on_execute(state: ORMExecuteState) -> None:
    """A statement that writes many rows at once. Leases and due times are no facts."""
    if not (state.is_insert or state.is_update or state.is_delete) or state.bind_mapper is None:
        return
    facts = _FACTS.get(state.bind_mapper.class_)
    if facts and not (state.is_update and facts.isdisjoint(_columns_set(state))):
        _noticed(state.session).everybody = True


_SET = re.compile(r"(\w+)=")


def _columns_set(state: ORMExecuteState) -> set[str]:
    """Of an UPDATE: what its SET names, or the rows it was handed."""
    if isinstance(state.parameters, Sequence):
        return {name for row in state.parameters for name in row}
    return set(_SET.findall(str(state.statement).partition(" WHERE ")[0]))
