"""What stands apart from the booked transactions: what waits for a decision, remarks, and a run
that is under way. A handful of rows, found through indexes over only those."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, literal, select, text, union_all
from sqlalchemy.orm import Session

from banklink.store.models import Connection, FetchRun, Remark, Transaction

ASIDE = text("transactions.state <> 'booked'")
"""Word for word the condition of the index, without which SQLite would not take it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """`review`: transactions that wait for a decision; `remarks` that nobody has seen to; `run`:
    the last fetch that has not ended."""

    review: int = 0
    remarks: int = 0
    run: FetchRun | None = None


NOTHING = Waiting()


def waiting(session: Session, connection_ids: Select[int]) -> dict[int, Waiting]:
    """By connection, for those that have any. One statement, and another where a fetch is under
    way."""
    asked = union_all(
        select(Transaction.connection_id, literal("review"), func.count())
        .where(Transaction.connection_id.in_(connection_ids), Transaction.state == "review", ASIDE)
        .group_by(Transaction.connection_id),
        select(Remark.connection_id, literal("remarks"), func.count())
        .where(Remark.connection_id.in_(connection_ids), Remark.settled_at.is_(None))
        .group_by(Remark.connection_id),
        select(FetchRun.connection_id, literal("run"), func.max(FetchRun.id))
        .where(
            FetchRun.connection_id.in_(connection_ids),
            FetchRun.result.is_(None),
            FetchRun.kind == "fetch",
        )
        .group_by(FetchRun.connection_id),
    )
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for number, what, count in session.execute(asked):
        found[number][what] = count
    open_ = [counts["run"] for counts in found.values() if "run" in counts]
    if open_:
        for run in session.scalars(select(FetchRun).where(FetchRun.id.in_(open_))):
            found[run.connection_id]["run"] = run
    return {number: Waiting(**counts) for number, counts in found.items()}


def one(connection_id: int) -> Select[int]:
    return numbers([connection_id])


def numbers(connection_ids: list[int]) -> Select[int]:
    return select(Connection.id).where(Connection.id.in_(connection_ids))


def all_of(administration_id: int) -> Select[int]:
    return select(Connection.id).where(Connection.administration_id == administration_id)
