"""A person decides about transactions: take in or leave out what waits, remove, put back. What is
left out or removed stays known, so that it never comes back by itself, and can be put back.

Through the lock date the books are closed: nothing is added to those days and nothing taken out of
them. What waits there goes on waiting, or is left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions import balances
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import hold
from banklink.core.calendar import Moment
from banklink.store.bookings import change_state, in_state
from banklink.store.facts import add_event
from banklink.store.models import Administration, Connection

Ids = Collection[int] | None
"""Numbers of transactions of the connection; None: all that are in such a state."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """How many were taken in, and how many go on waiting because the books are locked through
    `locked`."""

    taken: int
    left: int = 0
    locked: date | None = None


def accept(services: Services, connection_id: int, ids: Ids, at: Moment, *, actor: str) -> Accepted:
    """From the review tray into the books, as far as these are open; those that somebody decided
    about meanwhile are left as they are. Raises Missing."""
    with services.store.write() as session:
        connection, locked = _books(session, connection_id)
        waiting = in_state(session, connection_id, ids, {"review"})
        open_ = [key for key, day in waiting.items() if locked is None or day > locked]
        taken = _decide(session, connection, open_, at, actor, {"review"}, "booked", "accepted")
        return Accepted(taken, len(waiting) - len(open_), locked)


def reject(services: Services, connection_id: int, ids: Ids, at: Moment, *, actor: str) -> int:
    """From the review tray out of sight. Returns how many. Raises Missing."""
    with services.store.write() as session:
        connection, _locked = _books(session, connection_id)
        return _decide(session, connection, ids, at, actor, {"review"}, "rejected", "rejected")


def remove(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    """Out of the books. Returns how many. Raises Missing, and Refused `locked`."""
    with services.store.write() as session:
        connection, locked = _books(session, connection_id)
        _refuse_locked(session, connection_id, ids, {"booked"}, locked)
        return _decide(session, connection, ids, at, actor, {"booked"}, "removed", "taken_out")


def restore(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    """What was removed or left out, into the books. Returns how many. Raises Missing, and Refused
    `locked`."""
    out = {"removed", "rejected"}
    with services.store.write() as session:
        connection, locked = _books(session, connection_id)
        _refuse_locked(session, connection_id, ids, out, locked)
        return _decide(session, connection, ids, at, actor, out, "booked", "put_back")


def _books(session: Session, connection_id: int) -> tuple[Connection, date | None]:
    """The connection, and through which day its books are locked; neither changes meanwhile."""
    administration_id = session.scalar(
        select(Connection.administration_id).where(Connection.id == connection_id)
    )
    if administration_id is None:
        raise Missing
    hold(session, administration_id)
    connection = session.get(Connection, connection_id, with_for_update=True)
    if connection is None:
        raise Missing
    locked = session.scalar(
        select(Administration.lock_date).where(Administration.id == administration_id)
    )
    return connection, locked


def _refuse_locked(
    session: Session, connection_id: int, ids: Ids, states: Collection[str], locked: date | None
) -> None:
    if locked is None:
        return
    days = in_state(session, connection_id, ids, states).values()
    if any(day <= locked for day in days):
        raise Refused("locked", locked=locked)


def _decide(
    session: Session,
    connection: Connection,
    ids: Ids,
    at: Moment,
    actor: str,
    before: Collection[str],
    after: str,
    told_as: str,
) -> int:
    days = change_state(session, connection.id, ids, after, at, actor=actor, of=before)
    if days:
        session.flush()
        balances.check(session, connection, since=days[0])
        _tell(session, connection, told_as, days, at, actor)
    return len(days)


def _tell(
    session: Session,
    connection: Connection,
    kind: str,
    days: list[date],
    at: Moment,
    actor: str,
) -> None:
    since, until = days[0].isoformat(), days[-1].isoformat()
    add_event(session, connection, kind, at, actor=actor, count=len(days), since=since, until=until)
