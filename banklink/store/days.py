"""What is known of a connection's days, put together from what is stored: for its strip, its months
and its balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.core.balance_line import Stated
from banklink.core.timeline import Known
from banklink.store.asides import ASIDE
from banklink.store.models import (
    Administration,
    Balance,
    BookedDay,
    Connection,
    Coverage,
    Transaction,
)

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Booked:
    """One day's booked transactions; money in minor units."""

    count: int
    credit: int
    debit: int


@dataclass(frozen=True, slots=True)
class Days:
    known: Known
    booked: dict[date, Booked]
    waiting: dict[date, int]


def days(session: Session, connection: Connection, today: date) -> Days | None:
    """None before there is a start date. Four statements; costs days, not bookings."""
    if connection.start_date is None:
        return None
    mine = connection.id
    booked = {
        day: Booked(count, credit, debit)
        for day, count, credit, debit in session.execute(
            select(BookedDay.day, BookedDay.count, BookedDay.credit, BookedDay.debit).where(
                BookedDay.connection_id == mine
            )
        )
    }
    covered = session.execute(
        select(Coverage.first, Coverage.last)
        .where(Coverage.connection_id == mine)
        .order_by(Coverage.first)
    )
    waiting: dict[date, int] = {}
    for day in session.scalars(
        select(Transaction.booked_on).where(
            Transaction.connection_id == mine, Transaction.state == "review", ASIDE
        )
    ):
        waiting[day] = waiting.get(day, 0) + 1
    known = Known(
        start=connection.start_date,
        today=today,
        watermark=connection.watermark,
        covered=[(first, last) for first, last in covered],
        booked={day for day, each in booked.items() if each.count},
        waiting=set(waiting),
        locked=session.scalar(
            select(Administration.lock_date).where(
                Administration.id == connection.administration_id
            )
        ),
    )
    return Days(known, booked, waiting)


def stated(session: Session, connection_id: int) -> list[Stated]:
    """Balances at the end of a day, one a day, in order: an opening is the end of the day before,
    and what was said once a day was over counts before what was said during it."""
    rows = session.scalars(
        select(Balance)
        .where(Balance.connection_id == connection_id)
        .order_by(Balance.on, Balance.final, Balance.kind.desc(), Balance.id)
    ).all()
    newest = max((each.on for each in rows), default=None)
    found: dict[date, Stated] = {}
    for each in rows:
        if not (each.final or each.difference or each.on == newest):
            continue  # its day went on after that was said
        on = each.on - _DAY if each.kind == "opening" else each.on
        before = found.get(on)
        if before is not None and before.difference and not each.difference:
            continue  # what alarms is not covered up by what does not
        found[on] = Stated(on, each.amount, each.difference, each.since)
    return [found[on] for on in sorted(found)]
