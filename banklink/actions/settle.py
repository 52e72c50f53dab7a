"""What follows from changed facts, in the transaction that changed them: rows get numbers, armed
connections switch on, what works again becomes due, and the history is told."""

from __future__ import annotations

from collections.abc import Iterable, Set
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from banklink.actions.services import Missing, Stale
from banklink.core.calendar import Moment, end_of_validity
from banklink.core.coverage import default_start, earliest_start
from banklink.core.facts import Switch
from banklink.core.reminders import Term, next_look, term
from banklink.core.statuses import Status
from banklink.store.bookings import note_missing
from banklink.store.facts import (
    Record,
    add_event,
    ensure_connections,
    note_changes,
    note_plain_changes,
    record,
    records,
    records_among,
    taking_place,
)
from banklink.store.models import Account, Administration, Connection

WAITING = frozenset({"parked", "unfinished"})
"""Outcomes of a departure that a person still has to confirm: until then nothing switches on."""


def hold(session: Session, administration_id: int) -> None:
    """Take one administration's books for the rest of the transaction, before anything of them is
    read: what follows from a change is decided once, by one at a time. Where a database locks rows
    (PostgreSQL) every action takes this lock before any other, so that none waits in a circle; rows
    that merely refer to the administration may still be added."""
    session.execute(
        select(Administration.id)
        .where(Administration.id == administration_id)
        .with_for_update(key_share=True)
    )


def hold_all(session: Session, administration_ids: Iterable[int]) -> None:
    """The same for several, in the order in which everybody takes them."""
    session.execute(
        select(Administration.id)
        .where(Administration.id.in_(set(administration_ids)))
        .order_by(Administration.id)
        .with_for_update(key_share=True)
    )


def settle(
    session: Session,
    administration_id: int,
    at: Moment,
    *,
    actor: str | None = None,
    only: Iterable[int] | None = None,
) -> list[int]:
    """Returns the connections whose fetch is due now because they work (again). The caller has
    taken hold of the administration before it read what it changed."""
    wanted = list(only) if only is not None else None
    taking_place(session, at)
    session.flush()
    if wanted is None:
        ensure_connections(session, administration_id)
    found = records(session, administration_id, at, only=wanted)
    armed = [
        each
        for each in found
        if each.connection.armed
        and each.diagnosis.status is Status.NEW
        and not (each.attempt is not None and each.attempt.outcome in WAITING)
    ]
    note_changes(session, found, at, actor=actor)
    if armed:
        for each in armed:
            _switch_on_armed(session, each, at)
        session.flush()
        found = records(session, administration_id, at, only=wanted)
        note_changes(session, found, at, actor=actor)
    due = []
    for each in found:
        connection = each.connection
        if each.diagnosis.status is not Status.ACTIVE:
            connection.next_fetch_at = None  # a pause does not outlast what it was for
        elif connection.next_fetch_at is None:
            connection.next_fetch_at = at.now
            due.append(connection.id)
    return due


def settle_in_time(session: Session, connection_ids: Set[int], at: Moment) -> None:
    """What follows where time alone changed something, for connections of any administrations that
    are held: the history is told, and a pause does not outlast what it was for. Nothing begins to
    work by the passing of time, but of one that waits to be switched on."""
    found = records_among(session, connection_ids, at)
    note_plain_changes(session, (each for each in found if not each.connection.armed), at)
    active = {each.connection.id: each.diagnosis.status is Status.ACTIVE for each in found}
    paused = {each.connection.id for each in found if each.connection.next_fetch_at is not None}
    begin = {each for each, works in active.items() if works} - paused
    end = paused - {each for each, works in active.items() if works}
    for ids, then in ((begin, at.now), (end, None)):
        if ids:
            session.connection().execute(
                update(Connection).where(Connection.id.in_(ids)).values(next_fetch_at=then)
            )
    for each in found:
        if each.connection.armed:
            where = each.connection.administration_id
            settle(session, where, at, only=[each.connection.id])


