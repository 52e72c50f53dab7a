"""Time in one picture: the drawer's strip and the same in words."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.core.calendar import amsterdam_day
from banklink.core.facts import Authorisation
from banklink.core.timeline import Days, Timeline, timeline
from banklink.store.facts import Record
from banklink.store.models import Event
from banklink.web.i18n import _, day
from banklink.web.rows import Reader
from banklink.web.viewmodel import StripView


def strip(session: Session, record: Record, reader: Reader) -> StripView | None:
    """None before there is a start date: then there is no time to show yet."""
    connection, today = record.connection, reader.at.today
    if connection.start_date is None:
        return None
    key = record.facts.selected or record.diagnosis.concerns
    holder = record.facts.holders.get(key or "")
    gap = (
        (connection.gap_from, connection.gap_to)
        if connection.gap_from and connection.gap_to
        else None
    )
    current = holder if holder and holder.visible else None
    ends = amsterdam_day(current.valid_until) if current and current.valid_until else None
    if current and current.authorisation is Authorisation.REVOKED and current.ended_at:
        ends = amsterdam_day(current.ended_at)
    periods = _earlier(session, record, key)
    if current and current.authorised_at and ends:
        periods.append((amsterdam_day(current.authorised_at), ends))
    made = timeline(
        start=connection.start_date,
        today=today,
        authorised=periods if current else [],
        fetched_through=connection.watermark,
        gap=gap,
        expires=ends,
    )
    return StripView(
        spans=tuple((each.kind, each.x, each.width) for each in made.spans),
        today=made.today,
        expiry=made.expiry,
        first=day(made.first),
        last=day(made.last),
        lines=_words(made, today=day(today)),
    )


def _earlier(session: Session, record: Record, holder: str | None) -> list[Days]:
    """Authorisations of this holder that the history tells of."""
    found = session.scalars(
        select(Event).where(Event.connection_id == record.connection.id, Event.kind == "authorised")
    )
    periods = []
    for event in found:
        until = event.params.get("until")
        if until and str(event.params.get("holder")) == holder:
            periods.append(
                (amsterdam_day(event.at), amsterdam_day(datetime.fromisoformat(str(until))))
            )
    return periods


def _words(made: Timeline, *, today: str) -> tuple[tuple[str, str], ...]:
    """The same as the picture, a line for each kind."""
    sentences = {
        "authorised": _("Authorised at the bank: %(periods)s"),
        "fetched": _("Fetched: %(periods)s"),
        "gap": _("Possible gap: %(periods)s"),
    }
    lines = []
    for kind, sentence in sentences.items():
        periods = [
            _("%(first)s up to and including %(last)s", first=day(first), last=day(last))
            for first, last in (each.days for each in made.spans if each.kind == kind)
        ]
        if periods:
            lines.append((kind, sentence % {"periods": "; ".join(periods)}))
    lines.append(("today", _("Today: %(date)s", date=today)))
    return tuple(lines)
