"""Which days are fetched, which are to be asked for, which could not be had, and from when a
connection may start.

Covered are the days of which a completed fetch, or a file, told everything. Missing is what lies
between the start date and the last fetched day and is not covered. Both are stretches of days, both
ends included.

The last fetched day was still going on when it was read. It counts as covered only for as long as
the next fetch reads it again. Where that begins later, the rest of that day was told to nobody:
what is missing then begins with the last fetched day itself, and not one day after it, where
domain.md C lets a gap begin. A file may have told of that day once it was over; then it stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

OVERLAP = timedelta(days=7)
"""Every fetch looks back this far before the watermark: banks book late (domain.md C)."""

_DAY = timedelta(days=1)

Span = tuple[date, date]
"""First and last day, both included."""


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same days in as few stretches as there are, in order; none touches the next."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if first > last:
            continue
        if found and first <= found[-1][1] + _DAY:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """The days of `spans` that are not in `taken`."""
    left = joined(spans)
    for first, last in joined(taken):
        left = [
            piece
            for span in left
            for piece in (
                (span[0], min(span[1], first - _DAY)),
                (max(span[0], last + _DAY), span[1]),
            )
            if piece[0] <= piece[1]
        ]
    return left


def missing(
    covered: Iterable[Span],
    *,
    start: date | None,
    watermark: date | None,
    locked_through: date | None = None,
) -> list[Span]:
    """The days between start and watermark that nobody told of; none of a locked period."""
    if start is None or watermark is None:
        return []
    return without([(first_wanted(start, locked_through), watermark)], covered)


def first_wanted(start: date, locked_through: date | None) -> date:
    """The books of a locked period are closed: its days are not asked for (domain.md C)."""
    return start if locked_through is None else max(start, locked_through + _DAY)


@dataclass(frozen=True, slots=True)
class Window:
    """Days to ask for, both ends included. `wanted`: the first day that was wanted, which may lie
    before `since`; `unserved`: wanted days that the bank does not give."""

    wanted: date
    since: date
    until: date
    unserved: tuple[Span, ...]

    @property
    def served(self) -> list[Span]:
        """What is covered once all of it was read."""
        return without([(self.since, self.until)], self.unserved)


def fetch_window(
    *,
    start: date,
    watermark: date | None,
    until: date,
    covered: Iterable[Span] = (),
    history_from: date | None = None,
    available_from: date | None = None,
    asked_from: date | None = None,
    locked_through: date | None = None,
) -> Window | None:
    """What the next fetch asks for (domain.md C). None when no wanted day has come yet.

    `watermark` is the last day of the last fetch that completed, None before the first; `until` the
    last day of which the provider can know; `covered` days are asked for again only within the
    overlap, all others every time, as far as they can be had; the last fetched day belongs to them
    only if a file told of it (see above). `history_from`: the oldest day that
    the bank gives under the current authorisation; of days before `asked_from`, the first one that
    was ever asked for, the provider also has what it kept of earlier ones, back to
    `available_from`. Unknown ones are None.
    """
    first = first_wanted(start, locked_through)
    if first > until:
        return None
    unknown = without([(first, until)], covered)
    if watermark is None:
        never_asked = unknown
    elif asked_from is None:
        never_asked = []
    else:
        never_asked = joined((one, min(last, asked_from - _DAY)) for one, last in unknown)
    asked = [
        *_not_before(available_from or history_from, never_asked),
        *_not_before(history_from, without(unknown, never_asked)),
    ]
    overlap = [(max(first, min(watermark or until, until) - OVERLAP), until)]
    asked += _not_before(
        history_from if watermark is not None else available_from or history_from, overlap
    )
    wanted, _ = joined([*unknown, *overlap])[0]
    since = min((one for one, _ in asked), default=until)
    return Window(wanted, since, until, tuple(without(unknown, asked)))


def _not_before(floor: date | None, spans: Iterable[Span]) -> list[Span]:
    return joined((max(one, floor or one), last) for one, last in spans)


class StartProblem(StrEnum):
    FUTURE = "future"
    LOCKED = "locked"
    TOO_EARLY = "too_early"


def earliest_start(*, available_from: date | None, locked_through: date | None) -> date | None:
    """The first day that may be chosen: what the bank offers, outside the locked period."""
    bounds = [available_from, locked_through + _DAY if locked_through else None]
    return max((day for day in bounds if day), default=None)


def start_problem(
    start: date,
    *,
    today: date,
    available_from: date | None,
    locked_through: date | None,
) -> StartProblem | None:
    """Why a start date cannot be (domain.md A2.6), or None."""
    if start > today:
        return StartProblem.FUTURE
    if locked_through is not None and start <= locked_through:
        return StartProblem.LOCKED
    if available_from is not None and start < available_from:
        return StartProblem.TOO_EARLY
    return None


def safe_start(
    start: date,
    *,
    processed_through: date | None,
    fetched: tuple[date, date] | None,
    on: bool,
) -> date | None:
    """Where a start day would bring days that the books hold already, through another way than us:
    the day that brings none of them. None when it brings none. `fetched`: from the start through
    the last day that we brought in ourselves; those never come twice. While a link is on, later
    than its start deletes nothing and so changes nothing."""
    if processed_through is None or start > processed_through:
        return None
    if fetched is not None and start >= fetched[0] and (on or processed_through <= fetched[1]):
        return None
    after = processed_through + _DAY
    return min(after, fetched[0]) if fetched is not None and on else after


def default_start(
    *,
    today: date,
    processed_through: date | None,
    fiscal_year_start: date | None,
    available_from: date | None,
    locked_through: date | None,
) -> date:
    """The date the form proposes: the day after what the journal already holds, else the start of
    the fiscal year, moved into what is possible (domain.md M2, A2.6)."""
    if processed_through is not None:
        wish = processed_through + _DAY
    else:
        wish = fiscal_year_start or date(today.year, 1, 1)
    floor = earliest_start(available_from=available_from, locked_through=locked_through)
    if floor is not None:
        wish = max(wish, floor)
    return min(wish, today)
