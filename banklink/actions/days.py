"""Days as people type them: read, and refused where no bookkeeping can mean them."""

from __future__ import annotations

from datetime import date

from banklink.actions.services import Refused
from banklink.core.calendar import likely_years
from banklink.statements.columns import read_day


def typed_day(text: str, today: date, *, field: str, ahead: int = 0) -> date | None:
    """None when nothing was typed. Raises Refused: not_a_date, or what `likely` raises."""
    if not text.strip():
        return None
    day = read_day(text.strip())
    if day is None:
        raise Refused("not_a_date", field=field)
    likely(day, today, field=field, ahead=ahead)
    return day


def likely(day: date, today: date, *, field: str, ahead: int = 0, offer: str | None = None) -> None:
    """Raises Refused year_unlikely, with the `first` and `last` year that can be: 1 or 9999 is a
    slip, and would have years fetched, or nothing ever again."""
    first, last = likely_years(today, ahead=ahead)
    if not first <= day.year <= last:
        raise Refused(
            "year_unlikely", field=field, offer=offer, year=day.year, first=first, last=last
        )
