"""One connection's time: which days were authorised, fetched, empty, missing or wait for a person,
as one strip and month by month.

The strip runs from the start date to the next expiry (or today, if that is later). Positions are
thousandths of the whole, so that the page can draw them without reckoning.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby

SCALE = 1000
_DAY = timedelta(days=1)

Days = tuple[date, date]
"""First and last day, both included."""


class Kind(StrEnum):
    """What is known of a day. `NOTHING`: fetched, and the bank had none for it. `AHEAD`: its turn
    has not come. `OUTSIDE`: before the start, in books that were closed without it, or still in the
    future."""

    FETCHED = "fetched"
    NOTHING = "nothing"
    MISSING = "missing"
    AHEAD = "ahead"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a connection's days. `covered`: stretches of which a completed fetch or a
    file told everything, in order, apart from each other (store/models.py, Coverage); `booked`:
    days with bookings; `waiting`: days with a booking that waits for a decision; `locked`: the last
    day of books that are closed, which nobody asks for any more."""

    start: date
    today: date
    watermark: date | None
    covered: Sequence[Days]
    booked: Collection[date]
    waiting: Collection[date] = frozenset()
    locked: date | None = None

    def kind(self, day: date) -> Kind:
        if day < self.start or day > self.today:
            return Kind.OUTSIDE
        at = bisect_right(self.covered, day, key=lambda each: each[0]) - 1
        if at >= 0 and day <= self.covered[at][1]:
            return Kind.FETCHED if day in self.booked else Kind.NOTHING
        if self.locked is not None and day <= self.locked:
            return Kind.OUTSIDE
        if self.watermark is not None and day <= self.watermark:
            return Kind.MISSING
        return Kind.AHEAD

    def stretches(self, first: date, last: date) -> list[tuple[Kind, Days]]:
        """These days in order, neighbours of one kind as one."""
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        found = []
        for kind, same in groupby(days, self.kind):
            alike = list(same)
            found.append((kind, (alike[0], alike[-1])))
        return found


@dataclass(frozen=True, slots=True)
class Span:
    """`kind`: authorised, waiting, or a Kind. `x` and `width` in thousandths of the strip."""

    kind: str
    days: Days
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """`today` and `expiry` in thousandths; `expiry` is None when no end is known."""

    first: date
    last: date
    spans: tuple[Span, ...]
    today: int
    expiry: int | None

    def of(self, kind: str) -> list[Days]:
        return [each.days for each in self.spans if each.kind == kind]


def timeline(known: Known, *, authorised: Iterable[Days], expires: date | None) -> Timeline:
    """`authorised`: the periods of the holder's authorisations, in any order, also overlapping;
    days outside the strip are cut off."""
    start, today = known.start, known.today
    last = max(filter(None, (today, expires, start)))
    whole = (last - start).days + 1

    def at(day: date) -> int:
        return round(SCALE * (day - start).days / whole)

    def span(kind: str, days: Days) -> Span | None:
        first, end = max(days[0], start), min(days[1], last)
        if first > end:
            return None
        x = at(first)
        return Span(kind, (first, end), x, max(at(end + _DAY) - x, 1))

    wanted: list[tuple[str, Days]] = [("authorised", each) for each in joined(authorised)]
    if start <= today:
        wanted += [
            (kind, days)
            for kind, days in known.stretches(start, today)
            if kind in (Kind.FETCHED, Kind.NOTHING, Kind.MISSING)
        ]
    wanted += [("waiting", each) for each in joined((day, day) for day in known.waiting)]
    return Timeline(
        first=start,
        last=last,
        spans=tuple(found for kind, days in wanted if (found := span(kind, days)) is not None),
        today=at(min(max(today, start), last)),
        expiry=at(expires + _DAY) if expires is not None and expires >= start else None,
    )


@dataclass(frozen=True, slots=True)
class Cell:
    day: date
    kind: Kind
    waits: bool


@dataclass(frozen=True, slots=True)
class Month:
    """`cells`: one for every day of it."""

    first: date
    cells: tuple[Cell, ...]

    @property
    def last(self) -> date:
        return self.cells[-1].day

    def count(self, *kinds: Kind) -> int:
        return sum(each.kind in kinds for each in self.cells)

    @property
    def missing(self) -> list[Days]:
        return joined((each.day, each.day) for each in self.cells if each.kind is Kind.MISSING)


def months(known: Known, *, until: date, most: int) -> list[Month]:
    """The months with days that count, newest first, from the one that holds `until`."""
    found: list[Month] = []
    first = min(until, known.today).replace(day=1)
    while first >= known.start.replace(day=1) and len(found) < most:
        after = (first + timedelta(days=31)).replace(day=1)
        days = [first + timedelta(days=n) for n in range((after - first).days)]
        found.append(
            Month(first, tuple(Cell(day, known.kind(day), day in known.waiting) for day in days))
        )
        if first <= date.min + timedelta(days=31):
            break
        first = (first - _DAY).replace(day=1)
    return found


def joined(periods: Iterable[Days]) -> list[Days]:
    """Overlapping and adjoining periods as one, in order."""
    found: list[Days] = []
    for first, last in sorted(each for each in periods if each[0] <= each[1]):
        if found and first <= found[-1][1] + _DAY:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
