"""Sweep: departures from which nobody came back count as abandoned (domain.md A2.7)."""

from __future__ import annotations

from typing import cast

from sqlalchemy import CursorResult, and_, case, update

from banklink.actions.services import Services
from banklink.core.calendar import Moment
from banklink.core.statuses import Action
from banklink.store.facts import ATTEMPT_RUNS
from banklink.store.models import Attempt


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
