"""Do the bookings come to what the bank says? A booking that is missing or stands twice is always
named within its days; nothing else ever raises an alarm (security.md 4.1, domain.md C)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banklink.core.balances import Came, Judged, Stated, Waiting, judge, place

FIRST = date(2026, 5, 1)
ALL = [(FIRST - timedelta(days=1), FIRST + timedelta(days=400))]


def may(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def final(on: int, amount: int, run: int = 1) -> Stated:
    return Stated(may(on), amount, True, run)


def so_far(on: int, amount: int, run: int = 1) -> Stated:
    return Stated(may(on), amount, False, run)


# -- examples worked out by hand -----------------------------------------------------------------


def test_opening_and_bookings_make_the_closing_balance() -> None:
    days = {may(2): 100, may(4): -30}
    stated = [final(1, 1000), final(3, 1100), final(4, 1070)]
    assert judge(stated, days=days, covered=ALL) == [
        Judged(None, None),
        Judged(may(2), 0),
        Judged(may(4), 0),
    ]


def test_a_fault_is_told_once_with_its_days_and_its_amount() -> None:
    """Of the bookings of 4 and 5 May one of 12.50 is missing; from then on it adds up again."""
    days = {may(2): 100, may(5): 300, may(7): 40}
    stated = [final(1, 1000), final(3, 1100), final(5, 2650), final(7, 2690)]
    told = judge(stated, days=days, covered=ALL)
    assert told[1:] == [Judged(may(2), 0), Judged(may(4), 1250), Judged(may(6), 0)]


def test_two_balances_of_one_moment_that_differ_are_told() -> None:
    told = judge([final(1, 0), final(3, 5), final(3, 7)], days={may(2): 5}, covered=ALL)
    assert told[1:] == [Judged(may(2), 0), Judged(may(3), 2)]


def test_ten_years_of_daily_balances_are_judged_within_a_moment() -> None:
    """It is done while everybody else waits for the database."""
    stated = [final(day, 100 * day, run=day) for day in range(1, 3_650)]
    days = {each.end: 100 for each in stated}
    came = [Came(each.end, each.run, 100) for each in stated]
    began = time.process_time()
    told = judge(stated, days=days, covered=[(may(0), may(4_000))], came=came)
    assert time.process_time() - began < 1
    assert {each.difference for each in told[1:]} == {0}


@pytest.mark.parametrize(
    ("covered", "judged"),
    [
        ([(may(1), may(9))], [True, True]),
        ([(may(2), may(9))], [True, True]),
        ([(may(3), may(9))], [False, True]),
        ([(may(1), may(3)), (may(5), may(9))], [True, False]),
        ([(may(1), may(5))], [True, False]),
        ([], [False, False]),
    ],
)
def test_days_that_are_missing_are_not_judged(
    covered: Sequence[tuple[date, date]], judged: list[bool]
) -> None:
    told = judge([final(1, 0), final(3, 9), final(6, 9)], days={}, covered=covered)
    assert [each.difference is not None for each in told[1:]] == judged


def test_a_balance_alone_says_nothing() -> None:
    assert judge([], days={}, covered=ALL) == []
    assert judge([final(3, 5)], days={may(3): 9}, covered=ALL) == [Judged(None, None)]


def test_a_day_that_was_not_over_knows_what_was_there_when_it_was_said() -> None:
    """At noon on the 3rd 1100; the afternoon's 50 is in the next one."""
    came = [Came(may(3), 1, 100), Came(may(3), 2, 50), Came(may(4), 2, 7)]
    days = {may(3): 150, may(4): 7}
    stated = sorted([final(4, 1157, run=2), so_far(3, 1100, run=1), final(2, 1000)], key=place)
    assert judge(stated, days=days, covered=ALL, came=came)[1:] == [
        Judged(may(3), 0),
        Judged(may(3), 0),
    ]


