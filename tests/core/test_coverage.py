"""No day is lost: what is asked for, and what is said of days that could not be had.

Examples worked out by hand from domain.md C, A2.6, M2 and peers.md 1.2, 6.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.coverage import (
    default_start,
    earliest_start,
    fetch_window,
    joined,
    missing,
    safe_start,
    start_problem,
    without,
)


def day(text: str) -> date:
    """`05-03` is 3 May 2026."""
    return date.fromisoformat(f"2026-{text}")


def stretch(text: str) -> tuple[date, date]:
    """`05-03/05-12`."""
    first, last = text.split("/")
    return day(first), day(last)


@pytest.mark.parametrize(
    ("start", "watermark", "history", "today", "since", "gap"),
    [
        pytest.param("05-01", None, None, "05-21", "05-01", None, id="first fetch"),
        pytest.param("05-21", None, None, "05-21", "05-21", None, id="first fetch, from today"),
        pytest.param("01-01", "05-20", None, "05-21", "05-13", None, id="yesterday and 7 days"),
        pytest.param("05-18", "05-20", None, "05-21", "05-18", None, id="never before the start"),
        pytest.param("05-21", "05-10", None, "05-30", "05-21", None, id="start moved later"),
        pytest.param("01-01", "05-21", None, "05-21", "05-14", None, id="again on the same day"),
        pytest.param("01-01", "05-02", None, "06-11", "04-25", None, id="dead 40 days, all asked"),
        pytest.param("01-01", "05-02", "03-13", "06-11", "04-25", None, id="90 days are enough"),
        pytest.param(
            "01-01", "05-02", "05-13", "05-21", "05-13", ("05-03", "05-12"), id="A2.6's example"
        ),
        pytest.param("01-01", "05-02", "05-03", "05-21", "05-03", None, id="next day, no gap"),
        pytest.param(
            "01-01", "05-02", "05-04", "05-21", "05-04", ("05-03", "05-03"), id="one day missing"
        ),
        pytest.param("01-01", "05-02", "04-28", "05-21", "04-28", None, id="only overlap missing"),
        pytest.param(
            "01-01", None, "02-20", "05-21", "02-20", ("01-01", "02-19"), id="first, too far back"
        ),
        pytest.param("02-20", None, "02-20", "05-21", "02-20", None, id="first, just far enough"),
        pytest.param(
            "05-10", "05-02", "05-13", "05-21", "05-13", ("05-10", "05-12"), id="gap from the start"
        ),
    ],
)
def test_a_fetch_asks_from_the_last_completed_one_less_seven_days(
    start: str,
    watermark: str | None,
    history: str | None,
    today: str,
    since: str,
    gap: tuple[str, str] | None,
) -> None:
    found = fetch_window(
        start=day(start),
        watermark=day(watermark) if watermark else None,
        covered=[(day(start), day(watermark))] if watermark else [],
        history_from=day(history) if history else None,
        until=day(today),
    )
    assert found is not None
    assert (found.since, found.until) == (day(since), day(today))
    assert list(found.unserved) == ([(day(gap[0]), day(gap[1]))] if gap else [])


@pytest.mark.parametrize(
    ("watermark", "available", "since", "gap"),
    [
        pytest.param(None, "2026-01-01", "2026-01-01", None, id="first fetch has what was kept"),
        pytest.param(None, "2025-11-03", "2026-01-01", None, id="but nothing before the start"),
        pytest.param(
            None, "2026-01-11", "2026-01-11", ("2026-01-01", "2026-01-10"), id="kept too little"
        ),
        pytest.param(
            "2026-01-31", "2025-11-03", "2026-02-20", ("2026-02-01", "2026-02-19"), id="later: bank"
        ),
    ],
)
def test_only_a_first_fetch_counts_on_what_the_provider_kept(
    watermark: str | None, available: str, since: str, gap: tuple[str, str] | None
) -> None:
    found = fetch_window(
        start=day("01-01"),
        watermark=date.fromisoformat(watermark) if watermark else None,
        covered=[(day("01-01"), date.fromisoformat(watermark))] if watermark else [],
        asked_from=day("01-01") if watermark else None,
        history_from=day("02-20"),
        until=day("05-21"),
        available_from=date.fromisoformat(available),
    )
    assert found is not None
    expected = [(date.fromisoformat(gap[0]), date.fromisoformat(gap[1]))] if gap else []
    assert (found.since, list(found.unserved)) == (date.fromisoformat(since), expected)


def test_missing_days_are_asked_for_again_as_soon_as_the_bank_gives_them() -> None:
    holes = [stretch("01-01/01-31"), stretch("03-01/05-02"), stretch("05-13/05-21")]

    def asked(history: str | None) -> tuple[date, list[tuple[date, date]]]:
        found = fetch_window(
            start=day("01-01"),
            watermark=day("05-21"),
            covered=holes,
            asked_from=day("01-01"),
            history_from=day(history) if history else None,
            until=day("05-22"),
        )
        assert found is not None
        return found.since, list(found.unserved)

    both = [stretch("02-01/02-28"), stretch("05-03/05-12")]
    assert asked("05-14") == (day("05-14"), both)
    assert asked("05-08") == (day("05-08"), [both[0], stretch("05-03/05-07")])
    assert asked("04-01") == (day("05-03"), [both[0]])
    assert asked("02-10") == (day("02-10"), [stretch("02-01/02-09")])
    assert asked(None) == (day("02-01"), [])


def test_an_earlier_start_asks_for_what_was_never_asked_and_not_for_what_was_lost() -> None:
    """The provider kept March, when it was connected already; April it never had."""
    found = fetch_window(
        start=day("03-01"),
        watermark=day("05-21"),
        covered=[stretch("03-20/04-02"), stretch("04-30/05-21")],
        asked_from=day("03-20"),
        history_from=day("04-30"),
        available_from=day("02-01"),
        until=day("05-21"),
    )
    assert found is not None
    assert found.since == day("03-01")
    assert found.unserved == (stretch("04-03/04-29"),)
    assert found.served == [stretch("03-01/04-02"), stretch("04-30/05-21")]


def test_a_locked_period_is_neither_asked_for_nor_missing() -> None:
    found = fetch_window(
        start=day("01-01"), watermark=day("04-03"), locked_through=day("03-31"), until=day("04-10"),
        covered=[stretch("02-01/04-03")],
    )  # fmt: skip
    assert found is not None
    assert (found.wanted, found.since, found.unserved) == (day("04-01"), day("04-01"), ())
    more = {"covered": [stretch("02-01/02-28")], "start": day("01-01"), "watermark": day("04-03")}
    assert missing(**more) == [stretch("01-01/01-31"), stretch("03-01/04-03")]
    assert missing(**more, locked_through=day("03-31")) == [stretch("04-01/04-03")]
    assert missing(**more, locked_through=day("04-30")) == []
    assert fetch_window(start=day("05-01"), watermark=None, until=day("04-30")) is None


def test_what_a_file_told_before_the_first_fetch_is_not_asked_for_again_but_the_last_week() -> None:
    found = fetch_window(
        start=day("01-01"), watermark=None, until=day("05-21"), covered=[stretch("01-01/05-21")]
    )
    assert found is not None
    assert (found.wanted, found.since, found.until) == (day("05-14"), day("05-14"), day("05-21"))


spans = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9)).map(
        lambda each: (TODAY - timedelta(each[0]), TODAY - timedelta(each[0]) + timedelta(each[1]))
    ),
    max_size=8,
)
TODAY = day("05-21")


@settings(max_examples=200, deadline=None)
@given(spans, spans)
def test_stretches_hold_the_same_days_and_do_not_touch(
    one: list[tuple[date, date]], other: list[tuple[date, date]]
) -> None:
    def all_days(of: list[tuple[date, date]]) -> set[date]:
        return {each for span in of for each in days(*span)}

    both, rest = joined([*one, *other]), without(one, other)
    assert all_days(both) == all_days(one) | all_days(other)
    assert all_days(rest) == all_days(one) - all_days(other)
    for found in (both, rest):
        assert all(a[1] + timedelta(1) < b[0] for a, b in itertools.pairwise(found))


@dataclass(frozen=True)
class Try:
    """One fetch: days since the one before, how far the provider is behind the bank, how many
    days the bank gives, how many more the provider kept, and whether it completes."""

    pause: int
    behind: int
    history: int | None
    kept: int | None
    completes: bool


tries = st.builds(
    Try,
    pause=st.integers(0, 45),
    behind=st.sampled_from((0, 0, 0, 1, 5)),
    history=st.none() | st.integers(5, 90),
    kept=st.none() | st.integers(0, 60),
    completes=st.booleans(),
)


def days(since: date, until: date) -> set[date]:
    return {since + timedelta(n) for n in range((until - since).days + 1)}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 120), st.lists(tries, max_size=12))
def test_whatever_happens_every_day_was_asked_for_or_is_reported_as_a_gap(
    back: int, history: list[Try]
) -> None:
    today = day("05-21")
    start = today - timedelta(back)
    watermark: date | None = None
    asked_from: date | None = None
    covered: list[tuple[date, date]] = []
    asked: set[date] = set()
    for each in [*history, Try(0, 0, None, None, True)]:
        today += timedelta(each.pause)
        oldest = today - timedelta(each.history) if each.history is not None else None
        found = fetch_window(
            start=start,
            watermark=watermark,
            covered=covered,
            asked_from=asked_from,
            history_from=oldest,
            until=max(today - timedelta(each.behind), start),
            available_from=oldest - timedelta(each.kept)
            if oldest is not None and each.kept is not None
            else None,
        )
        assert found is not None
        assert start <= found.wanted <= found.since <= found.until <= today
        if not each.completes:
            continue
        before = missing(covered, start=start, watermark=watermark)
        asked |= days(found.since, found.until)
        covered = joined([*covered, *found.served])
        watermark = max(watermark or found.until, found.until)
        asked_from = min(asked_from or found.since, found.since)
        after = missing(covered, start=start, watermark=watermark)
        assert without(after, before) == without(found.unserved, before), "only what it said"
    holes = {
        each for span in missing(covered, start=start, watermark=watermark) for each in days(*span)
    }
    told = {each for span in covered for each in days(*span)}
    assert told | holes >= days(start, today) and not told & holes
    assert told <= asked, "nothing is covered that was not asked for"


def problem(start: str, available: str | None = None, locked: str | None = None) -> str | None:
    return start_problem(
        day(start),
        today=day("05-21"),
        available_from=day(available) if available else None,
        locked_through=day(locked) if locked else None,
    )


def test_a_start_date_lies_not_in_the_future_nor_in_the_locked_period_nor_before_the_bank() -> None:
    assert problem("05-21") is None
    assert problem("05-22") == "future"
    assert problem("04-01", locked="03-31") is None
    assert problem("03-31", locked="03-31") == "locked"
    assert problem("02-20", available="02-20") is None
    assert problem("02-19", available="02-20") == "too_early"
    assert problem("02-19", available="02-20", locked="03-31") == "locked"
    assert problem("03-31", available="04-15", locked="03-31") == "locked"
    assert problem("04-10", available="04-15", locked="03-31") == "too_early"


def proposed(
    processed: str | None = None,
    fiscal: str | None = None,
    available: str | None = None,
    locked: str | None = None,
) -> date:
    return default_start(
        today=day("05-21"),
        processed_through=day(processed) if processed else None,
        fiscal_year_start=day(fiscal) if fiscal else None,
        available_from=day(available) if available else None,
        locked_through=day(locked) if locked else None,
    )


def test_the_form_proposes_the_day_after_what_the_journal_holds() -> None:
    assert proposed(processed="03-31") == day("04-01")
    assert proposed(processed="03-31", fiscal="01-01") == day("04-01")
    assert proposed(processed="05-21") == day("05-21"), "not tomorrow"
    assert proposed(processed="03-31", available="04-15") == day("04-15")
    assert proposed(processed="01-31", locked="03-31") == day("04-01")


def test_the_form_proposes_the_start_of_the_year_when_the_journal_is_empty() -> None:
    assert proposed() == day("01-01")
    assert proposed(fiscal="04-01") == day("04-01")
    assert proposed(fiscal="07-01") == day("05-21"), "a year yet to come"
    assert proposed(fiscal="01-01", available="02-20") == day("02-20")
    assert proposed(available="02-20", locked="03-31") == day("04-01")


some_day = st.none() | st.dates(date(2025, 1, 1), date(2026, 12, 31))


@settings(max_examples=200, deadline=None)
@given(some_day, some_day, some_day, some_day)
def test_what_the_form_proposes_is_possible_whenever_anything_is(
    processed: date | None, fiscal: date | None, available: date | None, locked: date | None
) -> None:
    today = day("05-21")
    start = default_start(
        today=today,
        processed_through=processed,
        fiscal_year_start=fiscal,
        available_from=available,
        locked_through=locked,
    )
    bounds = {"available_from": available, "locked_through": locked}
    anything = start_problem(today, today=today, **bounds) is None
    assert (start_problem(start, today=today, **bounds) is None) == anything
    first = earliest_start(**bounds)
    if first is not None and first <= today:
        assert start_problem(first, today=today, **bounds) is None
        assert start_problem(first - timedelta(1), today=today, **bounds) is not None


# -- days the books hold already -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "processed", "fetched", "on", "take"),
    [
        ("11-01", None, None, False, None),
        ("11-01", "10-31", None, False, None),
        ("10-31", "10-31", None, False, "11-01"),
        ("09-01", "10-31", None, False, "11-01"),
        # Switched off before: what we brought ourselves does not come twice.
        ("10-05", "10-31", ("10-01", "10-31"), False, None),
        ("10-21", "10-31", ("10-01", "10-20"), False, "11-01"),
        ("09-01", "10-31", ("10-01", "10-31"), False, "11-01"),
        # On: only an earlier start than now brings anything.
        ("10-01", "10-31", ("10-01", "11-20"), True, None),
        ("10-15", "10-31", ("10-01", "10-01"), True, None),
        ("09-30", "10-31", ("10-01", "11-20"), True, "10-01"),
        ("09-30", "10-31", ("11-10", "11-20"), True, "11-01"),
    ],
)
def test_a_start_among_processed_days_offers_the_day_that_brings_nothing_twice(
    start: str, processed: str | None, fetched: tuple[str, str] | None, on: bool, take: str | None
) -> None:
    found = safe_start(
        day(start),
        processed_through=day(processed) if processed else None,
        fetched=(day(fetched[0]), day(fetched[1])) if fetched else None,
        on=on,
    )
    assert found == (day(take) if take else None)
