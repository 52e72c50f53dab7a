"""The balance over time: what the bank stated, and in between what its bookings make of it.

Nothing is guessed over days that are missing: there the line breaks off and begins anew at the next
stated balance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_DAY = timedelta(days=1)

Days = tuple[date, date]
Point = tuple[date, int]
"""The balance at the end of a day, in minor units."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What the bank or a file says the account held at the end of a day. `difference`: stated less
    reckoned; None where nothing could be reckoned, anything but 0 is an alarm."""

    on: date
    amount: int
    difference: int | None = None
    since: date | None = None


def day_ends(
    covered: Sequence[Days], booked: Mapping[date, int], stated: Iterable[Stated]
) -> list[list[Point]]:
    """A list of points for every stretch of days in which a balance is known. `booked`: what each
    day's bookings come to. A stated balance holds for its own day and counts on from there; before
    the first one of a stretch it is reckoned back."""
    known = {each.on: each.amount for each in stated}
    lines = []
    for first, last in covered:
        before = first - _DAY  # the end of the day before is the stretch's opening
        days = [before + timedelta(days=n) for n in range((last - before).days + 1)]
        anchor = next((day for day in days if day in known), None)
        if anchor is None:
            continue
        back = known[anchor]
        points = [(anchor, back)]
        for day in reversed([each for each in days if each < anchor]):
            back -= booked.get(day + _DAY, 0)
            points.append((day, back))
        points.reverse()
        value = known[anchor]
        for day in days[len(points) :]:
            value = known.get(day, value + booked.get(day, 0))
            points.append((day, value))
        lines.append(points)
    return lines


@dataclass(frozen=True, slots=True)
class Picture:
    """`paths`: points in a frame of `width` × `height`, y downwards. `marks`: stated balances as x,
    y and whether it is an alarm. `zero`: where nothing is, if that is in sight."""

    first: date
    last: date
    width: int
    height: int
    paths: tuple[tuple[tuple[float, float], ...], ...]
    marks: tuple[tuple[float, float, bool], ...]
    zero: float | None
    lowest: Point
    highest: Point


def picture(
    lines: Sequence[Sequence[Point]],
    stated: Iterable[Stated],
    *,
    first: date,
    last: date,
    width: int = 1000,
    height: int = 160,
) -> Picture | None:
    """None when there is nothing to draw in these days. Of a long time every n-th day is drawn, and
    always both ends, so that a picture has at most some 400 points."""
    inside = [[each for each in line if first <= each[0] <= last] for line in lines]
    said = [each for each in stated if first <= each.on <= last]
    points = [each for line in inside for each in line] + [(each.on, each.amount) for each in said]
    if not points:
        return None
    lowest = min(points, key=lambda each: (each[1], each[0]))
    highest = max(points, key=lambda each: (each[1], each[0]))
    bottom, top = lowest[1], highest[1]
    days, room = max((last - first).days, 1), max(top - bottom, 1)

    def x(day: date) -> float:
        return round(width * (day - first).days / days, 1)

    def y(amount: int) -> float:
        return round(height - height * (amount - bottom) / room, 1)

    step = max(1, len(points) // 400)
    return Picture(
        first,
        last,
        width,
        height,
        paths=tuple(
            tuple((x(day), y(amount)) for day, amount in _thinned(line, step))
            for line in inside
            if line
        ),
        marks=tuple((x(each.on), y(each.amount), bool(each.difference)) for each in said),
        zero=y(0) if bottom <= 0 <= top else None,
        lowest=lowest,
        highest=highest,
    )


def _thinned(line: Sequence[Point], step: int) -> list[Point]:
    kept = list(line[::step])
    if kept[-1] != line[-1]:
        kept.append(line[-1])
    return kept
