"""The half year ahead in weeks: nothing lost, nothing twice, today and the thirtieth day in place."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from banklink.core.calendar import EXPIRING_DAYS
from banklink.core.expiry_weeks import AHEAD, MOST_MARKS, expiry_weeks, monday

TODAY = date(2026, 11, 26)  # a Thursday
DAY = timedelta(days=1)


def test_a_week_holds_its_days_from_monday_to_sunday() -> None:
    made = expiry_weeks({TODAY: 1, date(2026, 11, 29): 2, date(2026, 11, 30): 4}, TODAY)
    assert [(each.first, each.count) for each in made.weeks[:3]] == [
        (date(2026, 11, 23), 3),
        (date(2026, 11, 30), 4),
        (date(2026, 12, 7), 0),
    ]


def test_today_and_the_last_day_that_counts_as_soon_stand_where_they_are() -> None:
    made = expiry_weeks({}, TODAY)
    assert made.today == 3 / 7
    assert made.soon == (3 + EXPIRING_DAYS + 1) / 7, "after the thirtieth day"
    soon = [each.first for each in made.weeks if each.soon]
    assert soon[-1] == monday(TODAY + EXPIRING_DAYS * DAY)


def test_what_ended_and_what_lies_beyond_is_left_out() -> None:
    days = {TODAY - DAY: 5, TODAY + AHEAD * DAY: 1, TODAY + (AHEAD + 1) * DAY: 7}
    assert sum(each.count for each in expiry_weeks(days, TODAY).weeks) == 1


@given(
    st.dictionaries(st.integers(-10, AHEAD + 10), st.integers(1, 100_000)),
    st.dates(date(2020, 1, 1), date(2040, 1, 1)),
)
def test_nothing_is_lost_and_no_column_grows_out_of_the_picture(
    ahead: dict[int, int], today: date
) -> None:
    made = expiry_weeks({today + each * DAY: count for each, count in ahead.items()}, today)
    assert sum(each.count for each in made.weeks) == sum(
        count for each, count in ahead.items() if 0 <= each <= AHEAD
    )
    for week in made.weeks:
        assert week.first.weekday() == 0
        assert bool(week.marks) == bool(week.count) and week.marks <= MOST_MARKS
        assert (week.marks - 1) * made.unit < max(week.count, 1) <= max(week.marks, 1) * made.unit
    assert 0 <= made.today < 1 and made.soon < len(made.weeks)
