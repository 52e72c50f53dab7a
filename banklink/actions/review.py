"""A person decides about transactions: take in or leave out what waits, remove, put back. What is
left out or removed stays known, so that it never comes back by itself, and can be put back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from sqlalchemy.orm import Session

from banklink.actions import balances
from banklink.actions.services import Missing, Services
from banklink.core.calendar import Moment
from banklink.store.bookings import change_state
from banklink.store.facts import add_event
from banklink.store.models import Connection

Ids = Collection[int] | None
"""Numbers of transactions of the connection; None: all that are in such a state."""


def accept(services: Services, connection_id: int, ids: Ids, at: Moment, *, actor: str) -> int:
    """From the review tray into the books. Returns how many; those that somebody decided about
    meanwhile are left as they are. Raises Missing."""
    return _decide(services, connection_id, ids, at, actor, {"review"}, "booked", "accepted")


def reject(services: Services, connection_id: int, ids: Ids, at: Moment, *, actor: str) -> int:
    """From the review tray out of sight. Returns how many. Raises Missing."""
    return _decide(services, connection_id, ids, at, actor, {"review"}, "rejected", "rejected")


def remove(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    """Out of the books. Returns how many. Raises Missing."""
    return _decide(services, connection_id, ids, at, actor, {"booked"}, "removed", "taken_out")


def restore(
    services: Services, connection_id: int, ids: Collection[int], at: Moment, *, actor: str
) -> int:
    """What was removed or left out, into the books. Returns how many. Raises Missing."""
    out = {"removed", "rejected"}
    return _decide(services, connection_id, ids, at, actor, out, "booked", "put_back")


def _decide(
    services: Services,
    connection_id: int,
    ids: Ids,
    at: Moment,
    actor: str,
    before: Collection[str],
    after: str,
    told_as: str,
) -> int:
    with services.store.write() as session:
        connection = session.get(Connection, connection_id, with_for_update=True)
        if connection is None:
            raise Missing
        days = change_state(session, connection_id, ids, after, at, actor=actor, of=before)
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
