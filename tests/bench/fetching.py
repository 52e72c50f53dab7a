"""A first fetch from pages of JSON, fetching the same again, and the first fetch beside a million."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from banklink import clock as clocks
from banklink.actions.fetch import fetch
from tests.bench.data import fill, house, pour, size
from tests.bench.results import Result, at_least, timed
from tests.bench.shelf import A_DAY, Shelf, bodies, ready, services_with

NUMBER = 2
"""A connection whose authorisation holds."""
_LONG = timedelta(hours=1)


def measure() -> list[Result]:
    count = size("ROWS", 100_000)
    first, again, floor, floor_again = [], [], [], []
    for _ in range(3):
        one, two = _ours(count)
        first.append(one)
        again.append(two)
        one, two = _floor(count)
        floor.append(one)
        floor_again.append(two)
    at_once = count / min(first)
    few, _ = _ours(count // 10)
    many, _ = _ours(count, stored=size("STORED", 1_000_000))
    return [
        at_least("first fetch", at_once, count / min(floor), "rows/s", 0.5),
        at_least("fetch again", count / min(again), count / min(floor_again), "rows/s", 0.8),
        at_least("first fetch beside 1,000,000", count / many, at_once, "rows/s", 0.6),
        at_least("first fetch of a tenth", count / 10 / few, at_once, "rows/s", 0.6),
    ]


def _ours(count: int, stored: int = 0) -> tuple[float, float]:
    """Seconds for the first fetch and for the same again."""
    with house() as parts:
        fill(parts, 1, 2)
        at = clocks.read(parts.clock)
        days = count // A_DAY + 1
        if stored:
            pour(parts.services.store, NUMBER, stored, at.today - timedelta(days=days), a_day=1000)
        shelf = Shelf(parts.settings.ponto, bodies(count, at.today))
        services = services_with(parts, shelf)
        ready(services, NUMBER, at, days)
        taken = []
        for expected in (count, 0):
            ready(services, NUMBER, at, days)
            found = []
            taken.append(
                timed(
                    lambda found=found: found.append(fetch(services, NUMBER, at, patience=_LONG)),
                )  # type: ignore[misc]
            )
            assert (found[0].result, found[0].added) == ("ok", expected), found
        return taken[0], taken[1]


def _floor(count: int) -> tuple[float, float]:
    """`json.loads` and durable inserts alone, into an empty table and once more."""
    with house() as parts, tempfile.TemporaryDirectory() as folder:
        pages = bodies(count, clocks.read(parts.clock).today)
        database = sqlite3.connect(Path(folder) / "floor.sqlite3", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, source TEXT UNIQUE, booked TEXT, value TEXT,"
            " amount INTEGER, currency TEXT, name TEXT, iban TEXT, remittance TEXT, reference TEXT)"
        )
        database.execute("CREATE TABLE run (cursor INTEGER)")
        database.execute("INSERT INTO run VALUES (0)")
        taken = (
            timed(lambda: _put(database, pages)),
            timed(lambda: _put(database, pages)),
        )
        assert database.execute("SELECT count(*) FROM t").fetchone() == (count,)
        database.close()
        return taken


def _put(database: sqlite3.Connection, pages: Sequence[bytes]) -> None:
    for number, page in enumerate(pages):
        rows = [
            (item["id"], a["executionDate"][:10], a["valueDate"][:10], round(a["amount"] * 100),
             a["currency"], a["counterpartName"], a["counterpartReference"],
             a["remittanceInformation"], a["endToEndId"])
            for item in json.loads(page)["data"]
            for a in [item["attributes"]]
        ]  # fmt: skip
        database.execute("BEGIN IMMEDIATE")
        database.executemany(
            "INSERT INTO t (source, booked, value, amount, currency, name, iban, remittance,"
            " reference) VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (source) DO NOTHING",
            rows,
        )
        database.execute("UPDATE run SET cursor = ?", (number,))
        database.execute("COMMIT")
