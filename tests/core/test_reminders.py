"""When somebody is reminded: at ten in the morning in Amsterdam, each threshold of an authorisation
once, and of what was missed only the most urgent (domain.md B3).

All instants were worked out by hand: in 2026 the clock goes forward on 29 March and back on 25
October.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.calendar import AMSTERDAM, Moment
from banklink.core.reminders import (
    THRESHOLDS,
    Due,
    Term,
    covered,
    days_to,
    due,
    last_morning,
    next_look,
    paused,
    schedule,
    term,
    true_until,
    writing_hours,
)

HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ending(last_day: str, *, days: int = 180) -> Term:
    last = date.fromisoformat(last_day)
    return Term(datetime.combine(last - timedelta(days=days), datetime.min.time(), UTC), last)


@pytest.mark.parametrize(
    ("last_day", "expected"),
    [
        pytest.param(
            "2026-07-14",
            "30 06-14T08 · 14 06-30T08 · 7 07-07T08 · 1 07-13T08 · 0 07-14T08 · -7 07-21T08"
            " · -30 08-13T08",
            id="summer",
        ),
        pytest.param(
            "2026-04-05",
            "30 03-06T09 · 14 03-22T09 · 7 03-29T08 · 1 04-04T08 · 0 04-05T08 · -7 04-12T08"
            " · -30 05-05T08",
            id="the clock goes forward on a day of a reminder",
        ),
        pytest.param(
            "2026-11-01",
            "30 10-02T08 · 14 10-18T08 · 7 10-25T09 · 1 10-31T09 · 0 11-01T09 · -7 11-08T09"
            " · -30 12-01T09",
            id="the clock goes back on a day of a reminder",
        ),
    ],
)
def test_thresholds_fall_due_at_ten_in_the_morning(last_day: str, expected: str) -> None:
    found = " · ".join(f"{threshold} {at:%m-%dT%H}" for threshold, at in schedule(ending(last_day)))
    assert found == expected
    for _, at in schedule(ending(last_day)):
        assert at.astimezone(AMSTERDAM).strftime("%H:%M") == "10:00"


@pytest.mark.parametrize(
    ("days", "thresholds"),
    [
        (180, (30, 14, 7, 1, 0, -7, -30)),
        (60, (30, 14, 7, 1, 0, -7, -30)),
        (59, (14, 7, 1, 0, -7, -30)),
        (31, (14, 7, 1, 0, -7, -30)),
        (10, (7, 1, 0, -7, -30)),
        (1, (1, 0, -7, -30)),
        (0, (0, -7, -30)),
    ],
)
def test_a_short_term_has_no_reminder_that_lies_before_it_or_makes_no_sense(
    days: int, thresholds: tuple[int, ...]
) -> None:
    assert tuple(each for each, _ in schedule(ending("2026-07-14", days=days))) == thresholds


def test_what_was_authorised_after_ten_has_no_reminder_of_that_morning() -> None:
    def first(began: datetime) -> int:
        return next(each for each, _ in schedule(Term(began, date(2026, 7, 14))))

    began = utc("2026-07-13T08:00")
    assert first(began) == 0
    assert first(began - HOUR) == 1


@pytest.mark.parametrize(
    ("now", "noted", "mail", "passed"),
    [
        pytest.param("2026-06-14T07:59:59", (), None, (), id="a second before ten"),
        pytest.param("2026-06-14T08:00", (), 30, (), id="at ten"),
        pytest.param("2026-06-14T08:01", (30,), None, (), id="once"),
        pytest.param("2026-06-29T12:00", (30,), None, (), id="nothing between two of them"),
        pytest.param("2026-07-08T12:00", (), 7, (30, 14), id="three missed: the most urgent"),
        pytest.param("2026-07-14T08:00", (30, 14), 0, (7, 1), id="on the last day no *tomorrow*"),
        pytest.param("2026-07-14T07:59", (30, 14, 7), 1, (), id="before ten nothing new is due"),
        pytest.param("2026-08-20T08:00", (30, 14, 7), -30, (1, 0, -7), id="long down"),
        pytest.param("2026-09-12T21:59", (), -30, (30, 14, 7, 1, 0, -7), id="60 days past"),
        pytest.param("2026-09-12T22:00", (), None, THRESHOLDS, id="61 days past: nobody asks"),
        pytest.param("2027-01-01T12:00", THRESHOLDS, None, (), id="all said"),
    ],
)
def test_what_is_due(
    now: str, noted: tuple[int, ...], mail: int | None, passed: tuple[int, ...]
) -> None:
    assert due(ending("2026-07-14"), utc(now), noted) == Due(mail, passed)


def test_the_next_look_is_the_next_threshold() -> None:
    of = ending("2026-07-14")
    assert next_look(of) == utc("2026-06-14T08:00")
    assert next_look(of, utc("2026-06-14T08:00")) == utc("2026-06-30T08:00")
    assert next_look(of, utc("2026-08-13T08:00")) is None
    assert next_look(None) is None


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-06-14T08:00", "2026-06-30T08:00"),
        ("2026-07-07T08:00", "2026-07-13T08:00"),
        ("2026-07-13T08:00", "2026-07-13T22:00"),  # *tomorrow*
        ("2026-07-14T08:00", "2026-07-14T22:00"),  # *today*
        ("2026-07-15T08:00", "2026-07-15T22:00"),  # *since today*
        ("2026-07-16T08:00", "2026-07-21T08:00"),
        ("2026-08-13T08:00", None),
    ],
)
def test_a_reminder_may_go_as_long_as_it_is_true_and_none_says_it_better(
    now: str, until: str | None
) -> None:
    assert true_until(ending("2026-07-14"), utc(now)) == (utc(until) if until else None)


def test_a_bank_that_ends_it_early_moves_the_last_day() -> None:
    began, until = utc("2026-01-15T09:00"), utc("2026-07-14T09:00")
    assert term(began, until) == Term(began, date(2026, 7, 14))
    early = term(began, until, ended="expired", ended_at=utc("2026-03-01T15:00"))
    assert early == Term(began, date(2026, 3, 1), early=True)
    assert early.without_from == date(2026, 3, 1)
    assert due(early, utc("2026-03-01T15:01"), ()) == Due(0, (14, 7, 1))
    late = term(began, until, ended="expired", ended_at=utc("2026-07-16T09:00"))
    assert late == Term(began, date(2026, 7, 14))
    assert late.without_from == date(2026, 7, 15)
    assert term(began, None) is None
    assert term(None, until) is None
    assert term(began, None, ended="expired", ended_at=utc("2026-03-01T15:00")) == early


@pytest.mark.parametrize(
    ("threshold", "last_mail", "now", "expected"),
    [
        pytest.param(14, None, "2026-07-14T08:00", False, id="never mailed"),
        pytest.param(14, "2026-07-13T08:00", "2026-07-14T08:00", True, id="yesterday"),
        pytest.param(14, "2026-07-11T08:05", "2026-07-14T08:00", True, id="three days ago"),
        pytest.param(14, "2026-07-10T21:59", "2026-07-14T08:00", False, id="four days ago"),
        pytest.param(1, "2026-07-13T08:00", "2026-07-14T08:00", False, id="the day before, always"),
        pytest.param(0, "2026-07-13T08:00", "2026-07-14T08:00", False, id="the last day, always"),
        pytest.param(-7, "2026-07-13T08:00", "2026-07-14T08:00", True, id="after the end"),
    ],
)
def test_what_a_mail_of_the_last_days_told_is_not_told_again_so_soon(
    threshold: int, last_mail: str | None, now: str, expected: bool
) -> None:
    assert covered(threshold, utc(last_mail) if last_mail else None, utc(now)) is expected


@pytest.mark.parametrize(
    ("threshold", "days", "expected"),
    [(30, 0, True), (14, 13, True), (14, 14, False), (7, 1, False), (1, 1, False), (0, 1, False),
     (-7, 9, True), (-30, 13, True), (-30, 14, False)],
)  # fmt: skip
def test_who_said_no_is_left_alone_until_the_last_week(
    threshold: int, days: int, expected: bool
) -> None:
    now = utc("2026-07-14T08:00")
    assert paused(threshold, now - timedelta(days=days), now) is expected
    assert not paused(threshold, None, now)


@pytest.mark.parametrize(
    ("now", "moved", "as_of"),
    [
        pytest.param("2026-07-14T08:00", 0, "2026-07-14T08:00", id="ten"),
        pytest.param("2026-07-14T17:59", 0, "2026-07-14T17:59", id="just before eight"),
        pytest.param("2026-07-14T18:00", 0, None, id="eight in the evening"),
        pytest.param("2026-07-15T07:59", 0, None, id="just before ten"),
        pytest.param("2026-12-15T08:30", 0, None, id="half past nine in winter"),
        pytest.param("2026-07-15T01:00", 9, "2026-07-14T08:00", id="a moved clock at night"),
        pytest.param("2026-07-14T20:00", 9, "2026-07-14T08:00", id="and late in the evening"),
        pytest.param("2026-07-14T12:00", 9, "2026-07-14T12:00", id="and by day"),
    ],
)
def test_nobody_is_written_to_at_night(now: str, moved: int, as_of: str | None) -> None:
    at = Moment(utc(now), utc(now) - timedelta(days=moved))
    found = writing_hours(at)
    assert (found.now if found else None) == (utc(as_of) if as_of else None)
    assert found is None or found.real == at.real


def test_the_last_morning_is_ten_o_clock_today_or_yesterday() -> None:
    assert last_morning(utc("2026-03-29T08:00")) == utc("2026-03-29T08:00")
    assert last_morning(utc("2026-03-29T07:59")) == utc("2026-03-28T09:00")
    assert last_morning(utc("2026-10-25T08:59")) == utc("2026-10-24T08:00")


# -- whatever happens ---------------------------------------------------------------------------

BEGIN = utc("2026-01-01T00:00")
HOURS = 420 * 24

spans = st.lists(
    st.tuples(st.integers(0, HOURS), st.integers(1, 24 * 12)), max_size=4
)  # down from hour, for so many hours
renewals = st.lists(
    st.tuples(st.integers(1, HOURS), st.integers(0, 200)), max_size=4
)  # at hour, for so many days


@settings(max_examples=120)
@given(first=st.integers(0, 200), renewed=renewals, down=spans, step=st.sampled_from([1, 3, 5]))
def test_each_threshold_once_never_after_a_renewal_and_after_a_pause_the_most_urgent(
    first: int, renewed: list[tuple[int, int]], down: list[tuple[int, int]], step: int
) -> None:
    """A year of looks every few hours, with pauses and renewals, as actions/remind.py does it."""

    def begun(hour: int, days: int) -> Term:
        at = BEGIN + hour * HOUR
        return Term(at, (at + timedelta(days=days)).date())

    coming = sorted(renewed)
    current, noted = begun(0, first), set[int]()
    look = next_look(current)
    mails: list[tuple[Term, int, datetime]] = []
    dealt_with: Counter[tuple[Term, int]] = Counter()
    for hour in range(0, HOURS, step):
        now = BEGIN + hour * HOUR
        while coming and coming[0][0] <= hour:
            current, noted = begun(*coming.pop(0)), set()
            look = next_look(current)
        if any(since <= hour < since + long for since, long in down):
            continue
        if look is None or look > now or writing_hours(Moment(now, now)) is None:
            continue
        found = due(current, now, noted)
        for each in found.passed:
            dealt_with[current, each] += 1
        if found.mail is not None:
            dealt_with[current, found.mail] += 1
            mails.append((current, found.mail, now))
            crossed = [each for each, at in schedule(current) if at <= now]
            assert found.mail == crossed[-1], "the most urgent of what was missed"
            left = days_to(current, now)
            assert left <= found.mail
            assert (found.mail > 0) == (left > 0), "no warning of what has happened already"
            assert found.mail != 1 or left == 1, "tomorrow is tomorrow"
        noted |= {*found.passed, *({found.mail} if found.mail is not None else ())}
        assert {each for each, at in schedule(current) if at <= now} == noted
        look = next_look(current, now)
    assert set(dealt_with.values()) <= {1}
    assert all(10 <= at.astimezone(AMSTERDAM).hour < 20 for _, _, at in mails)
    if not down and step == 1:
        assert all(at.astimezone(AMSTERDAM).strftime("%H:%M") == "10:00" for _, _, at in mails)
        for of, threshold, at in mails:
            assert (threshold, at) in schedule(of)
