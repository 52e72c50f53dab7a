"""The quiet poll of an open page: what it costs grows with the rows that changed."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.bench.data import books, size
from tests.bench.page import ROWS
from tests.bench.results import Result, at_most, by_turns, median
from tests.bench.visit import Served, served


def measure() -> list[Result]:
    with (
        books(size("CONNECTIONS", 10_000) // ROWS, ROWS) as folder,
        served(folder, "/?administration=1") as there,
    ):
        nothing, one, few, all_, page = (
            median(times) * 1000
            for times in by_turns(
                *(_poll(there, n) for n in (0, 1, 10, 50)), there.ours(), rounds=60
            )
        )
    return [
        at_most("refresh, nothing changed, against the page", nothing, page, "ms", 0.5),
        at_most("refresh, 1 row changed, against the page", one, page, "ms", 0.6),
        at_most("refresh, 10 rows changed, against the page", few, page, "ms", 0.75),
        at_most("refresh, 50 rows changed, against the page", all_, page, "ms", 1.25),
    ]


def _poll(there: Served, changed: int) -> Callable[[], object]:
    """As the page's script asks, with so many rows that the browser has in an older state."""
    page = there.browser.get(there.paths[0]).decode()
    rows = re.findall(r'name="row" value="(\d+):(\w+)"', page)
    (whole,) = re.findall(r'name="list" value="(\w+)"', page)
    assert len(rows) == ROWS
    seen = [f"{key}:{'older' if n < changed else digest}" for n, (key, digest) in enumerate(rows)]
    query = "&".join([*(f"row={each}" for each in seen), f"list={whole}"])
    address = f"/administrations/1/rows?{query}"

    def poll() -> None:
        status, content = there.browser.ask(
            "GET", address, HX_Request="true", HX_Current_URL=f"http://localhost{there.paths[0]}"
        )
        assert status == (200 if changed else 204), status
        assert content.count(b"<tbody") == changed

    return poll
