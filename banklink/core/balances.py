"""Do the bookings come to what the bank says the account holds?

From one stated balance to the next, what was booked between them must be the difference; what is
left over is an alarm for the days between the two, and the next stretch begins at what was stated,
so that one fault is told once and where it is. Nothing is ever corrected.

Two things look like faults and are none. A balance of a day that was not over yet (not `final`)
knows the bookings of that day that were there when it was said. And a bank may put a booking on a
day whose balance it had stated before: then it is in the balances said from then on and not in the
former ones. A booking that came after a balance was said is taken for such a late one where that
explains more than it leaves open; as long as no balance was said since, nothing is told of it.

Over days that are not covered, and while bookings of them wait for a decision, nothing is judged.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, pairwise

_DAY = timedelta(days=1)
_MOST_WEIGHED = 200
"""So many suspected late bookings are weighed one by one."""


@dataclass(frozen=True, slots=True)
class Stated:
    """`end`: it held at the end of this day. `run`: what was stored with this number or a lower one
    was known when it was said. Amounts in minor units throughout."""

    end: date
    amount: int
    final: bool
    run: int


@dataclass(frozen=True, slots=True)
class Came:
    """A booking and the run that brought it. `filled`: into a hole or from a file, so that the
    bank knew of it long before."""

    day: date
    run: int
    amount: int
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """Bookings of one day that one run brought and nobody has decided on."""

    day: date
    run: int


@dataclass(frozen=True, slots=True)
class Judged:
    """`difference`: stated less reckoned, over the days from `since`; None: not to be judged."""

    since: date | None
    difference: int | None


_Moves = tuple[tuple[int, int], ...]
"""What a booking changes if it was late: stretch -> how often its amount is to be added there."""


def place(stated: Stated) -> tuple[date, bool, int]:
    """They follow each other by day; of one day first what was said before it was over."""
    return stated.end, stated.final, stated.run


def judge(
    stated: Sequence[Stated],
    *,
    days: Mapping[date, int],
    covered: Sequence[tuple[date, date]],
    came: Iterable[Came] = (),
    waiting: Iterable[Waiting] = (),
) -> list[Judged]:
    """One verdict for each of `stated`, ordered by `place`; the first is where reckoning begins.

    `days`: sums of what is booked per day, after the first. `covered`: stretches of days of which
    everything is known. `came`: who brought it, at least of what came after the first balance was
    said.
    """
    if not stated:
        return []
    came, waiting = list(came), list(waiting)
    after = [_not_yet_there(each, came) for each in stated]
    order = sorted(days)
    through = [0, *accumulate(days[day] for day in order)]
    until = [through[bisect_right(order, each.end)] for each in stated]
    left: list[int | None] = [None]
    for number in range(1, len(stated)):
        a, b = stated[number - 1], stated[number]
        if not _is_covered(a, b, covered) or _undecided(a, b, waiting):
            left.append(None)
            continue
        booked = until[number] - until[number - 1] + after[number - 1] - after[number]
        left.append(b.amount - a.amount - booked)
    left = _let_late_ones_pass(left, _suspects(stated, came))
    return [Judged(None, None)] + [
        Judged(None, None)
        if difference is None
        else Judged(_first_day(stated[number - 1], stated[number]), difference)
        for number, difference in enumerate(left)
        if number
    ]


def _first_day(a: Stated, b: Stated) -> date:
    """Of the stretch from one to the other; a day that was not over belongs to both."""
    return min(a.end + _DAY if a.final else a.end, b.end)


def _not_yet_there(balance: Stated, came: Iterable[Came]) -> int:
    """What was booked on its own day after it was said."""
    if balance.final:
        return 0
    return sum(
        each.amount for each in came if each.day == balance.end and not _counts(balance, each)
    )


def _is_covered(a: Stated, b: Stated, covered: Sequence[tuple[date, date]]) -> bool:
    if a.final and a.end == b.end:
        return True
    begin = _first_day(a, b)
    return any(first <= begin and b.end <= last for first, last in covered)


def _undecided(a: Stated, b: Stated, waiting: Iterable[Waiting]) -> bool:
    return any(each.day <= b.end and (each.day > a.end or each.run > a.run) for each in waiting)


def _suspects(stated: Sequence[Stated], came: Iterable[Came]) -> list[tuple[_Moves, int]]:
    """What came after a balance was said that counts it by its day: the moves that would take it
    out of that one, and its amount."""
    found: list[tuple[_Moves, int]] = []
    ends = [each.end for each in stated]
    oldest = [*accumulate((each.run for each in reversed(stated)), min)][::-1]
    for each in came:
        # No balance of an earlier day counts it; and hardly any booking came after one of a later.
        first = bisect_left(ends, each.day)
        if first == len(stated) or oldest[first] >= each.run:
            continue
        without = [_counts(b, each) and b.run < each.run for b in stated[first:]]
        moves = tuple(
            (number, now - before)
            for number, (before, now) in enumerate(pairwise([False, *without]), first)
            if now != before
        )
        if moves and each.amount:
            found.append((moves, each.amount))
    return _few(found) if len(found) > _MOST_WEIGHED else found


def _few(suspects: Iterable[tuple[_Moves, int]]) -> list[tuple[_Moves, int]]:
    """Too many to weigh each: those that would change the same go together."""
    found: dict[_Moves, int] = defaultdict(int)
    for moves, amount in suspects:
        found[moves] += amount
    return list(found.items())


def _counts(balance: Stated, booking: Came) -> bool:
    """Whether a balance counts it by its day."""
    if booking.day == balance.end and not (balance.final or booking.filled):
        return booking.run <= balance.run
    return booking.day <= balance.end


def _let_late_ones_pass(
    left: Sequence[int | None], suspects: Sequence[tuple[_Moves, int]]
) -> list[int | None]:
    """With those taken for late that explain something. All are at first; whatever opens no stretch
    when it is not, was none: what came twice looks like what came late."""
    late = list(suspects)
    still = _open(_moved(left, late))
    for each in suspects:
        others = [other for other in late if other is not each]
        if _open(_moved(left, others)) <= still:
            late, still = others, _open(_moved(left, others))
    return _moved(left, late)


def _moved(left: Sequence[int | None], late: Iterable[tuple[_Moves, int]]) -> list[int | None]:
    moved = list(left)
    for moves, amount in late:
        for number, times in moves:
            before = moved[number]
            if before is not None:
                moved[number] = before + times * amount
    return moved


def _open(left: Iterable[int | None]) -> int:
    return sum(bool(each) for each in left)
