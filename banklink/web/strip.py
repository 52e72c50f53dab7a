"""Time in one picture: the drawer's strip and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from banklink.core.calendar import amsterdam_day
from banklink.core.facts import Authorisation
from banklink.core.timeline import Days, Kind, Timeline, joined, timeline
from banklink.store import days as stored
from banklink.store.facts import Record
from banklink.store.models import Event
from banklink.web.i18n import _, day, ngettext
from banklink.web.rows import Reader
from banklink.web.viewmodel import StripView

_TOLD = 3
"""So many stretches are named one by one; of more the number of days."""


def strip(session: Session, record: Record, reader: Reader) -> StripView | None:
    """None before there is a start date: then there is no time to show yet."""
    found = stored.days(session, record.connection, reader.at.today)
    return None if found is None else strip_of(session, record, found)


def strip_of(session: Session, record: Record, found: stored.Days) -> StripView:
    key = record.facts.selected or record.diagnosis.concerns
    holder = record.facts.holders.get(key or "")
    current = holder if holder and holder.visible else None
    ends = amsterdam_day(current.valid_until) if current and current.valid_until else None
    if current and current.authorisation is Authorisation.REVOKED and current.ended_at:
        ends = amsterdam_day(current.ended_at)
    periods = _earlier(session, record, key)
    if current and current.authorised_at and ends:
        periods.append((amsterdam_day(current.authorised_at), ends))
    made = timeline(found.known, authorised=periods if current else [], expires=ends)
    return StripView(
        spans=tuple((each.kind, each.x, each.width) for each in made.spans),
        today=made.today,
        expiry=made.expiry,
        first=day(made.first),
        last=day(made.last),
        lines=_words(made, expires=ends, today=found.known.today),
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


def _words(made: Timeline, *, expires: date | None, today: date) -> tuple[tuple[str, str], ...]:
    """The same as the picture, a line for each kind."""
    fetched = joined([*made.of(Kind.FETCHED), *made.of(Kind.NOTHING)])
    lines = []
    for kind, periods, sentence in (
        ("authorised", made.of("authorised"), _("Authorised at the bank: %(periods)s")),
        ("fetched", fetched, _("Fetched: %(periods)s")),
        ("missing", made.of(Kind.MISSING), _("Missing: %(periods)s")),
        ("waiting", made.of("waiting"), _("Waits for a decision: %(periods)s")),
    ):
        if periods:
            lines.append((kind, sentence % {"periods": in_words(periods)}))
    empty = made.of(Kind.NOTHING)
    if empty:
        said = _("Fetched, and nothing booked: %(days)s", days=_counted(empty))
        lines.insert(1 + bool(made.of("authorised")), ("nothing", said))
    lines.append(("today", _("Today: %(date)s", date=day(today))))
    if expires is not None and made.expiry is not None:
        word = _("Ended: %(date)s") if expires < today else _("Next expiry: %(date)s")
        lines.append(("expiry", word % {"date": day(expires)}))
    return tuple(lines)


def in_words(periods: Sequence[Days]) -> str:
    """Few stretches one by one; of many the days together, from the first to the last."""
    if len(periods) <= _TOLD:
        return "; ".join(_stretch(each) for each in periods)
    return _(
        "%(days)s between %(first)s and %(last)s",
        days=_counted(periods),
        first=day(periods[0][0]),
        last=day(periods[-1][1]),
    )


def _stretch(days: Days) -> str:
    if days[0] == days[1]:
        return day(days[0])
    return _("%(first)s up to and including %(last)s", first=day(days[0]), last=day(days[1]))


def _counted(periods: Sequence[Days]) -> str:
    count = sum((last - first).days + 1 for first, last in periods)
    return ngettext("%(n)s day", "%(n)s days", count)
