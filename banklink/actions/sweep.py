"""Sweep: departures from which nobody came back count as abandoned (domain.md A2.7)."""

from __future__ import annotations

from typing import cast

from sqlalchemy import CursorResult, update

from banklink.actions.services import Services
from banklink.core.calendar import Moment
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
        session.execute(
            update(Attempt)
            .where(
                Attempt.outcome.is_(None),
                Attempt.consumed_at.is_not(None),
                Attempt.created_at < at.real - ATTEMPT_RUNS,
            )
            .values(outcome="unfinished", ended_at=at.real)
        )
        return swept.rowcount
