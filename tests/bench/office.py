"""The page over all administrations, and how it grows: with the administrations that it shows, not
with the connections behind them."""

from __future__ import annotations

from tests.bench.data import books
from tests.bench.results import Result, at_least, at_most, by_turns, median
from tests.bench.visit import served

SIZES = {
    "": (200, 10),
    "5 × the connections": (200, 50),
    "25 × the connections": (200, 250),
    "5 × the administrations": (1000, 10),
}


def measure() -> list[Result]:
    results, times = [], {}
    for name, (administrations, rows) in SIZES.items():
        with (
            books(administrations, rows, own=administrations) as folder,
            served(folder, "/administrations") as there,
        ):
            ours, floor = by_turns(there.ours(), there.floor(), rounds=60, clock=there.spent)
        times[name] = median(ours)
        if administrations * rows == 10_000 and administrations == 200:
            results.append(
                at_least(
                    "all administrations, 10,000 connections",
                    1 / median(ours),
                    1 / median(floor),
                    "pages/s",
                    0.7,
                )
            )
    small = times.pop("")
    for name, taken in times.items():
        # Totals are summed over every row of one's own, which is little; the rest is one page.
        target = 2 if "administrations" in name else 1.3
        results.append(
            at_most(f"all administrations, {name}", taken * 1000, small * 1000, "ms", target)
        )
    return results
