"""Sweep: departures from which nobody came back count as abandoned (domain.md A2.7), and what a
process that is gone held on to is let go."""

from __future__ import annotations

from typing import cast

from sqlalchemy import CursorResult, and_, case, update

from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.core.statuses import Action
from banklink.store.facts import ATTEMPT_RUNS
from banklink.store.models import Attempt, Connection, Grant


def sweep(services: Services, at: Moment) -> int:
    """Returns how many. A late return is still honoured until its state expires."""
    with services.store.write() as session:
        swept = cast(
            CursorResult[object],
            session.execute(
                update(Attempt)
                .where(
                    Attempt.outcome.is_(None),
                    Attempt.consumed_at.is_(None),
                    Attempt.created_at < at.real - ATTEMPT_RUNS,
                )
                .values(outcome="abandoned", ended_at=at.real)
            ),
        )
        # A crash halfway: what was brought can still be taken in, unless it got lost with it.
        lost = and_(Attempt.purpose == Action.GRANT.value, Attempt.parked.is_(None))
        session.execute(
            update(Attempt)
            .where(
                Attempt.outcome.is_(None),
                Attempt.consumed_at < at.real - ATTEMPT_RUNS,
                Attempt.finishing_until.is_(None) | (Attempt.finishing_until < at.real),
            )
            .values(
                outcome=case((lost, "unknown"), else_="unfinished"),
                ended_at=at.real,
                private=None,
            )
        )
        return swept.rowcount


def let_go(services: Services) -> None:
    """At a start where no other process can be running: whoever was fetching, refreshing or taking
    something in is gone, so nobody has to wait until their time is up."""
    with services.store.write() as session:
        for held in (Connection.fetch_until, Grant.refresh_until, Attempt.finishing_until):
            session.execute(
                update(held.class_)
                .where(held.is_not(None))
                .values({held.key: None})
                .execution_options(synchronize_session=False)
            )
