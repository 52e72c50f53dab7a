"""Days and moments. The only place where Europe/Amsterdam is known below the screen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")

EXPIRING_DAYS = 30
"""From this many days before its end an authorisation is shown as expiring (domain.md A2.2)."""

STALE_AFTER = timedelta(hours=36)
"""A connection that is on and fetched nothing for this long is stale (domain.md A2.2)."""

FIRST_DAY = date(1990, 1, 1)
"""No books that are kept with this reach further back: an earlier day is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One reading of the clock, taken once per request or job.

    `now` dates business: validity, bookings, what is due. `real` dates machinery: states, codes,
    tokens, sessions, leases. They differ only when the demo clock was moved. Both aware UTC.
    """

    now: datetime
    real: datetime

    @property
    def today(self) -> date:
        return amsterdam_day(self.now)


def likely_years(today: date, *, ahead: int = 0) -> tuple[int, int]:
    """First and last year that somebody who keeps books can mean. `ahead`: how many years beyond
    this one make sense, as for a fiscal year that is still to begin."""
    return FIRST_DAY.year, today.year + ahead


@lru_cache(maxsize=4096)
def amsterdam_day(instant: datetime) -> date:
    """The calendar day in the Netherlands at an aware instant. Raises ValueError without a zone:
    it would silently be read in the machine's own."""
    if instant.tzinfo is None:
        raise ValueError("a time without a zone")
    return instant.astimezone(AMSTERDAM).date()


def start_of_day(day: date) -> datetime:
    """The first instant of a Dutch calendar day, in UTC."""
    return datetime.combine(day, time.min, AMSTERDAM).astimezone(UTC)


def time_of_day(day: date, hour: int) -> datetime:
    """That hour of a Dutch calendar day, in UTC. For hours that no clock change takes away or gives
    twice: all but the ones between two and three at night."""
    return datetime.combine(day, time(hour), AMSTERDAM).astimezone(UTC)


def amsterdam_hour(instant: datetime) -> int:
    """The hour that clocks in the Netherlands show."""
    return instant.astimezone(AMSTERDAM).hour


def end_of_validity(valid_until: datetime) -> datetime:
    """The first instant at which an authorisation no longer holds, in UTC.

    A bank's `valid_until` counts through the end of that day in Amsterdam (domain.md A2.6).
    """
    return start_of_day(amsterdam_day(valid_until) + timedelta(days=1))


def has_expired(valid_until: datetime, now: datetime) -> bool:
    """Whether the last day of validity lies behind us."""
    return amsterdam_day(now) > amsterdam_day(valid_until)


def days_left(valid_until: datetime, now: datetime) -> int:
    """Whole Dutch days until the last valid day; 0 on that day, negative after it."""
    return (amsterdam_day(valid_until) - amsterdam_day(now)).days
