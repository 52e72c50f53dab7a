"""The list of 50 transactions out of a million, with totals; and that it stays as fast as out of few."""

from __future__ import annotations

from datetime import UTC, datetime

import app as composition
from tests.bench.data import books, pour, settings_in, size
from tests.bench.results import Result, at_least, at_most, by_turns, median
from tests.bench.visit import served

ADDRESS = "/connections/1/transactions"


def measure() -> list[Result]:
    results, ours = [], []
    usual = size("TRANSACTIONS", 1_000_000)
    for count in (usual // 100, usual // 10, usual):
        with books(1, 1) as folder:
            parts = composition.build(settings_in(folder))
            pour(parts.services.store, 1, count, datetime.now(UTC).date())
            parts.services.store.engine.dispose()
            with served(folder, ADDRESS) as there:
                found = by_turns(there.ours(), there.floor(), rounds=60, clock=there.spent)
        ours.append(median(found[0]))
        if count == usual:
            pages = (1 / median(times) for times in found)
            results.append(at_least(f"list of 50 of {count:,}", *pages, unit="pages/s", target=0.7))
    results.append(
        at_most("list, 100 × the transactions", ours[-1] * 1000, ours[0] * 1000, "ms", 2)
    )
    return results
