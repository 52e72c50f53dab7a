"""What stands apart from the booked transactions: what waits for a decision, remarks, and a run
that is under way. A handful of rows, found through indexes over only those."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Select,
    bindparam,
    func,
    literal,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import Session

from banklink.store.models import FetchRun, Remark, Transaction

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


def waiting_of(connection_ids: Select[Any] | BindParameter[int]) -> CompoundSelect[Any]:
    """The statement for these connections."""
    return union_all(
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


def waiting(
    session: Session, asked: CompoundSelect[Any], given: Mapping[str, Any]
) -> dict[int, Waiting]:
    """By connection, for those that have any. One statement, and another where a fetch is under
    way."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for number, what, count in session.execute(asked, given):
        found[number][what] = count
    open_ = [counts["run"] for counts in found.values() if "run" in counts]
    if open_:
        for run in session.scalars(select(FetchRun).where(FetchRun.id.in_(open_))):
            found[run.connection_id]["run"] = run
    return {number: Waiting(**counts) for number, counts in found.items()}


@cache
def _of_some() -> CompoundSelect[Any]:
    return waiting_of(bindparam("ids", expanding=True))


def waiting_for(session: Session, connection_id: int) -> Waiting:
    """What waits of one connection."""
    found = waiting(session, _of_some(), {"ids": [connection_id]})
    return found.get(connection_id, NOTHING)
