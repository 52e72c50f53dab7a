"""Change a journal: its names, its IBAN, how far it is processed; and say beforehand what a change
of its IBAN breaks or mends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.actions.choose_journal import check_iban, check_names, create, put_iban
from banklink.actions.days import typed_day
from banklink.actions.fetch import fetch_all
from banklink.actions.services import Missing, Refused, Services, Stale
from banklink.actions.settle import hold, settle
from banklink.core.calendar import Moment
from banklink.core.diagnose import diagnose
from banklink.core.facts import ConnectionFacts, Switch
from banklink.core.statuses import Row, Severity
from banklink.store.facts import add_event, ensure_connections, records
from banklink.store.models import Connection, Journal

_GRAVITY = {Severity.ERROR: 3, Severity.TODO: 2, Severity.MUTED: 1, Severity.OK: 0}


@dataclass(frozen=True, slots=True)
class Typed:
    """A journal as it stands in the form."""

    code: str
    name: str
    iban: str
    through: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to one account when a journal's IBAN changes. `before` None: it had no row yet;
    `after` None: its row goes."""

    iban: str
    before: Row | None
    after: Row | None

    @property
    def breaks(self) -> bool:
        """Whether something that works, or nearly, stops."""
        if self.before is None or self.after is None:
            return False
        return _GRAVITY[self.after.severity] > _GRAVITY[self.before.severity]

    @property
    def mends(self) -> bool:
        if self.before is None or self.after is None:
            return False
        return _GRAVITY[self.after.severity] < _GRAVITY[self.before.severity]


def effects(session: Session, journal: Journal, iban: str | None, at: Moment) -> list[Effect]:
    """What follows when the journal carries `iban` (checked, or None) from now on: the same
    diagnosis as on the page, of facts in which only the journal differs."""
    if iban == journal.iban:
        return []
    concerned = {
        each.iban: each.id
        for each in session.scalars(
            select(Connection).where(
                Connection.administration_id == journal.administration_id,
                Connection.iban.in_([each for each in (journal.iban, iban) if each]),
                Connection.currency == journal.currency,
            )
        )
    }
    found = {
        each.connection.iban: each
        for each in records(session, journal.administration_id, at, only=concerned.values())
    }
    result = []
    for number, has_journal in ((journal.iban, False), (iban, True)):
        if number is None:
            continue
        now = found.get(number)
        if now is None:
            after = diagnose(ConnectionFacts(journal=True, switch=Switch.NEVER, selected=None))
            result.append(Effect(number, None, after.row))
            continue
        changed = replace(now.facts, journal=has_journal)
        stays = (
            has_journal
            or changed.switch is not Switch.NEVER
            or any(holder.visible for holder in changed.holders.values())
        )
        result.append(
            Effect(
                number,
                now.diagnosis.row if now.shown else None,
                diagnose(changed).row if stays else None,
            )
        )
    return result


def my_journal(session: Session, administration_id: int, journal_id: int) -> Journal:
    """Raises Missing for one of another administration as for one that is not there."""
    journal = session.get(Journal, journal_id) if journal_id < 2**31 else None
    if journal is None or journal.administration_id != administration_id:
        raise Missing
    return journal


def add(services: Services, administration_id: int, at: Moment, *, typed: Typed, actor: str) -> int:
    """A new journal, with or without an IBAN; returns its number. Raises Refused."""
    with services.store.write() as session:
        hold(session, administration_id)
        iban = check_iban(typed.iban) if typed.iban.strip() else None
        through = _day(typed.through, at)
        journal = create(session, administration_id, typed.code, typed.name)
        journal.processed_through = through
        put_iban(session, journal, iban, actor=actor)
        due = settle(session, administration_id, at, actor=actor)
    fetch_all(services, due, at)
    return journal.id


def change(
    services: Services,
    administration_id: int,
    journal_id: int,
    at: Moment,
    *,
    typed: Typed,
    version: int | None,
    actor: str,
) -> None:
    """Raises Refused, Stale, Missing; nothing changes then."""
    with services.store.write() as session:
        journal = _opened(session, administration_id, journal_id, version)
        code, name = check_names(session, administration_id, typed.code, typed.name, but=journal.id)
        iban = check_iban(typed.iban) if typed.iban.strip() else None
        through = _day(typed.through, at)
        if (code, name, through) != (journal.code, journal.name, journal.processed_through):
            journal.version += 1
            journal.changed_by = actor
        journal.code, journal.name, journal.processed_through = code, name, through
        due = _carry(session, journal, iban, at, actor)
    fetch_all(services, due, at)


def put_back(
    services: Services,
    administration_id: int,
    journal_id: int,
    at: Moment,
    *,
    iban: str,
    version: int | None,
    actor: str,
) -> None:
    """Undo a clearing: only the IBAN, and only as long as nobody changed the journal since.
    Raises Refused, Stale, Missing."""
    with services.store.write() as session:
        journal = _opened(session, administration_id, journal_id, version)
        due = _carry(session, journal, check_iban(iban), at, actor)
    fetch_all(services, due, at)


def clear_iban(
    services: Services,
    administration_id: int,
    journal_id: int,
    at: Moment,
    *,
    version: int | None,
    actor: str,
) -> str | None:
    """Returns what it was, to be put back. Raises Stale, Missing."""
    with services.store.write() as session:
        journal = _opened(session, administration_id, journal_id, version)
        was = journal.iban
        _carry(session, journal, None, at, actor)
    return was


def delete(
    services: Services, administration_id: int, journal_id: int, *, version: int | None
) -> None:
    """Only without an IBAN: what is fetched would not know where to go. Raises Refused, Stale,
    Missing."""
    with services.store.write() as session:
        journal = _opened(session, administration_id, journal_id, version)
        if journal.iban is not None:
            raise Refused("has_iban")
        session.delete(journal)


def _opened(
    session: Session, administration_id: int, journal_id: int, version: int | None
) -> Journal:
    hold(session, administration_id)
    my_journal(session, administration_id, journal_id)
    journal = session.get_one(Journal, journal_id, with_for_update=True, populate_existing=True)
    if version is not None and journal.version != version:
        raise Stale(journal.changed_by)
    return journal


def _carry(
    session: Session, journal: Journal, iban: str | None, at: Moment, actor: str
) -> list[int]:
    """Give the journal its IBAN, tell the history of the accounts concerned, and settle."""
    was = journal.iban
    put_iban(session, journal, iban, actor=actor)
    if was != iban:
        ensure_connections(session, journal.administration_id)
        for kind, connection in _concerned(session, journal, was, iban):
            add_event(
                session, connection, kind, at, actor=actor, code=journal.code, name=journal.name
            )
    return settle(session, journal.administration_id, at, actor=actor)


def _concerned(
    session: Session, journal: Journal, was: str | None, iban: str | None
) -> Iterator[tuple[str, Connection]]:
    for kind, number in (("journal_released", was), ("journal_chosen", iban)):
        connection = session.scalar(
            select(Connection).where(
                Connection.administration_id == journal.administration_id,
                Connection.iban == number,
                Connection.currency == journal.currency,
            )
        )
        if number is not None and connection is not None:
            yield kind, connection


def _day(text: str, at: Moment) -> date | None:
    day = typed_day(text, at.today, field="through")
    if day is not None and day > at.today:
        raise Refused("through_future", field="through")
    return day
