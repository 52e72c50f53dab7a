"""Balances: what a bank or a file says an account holds is kept, and the bookings are held against
it (core/balances.py). A difference is told in the row and on the page; nothing is corrected.

Both functions work inside the caller's transaction, which has locked the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from banklink.core.balances import Came, Stated, Waiting, judge, place
from banklink.core.calendar import Moment, amsterdam_day
from banklink.core.money import to_minor
from banklink.statements.model import Statement
from banklink.store.asides import ASIDE
from banklink.store.models import (
    Account,
    Balance,
    BookedDay,
    Connection,
    Coverage,
    FetchRun,
    Transaction,
)

CLOSING, OPENING = "closing", "opening"
PROVIDER, FILE = "provider", "file"

_DAY = timedelta(days=1)
_BACK = timedelta(days=14)
"""So far before what changed is judged anew: a late booking shows in the balances around it."""
_MOST_ROWS = 1_000
"""Bookings that came later are read one by one up to so many, else by day."""


@dataclass(frozen=True, slots=True)
class Said:
    """A balance at the end of `on` (closing) or at its begin (opening); minor units."""

    on: date
    kind: str
    amount: int
    final: bool = True


def said_by_provider(account: Account, run: FetchRun) -> list[Said]:
    """What the provider says, if it said so from the same look at the bank as the bookings of this
    run: of another moment, one of the two would know more."""
    if account.balance is None or account.balance_on is None or account.synchronized_at is None:
        return []
    if run.synchronized_at is not None and run.synchronized_at != account.synchronized_at:
        return []
    over = amsterdam_day(account.synchronized_at) > account.balance_on
    if run.synchronized_at is None and not over:
        return []
    return [Said(account.balance_on, CLOSING, account.balance, over)]


def said_by_file(statement: Statement) -> list[Said]:
    """Opening and closing balance of one statement in the account's currency. Banks date the
    opening one on the first day or on the one before it: it holds before the first booking."""
    first = min((each.booked_on for each in statement.bookings), default=None)
    found = []
    for each in statement.balances:
        if each.kind not in (OPENING, CLOSING) or each.currency != statement.currency:
            continue
        try:
            amount = to_minor(each.amount, each.currency)
        except ValueError:
            continue
        on = each.on
        if each.kind == OPENING:
            on = on + _DAY if first is None or on < first else first
        found.append(Said(on, each.kind, amount))
    return found


def take(
    session: Session,
    connection: Connection,
    run: FetchRun,
    said: Iterable[Said],
    at: Moment,
    *,
    source: str,
) -> None:
    """Keep what was said. Of one day the last word counts, and what was said when it was over."""
    said = [each for each in said if abs(each.amount) < 2**63]
    if not said:
        return
    known = {
        (row.on, row.kind): row
        for row in session.scalars(
            select(Balance).where(
                Balance.connection_id == connection.id,
                Balance.source == source,
                Balance.on.between(min(s.on for s in said), max(s.on for s in said)),
            )
        )
    }
    for each in said:
        row = known.get((each.on, each.kind))
        if row is None:
            row = known[each.on, each.kind] = Balance(
                connection_id=connection.id,
                on=each.on,
                kind=each.kind,
                source=source,
                currency=connection.currency,
            )
            session.add(row)
        elif row.final and not each.final:
            continue
        row.run_id, row.amount, row.final, row.seen_at = run.id, each.amount, each.final, at.now
    session.flush()


def told_by_provider(
    session: Session, connection: Connection, account: Account, run: FetchRun, at: Moment
) -> None:
    """At the end of a fetch, once its days count as covered."""
    take(session, connection, run, said_by_provider(account, run), at, source=PROVIDER)
    check(session, connection, since=run.since)


def check(session: Session, connection: Connection, *, since: date | None = None) -> None:
    """Hold the bookings against what was said, and let the row say where they disagree. `since`:
    the first day of which something changed; None: all of them."""
    pairs = _pairs(session, connection.id, since)
    if pairs:
        stated = [each for each, _row in pairs]
        verdicts = judge(
            stated,
            days=_days(session, connection.id, stated),
            covered=_covered(session, connection.id),
            came=_came(session, connection.id, stated),
            waiting=_waiting(session, connection.id, stated),
        )
        for number, ((_stated, row), verdict) in enumerate(zip(pairs, verdicts, strict=True)):
            if number or since is None:
                row.since, row.difference = verdict.since, verdict.difference
        session.flush()
    _tell(session, connection)


def _pairs(
    session: Session, connection_id: int, since: date | None
) -> list[tuple[Stated, Balance]]:
    """In order, from the last one before what is judged anew."""
    wanted = select(Balance).where(Balance.connection_id == connection_id)
    if since is not None:
        begin = session.scalar(
            select(func.max(Balance.on)).where(
                Balance.connection_id == connection_id, Balance.on < since - _BACK
            )
        )
        if begin is not None:
            wanted = wanted.where(Balance.on >= begin)
    pairs = [(_stated(row), row) for row in session.scalars(wanted)]
    return sorted(pairs, key=lambda pair: place(pair[0]))


def _stated(row: Balance) -> Stated:
    end = row.on - _DAY if row.kind == OPENING else row.on
    return Stated(end, row.amount, row.final, row.run_id)


def _days(session: Session, connection_id: int, stated: Sequence[Stated]) -> dict[date, int]:
    rows = session.execute(
        select(BookedDay.day, BookedDay.credit + BookedDay.debit).where(
            BookedDay.connection_id == connection_id,
            BookedDay.day.between(stated[0].end, stated[-1].end),
        )
    )
    return {day: int(total) for day, total in rows}


def _covered(session: Session, connection_id: int) -> list[tuple[date, date]]:
    rows = session.execute(
        select(Coverage.first, Coverage.last).where(Coverage.connection_id == connection_id)
    )
    return [(first, last) for first, last in rows]


def _came(session: Session, connection_id: int, stated: Sequence[Stated]) -> list[Came]:
    """What came after something was said of its day or a later one."""
    where = (
        Transaction.connection_id == connection_id,
        Transaction.state == "booked",
        Transaction.booked_on <= max(each.end for each in stated),
        Transaction.run_id > min(each.run for each in stated),
    )
    columns = Transaction.booked_on, Transaction.run_id, FetchRun.kind, FetchRun.reason
    wanted = select(*columns, Transaction.amount).join(FetchRun).where(*where)
    rows = session.execute(wanted.limit(_MOST_ROWS + 1)).all()
    if len(rows) > _MOST_ROWS:
        total = func.sum(Transaction.amount)
        rows = session.execute(
            select(*columns, total).join(FetchRun).where(*where).group_by(*columns)
        ).all()
    return [
        Came(day, run, int(amount), filled=kind == FILE or reason == "gap")
        for day, run, kind, reason, amount in rows
    ]


def _waiting(session: Session, connection_id: int, stated: Sequence[Stated]) -> list[Waiting]:
    """The rows are few; a condition on their days, or telling them apart here, would have SQLite go
    by the days of all bookings."""
    rows = session.execute(
        select(Transaction.booked_on, Transaction.run_id).where(
            Transaction.connection_id == connection_id, Transaction.state == "review", ASIDE
        )
    )
    found = {(day, run) for day, run in rows if day <= stated[-1].end}
    return [Waiting(day, run) for day, run in sorted(found)]


def _tell(session: Session, connection: Connection) -> None:
    """The first and the last day, and the amount where it is in one place."""
    off = session.scalars(
        select(Balance).where(Balance.connection_id == connection.id, Balance.difference != 0)
    ).all()
    connection.unbalanced_from = min((row.since for row in off if row.since), default=None)
    connection.unbalanced_to = max((_stated(row).end for row in off), default=None)
    connection.unbalanced_by = off[0].difference if len(off) == 1 else None
