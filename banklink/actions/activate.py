"""Activate: switch a connection on, through one holder, from one day; or arm it to do so by
itself after the bank step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.orm import Session

from banklink.actions.days import likely
from banklink.actions.fetch import Fetched, fetch, page_of
from banklink.actions.services import Missing, Refused, Services
from banklink.actions.settle import changed, opened, settle, switch_on
from banklink.core.calendar import Moment
from banklink.core.coverage import (
    StartProblem,
    default_start,
    earliest_start,
    safe_start,
    start_problem,
)
from banklink.core.facts import Switch
from banklink.providers.contract import ProviderError
from banklink.store.facts import Record, add_event, record
from banklink.store.models import Administration

_MOST_PREVIEWED = 20


@dataclass(frozen=True, slots=True)
class Terms:
    """What the form knows before it is filled in. Dates are Dutch days, both ends allowed."""

    proposed: date
    earliest: date | None
    latest: date
    available_from: date | None
    locked_through: date | None
    processed_through: date | None


def terms(session: Session, found: Record, holder: str | None, at: Moment) -> Terms:
    """For the given holder key; the day after the last fetched one when it was on before."""
    administration = session.get_one(Administration, found.connection.administration_id)
    share = found.shares.get(holder or found.diagnosis.concerns or "")
    account = share.account if share else None
    available_from = account.available_from if account else None
    processed = found.journal.processed_through if found.journal else None
    proposed = default_start(
        today=at.today,
        processed_through=processed,
        fiscal_year_start=administration.fiscal_year_start,
        available_from=available_from,
        locked_through=administration.lock_date,
    )
    watermark = found.connection.watermark
    if found.facts.switch is Switch.OFF and watermark is not None:
        floor = earliest_start(
            available_from=available_from, locked_through=administration.lock_date
        )
        proposed = min(max(filter(None, (watermark + timedelta(days=1), floor))), at.today)
    return Terms(
        proposed=proposed,
        earliest=earliest_start(
            available_from=available_from, locked_through=administration.lock_date
        ),
        latest=at.today,
        available_from=available_from,
        locked_through=administration.lock_date,
        processed_through=processed,
    )


def twice(found: Record, start: date) -> tuple[date, date] | None:
    """Whether this start day brings days that are processed already: through which day, and the
    day to take that brings none. No error: it may be wanted."""
    connection, journal = found.connection, found.journal
    on, began = found.facts.switch is Switch.ON, connection.start_date
    through = connection.watermark or (began if on else None)
    fetched = (began, through) if began is not None and through is not None else None
    processed = journal.processed_through if journal is not None else None
    safe = safe_start(start, processed_through=processed, fetched=fetched, on=on)
    return (processed, safe) if processed is not None and safe is not None else None


def check_start(text: str, offered: Terms) -> date:
    """The day a person typed. Raises Refused on field `start`, with a day that would do."""
    try:
        start = date.fromisoformat(text.strip())
    except ValueError:
        raise Refused("not_a_date", field="start", offer=offered.proposed.isoformat()) from None
    problem = start_problem(
        start,
        today=offered.latest,
        available_from=offered.available_from,
        locked_through=offered.locked_through,
    )
    if problem is None:
        likely(start, offered.latest, field="start", offer=offered.proposed.isoformat())
        return start
    offer = offered.latest if problem is StartProblem.FUTURE else offered.earliest
    raise Refused(
        f"start_{problem.value}",
        field="start",
        offer=offer.isoformat() if offer and offer <= offered.latest else None,
        earliest=offered.earliest.isoformat() if offered.earliest else None,
        locked=offered.locked_through.isoformat() if offered.locked_through else None,
        latest=offered.latest.isoformat(),
    )


def activate(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    holder: str | None,
    start: str,
    version: int | None,
    actor: str,
) -> Fetched:
    """Switch on and fetch. Raises Refused, Stale, Missing; nothing changes then."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        if found.facts.switch is Switch.ON:
            raise Refused("already_on")
        if found.journal is None:
            raise Refused("no_journal")
        facts = found.facts.holders.get(holder or "")
        if facts is None or not facts.usable:
            raise Refused("holder_not_usable", field="holder")
        day = check_start(start, terms(session, found, holder, at))
        switch_on(
            session,
            found.connection,
            holder_id=int(holder or 0),
            start=day,
            actor=actor,
            at=at,
        )
        settle(session, found.connection.administration_id, at, actor=actor, only=[connection_id])
    return fetch(services, connection_id, at, actor=actor)


def arm(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    start: str,
    version: int | None,
    actor: str,
) -> None:
    """Switch on by itself once the bank step is done. Raises Refused, Stale, Missing."""
    with services.store.write() as session:
        found = opened(session, connection_id, at, version=version)
        if found.facts.switch is not Switch.NEVER:
            raise Refused("was_on_before")
        if found.journal is None:
            raise Refused("no_journal")
        day = check_start(start, terms(session, found, None, at))
        connection = found.connection
        connection.armed, connection.armed_by, connection.armed_start = True, actor, day
        changed(connection, actor)
        add_event(session, connection, "armed", at, actor=actor, start=day.isoformat())


def disarm(
    services: Services, connection_id: int, at: Moment, *, version: int | None, actor: str
) -> None:
    with services.store.write() as session:
        connection = opened(session, connection_id, at, version=version).connection
        if connection.armed:
            changed(connection, actor)
            connection.armed = False
            connection.armed_by = connection.armed_start = None
            add_event(session, connection, "disarmed", at, actor=actor)


@dataclass(frozen=True, slots=True)
class Preview:
    """How many transactions would come; `more` when only the newest were counted."""

    count: int
    more: bool


def preview(
    services: Services,
    connection_id: int,
    at: Moment,
    *,
    holder: str | None,
    start: date,
    most_pages: int = _MOST_PREVIEWED,
) -> Preview | None:
    """Count at the provider what a start day would bring, on the newest `most_pages` pages. None
    when it cannot be asked now."""
    with services.store.read() as session:
        found = record(session, connection_id, at)
        if found is None:
            raise Missing
        share = found.shares.get(holder or "")
        facts = found.facts.holders.get(holder or "")
        if share is None or share.account is None or facts is None or not facts.usable:
            return None
        grant_id, ref = share.grant.id, share.account.ref or ""
    count = 0
    cursor: str | None = None
    try:
        for _ in range(most_pages):
            page = page_of(services, grant_id, ref, cursor, at)
            count += sum(each.booked_on >= start for each in page.transactions)
            cursor = page.cursor
            if cursor is None or (page.transactions and page.transactions[-1].booked_on < start):
                return Preview(count, more=False)
    except ProviderError:
        return None
    return Preview(count, more=True)
