"""The strip in the drawer: every day is drawn where it is, and nothing outside."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from banklink.core.timeline import SCALE, joined, timeline

D = date


def test_a_lapse_and_a_renewal_as_a_person_would_draw_them() -> None:
    made = timeline(
        start=D(2026, 1, 1),
        today=D(2026, 3, 31),
        authorised=[(D(2026, 2, 20), D(2026, 4, 10)), (D(2025, 8, 1), D(2026, 1, 31))],
        fetched_through=D(2026, 3, 31),
        gap=(D(2026, 2, 1), D(2026, 2, 9)),
        expires=D(2026, 4, 10),
    )
    assert (made.first, made.last) == (D(2026, 1, 1), D(2026, 4, 10))  # a hundred days
    assert [(each.kind, each.x, each.width) for each in made.spans] == [
        ("authorised", 0, 310),
        ("authorised", 500, 500),
        ("fetched", 0, 310),
        ("fetched", 400, 500),
        ("gap", 310, 90),
    ]
    assert (made.today, made.expiry) == (890, 1000)


def test_periods_that_touch_are_one() -> None:
    assert joined([(D(2026, 1, 5), D(2026, 1, 9)), (D(2026, 1, 1), D(2026, 1, 4))]) == [
        (D(2026, 1, 1), D(2026, 1, 9))
    ]


def test_after_the_expiry_the_strip_goes_on_to_today() -> None:
    made = timeline(
        start=D(2026, 1, 1), today=D(2026, 1, 10), authorised=[], fetched_through=None, gap=None,
        expires=D(2026, 1, 5),
    )  # fmt: skip
    assert (made.last, made.today, made.expiry) == (D(2026, 1, 10), 900, 500)


days = st.integers(-400, 400).map(lambda n: D(2026, 6, 1) + timedelta(days=n))
periods = st.tuples(days, days)


@given(
    start=days, today=days, authorised=st.lists(periods, max_size=6),
    fetched=st.none() | days, gap=st.none() | periods, expires=st.none() | days,
)  # fmt: skip
def test_nothing_is_drawn_outside(start, today, authorised, fetched, gap, expires) -> None:  # type: ignore[no-untyped-def]
    if gap is not None:
        gap = (min(gap), max(gap))
    made = timeline(
        start=start, today=today, authorised=authorised, fetched_through=fetched, gap=gap,
        expires=expires,
    )  # fmt: skip
    for each in made.spans:
        assert each.x >= 0 and each.width >= 1 and each.x + each.width <= SCALE + 1
        assert made.first <= each.days[0] <= each.days[1] <= made.last
    assert 0 <= made.today <= SCALE
    assert made.expiry is None or 0 <= made.expiry <= SCALE
    shown = [each.days for each in made.spans if each.kind == "authorised"]
    assert all(a[1] < b[0] for a, b in pairwise(shown))
