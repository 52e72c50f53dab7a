"""The strip and the months: every day is drawn where it is, once, as what is known of it."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from banklink.core.timeline import SCALE, Days, Kind, Known, joined, months, timeline

D = date
DAY = timedelta(days=1)


def days_of(periods: list[Days]) -> set[date]:
    return {
        first + timedelta(days=n) for first, last in periods for n in range((last - first).days + 1)
    }


def test_a_lapse_and_a_renewal_as_a_person_would_draw_them() -> None:
    made = timeline(
        Known(
            start=D(2026, 1, 1),
            today=D(2026, 3, 31),
            watermark=D(2026, 3, 31),
            covered=[(D(2026, 1, 1), D(2026, 1, 31)), (D(2026, 2, 10), D(2026, 3, 31))],
            booked=days_of([(D(2026, 1, 1), D(2026, 1, 31)), (D(2026, 2, 20), D(2026, 3, 31))]),
            waiting={D(2026, 1, 11), D(2026, 1, 12)},
        ),
        authorised=[(D(2026, 2, 20), D(2026, 4, 10)), (D(2025, 8, 1), D(2026, 1, 31))],
        expires=D(2026, 4, 10),
    )
    assert (made.first, made.last) == (D(2026, 1, 1), D(2026, 4, 10))  # a hundred days
    assert [(each.kind, each.x, each.width) for each in made.spans] == [
        ("authorised", 0, 310),
        ("authorised", 500, 500),
        ("fetched", 0, 310),
        ("missing", 310, 90),
        ("nothing", 400, 100),
        ("fetched", 500, 400),
        ("waiting", 100, 20),
    ]
    assert (made.today, made.expiry) == (890, 1000)


def test_periods_that_touch_are_one() -> None:
    assert joined([(D(2026, 1, 5), D(2026, 1, 9)), (D(2026, 1, 1), D(2026, 1, 4))]) == [
        (D(2026, 1, 1), D(2026, 1, 9))
    ]


def test_after_the_expiry_the_strip_goes_on_to_today() -> None:
    known = Known(D(2026, 1, 1), D(2026, 1, 10), None, [], set())
    made = timeline(known, authorised=[], expires=D(2026, 1, 5))
    assert (made.last, made.today, made.expiry) == (D(2026, 1, 10), 900, 500)


days = st.integers(-200, 200).map(lambda n: D(2026, 6, 1) + timedelta(days=n))
periods = st.tuples(days, days).map(lambda two: (min(two), max(two)))


@st.composite
def knowledge(draw: st.DrawFn) -> Known:
    return Known(
        start=draw(days),
        today=draw(days),
        watermark=draw(st.none() | days),
        covered=joined(draw(st.lists(periods, max_size=5))),
        booked=draw(st.sets(days, max_size=40)),
        waiting=draw(st.sets(days, max_size=5)),
        locked=draw(st.none() | days),
    )


def day_by_day(known: Known, day: date) -> Kind:
    """The same, said as one would explain it."""
    if day < known.start or day > known.today:
        return Kind.OUTSIDE
    if any(first <= day <= last for first, last in known.covered):
        return Kind.FETCHED if day in known.booked else Kind.NOTHING
    if known.locked is not None and day <= known.locked:
        return Kind.OUTSIDE
    if known.watermark is not None and day <= known.watermark:
        return Kind.MISSING
    return Kind.AHEAD


@given(known=knowledge(), authorised=st.lists(periods, max_size=6), expires=st.none() | days)
def test_the_strip_is_the_days_reckoned_one_by_one(
    known: Known, authorised: list[Days], expires: date | None
) -> None:
    made = timeline(known, authorised=authorised, expires=expires)
    for each in made.spans:
        assert each.x >= 0 and each.width >= 1 and each.x + each.width <= SCALE + 1
        assert made.first <= each.days[0] <= each.days[1] <= made.last
    assert 0 <= made.today <= SCALE
    assert made.expiry is None or 0 <= made.expiry <= SCALE
    shown = made.of("authorised")
    assert all(a[1] < b[0] for a, b in pairwise(shown))
    every = days_of([(made.first, made.last)])
    for kind in (Kind.FETCHED, Kind.NOTHING, Kind.MISSING):
        assert days_of(made.of(kind)) == {d for d in every if day_by_day(known, d) is kind}, kind
    assert days_of(made.of("waiting")) == known.waiting & every


@given(known=knowledge(), until=days, most=st.integers(1, 14))
def test_the_months_are_the_days_reckoned_one_by_one(known: Known, until: date, most: int) -> None:
    found = months(known, until=until, most=most)
    assert len(found) <= most
    for later, earlier in pairwise(found):
        assert earlier.last + DAY == later.first
    for month in found:
        assert month.first.day == 1 and (month.last + DAY).day == 1
        cells = {each.day: each for each in month.cells}
        assert cells.keys() == days_of([(month.first, month.last)])
        assert all(each.kind is day_by_day(known, day) for day, each in cells.items())
        assert all(each.waits == (day in known.waiting) for day, each in cells.items())
        counted = Counter(each.kind for each in month.cells)
        assert all(month.count(kind) == counted[kind] for kind in Kind)
        assert days_of(month.missing) == {d for d, c in cells.items() if c.kind is Kind.MISSING}
    if found and len(found) < most:
        assert found[-1].first <= known.start, "nothing that counts is left out"
