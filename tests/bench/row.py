"""The fragment of one row."""

from __future__ import annotations

from tests.bench.data import books, size
from tests.bench.page import ROWS
from tests.bench.results import Result, at_least, by_turns, median
from tests.bench.visit import served


def measure() -> list[Result]:
    with (
        books(size("CONNECTIONS", 10_000) // ROWS, ROWS) as folder,
        served(folder, "/connections/1/row") as there,
    ):
        found = by_turns(there.ours(), there.floor(), rounds=300, clock=there.spent)
    ours, floor = (1 / median(times) for times in found)
    return [at_least("row's fragment", ours, floor, "rows/s", 0.7)]
