"""Which days to fetch, which could not be had, and from when a connection may start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

OVERLAP = timedelta(days=7)
"""Every fetch looks back this far before the watermark: banks book late (domain.md C)."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Days to ask for, both ends included; `gap` are wanted days the bank no longer gives."""

    since: date
    until: date
    gap: tuple[date, date] | None


def fetch_window(
    *,
    start: date,
    watermark: date | None,
    history_from: date | None,
    today: date,
    available_from: date | None = None,
) -> Window:
    """What the next fetch asks for (domain.md C).

    `watermark` is the last day of the last fetch that completed, None before the first;
    `history_from` the oldest day the bank gives under the current authorisation, None if unknown.
    A first fetch may also have what the provider kept of earlier ones, back to `available_from`.
    The watermark moves only with a fetch that completed, so no outage can lose days.
    """
    wanted = start if watermark is None else max(start, watermark - OVERLAP)
    reach = history_from if watermark is not None else available_from or history_from
    since = wanted if reach is None else max(wanted, reach)
    since = min(since, today)
    first_missing = start if watermark is None else max(start, watermark + _DAY)
    gap = None
    if reach is not None and reach > first_missing:
        last_missing = min(reach - _DAY, today)
        gap = (first_missing, last_missing) if first_missing <= last_missing else None
    return Window(since, today, gap)


def merge_gaps(
    old: tuple[date, date] | None, new: tuple[date, date] | None
) -> tuple[date, date] | None:
    """One stretch that holds both; a gap once seen is not forgotten by the next fetch."""
    if old is None or new is None:
        return old or new
    return min(old[0], new[0]), max(old[1], new[1])


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
