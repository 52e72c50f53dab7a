"""Administrations: begin one, and change its name, fiscal year start and lock date."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from banklink.actions.choose_journal import printable
from banklink.actions.days import typed_day
from banklink.actions.services import Missing, Refused, Services, Stale
from banklink.actions.settle import hold
from banklink.core.calendar import Moment
from banklink.core.facts import Switch
from banklink.store.bookings import note_missing
from banklink.store.models import Administration, Connection, Membership

MOST = 100


@dataclass(frozen=True, slots=True)
class Typed:
    """An administration as it stands in the form, or as it was when the form was made."""

    name: str
    fiscal_year_start: str
    lock_date: str


def as_typed(administration: Administration) -> Typed:
    """Days as a form has them."""
    return Typed(
        administration.name,
        *(
            day.isoformat() if day else ""
            for day in (administration.fiscal_year_start, administration.lock_date)
        ),
    )


def begin(services: Services, at: Moment, *, typed: Typed, user_id: int) -> int:
    """A new administration; who makes it administers it. Returns its number. Raises Refused."""
    with services.store.write() as session:
        name, start, lock = _checked(session, typed, at, user_id=user_id, but=None)
        administration = Administration(
            reference=str(uuid.uuid4()), name=name, fiscal_year_start=start, lock_date=lock
        )
        session.add(administration)
        session.flush()
        session.add(
            Membership(user_id=user_id, administration_id=administration.id, role="administrator")
        )
        return administration.id


def change(
    services: Services, administration_id: int, at: Moment, *, typed: Typed, seen: Typed,
    user_id: int,
) -> None:  # fmt: skip
    """`seen` is what the person saw: when it is no longer so, someone else was first (Stale).
    Raises Refused, Missing."""
    with services.store.write() as session:
        hold(session, administration_id)
        found = session.get(Administration, administration_id)
        if found is None:
            raise Missing
        if as_typed(found) != seen:
            raise Stale(None)
        name, start, lock = _checked(session, typed, at, user_id=user_id, but=found.id)
        moved = found.lock_date != lock
        found.name, found.fiscal_year_start, found.lock_date = name, start, lock
        if moved:  # days of a locked period are not missing
            session.flush()
            mine = Connection.administration_id == administration_id
            wanted = select(Connection).where(mine).order_by(Connection.id).with_for_update()
            for each in session.scalars(wanted):
                note_missing(session, each)


@dataclass(frozen=True, slots=True)
class Concerned:
    """A link a lock date touches: one that runs already since `start` goes on as it was; one that
    `waits` for the bank would have started then, and starts the day after the lock date."""

    iban: str
    start: date
    waits: bool


def concerned(session: Session, administration_id: int, lock: date) -> list[Concerned]:
    """What there is on or before a lock date, earliest first."""
    rows = session.scalars(
        select(Connection).where(
            Connection.administration_id == administration_id,
            or_(
                and_(Connection.switch == Switch.ON.value, Connection.start_date <= lock),
                and_(Connection.armed, Connection.armed_start <= lock),
            ),
        )
    )
    found = []
    for each in rows:
        start = each.armed_start if each.armed else each.start_date
        if start is not None:
            found.append(Concerned(each.iban, start, each.armed))
    return sorted(found, key=lambda each: (each.start, each.iban))


def _checked(
    session: Session, typed: Typed, at: Moment, *, user_id: int, but: int | None
) -> tuple[str, date, date | None]:
    name = printable(typed.name)
    if not name:
        raise Refused("administration_name_missing", field="name")
    if len(name) > MOST:
        raise Refused("administration_name_long", field="name")
    taken = session.scalar(
        select(Administration.id)
        .join(Membership)
        .where(
            Membership.user_id == user_id,
            Administration.name == name,
            Administration.id != (but or 0),
        )
    )
    if taken is not None:
        raise Refused("administration_name_taken", field="name")
    start = typed_day(typed.fiscal_year_start, at.today, field="fiscal_year_start", ahead=1)
    if start is None:
        raise Refused("not_a_date", field="fiscal_year_start")
    return name, start, checked_lock(typed.lock_date, at)


def checked_lock(text: str, at: Moment) -> date | None:
    """The last locked day as typed, None for none. Raises Refused."""
    lock = typed_day(text, at.today, field="lock_date")
    if lock is not None and lock > at.today:
        raise Refused("lock_future", field="lock_date")
    return lock