def test_a_booking_put_on_a_day_that_was_stated_before_is_no_fault() -> None:
    """25 booked on the 3rd, when the balance of the 3rd and of the 4th had been said."""
    days = {may(3): 125, may(4): 10, may(5): 0}
    came = [Came(may(3), 1, 100), Came(may(4), 2, 10), Came(may(3), 3, 25)]
    stated = [final(2, 1000), final(3, 1100, 1), final(4, 1110, 2), final(5, 1135, 3)]
    told = judge(stated, days=days, covered=ALL, came=came)
    assert [each.difference for each in told] == [None, 0, 0, 0]
    assert [each.difference for each in judge(stated[:3], days=days, covered=ALL, came=came)] == [
        None, 0, 0,
    ]  # fmt: skip


def test_one_that_came_twice_is_no_late_booking_once_the_bank_has_spoken_again() -> None:
    days = {may(3): 125}
    came = [Came(may(3), 1, 100), Came(may(3), 3, 25)]
    stated = [final(2, 1000), final(3, 1100, 1), final(4, 1100, 2), final(5, 1100, 3)]
    told = judge(stated, days=days, covered=ALL, came=came)
    assert told[1:] == [Judged(may(3), -25), Judged(may(4), 0), Judged(may(5), 0)]


def test_what_fills_a_hole_was_known_to_the_bank_all_along() -> None:
    days = {may(3): 100}
    stated = [final(2, 0, 1), final(4, 100, 1), final(5, 100, 2)]
    gap = [(may(1), may(2)), (may(5), may(9))]
    assert [each.difference for each in judge(stated, days={}, covered=gap)] == [None, None, 0]
    filled = judge(stated, days=days, covered=ALL, came=[Came(may(3), 3, 100)])
    assert [each.difference for each in filled] == [None, 0, 0]


def test_bookings_that_wait_for_a_decision_silence_what_they_may_change() -> None:
    stated = [final(2, 0, 1), final(4, 100, 1), final(6, 100, 2), final(8, 100, 3)]
    for day, judged in ((3, [False, True, True]), (5, [True, False, True]), (9, [True] * 3)):
        told = judge(stated, days={may(3): 100}, covered=ALL, waiting=[Waiting(may(day), 1)])
        assert [each.difference is not None for each in told[1:]] == judged
    # Found late: it may be in what was said since, wherever it stands.
    told = judge(stated, days={may(3): 100}, covered=ALL, waiting=[Waiting(may(3), 3)])
    assert [each.difference is not None for each in told[1:]] == [False, False, False]


# -- any bank -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    day: int
    known: float  # when the bank and whoever asks it knows of it, in days
    amount: int


@dataclass(frozen=True)
class World:
    """What a bank booked, when it was asked, and what it then said it holds."""

    rows: list[Row]
    asked: list[float]
    stated: list[Stated]
    brought: list[tuple[Row, int]]  # with the run that brought it
    mixed: bool

    def run_of(self, row: Row) -> int:
        return next(run for each, run in self.brought if each is row)

    @property
    def in_time(self) -> bool:
        """Whether every balance was said with all that its day and the days before ever got."""
        return all(
            each.run >= self.run_of(row)
            for row in self.rows
            for each in self.stated
            if each.end >= may(row.day)
        )

    def known_at_once(self, row: Row) -> bool:
        """Whether every balance of its day and later ones was said with it."""
        run = self.run_of(row)
        return all(
            each.run >= run for each in self.stated if each.end > may(row.day)
            or (each.end == may(row.day) and each.final)
        )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Bookings through four weeks, some of them put on a day that was over; asked now and then."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    rows = []
    for number in range(draw(st.integers(1, 25))):
        day = dice.randrange(2, 28)
        late = dice.choice([0, 0, 0, 0, 0, 1, 2, 5])
        at = day + dice.random() + late
        rows.append(Row(day, at, dice.choice([-1, 1]) * 3**number))
    asked = sorted({1.9, *(1 + dice.random() * 28 for _ in range(dice.randrange(1, 30))), 40.0})
    of_yesterday, often = dice.random() < 0.5, dice.choice([0.5, 1.0])
    said = {(may(1), True): final(1, 7_777, 0)}
    brought: list[tuple[Row, int]] = []

    def say(on: int, over: bool, moment: float, run: int) -> None:
        held = 7_777 + sum(r.amount for r in rows if r.known <= moment and r.day <= on)
        said[may(on), over] = Stated(may(on), held, over, run)

    for run, moment in enumerate(asked, 1):
        new = [row for row in rows if row.known <= moment and row not in [r for r, _ in brought]]
        brought += [(row, run) for row in new]
        on = int(moment) - of_yesterday
        if on > 1 and (moment == 40.0 or dice.random() < often):
            say(on, of_yesterday, moment, run)
    mixed = dice.random() < 0.3
    if mixed:  # a file of the whole month, with a balance for some of its days
        for on in dice.sample(range(2, 40), 5):
            say(on, True, 50.0, len(asked) + 1)
    return World(rows, asked, sorted(said.values(), key=place), brought, mixed)


