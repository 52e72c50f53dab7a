"""What stands apart from the booked transactions is a handful among a million: every question about
it goes through the index over only those. SQLite keeps no statistics here, as in a real house."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from banklink.actions import balances
from banklink.core.balances import Stated
from banklink.store import exports
from banklink.store.asides import waiting_for
from banklink.store.listing import Position, Wanted, page, totals
from banklink.store.models import Base

DAY = date(2026, 5, 1)
APART = Wanted(connection_id=1, states=("rejected", "removed"))
REVIEW = Wanted(connection_id=1, states=("review",))
HERE = Position(DAY, 7)

QUESTIONS: dict[str, Callable[[Session], Any]] = {
    "the newest that were removed": lambda session: page(session, APART, Position()),
    "the next page of them": lambda session: page(session, APART, HERE),
    "the page before": lambda session: page(session, APART, Position(DAY, 7, newer=True)),
    "those to decide about": lambda session: page(session, REVIEW, Position()),
    "their sums": lambda session: totals(session, REVIEW),
    "how many wait": lambda session: waiting_for(session, 1),
    "what an export takes back": lambda session: exports.to_take_back(session, 1),
    "what it gives again": lambda session: exports.to_give_again(session, 1),
    "what keeps a balance from being judged": lambda session: balances._waiting(
        session, 1, [Stated(DAY, 0, True, 1)]
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_stands_apart_costs_no_look_at_all_bookings(question: str) -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    asked: list[tuple[str, Any]] = []
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, given, *_: asked.append((statement, given)),
    )
    with Session(engine) as session:
        QUESTIONS[question](session)
        driver: Any = session.connection().connection.driver_connection
        plans = [
            row[3]
            for statement, given in asked
            for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", given)
        ]
    engine.dispose()
    of_bookings = [each for each in plans if " transactions" in each]
    assert of_bookings
    for each in of_bookings:
        assert "ix_transactions_aside" in each or "PRIMARY KEY" in each, plans
