"""Authorisations by the week they end in, as a picture whose weeks are links, and the same as a
table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from babel.dates import format_date
from flask import url_for
from sqlalchemy.orm import Session

from banklink.core.expiry_weeks import AHEAD, MOST_MARKS, ExpiryWeeks, expiry_weeks, monday
from banklink.store import office
from banklink.web.context import at, person
from banklink.web.i18n import _, day, locale, ngettext, number

_PITCH, _MARK, _STEP = 44, 28, 8
_TOP = 40
_BASE = _TOP + MOST_MARKS * _STEP
_HEIGHT = _BASE + 44


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekView:
    """One column. `x`: its left side; `marks`: the tops of its marks; `month`: said under the first
    week of one. `url` None: nothing ends in it."""

    x: int
    day: str
    month: str | None
    url: str | None = None
    label: str = ""
    count: str = ""
    count_y: int = 0
    marks: tuple[int, ...] = ()
    soon: bool = False
    current: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarView:
    """Measures are pixels. `rows`: week and how many, for the table; none when nothing ends."""

    weeks: tuple[WeekView, ...]
    width: int
    height: int
    pitch: int
    mark: int
    base: int
    today: int
    soon: int
    unit: str
    rows: tuple[tuple[str, str], ...]


def calendar(session: Session, chosen: date | None) -> CalendarView:
    """The coming half year of the person's administrations; `chosen`: the week that is shown."""
    today = at().today
    days = office.expiry_days(session, person().id, today, today + timedelta(days=AHEAD))
    made = expiry_weeks(days, today)
    return CalendarView(
        weeks=_weeks(made, chosen),
        width=_PITCH * len(made.weeks),
        height=_HEIGHT,
        pitch=_PITCH,
        mark=_MARK,
        base=_BASE,
        today=round(made.today * _PITCH),
        soon=round(made.soon * _PITCH),
        unit=ngettext(
            "One mark is %(n)s authorisation.",
            "One mark is up to %(n)s authorisations.",
            made.unit,
        ),
        rows=tuple(
            (_("Week of %(date)s", date=day(each.first)), number(each.count))
            for each in made.weeks
            if each.count
        ),
    )


def _weeks(made: ExpiryWeeks, chosen: date | None) -> tuple[WeekView, ...]:
    views = []
    for index, each in enumerate(made.weeks):
        before = made.weeks[index - 1].first if index else None
        view = WeekView(
            x=index * _PITCH,
            day=str(each.first.day),
            month=_month(each.first)
            if before is None or before.month != each.first.month
            else None,
        )
        if each.count:
            tops = tuple(_BASE - _STEP * (mark + 1) for mark in range(each.marks))
            view = WeekView(
                x=view.x,
                day=view.day,
                month=view.month,
                url=url_for("office.page", week=each.first.isoformat()),
                label=ngettext(
                    "%(n)s authorisation expires in the week of %(date)s",
                    "%(n)s authorisations expire in the week of %(date)s",
                    each.count,
                    date=_long(each.first),
                ),
                count=number(each.count),
                count_y=tops[-1] - 5,
                marks=tops,
                soon=each.soon,
                current=each.first == chosen,
            )
        views.append(view)
    return tuple(views)


def _month(first: date) -> str:
    """With the year in January, where it changes."""
    return format_date(first, "LLL y" if first.month == 1 else "LLL", locale=locale())


def _long(value: date) -> str:
    return format_date(value, "d MMMM", locale=locale())


def week_of(text: str) -> date | None:
    """The Monday of the week of a day as it stands in an address; None for anything else."""
    try:
        return monday(date.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