def plan_reminders(account: Account) -> None:
    """An authorisation begins, or ends otherwise than was known: its reminders are counted anew.
    Which were dealt with is remembered per authorisation (actions/remind.py)."""
    account.remind_at = next_look(term_of(account))


def term_of(account: Account) -> Term | None:
    return term(
        account.authorised_at,
        account.valid_until,
        ended=account.ended,
        ended_at=account.ended_at,
    )


def end_known(account: Account) -> datetime | None:
    """The last instant of the day on which its authorisation ends, as far as is known; with
    `authorised_at` it tells one authorisation from another (Reminder)."""
    end = account.valid_until or account.ended_at
    return None if end is None else end_of_validity(end)


def bank_of(account: Account) -> str:
    """As the provider calls it, else as the IBAN does (invite.bank_of)."""
    return account.bank or account.iban[4:8]


def same_bank(bank: str) -> ColumnElement[bool]:
    """The condition of a query for accounts at this bank."""
    return func.coalesce(Account.bank, func.substr(Account.iban, 5, 4)) == bank


def _switch_on_armed(session: Session, each: Record, at: Moment) -> None:
    """The bookkeeper asked for this before the holder went to the bank (auto_activate)."""
    connection, share = each.connection, each.concerned_share
    if share is None or share.account is None:
        return
    administration = session.get_one(Administration, connection.administration_id)
    floor = earliest_start(
        available_from=share.account.available_from, locked_through=administration.lock_date
    )
    wish = connection.armed_start or default_start(
        today=at.today,
        processed_through=each.journal.processed_through if each.journal else None,
        fiscal_year_start=administration.fiscal_year_start,
        available_from=share.account.available_from,
        locked_through=administration.lock_date,
    )
    switch_on(
        session,
        connection,
        holder_id=share.holder.id,
        start=max(wish, floor) if floor else wish,
        actor=connection.armed_by,
        at=at,
    )


def switch_on(
    session: Session,
    connection: Connection,
    *,
    holder_id: int,
    start: date,
    actor: str | None,
    at: Moment,
) -> None:
    """Set the intent: on, through this holder, from this day. The days of an earlier start than
    before are missing until they are fetched (nothing comes twice); a later one deletes nothing
    (domain.md A2.6)."""
    connection.switch = Switch.ON.value
    connection.selected_id = holder_id
    connection.start_date = start
    note_missing(session, connection)
    connection.switched_at = at.now
    connection.switched_by = actor
    connection.armed = False
    connection.armed_by = connection.armed_start = None
    trouble_over(connection)
    connection.next_fetch_at = None
    changed(connection, actor)
    add_event(
        session,
        connection,
        "switched_on",
        at,
        actor=actor,
        holder=holder_id,
        start=start.isoformat(),
    )


def opened(
    session: Session,
    connection_id: int,
    at: Moment,
    *,
    version: int | None,
) -> Record:
    """The record, locked for a change by a person; `changed` numbers it on.

    Raises Missing, and Stale when `version` is not the one the person saw.
    """
    administration_id = session.scalar(
        select(Connection.administration_id).where(Connection.id == connection_id)
    )
    if administration_id is None:
        raise Missing
    hold(session, administration_id)
    connection = session.get_one(Connection, connection_id, with_for_update=True)
    if version is not None and connection.version != version:
        raise Stale(connection.changed_by)
    found = record(session, connection_id, at)
    assert found is not None
    return found


def trouble_over(connection: Connection) -> None:
    """What our own fetches met at the provider says nothing any more."""
    connection.outage_since = connection.outage_kind = connection.limited_until = None
    connection.failures = 0


def changed(connection: Connection, actor: str | None) -> None:
    """Number the row on: whoever saw the older one is told who changed it."""
    connection.version += 1
    connection.changed_by = actor
