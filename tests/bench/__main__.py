"""Measurements: ours against a floor, both in the same run. `ONLY=name` for one family of them.

A floor does the unavoidable part alone: the same indexed queries and the same template, or the same
durable inserts. Times on a shared machine are noisy, so ours and the floor are timed by turns, what is
served in processor time of the process that serves (visit.Served.spent), everything about waiting and
the slowest in a hundred by the wall. The ratio is what counts. Nothing here is a test.
"""

from __future__ import annotations

import os
import time

import app as composition
from tests.bench import (
    alone,
    camt,
    expiries,
    fetching,
    list_of_many,
    office,
    page,
    refresh,
    row,
    start,
    together,
)
from tests.bench.results import show, write

FAMILIES = {
    "page": page.measure,
    "row": row.measure,
    "refresh": refresh.measure,
    "office": office.measure,
    "list": list_of_many.measure,
    "fetch": fetching.measure,
    "expiries": expiries.measure,
    "camt": camt.measure,
    "alone": alone.measure,
    "together": together.measure,
    "start": start.measure,
}


def main() -> None:
    only = os.environ.get("ONLY")
    if only and only not in FAMILIES:
        raise SystemExit(f"ONLY={only} is none of: {', '.join(FAMILIES)}")
    composition.settle_down()  # as the process that serves; for ours and the floors alike
    results = []
    for name, measure in FAMILIES.items():
        if only in ("", None, name):
            began = time.perf_counter()
            results += measure()
            print(f"{name}: measured in {time.perf_counter() - began:.0f} s", flush=True)
    show(results)
    write(results)


if __name__ == "__main__":
    main()