def sums(came: Sequence[Came]) -> Counter[date]:
    days: Counter[date] = Counter()
    for each in came:
        days[each.day] += each.amount
    return days


def told(world: World, brought: Sequence[tuple[Row, int]]) -> list[Judged]:
    came = [Came(may(row.day), run, row.amount) for row, run in brought]
    return judge(world.stated, days=sums(came), covered=ALL, came=came)


thorough = settings(max_examples=300, deadline=None)


@thorough
@given(worlds())
def test_whatever_the_bank_books_late_nothing_is_alleged(world: World) -> None:
    assert {each.difference for each in told(world, world.brought)[1:]} <= {0}


def named(world: World, verdicts: Sequence[Judged], row: Row, amount: int) -> bool:
    """Whether an alarm names its day, and, where nobody mixed a bank's balances with those of a
    file that knew better, that one alone and the exact amount."""
    alarms = [n for n, each in enumerate(verdicts) if each.difference]
    within = [
        n
        for n in alarms
        if (since := verdicts[n].since) and since <= may(row.day) <= world.stated[n].end
    ]
    alone = len(alarms) == 1 and verdicts[alarms[0]].difference == amount
    return bool(within) and (alone or world.mixed)


@thorough
@given(worlds(), st.randoms(use_true_random=False))
def test_a_booking_that_got_lost_is_named_within_its_days(
    world: World, dice: random.Random
) -> None:
    lost = dice.choice(world.brought)
    if world.known_at_once(lost[0]):
        verdicts = told(world, [each for each in world.brought if each is not lost])
        assert named(world, verdicts, lost[0], lost[0].amount)


@thorough
@given(worlds(), st.randoms(use_true_random=False))
def test_a_booking_that_came_twice_is_named_within_its_days(
    world: World, dice: random.Random
) -> None:
    row, run = dice.choice(world.brought)
    if world.known_at_once(row):
        again = row, dice.randrange(run, len(world.asked) + 1)
        assert named(world, told(world, [*world.brought, again]), row, -row.amount)


@thorough
@given(worlds(), st.integers(2, 28), st.integers(0, 9))
def test_days_that_are_not_covered_raise_no_alarm_and_filled_they_are_judged(
    world: World, first: int, length: int
) -> None:
    if not world.in_time:
        return  # into a hole that is filled later: nobody can tell
    last = first + length
    hole = [(ALL[0][0], may(first - 1)), (may(last + 1), ALL[0][1])]
    kept = [each for each in world.brought if not first <= each[0].day <= last]
    came = [Came(may(row.day), run, row.amount) for row, run in kept]
    verdicts = judge(world.stated, days=sums(came), covered=hole, came=came)
    assert {each.difference for each in verdicts[1:]} <= {0, None}
    came += [
        Came(may(row.day), len(world.asked) + 1, row.amount, filled=True)
        for row, _run in world.brought
        if first <= row.day <= last
    ]
    verdicts = judge(world.stated, days=sums(came), covered=ALL, came=came)
    assert {each.difference for each in verdicts[1:]} <= {0}
