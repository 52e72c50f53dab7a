"""What stands apart from the booked transactions: what waits for a decision, remarks, and a run
that is under way. A handful of rows, found through indexes over only those."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Select, func, literal, select, text, union_all
from sqlalchemy.orm import Session

from banklink.store.models import Connection, FetchRun, Remark, Transaction

ASIDE = text("transactions.state <> 'booked'")
"""Word for word the condition of the index, without which SQLite would not take it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`review`: transactions that wait for a decision; `remarks` that nobody has seen to."""

    review: int = 0
    remarks: int = 0


def waiting(session: Session, connection_ids: Select[int]) -> dict[int, Waiting]:
    """By connection, for those that have any; one statement."""
    asked = union_all(
        select(Transaction.connection_id, literal("review"), func.count())
        .where(Transaction.connection_id.in_(connection_ids), Transaction.state == "review", ASIDE)
        .group_by(Transaction.connection_id),
        select(Remark.connection_id, literal("remarks"), func.count())
        .where(Remark.connection_id.in_(connection_ids), Remark.settled_at.is_(None))
        .group_by(Remark.connection_id),
    )
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for number, what, count in session.execute(asked):
        found[number][what] = count
    return {number: Waiting(**counts) for number, counts in found.items()}


def running(session: Session, connection_ids: Select[int]) -> dict[int, FetchRun]:
    """The last fetch without a result of each connection that has one."""
    found = session.scalars(
        select(FetchRun)
        .where(
            FetchRun.connection_id.in_(connection_ids),
            FetchRun.result.is_(None),
            FetchRun.kind == "fetch",
        )
        .order_by(FetchRun.id)
    )
    return {run.connection_id: run for run in found}


def one(connection_id: int) -> Select[int]:
    return select(Connection.id).where(Connection.id == connection_id)


def all_of(administration_id: int) -> Select[int]:
    return select(Connection.id).where(Connection.administration_id == administration_id)
