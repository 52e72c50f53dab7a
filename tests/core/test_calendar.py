"""An authorisation holds through the end of its last day in Amsterdam (domain.md A2.6).

All instants were worked out by hand: Amsterdam is UTC+1 in winter and UTC+2 in summer; in 2026
the clock goes forward on 29 March and back on 25 October, both at 01:00 UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.calendar import (
    Moment,
    amsterdam_day,
    days_left,
    end_of_validity,
    has_expired,
    start_of_day,
)

SECOND = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("valid_until", "ends"),
    [
        pytest.param("2026-01-14T09:00", "2026-01-14T23:00", id="a winter day"),
        pytest.param("2026-07-14T09:00", "2026-07-14T22:00", id="a summer day"),
        pytest.param("2026-03-28T12:00", "2026-03-28T23:00", id="before the clock goes on"),
        pytest.param("2026-03-29T00:30", "2026-03-29T22:00", id="the day of 23 hours, early"),
        pytest.param("2026-03-29T21:59:59", "2026-03-29T22:00", id="the day of 23 hours, late"),
        pytest.param("2026-10-24T12:00", "2026-10-24T22:00", id="before the clock goes back"),
        pytest.param("2026-10-25T00:30", "2026-10-25T23:00", id="02:30, the first time"),
        pytest.param("2026-10-25T01:30", "2026-10-25T23:00", id="02:30, the second time"),
        pytest.param("2026-07-14T21:59:59", "2026-07-14T22:00", id="23:59:59 in Amsterdam"),
        pytest.param("2026-07-14T22:00", "2026-07-15T22:00", id="00:00:00, UTC is a day behind"),
        pytest.param("2026-12-31T23:00", "2027-01-01T23:00", id="New Year, not yet in UTC"),
        pytest.param("2028-02-28T12:00", "2028-02-28T23:00", id="28 February of a leap year"),
    ],
)
def test_an_authorisation_holds_to_the_last_second_of_its_last_day(
    valid_until: str, ends: str
) -> None:
    until, end = utc(valid_until), utc(ends)
    assert end_of_validity(until) == end
    assert (has_expired(until, end - SECOND), has_expired(until, end)) == (False, True)
    assert (days_left(until, end - SECOND), days_left(until, end)) == (0, -1)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-05-20T22:00", 9),  # 21 May, 00:00 in Amsterdam
        ("2026-05-21T21:59:59", 9),  # 21 May, 23:59:59
        ("2026-05-21T22:00", 8),
        ("2026-05-29T22:00", 0),
        ("2026-05-30T21:59:59", 0),
        ("2026-05-30T22:00", -1),
        ("2026-06-18T12:00", -19),
    ],
)
def test_the_days_left_are_whole_days_and_zero_on_the_last(now: str, expected: int) -> None:
    assert days_left(utc("2026-05-30T10:00"), utc(now)) == expected


def test_a_day_of_23_or_25_hours_is_one_day() -> None:
    assert days_left(utc("2026-03-29T21:30"), utc("2026-03-28T22:30")) == 1
    assert days_left(utc("2026-03-29T22:30"), utc("2026-03-28T22:30")) == 2
    assert days_left(utc("2026-10-25T22:30"), utc("2026-10-24T22:30")) == 0
    assert start_of_day(date(2026, 3, 29)) == utc("2026-03-28T23:00")
    assert start_of_day(date(2026, 3, 30)) == utc("2026-03-29T22:00")
    assert start_of_day(date(2026, 10, 25)) == utc("2026-10-24T22:00")
    assert start_of_day(date(2026, 10, 26)) == utc("2026-10-25T23:00")


def test_half_past_midnight_in_amsterdam_is_the_new_day() -> None:
    assert amsterdam_day(utc("2026-07-14T22:30")) == date(2026, 7, 15)
    assert amsterdam_day(utc("2026-01-14T22:30")) == date(2026, 1, 14)
    moment = Moment(now=utc("2026-07-14T22:30"), real=utc("2020-01-01T00:00"))
    assert moment.today == date(2026, 7, 15)


FIRST, LAST = date(2000, 1, 1), date(2060, 1, 1)
instants = st.builds(
    lambda day, second: datetime.combine(day, time.min, UTC) + second * SECOND,
    st.dates(FIRST, LAST),
    st.integers(0, 86_399),
)


@settings(max_examples=200, deadline=None)
@given(instants, instants)
def test_expired_no_days_left_and_past_the_end_are_one_and_the_same(
    valid_until: datetime, now: datetime
) -> None:
    past = now >= end_of_validity(valid_until)
    assert has_expired(valid_until, now) == past == (days_left(valid_until, now) < 0)
    end = end_of_validity(valid_until)
    assert end > valid_until and not has_expired(valid_until, end - timedelta.resolution)
    assert has_expired(valid_until, end)


@settings(max_examples=200, deadline=None)
@given(st.dates(FIRST, LAST))
def test_a_day_starts_where_the_one_before_it_ends(day: date) -> None:
    start = start_of_day(day)
    assert amsterdam_day(start) == day
    assert amsterdam_day(start - timedelta.resolution) == day - timedelta(days=1)


@pytest.mark.parametrize("which", [amsterdam_day, end_of_validity])
def test_a_time_without_a_zone_is_refused_and_not_read_in_the_machines_zone(
    which: Callable[[datetime], object],
) -> None:
    with pytest.raises((ValueError, TypeError)):
        which(utc("2026-07-14T23:30").replace(tzinfo=None))
