"""What real banks do that makes life hard for whoever reads them, to be switched on bank by bank
(test panel, seed). A bank without habits is the easiest there is.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from .bookings import MOST_LATE
from .model import AppAccount, BankHabits, BankReading, Setting, Synchronization

IDS = ("kept", "reissued", "blank", "same")
RETRY_AFTER = ("seconds", "date", "unsaid")
BALANCES = ("yesterday", "today")
SESSION = timedelta(hours=1)
"""So long after the holder was at the bank it gives all it has (`recent_days`)."""
_WAITS = timedelta(minutes=5)


@dataclass(frozen=True)
class Habits:
    """`ids` of bookings: kept, reissued at every synchronisation, blank, or all the same.
    `new_refs`: every renewal gives accounts another id. `recent_days`: so far back it goes once the
    holder has left. `budget`: so often a day it may be read without the holder; beyond that it asks
    for a pause, and says how long as `retry_after` says. `late_days`: by so many days some bookings
    come late. `twins`: equal bookings on one day. `shifting`: a page begins with the end of the
    former. `balance`: of which day it says what an account holds. `announces`: bookings to come.
    """

    ids: str = "kept"
    new_refs: bool = False
    recent_days: int | None = None
    budget: int | None = None
    retry_after: str = "seconds"
    late_days: int = 0
    twins: bool = False
    shifting: bool = False
    balance: str = "yesterday"
    announces: bool = True

    def __post_init__(self) -> None:
        known = self.ids in IDS and self.retry_after in RETRY_AFTER and self.balance in BALANCES
        if not known or not 0 <= self.late_days <= MOST_LATE:
            raise ValueError("no bank does that")


def habits_of(db: Session, bank_id: int) -> Habits:
    row = db.get(BankHabits, bank_id)
    return Habits(**row.values) if row is not None else Habits()


def set_habits(db: Session, bank_id: int, changes: Mapping[str, Any]) -> Habits:
    """Raises ValueError or TypeError for what is no habit."""
    habits = replace(habits_of(db, bank_id), **changes)
    values = {each.name: getattr(habits, each.name) for each in fields(Habits)}
    db.merge(BankHabits(bank_id=bank_id, values=values))
    db.flush()
    return habits


def id_on_the_wire(db: Session, habits: Habits, app: AppAccount, number: str) -> str:
    """The id a booking is shown with; `number` is its own."""
    if habits.ids == "blank":
        return " "
    if habits.ids == "same":
        return "9998"
    if habits.ids == "kept":
        return number
    latest = db.scalar(
        select(Synchronization.uuid)
        .where(Synchronization.app_account_id == app.id)
        .order_by(Synchronization.id.desc())
        .limit(1)
    )
    return str(uuid.UUID(bytes=sha256(f"{number} {latest}".encode()).digest()[:16]))


def note_holder(db: Session, app: AppAccount, now: datetime) -> None:
    """Somebody waits for this account: their address came along."""
    db.merge(Setting(key=f"holder at account {app.id}", value=now.isoformat()))


def holder_is_there(db: Session, app: AppAccount, now: datetime) -> bool:
    row = db.get(Setting, f"holder at account {app.id}")
    return row is not None and now - datetime.fromisoformat(row.value) < _WAITS


def pause(
    db: Session, habits: Habits, account_id: int, now: datetime, *, with_holder: bool
) -> timedelta | None:
    """Counts one reading of an account; where that is one too many, for how long to stay away."""
    day = timedelta(days=1)
    if habits.budget is None or with_holder:
        return None
    before = db.scalars(
        select(BankReading.at)
        .where(BankReading.bank_account_id == account_id, BankReading.at > now - day)
        .order_by(BankReading.at)
    ).all()
    if len(before) >= habits.budget:
        return (before[-habits.budget] if habits.budget else now) + day - now
    db.add(BankReading(bank_account_id=account_id, at=now))
    return None
