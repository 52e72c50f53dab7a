"""The maintenance page of an administration with 50 connections, alone and among many more."""

from __future__ import annotations

from tests.bench.bare import Page
from tests.bench.data import books, fill, house, size
from tests.bench.results import Result, at_least, at_most, by_turns, median
from tests.bench.visit import served

ROWS = 50
ROUNDS = 60


def measure() -> list[Result]:
    results, ours = [], {}
    usual = size("CONNECTIONS", 10_000)
    for connections in (usual // 10, usual, usual * 10):
        with (
            books(connections // ROWS, ROWS) as folder,
            served(folder, "/?administration=1") as there,
        ):
            found = by_turns(there.ours(), there.floor(), rounds=ROUNDS, clock=there.spent)
            ours[connections] = median(found[0])
            if connections >= usual:
                name = f"page, {connections:,} connections"
                pages = (1 / median(times) for times in found)
                results.append(at_least(name, *pages, unit="pages/s", target=0.75))
    small, _, large = ours.values()
    results.append(at_most("page, 100 × the connections", large * 1000, small * 1000, "ms", 1.25))
    results.append(_statements())
    return results


def _statements() -> Result:
    """How many a page of 5 and of 500 rows takes."""
    counts = []
    for rows in (5, 50, 500):
        with house() as parts:
            fill(parts, 1, rows)
            counts.append(len(Page(parts, "/").selects))
    few, _, many = counts
    return at_most("page, statements for 100 × the rows", many, few, "statements", 1)
