"""A person decides about transactions: take in or leave out what waits, remove, put back. What is
left out or removed stays known, so that it never comes back by itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import cast

from sqlalchemy import CursorResult, case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from banklink.actions.services import Missing, Services
from banklink.core.calendar import Moment
from banklink.store.models import BookedDay, Connection, Transaction


def accept(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    return _decide(services, connection_id, ids, at, actor, ("review",), "booked")


def reject(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    return _decide(services, connection_id, ids, at, actor, ("review",), "rejected")


def remove(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    return _decide(services, connection_id, ids, at, actor, ("booked",), "removed")


def restore(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    return _decide(services, connection_id, ids, at, actor, ("rejected", "removed"), "booked")


def _decide(
    services: Services,
    connection_id: int,
    ids: Collection[int],
    at: Moment,
    actor: str,
    before: tuple[str, ...],
    after: str,
) -> int:
    """How many changed. Those that are not in the state any more are left as they are. Raises
    Missing."""
    with services.store.write() as session:
        if session.get(Connection, connection_id, with_for_update=True) is None:
            raise Missing
        numbers = list(ids)
        changed, days = 0, set()
        for start in range(0, len(numbers), 500):
            mine = (
                Transaction.connection_id == connection_id,
                Transaction.id.in_(numbers[start : start + 500]),
                Transaction.state.in_(before),
            )
            days |= set(session.scalars(select(Transaction.booked_on).where(*mine)))
            changed += cast(
                CursorResult[object],
                session.execute(
                    update(Transaction)
                    .where(*mine)
                    .values(state=after, decided_at=at.now, decided_by=actor)
                ),
            ).rowcount
        _rewrite_days(session, connection_id, sorted(days))
        return changed


def _rewrite_days(session: Session, connection_id: int, days: list[date]) -> None:
    for start in range(0, len(days), 500):
        part = days[start : start + 500]
        session.execute(
            delete(BookedDay).where(
                BookedDay.connection_id == connection_id, BookedDay.day.in_(part)
            )
        )
        amount = Transaction.amount
        rows = session.execute(
            select(
                Transaction.connection_id,
                Transaction.booked_on.label("day"),
                func.count().label("count"),
                func.sum(case((amount > 0, amount), else_=0)).label("credit"),
                func.sum(case((amount < 0, amount), else_=0)).label("debit"),
            )
            .where(
                Transaction.connection_id == connection_id,
                Transaction.booked_on.in_(part),
                Transaction.state == "booked",
            )
            .group_by(Transaction.connection_id, Transaction.booked_on)
        ).all()
        if rows:
            session.execute(insert(BookedDay), [dict(row._mapping) for row in rows])
