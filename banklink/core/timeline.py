"""One connection's time as a strip: what was authorised, what was fetched, where today is.

From the start date to the next expiry (or today, if that is later). Positions are thousandths of
the whole, so that the page can draw them without reckoning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

SCALE = 1000
_DAY = timedelta(days=1)

Days = tuple[date, date]
"""First and last day, both included."""


@dataclass(frozen=True, slots=True)
class Span:
    """`kind`: authorised, fetched or gap. `x` and `width` in thousandths of the strip."""

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


def timeline(
    *,
    start: date,
    today: date,
    authorised: Iterable[Days],
    fetched_through: date | None,
    gap: Days | None,
    expires: date | None,
) -> Timeline:
    """`authorised`: the periods of the holder's authorisations, in any order, also overlapping;
    days outside the strip are cut off. Fetched are the days from `start` to `fetched_through`
    without the gap."""
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

    wanted = [("authorised", each) for each in joined(authorised)]
    if fetched_through is not None:
        wanted += [("fetched", each) for each in _without(gap, (start, fetched_through))]
    if gap is not None:
        wanted.append(("gap", gap))
    return Timeline(
        first=start,
        last=last,
        spans=tuple(found for kind, days in wanted if (found := span(kind, days)) is not None),
        today=at(min(max(today, start), last)),
        expiry=at(expires + _DAY) if expires is not None and expires >= start else None,
    )


def joined(periods: Iterable[Days]) -> list[Days]:
    """Overlapping and adjoining periods as one, in order."""
    found: list[Days] = []
    for first, last in sorted(each for each in periods if each[0] <= each[1]):
        if found and first <= found[-1][1] + _DAY:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _without(gap: Days | None, days: Days) -> list[Days]:
    if gap is None or gap[1] < days[0] or gap[0] > days[1]:
        return [days] if days[0] <= days[1] else []
    parts = [(days[0], gap[0] - _DAY), (gap[1] + _DAY, days[1])]
    return [(first, last) for first, last in parts if first <= last]
