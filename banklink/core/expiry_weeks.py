"""Authorisations by the week in which they end: a picture of the coming half year.

Weeks begin on Monday. A column stacks marks, each of which stands for `unit` authorisations, so
that ten thousand of them still fit the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from banklink.core.calendar import EXPIRING_DAYS

AHEAD = 180
"""So many days are looked ahead: as long as a bank's longest authorisation usually lasts."""

MOST_MARKS = 10
_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Week:
    """`first`: its Monday. `soon`: it begins within the days in which a connection counts as
    ending soon."""

    first: date
    count: int
    marks: int
    soon: bool


@dataclass(frozen=True, slots=True)
class ExpiryWeeks:
    """`today` and `soon` (the end of the last day that counts as soon) in weeks from the left."""

    weeks: tuple[Week, ...]
    unit: int
    today: float
    soon: float


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def expiry_weeks(days: Mapping[date, int], today: date) -> ExpiryWeeks:
    """`days`: last day of validity -> how many end on it; what lies outside the picture is left
    out."""
    begin, last = monday(today), today + timedelta(days=AHEAD)
    counts: dict[date, int] = {}
    for day, count in days.items():
        if today <= day <= last:
            counts[monday(day)] = counts.get(monday(day), 0) + count
    most = max(counts.values(), default=0)
    unit = next(each for each in _units() if most <= each * MOST_MARKS)
    soon = today + timedelta(days=EXPIRING_DAYS)
    firsts = [begin + _WEEK * number for number in range((last - begin).days // 7 + 1)]
    return ExpiryWeeks(
        weeks=tuple(
            Week(first, counts.get(first, 0), -(-counts.get(first, 0) // unit), first <= soon)
            for first in firsts
        ),
        unit=unit,
        today=(today - begin).days / 7,
        soon=((soon - begin).days + 1) / 7,
    )


def _units() -> Iterator[int]:
    """Numbers one can reckon with: 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, …"""
    step = 1
    while True:
        yield from (step * each for each in (1, 2, 3, 4, 5, 6, 8))
        step *= 10
