"""The balance over time: it goes through what the bank stated, and never over a hole."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from banklink.core.balance_line import Stated, day_ends, picture

D = date
DAY = timedelta(days=1)
FIRST = D(2026, 3, 1)


def test_it_is_reckoned_both_ways_from_what_was_stated() -> None:
    (line,) = day_ends(
        [(D(2026, 3, 2), D(2026, 3, 4))],
        {D(2026, 3, 2): -300, D(2026, 3, 4): 50},
        [Stated(D(2026, 3, 3), 1000)],
    )
    assert line == [
        (D(2026, 3, 1), 1300),
        (D(2026, 3, 2), 1000),
        (D(2026, 3, 3), 1000),
        (D(2026, 3, 4), 1050),
    ]


def test_a_stated_balance_that_disagrees_is_a_step_and_a_mark() -> None:
    stated = [Stated(FIRST, 100), Stated(FIRST + 2 * DAY, 150, difference=40, since=FIRST + DAY)]
    lines = day_ends([(FIRST, FIRST + 3 * DAY)], {FIRST + DAY: 10}, stated)
    assert [amount for _day, amount in lines[0]] == [100, 100, 110, 150, 150]
    drawn = picture(lines, stated, first=FIRST, last=FIRST + 3 * DAY)
    assert drawn is not None
    assert [alarm for _x, _y, alarm in drawn.marks] == [False, True]


def test_where_nothing_was_stated_nothing_is_drawn() -> None:
    stretches = [(FIRST, FIRST + 4 * DAY), (FIRST + 9 * DAY, FIRST + 12 * DAY)]
    lines = day_ends(stretches, {FIRST: 5}, [Stated(FIRST + 10 * DAY, 7)])
    assert [line[0][0] for line in lines] == [FIRST + 8 * DAY]
    assert picture([], [], first=FIRST, last=FIRST) is None


moves = st.lists(st.integers(-9999, 9999), min_size=1, max_size=60)


@given(moves=moves, opening=st.integers(-(10**9), 10**9), data=st.data())
def test_a_true_statement_anywhere_gives_the_whole_truth(
    moves: list[int], opening: int, data: st.DataObject
) -> None:
    """Whatever day the bank says its balance of, the line is the account's own history."""
    truth = {FIRST - DAY: opening}
    for n, move in enumerate(moves):
        truth[FIRST + n * DAY] = truth[FIRST + (n - 1) * DAY] + move
    booked = {FIRST + n * DAY: move for n, move in enumerate(moves) if move}
    said = data.draw(st.sets(st.sampled_from(sorted(truth)), min_size=1, max_size=4))
    lines = day_ends(
        [(FIRST, FIRST + (len(moves) - 1) * DAY)], booked, [Stated(on, truth[on]) for on in said]
    )
    assert dict(lines[0]) == truth
    drawn = picture(lines, [], first=min(truth), last=max(truth))
    assert drawn is not None
    assert (drawn.lowest[1], drawn.highest[1]) == (min(truth.values()), max(truth.values()))
    for path in drawn.paths:
        assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in path)
